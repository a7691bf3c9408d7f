"""A net of three layers (relu, sigmoid, softmax written out), trained to be sure of itself."""

import torch

from gradverify import Case, Gradients, Trace


class ThreeLayerNet(Case):
    r"""L = -mean(log(max_j softmax(h2 W3 + b3)_j)), h2 = sigmoid(h1 W2 + b2), h1 = relu(X W1 + b1).

    With n samples, and d.v for dL/dv:

        loss       = -mean(logits)         d.logits     = -d.loss / n, the same for every sample
        logits     = log(outputs)          d.outputs    = d.logits / outputs
        outputs    = max_j probs           d.probs      = d.outputs at the largest probability, 0 elsewhere
        probs      = h3 * h3_sum_inv       d.h3_sum_inv = sum_j h3 * d.probs
        h3_sum_inv = h3_sum^-1             d.h3_sum     = -h3_sum^-2 * d.h3_sum_inv
        h3_sum     = sum_j h3              d.h3         = h3_sum_inv * d.probs + d.h3_sum, two contributions
        h3         = exp(h3_preact)        d.h3_preact  = h3 * d.h3
        h3_preact  = h2 W3 + b3            d.h2         = d.h3_preact W3^T
                                           d.W3         = h2^T d.h3_preact
                                           d.b3         = d.h3_preact summed over the samples
        h2         = sigmoid(h2_preact)    d.h2_preact  = h2 (1 - h2) * d.h2
        h2_preact  = h1 W2 + b2            d.h1, d.W2, d.b2 likewise
        h1         = relu(h1_preact)       d.h1_preact  = d.h1 where h1_preact > 0, else 0
        h1_preact  = X W1 + b1             d.X, d.W1, d.b1 likewise

    The gradients span thirty orders of magnitude: exp(h3_preact) overshoots, its sum is inverted, and the
    contributions to d.h3 nearly cancel. No fixed tolerance fits all of them.
    """

    samples: int = 100
    features: int = 10
    hidden1: int = 200
    hidden2: int = 300
    classes: int = 100

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        return {
            "X": normal(self.samples, self.features),
            "W1": normal(self.features, self.hidden1),
            "b1": normal(self.hidden1),
            "W2": normal(self.hidden1, self.hidden2),
            "b2": normal(self.hidden2),
            "W3": normal(self.hidden2, self.classes),
            "b3": normal(self.classes),
        }

    def forward(self, t: Trace) -> torch.Tensor:
        t.h1_preact = t.X @ t.W1 + t.b1
        t.h1 = torch.relu(t.h1_preact)
        t.h2_preact = t.h1 @ t.W2 + t.b2
        t.h2 = torch.sigmoid(t.h2_preact)
        t.h3_preact = t.h2 @ t.W3 + t.b3
        t.h3 = t.h3_preact.exp()
        t.h3_sum = t.h3.sum(1, keepdim=True)
        t.h3_sum_inv = t.h3_sum**-1
        t.probs = t.h3 * t.h3_sum_inv
        t.outputs = t.probs.max(1, keepdim=True).values
        t.logits = t.outputs.log()
        t.loss = -t.logits.mean()
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.logits = -d.loss.expand_as(t.logits) / len(t.logits)
        d.outputs = d.logits / t.outputs
        d.probs = torch.zeros_like(t.probs).scatter(1, t.probs.argmax(1, keepdim=True), d.outputs)
        d.h3_sum_inv = (t.h3 * d.probs).sum(1, keepdim=True)
        d.h3_sum = -(t.h3_sum**-2) * d.h3_sum_inv
        d.h3 = t.h3_sum_inv * d.probs + d.h3_sum
        d.h3_preact = t.h3 * d.h3
        d.h2 = d.h3_preact @ t.W3.T
        d.W3 = t.h2.T @ d.h3_preact
        d.b3 = d.h3_preact.sum(0)
        d.h2_preact = t.h2 * (1 - t.h2) * d.h2
        d.h1 = d.h2_preact @ t.W2.T
        d.W2 = t.h1.T @ d.h2_preact
        d.b2 = d.h2_preact.sum(0)
        d.h1_preact = d.h1 * (t.h1_preact > 0)
        d.X = d.h1_preact @ t.W1.T
        d.W1 = t.X.T @ d.h1_preact
        d.b1 = d.h1_preact.sum(0)
