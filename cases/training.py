"""A small network of tanh neurons, number by number: the gradient that trains it."""

from collections.abc import Iterable

import torch

from gradverify import Case, Gradients, Trace


def added(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum of some terms, from the first on."""
    first, *others = terms
    return sum(others, first)


class Training(Case):
    r"""The squared error of a network with 3 inputs and layers of 4, 4 and 1 tanh neurons, over four samples.

    With d.v for dL/dv; s numbers the samples, k the layers, j the neurons of a layer and i their inputs:

        loss          = sum_s error_s^2             d.error_s       = 2 error_s * d.loss
        error_s       = out_s_last_0 - target_s     d.out_s_last_0  = d.error_s
        out_s_k_j     = tanh(n_s_k_j)               d.n_s_k_j       = (1 - out_s_k_j^2) * d.out_s_k_j
        n_s_k_j       = b_k_j
                        + sum_i w_k_j_i x_s_i       d.b_k_j         = sum_s d.n_s_k_j
                                                    d.w_k_j_i       = sum_s x_s_i * d.n_s_k_j
                                                    d.out_s_(k-1)_i = sum_j w_k_j_i * d.n_s_k_j

    where x_s_i is out_s_(k-1)_i, and the sample itself in the first layer.
    """

    dtypes = "float64"
    samples = ((2.0, 3.0, -1.0), (3.0, -1.0, 0.5), (0.5, 1.0, 1.0), (1.0, 1.0, -1.0))
    targets = (1.0, -1.0, -1.0, 1.0)
    widths = (3, 4, 4, 1)

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        def uniform() -> torch.Tensor:
            return 2 * torch.rand((), generator=generator) - 1

        drawn = {}
        for k, j in self.neurons():
            drawn.update({f"w_{k}_{j}_{i}": uniform() for i in range(self.widths[k])})
            drawn[f"b_{k}_{j}"] = uniform()
        return drawn

    def neurons(self) -> list[tuple[int, int]]:
        """The layer and the number of every neuron, in the order of the forward."""
        return [(k, j) for k, width in enumerate(self.widths[1:]) for j in range(width)]

    def fed(self, t: Trace, s: int, k: int) -> list[torch.Tensor | float]:
        """What sample s feeds into layer k."""
        return list(self.samples[s]) if k == 0 else [t[f"out_{s}_{k - 1}_{i}"] for i in range(self.widths[k])]

    def fed_back(self, t: Trace, d: Gradients, s: int, k: int, j: int) -> torch.Tensor:
        """The gradient of what neuron j of layer k feeds, for sample s, into the layer above."""
        return added(t[f"w_{k + 1}_{m}_{j}"] * d[f"n_{s}_{k + 1}_{m}"] for m in range(self.widths[k + 2]))

    def forward(self, t: Trace) -> torch.Tensor:
        for s, target in enumerate(self.targets):
            for k, j in self.neurons():
                products = [t[f"w_{k}_{j}_{i}"] * x for i, x in enumerate(self.fed(t, s, k))]
                t[f"n_{s}_{k}_{j}"] = sum(products, t[f"b_{k}_{j}"])
                t[f"out_{s}_{k}_{j}"] = torch.tanh(t[f"n_{s}_{k}_{j}"])
            t[f"error_{s}"] = t[f"out_{s}_{len(self.widths) - 2}_0"] - target
        t.loss = added(t[f"error_{s}"] ** 2 for s in range(len(self.targets)))
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        samples = range(len(self.targets))
        last = len(self.widths) - 2
        for s in samples:
            d[f"error_{s}"] = 2 * t[f"error_{s}"] * d.loss
        for k in reversed(range(last + 1)):
            for j in range(self.widths[k + 1]):
                for s in samples:
                    d[f"out_{s}_{k}_{j}"] = d[f"error_{s}"] if k == last else self.fed_back(t, d, s, k, j)
                    d[f"n_{s}_{k}_{j}"] = (1 - t[f"out_{s}_{k}_{j}"] ** 2) * d[f"out_{s}_{k}_{j}"]
                d[f"b_{k}_{j}"] = added(d[f"n_{s}_{k}_{j}"] for s in samples)
                for i in range(self.widths[k]):
                    d[f"w_{k}_{j}_{i}"] = added(self.fed(t, s, k)[i] * d[f"n_{s}_{k}_{j}"] for s in samples)
