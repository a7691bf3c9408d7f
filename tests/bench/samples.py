"""Cases for the tests of the benchmark: right ones, and some whose passes must not be timed."""

from __future__ import annotations

import torch

from gradverify import Case, FunctionCase


class Squares(Case):
    """L = sum(x^2); one of its tensors has the name of a method of dictionaries."""

    n: int = 10

    def inputs(self, generator):
        return {"x": torch.randn(self.n, generator=generator)}

    def forward(self, t):
        t.values = t.x**2
        t.loss = t.values.sum()
        return t.loss

    def backward(self, t, d):
        d.values = d.loss.expand_as(t.values)
        d.x = 2 * t.x * d.values


class Wrong(Squares):
    """Planted: the factor is forgotten."""

    def backward(self, t, d):
        d.values = d.loss.expand_as(t.values)
        d.x = t.x * d.values


class Raising(Squares):
    """Planted: its backward raises."""

    def backward(self, t, d):
        raise ValueError("no luck")


class Unfinished(Squares):
    """A case whose gradients are derived one at a time."""

    partial = True

    def backward(self, t, d):
        d.x = 2 * t.x * d.values


class KnownWrong(Wrong):
    """A case that is known to be wrong, and so passes."""

    known = {("x", "float32"): "issue 1"}


class InPlace(Squares):
    """A backward that changes the tensor that it is given."""

    def backward(self, t, d):
        d.values = d.loss.expand_as(t.values)
        doubled = t.x
        doubled *= 2
        d.x = doubled * d.values


class Recognising(Squares):
    """Planted: right only while it is recorded."""

    def backward(self, t, d):
        d.values = d.loss.expand_as(t.values)
        d.x = (2 if type(t).__name__ == "Trace" else 3) * t.x * d.values


class Differentiating(Squares):
    """A forward that needs autograd itself."""

    def forward(self, t):
        t.values = t.x**2
        (slope,) = torch.autograd.grad(t.values.sum(), t.x, retain_graph=True)
        t.loss = t.values.sum() + 0 * slope.sum()
        return t.loss


class Spoilt(Squares):
    """Planted: wrong once it has run a hundred times, as a pass may be that keeps something between its runs."""

    runs = None

    def backward(self, t, d):
        type(self).runs.append(None)
        d.values = d.loss.expand_as(t.values)
        d.x = (2 if len(self.runs) < 100 else 3) * t.x * d.values


class Scale(torch.autograd.Function):
    """x w, with a backward of its own."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, gradient):
        x, w = ctx.saved_tensors
        return gradient * w, (gradient * x).sum(0)


def scale(x, w):
    return x * w


class Scaled(FunctionCase):
    """Scale against plain torch."""

    n: int = 8
    candidate = Scale.apply
    reference = scale

    def inputs(self, generator):
        return {"x": torch.randn(self.n, 4, generator=generator), "w": torch.randn(4, generator=generator)}


class Alone(Scaled):
    """The same without a reference."""

    reference = None


class Several(Scaled):
    """Two outputs in a dictionary, one of which is not compared."""

    outputs = ("y",)

    @staticmethod
    def candidate(x, w):
        return {"aux": x.detach(), "y": Scale.apply(x, w)}

    @staticmethod
    def reference(x, w):
        return {"aux": x.detach(), "y": x * w}


class Renamed(torch.nn.Module):
    """A linear map that calls its weight w."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.randn(3, 4))

    def forward(self, x):
        return x @ self.w.T


class Mapped(FunctionCase):
    """A module against another one under other names."""

    @property
    def candidate(self):
        return Renamed()

    @property
    def reference(self):
        return torch.nn.Linear(4, 3, bias=False)

    @staticmethod
    def parameters(own):
        return {"weight": own["w"]}

    def inputs(self, generator):
        return {"x": torch.randn(5, 4, generator=generator)}
