"""Where a forward keeps a dependence from autograd."""

from __future__ import annotations

import pytest
import torch

from gradverify.evaluation import run_forward
from gradverify.oracles.hidden import HidingPlaces
from oracles.samples import Cube, Sample, drawn


def without_grad(x):
    with torch.no_grad():
        scale = x.max()
    return x / scale


@torch.no_grad()
def decorated(x):
    return x.mean()


HIDING = {
    "detach": lambda x: x * x.detach(),
    "data": lambda x: x * x.data,
    "no_grad": without_grad,
    "a decorator": lambda x: x - decorated(x),
    "set_grad_enabled": lambda x: _with(torch.set_grad_enabled(False), x),
}
OPEN = {
    "nothing": torch.sin,
    "a custom Function, which runs without autograd inside": Cube.apply,
    "enable_grad": lambda x: _with(torch.enable_grad(), x),
    "a derivative of its own": lambda x: torch.autograd.grad((x**3).sum(), x, create_graph=True)[0],
}


def _with(mode, x):
    with mode:
        y = x.sum()
    return x * y


def places(function):
    class Case(Sample):
        def function(self, x):
            return function(x)

    with HidingPlaces() as mode:
        run_forward(Case(), drawn(Case()), torch.float64)
    return mode.found


@pytest.mark.parametrize("name", HIDING)
def test_it_is_noticed(name):
    """With the line."""
    assert {where.file for where in places(HIDING[name])} == {__file__}


@pytest.mark.parametrize("name", OPEN)
def test_nothing_else_is(name):
    """Neither what gradverify does itself, nor what torch does inside."""
    assert not places(OPEN[name])
