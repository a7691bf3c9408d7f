"""The negative log likelihood of a label under a softmax, one number at a time."""

import torch

from gradverify import Case, Gradients, Trace


class SoftmaxNLL(Case):
    r"""L = -log(e^logit_label / sum_i e^logit_i), for the logits 0, 3, -2, 1 and label 3.

    With d.v for dL/dv:

        loss     = -log_prob               d.log_prob  = -d.loss
        log_prob = log(prob)               d.prob      = d.log_prob / prob
        prob     = exp_label / total       d.total     = -prob / total * d.prob
        total    = sum_i exp_i             d.exp_i     = d.total, and for the label + d.prob / total
        exp_i    = e^logit_i               d.logit_i   = exp_i * d.exp_i

    Put together, d.logit_i is the probability of i, less 1 for the label.
    """

    dtypes = "float64"
    logits = (0.0, 3.0, -2.0, 1.0)
    label = 3

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:  # noqa: ARG002  # nothing is drawn
        return {f"logit{i}": torch.tensor(logit) for i, logit in enumerate(self.logits)}

    def forward(self, t: Trace) -> torch.Tensor:
        for i in range(len(self.logits)):
            t[f"exp{i}"] = torch.exp(t[f"logit{i}"])
        t.total = t.exp0 + t.exp1 + t.exp2 + t.exp3
        t.prob = t[f"exp{self.label}"] / t.total
        t.log_prob = torch.log(t.prob)
        t.loss = -t.log_prob
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.log_prob = -d.loss
        d.prob = d.log_prob / t.prob
        d.total = -t.prob / t.total * d.prob
        for i in range(len(self.logits)):
            d[f"exp{i}"] = d.total + d.prob / t.total if i == self.label else d.total
            d[f"logit{i}"] = t[f"exp{i}"] * d[f"exp{i}"]
