"""Right backward passes, one of each formula in whose derivation people slip."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from gradverify import Case, Gradients, Trace


def normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)


class BatchNorm(Case):
    """Normalised over the samples, by the variance that divides by n - 1."""

    samples: int = 9
    features: int = 5

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        n, p = self.samples, self.features
        return {"x": normal(generator, n, p), "gain": normal(generator, p), "bias": normal(generator, p)}

    def forward(self, t: Trace) -> Tensor:
        n = self.samples
        t.mean = t.x.sum(0, keepdim=True) / n
        t.diff = t.x - t.mean
        t.diff2 = t.diff**2
        t.var = t.diff2.sum(0, keepdim=True) / (n - 1)
        t.var_inv = (t.var + 1e-5) ** -0.5
        t.raw = t.diff * t.var_inv
        t.out = t.gain * t.raw + t.bias
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        n = self.samples
        d.gain = (d.out * t.raw).sum(0)
        d.bias = d.out.sum(0)
        d.raw = t.gain * d.out
        d.var_inv = (t.diff * d.raw).sum(0, keepdim=True)
        d.var = -0.5 * (t.var + 1e-5) ** -1.5 * d.var_inv
        d.diff2 = d.var.expand_as(t.diff2) / (n - 1)
        d.diff = t.var_inv * d.raw + 2 * t.diff * d.diff2
        d.mean = -d.diff.sum(0, keepdim=True)
        d.x = d.diff + d.mean / n


class FusedBatchNorm(Case):
    """Batch norm in two steps, its backward in one formula."""

    samples: int = 9
    features: int = 5

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.samples, self.features), "gain": normal(generator, self.features)}

    def forward(self, t: Trace) -> Tensor:
        t.raw = (t.x - t.x.mean(0)) / (t.x.var(0, correction=0) + 1e-5).sqrt()
        t.out = t.raw * t.gain
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        scale = 1 / (t.x.var(0, correction=0) + 1e-5).sqrt()
        d.gain = (d.out * t.raw).sum(0)
        d.raw = d.out * t.gain
        d.x = scale * (d.raw - d.raw.mean(0) - t.raw * (d.raw * t.raw).mean(0))


class LayerNorm(Case):
    """Normalised over the features."""

    samples: int = 4
    features: int = 7

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.samples, self.features), "gain": normal(generator, self.features)}

    def forward(self, t: Trace) -> Tensor:
        t.raw = functional.layer_norm(t.x, (self.features,))
        t.out = t.raw * t.gain
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        scale = (t.x.var(-1, keepdim=True, correction=0) + 1e-5).rsqrt()
        d.gain = (d.out * t.raw).sum(0)
        d.raw = d.out * t.gain
        d.x = scale * (d.raw - d.raw.mean(-1, keepdim=True) - t.raw * (d.raw * t.raw).mean(-1, keepdim=True))


class RMSNorm(Case):
    """Divided by the root of the mean square."""

    samples: int = 4
    features: int = 7

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.samples, self.features)}

    def forward(self, t: Trace) -> Tensor:
        t.out = t.x * (t.x.square().mean(1, keepdim=True) + 1e-5).rsqrt()
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        scale = (t.x.square().mean(1, keepdim=True) + 1e-5).rsqrt()
        d.x = scale * (d.out - t.out * (d.out * t.out).mean(1, keepdim=True))


class Attention(Case):
    """softmax(q k^T / sqrt(p)) v, with as many rows as features."""

    length: int = 6
    features: int = 6

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {name: normal(generator, self.length, self.features) for name in "qkv"}

    def forward(self, t: Trace) -> Tensor:
        t.scores = t.q @ t.k.T / self.features**0.5
        t.weights = t.scores.softmax(1)
        t.out = t.weights @ t.v
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.weights = d.out @ t.v.T
        d.v = t.weights.T @ d.out
        d.scores = t.weights * (d.weights - (t.weights * d.weights).sum(1, keepdim=True))
        d.q = d.scores @ t.k / self.features**0.5
        d.k = d.scores.T @ t.q / self.features**0.5


class SelfAttention(Case):
    """Queries, keys and values of one x, which has three contributions."""

    length: int = 6
    features: int = 4

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.length, self.features)}

    def forward(self, t: Trace) -> Tensor:
        t.scores = t.x @ t.x.T
        t.weights = t.scores.softmax(1)
        t.out = t.weights @ t.x
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.weights = d.out @ t.x.T
        d.scores = t.weights * (d.weights - (t.weights * d.weights).sum(1, keepdim=True))
        d.x = t.weights.T @ d.out
        d.x += d.scores @ t.x
        d.x += d.scores.T @ t.x


class CrossEntropy(Case):
    """-mean(log_softmax(logits) at the labels)."""

    samples: int = 8
    classes: int = 5

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {
            "x": normal(generator, self.samples, 3),
            "W": normal(generator, 3, self.classes),
            "labels": torch.randint(0, self.classes, (self.samples,), generator=generator),
        }

    def forward(self, t: Trace) -> Tensor:
        t.logits = t.x @ t.W
        t.loss = functional.cross_entropy(t.logits, t.labels)
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        target = functional.one_hot(t.labels, self.classes)
        d.logits = d.loss * (t.logits.softmax(1) - target) / self.samples
        d.x = d.logits @ t.W.T
        d.W = t.x.T @ d.logits


class LogSoftmax(Case):
    """The logarithm of a softmax, weighted."""

    rows: int = 4
    classes: int = 6

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.rows, self.classes), "w": normal(generator, self.rows, self.classes)}

    def forward(self, t: Trace) -> Tensor:
        t.logp = t.x.log_softmax(1)
        t.out = t.logp * t.w
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.logp = d.out * t.w
        d.w = d.out * t.logp
        d.x = d.logp - t.logp.exp() * d.logp.sum(1, keepdim=True)


class LogSumExp(Case):
    """The logarithm of a sum of exponentials, stabilised by hand."""

    rows: int = 5
    classes: int = 6

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.rows, self.classes)}

    def forward(self, t: Trace) -> Tensor:
        t.exp = (t.x - t.x.detach().amax(1, keepdim=True)).exp()
        t.sum = t.exp.sum(1)
        t.out = t.sum.log()
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.sum = d.out / t.sum
        d.exp = d.sum[:, None].expand_as(t.exp)
        d.x = d.exp * t.exp


class Embedding(Case):
    """Rows of a table by index, some of them twice."""

    words: int = 7
    width: int = 4

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"table": normal(generator, self.words, self.width), "index": torch.tensor([1, 4, 1, 0, 6, 4, 1])}

    def forward(self, t: Trace) -> Tensor:
        t.rows = t.table[t.index]
        t.out = torch.tanh(t.rows)
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.rows = d.out * (1 - t.out**2)
        d.table = torch.zeros_like(t.table).index_add(0, t.index, d.rows)


class LSTMStep(Case):
    """One step of an LSTM, gate by gate."""

    batch: int = 3
    width: int = 5

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        shapes = {"x": (self.batch, 4), "h": (self.batch, self.width), "c": (self.batch, self.width)}
        shapes |= {"W": (4, 4 * self.width), "U": (self.width, 4 * self.width), "b": (4 * self.width,)}
        return {name: normal(generator, *shape) for name, shape in shapes.items()}

    def forward(self, t: Trace) -> tuple[Tensor, ...]:
        t.gates = t.x @ t.W + t.h @ t.U + t.b
        i, f, g, o = t.gates.chunk(4, 1)
        t.i = torch.sigmoid(i)
        t.f = torch.sigmoid(f)
        t.g = torch.tanh(g)
        t.o = torch.sigmoid(o)
        t.c2 = t.f * t.c + t.i * t.g
        t.inner = torch.tanh(t.c2)
        t.h2 = t.o * t.inner
        return t.h2, t.c2

    def backward(self, t: Trace, d: Gradients) -> None:
        d.o = d.h2 * t.inner
        d.inner = d.h2 * t.o
        d.c2 = d.c2 + d.inner * (1 - t.inner**2)
        d.f = d.c2 * t.c
        d.c = d.c2 * t.f
        d.i = d.c2 * t.g
        d.g = d.c2 * t.i
        di = d.i * t.i * (1 - t.i)
        df = d.f * t.f * (1 - t.f)
        dg = d.g * (1 - t.g**2)
        do = d.o * t.o * (1 - t.o)
        d.gates = torch.cat([di, df, dg, do], 1)
        d.x = d.gates @ t.W.T
        d.W = t.x.T @ d.gates
        d.h = d.gates @ t.U.T
        d.U = t.h.T @ d.gates
        d.b = d.gates.sum(0)


class Convolution(Case):
    """A convolution in one dimension, written as windows times weights."""

    length: int = 12
    width: int = 3

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.length), "w": normal(generator, self.width)}

    def forward(self, t: Trace) -> Tensor:
        t.windows = t.x.unfold(0, self.width, 1)
        t.y = t.windows @ t.w
        return t.y

    def backward(self, t: Trace, d: Gradients) -> None:
        d.w = t.windows.T @ d.y
        d.windows = d.y[:, None] * t.w
        padded = functional.pad(d.y, (self.width - 1, self.width - 1))
        d.x = padded.unfold(0, self.width, 1) @ t.w.flip(0)


class CumulativeSum(Case):
    """Running totals along the rows."""

    rows: int = 4
    length: int = 6

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.rows, self.length), "w": normal(generator, self.length)}

    def forward(self, t: Trace) -> Tensor:
        t.total = t.x.cumsum(1)
        t.out = t.total * t.w
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.total = d.out * t.w
        d.w = (d.out * t.total).sum(0)
        d.x = d.total.flip(1).cumsum(1).flip(1)


class MaskedMean(Case):
    """The mean of the tokens that count, a sentence each, as many sentences as tokens."""

    sentences: int = 5
    tokens: int = 5
    width: int = 4

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        keep = (torch.rand(self.sentences, self.tokens, generator=generator) < 0.7).float()
        keep[:, 0] = 1.0
        return {"x": normal(generator, self.sentences, self.tokens, self.width), "keep": keep}

    constants = frozenset({"keep"})

    def forward(self, t: Trace) -> Tensor:
        t.kept = t.x * t.keep[:, :, None]
        t.total = t.kept.sum(1)
        t.mean = t.total / t.keep.sum(1, keepdim=True)
        return t.mean

    def backward(self, t: Trace, d: Gradients) -> None:
        d.total = d.mean / t.keep.sum(1, keepdim=True)
        d.kept = d.total[:, None].expand_as(t.kept)
        d.x = d.kept * t.keep[:, :, None]


class Activations(Case):
    """Functions of one variable side by side, each with an upstream gradient of its own."""

    rows: int = 4
    columns: int = 6

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {name: normal(generator, self.rows, self.columns) for name in "abcefg"}

    def forward(self, t: Trace) -> tuple[Tensor, ...]:
        t.tanh = torch.tanh(t.a)
        t.sigmoid = torch.sigmoid(t.b)
        t.square = t.c**2
        t.inverse = 1 / (3 + t.e.abs())
        t.relu = torch.relu(t.f)
        t.silu = t.g * torch.sigmoid(t.g)
        return t.tanh, t.sigmoid, t.square, t.inverse, t.relu, t.silu

    def backward(self, t: Trace, d: Gradients) -> None:
        s = torch.sigmoid(t.g)
        d.a = d.tanh * (1 - t.tanh**2)
        d.b = d.sigmoid * t.sigmoid * (1 - t.sigmoid)
        d.c = d.square * 2 * t.c
        d.e = -d.inverse * t.inverse**2 * t.e.sign()
        d.f = d.relu * (t.f > 0)
        d.g = d.silu * (s + t.g * s * (1 - s))


class Residual(Case):
    """x + tanh(x W) + x^2: x has three contributions."""

    rows: int = 5
    width: int = 4

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        return {"x": normal(generator, self.rows, self.width), "W": normal(generator, self.width, self.width)}

    def forward(self, t: Trace) -> Tensor:
        t.pre = t.x @ t.W
        t.act = torch.tanh(t.pre)
        t.square = t.x**2
        t.out = t.x + t.act + t.square
        return t.out

    def backward(self, t: Trace, d: Gradients) -> None:
        d.act = d.out
        d.square = d.out
        d.pre = d.act * (1 - t.act**2)
        d.W = t.x.T @ d.pre
        d.x = d.out.clone()
        d.x += d.pre @ t.W.T
        d.x += 2 * t.x * d.square


class Outer(Case):
    """A column plus a row, both of one length, times a matrix: what broadcasts along which axis can be confused."""

    size: int = 5

    def inputs(self, generator: Generator) -> dict[str, Tensor]:
        n = self.size
        shapes = {"u": (n,), "v": (n,), "m": (n, n)}
        return {name: normal(generator, *shape) for name, shape in shapes.items()}

    def forward(self, t: Trace) -> tuple[Tensor, ...]:
        t.scaled = t.m * t.u[:, None]
        t.rows = t.scaled.sum(1)
        t.shifted = t.m + t.v
        t.top = t.shifted.tanh()
        return t.rows, t.top

    def backward(self, t: Trace, d: Gradients) -> None:
        d.scaled = d.rows[:, None].expand_as(t.scaled)
        d.shifted = d.top * (1 - t.top**2)
        d.u = (d.scaled * t.m).sum(1)
        d.v = d.shifted.sum(0)
        d.m = d.scaled * t.u[:, None] + d.shifted
