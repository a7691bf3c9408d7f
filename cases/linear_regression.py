"""Linear regression, its gradients derived one step at a time."""

import torch

from gradverify import Case, Gradients, Trace


class LinearRegression(Case):
    r"""Mean squared error of an affine model, L = mean((y - (X W + b))^2).

    With n samples and p features, and d.v for dL/dv:

        loss   = mean(diff2)     d.diff2  = d.loss / n, the same for every sample
        diff2  = diff^2          d.diff   = 2 diff * d.diff2
        diff   = y - pred        d.y      = d.diff
                                 d.pred   = -d.diff
        pred   = matmul + b      d.matmul = d.pred
                                 d.b      = d.pred summed over the samples, to which b was broadcast
        matmul = X W             d.X      = d.matmul W^T
                                 d.W      = X^T d.matmul
    """

    samples: int = 10
    features: int = 10

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {
            "X": torch.randn(self.samples, self.features, generator=generator),
            "y": torch.randn(self.samples, 1, generator=generator),
            "W": torch.randn(self.features, 1, generator=generator),
            "b": torch.randn(1, generator=generator),
        }

    def forward(self, t: Trace) -> torch.Tensor:
        t.matmul = t.X @ t.W
        t.pred = t.matmul + t.b
        t.diff = t.y - t.pred
        t.diff2 = t.diff**2
        t.loss = t.diff2.mean(0)
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.diff2 = d.loss.expand_as(t.diff2) / len(t.diff2)
        d.diff = 2 * t.diff * d.diff2
        d.y = d.diff
        d.pred = -d.diff
        d.matmul = d.pred
        d.b = d.pred.sum(0)
        d.X = d.matmul @ t.W.T
        d.W = t.X.T @ d.matmul
