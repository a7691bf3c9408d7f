"""A linear model with its weights' squares added to the prediction."""

import torch

from gradverify import Case, Gradients, Trace


class L2Regularization(Case):
    r"""Mean of an affine model plus the squared norm of its weights, mean(X W + b + sum(W^2)).

    With n samples, and d.v for the gradient of v:

        pred   = mean(preds)      d.preds  = d.pred / n, the same for every sample
        preds  = linear + reg     d.linear = d.preds
                                  d.reg    = d.preds summed over the samples, to which reg was broadcast
        reg    = sum(W_2)         d.W_2    = d.reg, the same for every weight
        W_2    = W^2              d.W      = 2 W * d.W_2, one contribution
        linear = X W + b          d.W     += X^T d.linear, the other
                                  d.X      = d.linear W^T
                                  d.b      = d.linear summed over the samples
    """

    samples: int = 100
    features: int = 3

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {
            "X": torch.randn(self.samples, self.features, generator=generator),
            "W": torch.randn(self.features, 1, generator=generator),
            "b": torch.randn(1, generator=generator),
        }

    def forward(self, t: Trace) -> torch.Tensor:
        t.linear = t.X @ t.W + t.b
        t.W_2 = t.W**2
        t.reg = t.W_2.sum(0)
        t.preds = t.linear + t.reg
        t.pred = t.preds.mean(0)
        return t.pred

    def backward(self, t: Trace, d: Gradients) -> None:
        d.preds = d.pred.expand_as(t.preds) / len(t.preds)
        d.linear = d.preds
        d.reg = d.preds.sum(0)
        d.W_2 = d.reg.expand_as(t.W_2)
        d.W = 2 * t.W * d.W_2 + t.X.T @ d.linear
        d.X = d.linear @ t.W.T
        d.b = d.linear.sum(0)
