"""A case, and the parts of a pass over it that tests start from."""

from __future__ import annotations

import torch

from gradverify import Case
from gradverify.evaluation import draw_cotangents, run_forward
from gradverify.inputs import draw_inputs

CPU = torch.device("cpu")


class Square(Case):
    """L = sum(x^2)."""

    __test__ = False

    n: int = 3

    def inputs(self, generator):
        return {"x": torch.randn(self.n, generator=generator)}

    def forward(self, t):
        t.y = t.x**2
        t.loss = t.y.sum()
        return t.loss

    def backward(self, t, d):
        d.y = d.loss.expand_as(t.y)
        d.x = 2 * t.x * d.y


def drawn(case: Case, dtype=torch.float32, seed=1, constants=frozenset()):
    return draw_inputs(case, seed, dtype, CPU, frozenset(constants))


def forward_of(case: Case, dtype=torch.float32, **options):
    inputs = drawn(case)
    forward = run_forward(case, inputs, dtype, **options)
    return inputs, forward, draw_cotangents(inputs, forward)


def first_line(method) -> int:
    return method.__code__.co_firstlineno
