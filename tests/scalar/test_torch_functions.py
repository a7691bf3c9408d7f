"""torch's functions on Values, through the protocol that torch offers to types of others."""

from __future__ import annotations

from operator import methodcaller

import pytest
import torch

from gradverify.scalar import UnsupportedOperation, Value, torch_functions

UNARY = {
    "torch.abs": torch.abs,
    "torch.absolute": torch.absolute,
    "torch.cos": torch.cos,
    "torch.exp": torch.exp,
    "torch.log": torch.log,
    "torch.neg": torch.neg,
    "torch.negative": torch.negative,
    "torch.reciprocal": torch.reciprocal,
    "torch.relu": torch.relu,
    "torch.sigmoid": torch.sigmoid,
    "torch.sin": torch.sin,
    "torch.sqrt": torch.sqrt,
    "torch.square": torch.square,
    "torch.tanh": torch.tanh,
    "torch.nn.functional.relu": torch.nn.functional.relu,
    "torch.nn.ReLU()": torch.nn.ReLU(),
    "torch.nn.Sigmoid()": torch.nn.Sigmoid(),
    "torch.nn.Tanh()": torch.nn.Tanh(),
    "torch.add(_, 2)": lambda x: torch.add(x, 2),
    "torch.sub": lambda x: torch.sub(x, x * x),
    "torch.subtract": lambda x: torch.subtract(x, 0.5),
    "torch.mul": lambda x: torch.mul(x, x),
    "torch.multiply": lambda x: torch.multiply(x, 4),
    "torch.div": lambda x: torch.div(x, 4),
    "torch.divide": lambda x: torch.divide(x, x + 1),
    "torch.true_divide": lambda x: torch.true_divide(x, 3),
    "torch.pow(_, 3)": lambda x: torch.pow(x, 3),
    "torch.pow(2, _)": lambda x: torch.pow(2, x),
    "torch.exp without options": lambda x: torch.exp(x, out=None),
}


@pytest.mark.parametrize("name", UNARY)
def test_a_torch_function_gives_what_it_gives_for_a_tensor(name):
    """The value and the gradient, in float64."""
    function = UNARY[name]
    value = Value(0.75)
    result = function(value)
    assert isinstance(result, Value)
    result.backward()
    tensor = torch.tensor(0.75, dtype=torch.float64, requires_grad=True)
    expected = function(tensor)
    expected.backward()
    assert (result.data, value.grad) == pytest.approx((expected.item(), tensor.grad.item()), rel=1e-14)


def test_a_function_taken_for_another_is_noticed(monkeypatch):
    """A planted bug: two entries of the table mixed up."""
    monkeypatch.setitem(torch_functions._FUNCTIONS, "sin", methodcaller("cos"))
    with pytest.raises(AssertionError):
        test_a_torch_function_gives_what_it_gives_for_a_tensor("torch.sin")


HAS = "abs, add, cos, div, exp, log, mul, neg, pow, reciprocal, relu, sigmoid, sin, sqrt, square, sub, tanh"
x = Value(1.0, label="x")
REFUSED = {
    "unknown function": (
        lambda: torch.nn.functional.softplus(x),
        f"the scalar engine does not have torch's softplus: write it in terms of {HAS}",
    ),
    "function of a list": (
        lambda: torch.stack([x, x]),
        f"the scalar engine does not have torch's stack: write it in terms of {HAS}",
    ),
    "function in place": (
        lambda: torch.sigmoid_(x),
        f"the scalar engine does not have torch's sigmoid_: write it in terms of {HAS}",
    ),
    "option": (
        lambda: torch.add(x, x, alpha=2),
        "add: the scalar engine takes no alpha=2; pass operands by position, and no options",
    ),
    "in place": (
        lambda: torch.nn.functional.relu(x, inplace=True),
        "relu: the scalar engine takes no inplace=True; pass operands by position, and no options",
    ),
    "operand by name": (
        lambda: torch.exp(input=x),
        "exp: the scalar engine takes no input=Value(1.0, grad=0.0, label='x'); pass operands by position, and no "
        "options",
    ),
    "tensor operand": (
        lambda: torch.add(x, torch.ones(3)),
        "add: expected a Value, an int or a float, got torch.Tensor; .item() makes a number of a tensor or array of "
        "one element",
    ),
    "method of a tensor": (
        lambda: torch.ones(3).mul(x),
        "mul: expected a Value, an int or a float, got torch.Tensor; .item() makes a number of a tensor or array of "
        "one element",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_engine_does_not_have_is_refused_with_the_remedy(name):
    """The whole message, since a user reads it."""
    attempt, message = REFUSED[name]
    with pytest.raises(UnsupportedOperation) as caught:
        attempt()
    assert str(caught.value) == message
