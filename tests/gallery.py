"""Right and wrong backward passes that are hard to judge: ties, kinks, saturation, long sums, cancellation."""

from __future__ import annotations

import torch
from torch import Tensor

from gradverify import Case, Gradients, Trace


def integers(generator: torch.Generator, *shape: int) -> Tensor:
    """Small integers as floats, so that ties and zeros are certain."""
    return torch.randint(-3, 4, shape, generator=generator).to(torch.get_default_dtype())


class MaxPool(Case):
    """y = max over windows of 2 x 2; integer-valued inputs tie in most windows, and torch takes the first."""

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {"x": integers(generator, 2, 3, 8, 8)}

    def forward(self, t: Trace) -> Tensor:
        t.y = torch.nn.functional.max_pool2d(t.x, 2)
        return t.y

    def backward(self, t: Trace, d: Gradients) -> None:
        _, index = torch.nn.functional.max_pool2d(t.x, 2, return_indices=True)
        d.x = torch.zeros_like(t.x).flatten(2).scatter_add(2, index.flatten(2), d.y.flatten(2)).view_as(t.x)


class MaxPoolZero(MaxPool):
    """Planted: a gradient of zeros."""

    def backward(self, t: Trace, d: Gradients) -> None:
        d.x = torch.zeros_like(t.x)


class Relu(Case):
    """y = max(0, x) on integers: many elements are exactly at the kink."""

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {"x": integers(generator, 6, 7)}

    def forward(self, t: Trace) -> Tensor:
        t.y = torch.relu(t.x)
        return t.y

    def backward(self, t: Trace, d: Gradients) -> None:
        d.x = d.y * (t.x > 0)


class ReluReversed(Relu):
    """Planted: the sign of the gradient."""

    def backward(self, t: Trace, d: Gradients) -> None:
        d.x = -d.y * (t.x > 0)


class RowMax(Case):
    """L = sum(w * (max_j x)) + sum(x^2): x has two contributions, one of them through ties."""

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {"x": integers(generator, 6, 5), "w": integers(generator, 6)}

    def forward(self, t: Trace) -> Tensor:
        t.top = t.x.max(1).values
        t.loss = (t.w * t.top).sum() + (t.x**2).sum()
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.top = d.loss * t.w
        d.w = d.loss * t.top
        d.x = 2 * d.loss * t.x + torch.zeros_like(t.x).scatter(1, t.x.max(1, keepdim=True).indices, d.top[:, None])


class RowMaxForgotten(RowMax):
    """Planted: the contribution through the maximum."""

    def backward(self, t: Trace, d: Gradients) -> None:
        d.top = d.loss * t.w
        d.w = d.loss * t.top
        d.x = 2 * d.loss * t.x


class CausalAttention(Case):
    """softmax(q k^T / sqrt(p) + mask) v, the mask -inf above the diagonal."""

    length: int = 6
    features: int = 4

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {name: torch.randn(self.length, self.features, generator=generator) for name in "qkv"}

    def forward(self, t: Trace) -> Tensor:
        mask = torch.full((self.length, self.length), -torch.inf).triu(1)
        t.scores = t.q @ t.k.T / self.features**0.5
        t.masked = t.scores + mask
        t.weights = t.masked.softmax(1)
        t.out = t.weights @ t.v
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.weights = d.out @ t.v.T
        d.v = t.weights.T @ d.out
        d.masked = t.weights * (d.weights - (t.weights * d.weights).sum(1, keepdim=True))
        d.scores = d.masked
        d.q = d.scores @ t.k / self.features**0.5
        d.k = d.scores.T @ t.q / self.features**0.5


class CausalAttentionDiagonal(CausalAttention):
    """Planted: only the diagonal of softmax's Jacobian."""

    def backward(self, t: Trace, d: Gradients) -> None:
        d.weights = d.out @ t.v.T
        d.v = t.weights.T @ d.out
        d.masked = t.weights * (1 - t.weights) * d.weights
        d.scores = d.masked
        d.q = d.scores @ t.k / self.features**0.5
        d.k = d.scores.T @ t.q / self.features**0.5


class Saturated(Case):
    """tanh and sigmoid of values up to 100: some gradients underflow to zero, some do not."""

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {"x": 25 * torch.randn(40, generator=generator), "z": 25 * torch.randn(40, generator=generator)}

    def forward(self, t: Trace) -> Tensor:
        t.a = torch.tanh(t.x)
        t.s = torch.sigmoid(t.z)
        t.y = t.a * t.s
        return t.y

    def backward(self, t: Trace, d: Gradients) -> None:
        d.a = d.y * t.s
        d.s = d.y * t.a
        d.x = d.a * (1 - t.a**2)
        d.z = d.s * t.s * (1 - t.s)


class SaturatedForgotten(Saturated):
    """Planted: the factor 1 - s of the sigmoid's derivative."""

    def backward(self, t: Trace, d: Gradients) -> None:
        super().backward(t, d)
        d.z = d.s * t.s


class LongSum(Case):
    """L = sum(x w) over a million samples; w is one number, and its gradient a long sum."""

    samples: int = 10**6

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {"x": torch.randn(self.samples, generator=generator), "w": torch.randn(1, generator=generator)}

    def forward(self, t: Trace) -> Tensor:
        t.y = t.x * t.w
        t.loss = t.y.sum()
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.y = d.loss.expand_as(t.y)
        d.x = d.y * t.w
        d.w = torch.dot(d.y, t.x).reshape(1)


class LongSumMean(LongSum):
    """Planted: n - 1 samples where there are n, in a factor of n / n."""

    def backward(self, t: Trace, d: Gradients) -> None:
        super().backward(t, d)
        d.w = d.w * (self.samples - 1) / self.samples


class CancellingBias(Case):
    """A bias of one element whose gradient, a sum of both signs, nearly cancels."""

    samples: int = 1000

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        x = torch.randn(self.samples, generator=generator)
        return {"x": x - x.mean(), "b": torch.randn(1, generator=generator)}

    def forward(self, t: Trace) -> Tensor:
        t.y = t.x * (t.x + t.b)
        t.loss = t.y.sum()
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.y = d.loss.expand_as(t.y)
        d.x = d.y * (2 * t.x + t.b)
        d.b = torch.ones(1, self.samples) @ (d.y * t.x)


class CancellingBiasSign(CancellingBias):
    """Planted: the sign."""

    def backward(self, t: Trace, d: Gradients) -> None:
        super().backward(t, d)
        d.b = -d.b


RIGHT = (MaxPool, Relu, RowMax, CausalAttention, Saturated, LongSum, CancellingBias)
WRONG = (
    (MaxPoolZero, "x"),
    (ReluReversed, "x"),
    (RowMaxForgotten, "x"),
    (CausalAttentionDiagonal, "masked"),
    (SaturatedForgotten, "z"),
    (LongSumMean, "w"),
    (CancellingBiasSign, "b"),
)
