"""Logistic regression, its binary cross entropy written out in elementary steps."""

import torch

from gradverify import Case, Gradients, Trace


class LogisticBCE(Case):
    r"""Binary cross entropy of a logistic model, L = -mean(log(p y + (1 - p)(1 - y))), p = 1 / (1 + e^-(X W + b)).

    With n samples, and d.v for dL/dv:

        loss           = mean(neg_log_probs)      d.neg_log_probs  = d.loss / n, the same for every sample
        neg_log_probs  = -log_probs               d.log_probs      = -d.neg_log_probs
        log_probs      = log(new_probs)           d.new_probs      = d.log_probs / new_probs
        new_probs      = positive_probs
                         + negative_probs         d.positive_probs = d.negative_probs = d.new_probs
        positive_probs = probs * y                d.probs          = y * d.positive_probs
        negative_probs = (1 - probs)(1 - y)                          - (1 - y) * d.negative_probs
                                                  d.y              = probs * d.positive_probs
                                                                     - (1 - probs) * d.negative_probs
        probs          = 1 / (1 + exp_neg_logits) d.exp_neg_logits = -probs^2 * d.probs
        exp_neg_logits = exp(neg_logits)          d.neg_logits     = exp_neg_logits * d.exp_neg_logits
        neg_logits     = -logits                  d.logits         = -d.neg_logits
        logits         = X W + b                  d.X              = d.logits W^T
                                                  d.W              = X^T d.logits
                                                  d.b              = d.logits summed over the samples

    b has shape (1,): a sum with keepdim would give its gradient the shape (1, 1), which a comparison that
    broadcasts does not notice.
    """

    samples: int = 10
    features: int = 10

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {
            "X": torch.randn(self.samples, self.features, generator=generator),
            "y": torch.randint(0, 2, (self.samples, 1), generator=generator).to(torch.get_default_dtype()),
            "W": torch.randn(self.features, 1, generator=generator),
            "b": torch.randn(1, generator=generator),
        }

    def forward(self, t: Trace) -> torch.Tensor:
        t.logits = t.X @ t.W + t.b
        t.neg_logits = -t.logits
        t.exp_neg_logits = t.neg_logits.exp()
        t.probs = 1 / (1 + t.exp_neg_logits)
        t.positive_probs = t.probs * t.y
        t.negative_probs = (1 - t.probs) * (1 - t.y)
        t.new_probs = t.positive_probs + t.negative_probs
        t.log_probs = t.new_probs.log()
        t.neg_log_probs = -t.log_probs
        t.loss = t.neg_log_probs.mean(0)
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.neg_log_probs = d.loss.expand_as(t.neg_log_probs) / len(t.neg_log_probs)
        d.log_probs = -d.neg_log_probs
        d.new_probs = d.log_probs / t.new_probs
        d.positive_probs = d.new_probs
        d.negative_probs = d.new_probs
        d.probs = t.y * d.positive_probs - (1 - t.y) * d.negative_probs
        d.y = t.probs * d.positive_probs - (1 - t.probs) * d.negative_probs
        d.exp_neg_logits = -(t.probs**2) * d.probs
        d.neg_logits = t.exp_neg_logits * d.exp_neg_logits
        d.logits = -d.neg_logits
        d.X = d.logits @ t.W.T
        d.W = t.X.T @ d.logits
        d.b = d.logits.sum(0)
