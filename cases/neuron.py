"""One neuron of two inputs, its tanh as one operation and made of exponentials."""

import torch

from gradverify import Case, Gradients, Trace


class Neuron(Case):
    r"""out = tanh(x1 w1 + x2 w2 + b), at x1 = 2, x2 = 0, w1 = -3, w2 = 1, b = 6.8813735...

    With d.v for dout/dv:

        out  = tanh(n)             d.n    = (1 - out^2) * d.out
        n    = x1w1 + x2w2 + b     d.x1w1 = d.x2w2 = d.b = d.n
        x1w1 = x1 * w1             d.x1   = w1 * d.x1w1
                                   d.w1   = x1 * d.x1w1
        x2w2 = x2 * w2             d.x2   = w2 * d.x2w2
                                   d.w2   = x2 * d.x2w2, which is 0 because x2 is

    The bias is 6.881373587 as float32 holds it, which puts the output near 1/sqrt(2).
    """

    dtypes = "float64"
    expected_zero = "w2"

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:  # noqa: ARG002  # nothing is drawn
        return {
            "x1": torch.tensor(2.0),
            "x2": torch.tensor(0.0),
            "w1": torch.tensor(-3.0),
            "w2": torch.tensor(1.0),
            "b": torch.tensor(6.881373587, dtype=torch.float32),
        }

    def forward(self, t: Trace) -> torch.Tensor:
        t.x1w1 = t.x1 * t.w1
        t.x2w2 = t.x2 * t.w2
        t.n = t.x1w1 + t.x2w2 + t.b
        t.out = torch.tanh(t.n)
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.n = (1 - t.out**2) * d.out
        d.x1w1 = d.n
        d.x2w2 = d.n
        d.b = d.n
        d.x1 = t.w1 * d.x1w1
        d.w1 = t.x1 * d.x1w1
        d.x2 = t.w2 * d.x2w2
        d.w2 = t.x2 * d.x2w2


class NeuronByExponentials(Neuron):
    r"""The same neuron, with tanh(n) = (e^2n - 1) / (e^2n + 1).

    With d.v for dout/dv, and the rest as for Neuron:

        out     = above / below    d.above   = d.out / below
                                   d.below   = -out / below * d.out
        above   = power - 1        d.power   = d.above, one contribution
        below   = power + 1        d.power  += d.below, the other
        power   = e^doubled        d.doubled = power * d.power
        doubled = 2 n              d.n       = 2 * d.doubled
    """

    def forward(self, t: Trace) -> torch.Tensor:
        t.x1w1 = t.x1 * t.w1
        t.x2w2 = t.x2 * t.w2
        t.n = t.x1w1 + t.x2w2 + t.b
        t.doubled = 2 * t.n
        t.power = torch.exp(t.doubled)
        t.above = t.power - 1
        t.below = t.power + 1
        t.out = t.above / t.below
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.above = d.out / t.below
        d.below = -t.out / t.below * d.out
        d.power = d.above + d.below
        d.doubled = t.power * d.power
        d.n = 2 * d.doubled
        d.x1w1 = d.n
        d.x2w2 = d.n
        d.b = d.n
        d.x1 = t.w1 * d.x1w1
        d.w1 = t.x1 * d.x1w1
        d.x2 = t.w2 * d.x2w2
        d.w2 = t.x2 * d.x2w2
