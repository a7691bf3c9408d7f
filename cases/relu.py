"""One layer of rectified linear units."""

import torch

from gradverify import Case, Gradients, Trace


class ReLU(Case):
    r"""Mean activation of a rectified linear unit, L = mean(max(0, x w)).

    With n samples, and d.v for dL/dv:

        loss = mean(res)       d.res = d.loss / n, the same for every sample
        res  = max(0, pre)     d.pre = d.res where pre > 0, else 0
        pre  = x w             d.x   = d.pre w^T
                               d.w   = x^T d.pre

    At pre = 0 the derivative is any number from 0 to 1; 0 is torch's choice.
    """

    samples: int = 5
    features: int = 5

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {
            "x": torch.randn(self.samples, self.features, generator=generator),
            "w": torch.randn(self.features, 1, generator=generator),
        }

    def forward(self, t: Trace) -> torch.Tensor:
        t.pre = t.x @ t.w
        t.res = torch.relu(t.pre)
        t.loss = t.res.mean(0)
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.res = d.loss.expand_as(t.res) / len(t.res)
        d.pre = d.res * (t.pre > 0)
        d.x = d.pre @ t.w.T
        d.w = t.x.T @ d.pre
