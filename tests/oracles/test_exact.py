"""Functions that torch approximates, as they are defined."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from gradverify.oracles.exact import ExactFunctions


def exactly(function, x):
    with ExactFunctions() as mode:
        value = function(x)
    return value, mode.notes


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_softplus_beyond_its_threshold(beta):
    """The digits that torch drops are there, and its derivative is the sigmoid."""
    x = torch.tensor([-800.0, -1.0, 0.0, 19.0, 20.5, 41.0, 800.0], dtype=torch.float64, requires_grad=True)
    value, notes = exactly(lambda x: functional.softplus(x, beta), x)
    assert torch.allclose(value, torch.logaddexp(beta * x, torch.zeros(())) / beta, rtol=1e-16)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert torch.allclose(gradient, torch.sigmoid(beta * x), rtol=1e-14)
    assert notes == {"with softplus as log(1 + exp(x)) everywhere, where torch computes x beyond its threshold of 20"}


def test_the_module_too():
    """It calls the function."""
    x = torch.tensor([21.0], dtype=torch.float64)
    assert exactly(torch.nn.Softplus(), x)[0] != torch.nn.Softplus()(x)


def test_below_the_threshold_nothing_changes():
    """Bit for bit, and nothing is said."""
    x = torch.linspace(-30, 20, 100, dtype=torch.float64)
    value, notes = exactly(functional.softplus, x)
    assert torch.equal(value, functional.softplus(x))
    assert notes == set()


def test_complex_numbers():
    """For the complex step."""
    x, h = torch.tensor([25.0, 1e-30], dtype=torch.float64)
    value, _ = exactly(functional.softplus, torch.complex(x, h))
    assert (value.imag / h).item() == pytest.approx(torch.sigmoid(x).item(), rel=1e-15)


def test_other_functions_are_left_alone():
    """They are what they say."""
    x = torch.linspace(-3, 3, 10, dtype=torch.float64)
    for function in (torch.sin, functional.gelu, functional.softsign, functional.logsigmoid):
        value, notes = exactly(function, x)
        assert torch.equal(value, function(x))
        assert notes == set()
