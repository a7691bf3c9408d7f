"""Cases whose derivatives are known, and a way to put an oracle to work on one."""

from __future__ import annotations

import torch

from gradverify import Case
from gradverify.inputs import Inputs, draw_inputs
from gradverify.oracles.problem import Problem


class Sample(Case):
    """A case of one input, x of n numbers, whose subclasses say what becomes of it."""

    __test__ = False

    n: int = 5

    def inputs(self, generator):
        return {"x": torch.randn(self.n, generator=generator)}

    def forward(self, t):
        t.y = self.function(t.x)
        t.loss = t.y.sum()
        return t.loss

    def function(self, x):
        return torch.sin(x)

    def backward(self, t, d):
        d.y = d.loss.expand_as(t.y)
        d.x = d.y * self.slope(t.x)

    def slope(self, x):
        return torch.cos(x)


class Waves(Sample):
    """L = sum(sin(x))."""


class Parts(Sample):
    """Two outputs, an intermediate that both use, and a constant."""

    constants = "c"

    def inputs(self, generator):
        return {**super().inputs(generator), "c": torch.ones(self.n)}

    def forward(self, t):
        t.square = t.x**2
        t.first = t.square * t.c
        t.second = torch.exp(-t.square).sum()
        return t.first, t.second

    def backward(self, t, d):
        d.square = d.first * t.c - d.second * torch.exp(-t.square)
        d.x = 2 * t.x * d.square


class Cube(torch.autograd.Function):
    """x^3 with the derivative of x^2 times x, which is wrong by a third."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x**2 * gradient


class Custom(Sample):
    """Autograd is wrong here, and the gradient derived by hand is right."""

    def function(self, x):
        return Cube.apply(x)

    def slope(self, x):
        return 3 * x**2


class Copied(Custom):
    """Planted: the mistake of the autograd.Function, copied."""

    def slope(self, x):
        return 2 * x**2


class Softplus(Sample):
    """log(1 + e^x) beyond the threshold where torch takes x for it."""

    def inputs(self, generator):
        return {"x": 20 + 2 * torch.rand(self.n, generator=generator)}

    def function(self, x):
        return torch.nn.functional.softplus(x)

    def slope(self, x):
        return torch.sigmoid(x)


class Kinks(Sample):
    """w relu(x), exactly at the kink in two places; the candidate takes the slope of the right side there."""

    def inputs(self, generator):
        return {"x": torch.tensor([-1.0, 0.0, 2.0, 0.0, 0.5])}

    def weights(self, like):
        return torch.tensor([1.0, 2.0, 3.0, -4.0, 5.0], dtype=like.dtype)

    def function(self, x):
        return self.weights(x) * torch.relu(x)

    def slope(self, x):
        return self.weights(x) * (x >= 0)


class KinksOutside(Kinks):
    """Planted: steeper than either side at one of the kinks."""

    def slope(self, x):
        return super().slope(x) * torch.tensor([1.0, 1.2, 1.0, 1.0, 1.0], dtype=x.dtype)


class Tie(Sample):
    """The maximum of numbers of which two are the same; the candidate gives both of them the whole gradient."""

    def inputs(self, generator):
        return {"x": torch.tensor([1.0, 3.0, 3.0, 2.0])}

    def forward(self, t):
        t.loss = t.x.max()
        return t.loss

    def backward(self, t, d):
        d.x = d.loss * (t.x == t.x.max())


class Detached(Sample):
    """x times what autograd takes for a constant; its gradient is meant to be half the derivative."""

    def function(self, x):
        return x * x.detach()

    def slope(self, x):
        return x


def drawn(case: Case, seed: int = 0, dtype: torch.dtype = torch.float64) -> Inputs:
    return draw_inputs(case, seed, dtype, torch.device("cpu"), frozenset(case.constants or ()))


def problem_of(case: Case, seed: int = 0) -> Problem:
    if isinstance(case.constants, str):
        case.constants = (case.constants,)
    return Problem(case, drawn(case, seed))


def wrong_at(gradient: torch.Tensor, flat: int, factor: float) -> torch.Tensor:
    """A gradient with one element multiplied."""
    changed = gradient.clone()
    changed.view(-1)[flat] *= factor
    return changed
