"""`cmp` prints one row a gradient, and says what to do where autograd kept none."""

from __future__ import annotations

import pytest
import torch

import gradverify
from gradverify.errors import NotATensor, UsageError
from gradverify.notebook import cmp


@pytest.fixture
def step():
    """A linear step after its backward: the leaves W and b, and h, whose gradient is not kept."""
    W = torch.tensor([[2.0, -1.0]], requires_grad=True)
    b = torch.tensor([0.5], requires_grad=True)
    h = W @ torch.tensor([1.0, 3.0]) + b
    (3 * h).sum().backward()
    return {"W": W, "b": b, "h": h}


def test_a_right_gradient_is_exact(step, capsys):
    seen = cmp("W", torch.tensor([[3.0, 9.0]]), step["W"])
    assert capsys.readouterr().out == "W | exact: True | approximate: True | maxdiff: 0.0\n"
    assert seen.exact
    assert seen == gradverify.compare(torch.tensor([[3.0, 9.0]]), step["W"].grad)


def test_a_wrong_gradient_is_not(step, capsys):
    seen = cmp("W", torch.tensor([[3.0, 9.5]]), step["W"])
    assert capsys.readouterr().out == "W | exact: False | approximate: False | maxdiff: 0.5\n"
    assert seen.index == (0, 1)


def test_a_gradient_of_another_shape_is_not_broadcast(step, capsys):
    """All numbers are right, and a comparison that broadcasts says so."""
    candidate = torch.tensor([[3.0]])
    assert torch.all(candidate == step["b"].grad)
    assert not cmp("b", candidate, step["b"]).exact
    row = "b | exact: False | approximate: False | maxdiff: nan | shape (1, 1) is not (1,)\n"
    assert capsys.readouterr().out == row


def test_it_is_imported_from_the_package():
    assert gradverify.cmp is cmp


LEAF = torch.ones(1, requires_grad=True)
COMPUTED = 2 * LEAF
COMPUTED.retain_grad()

# name, candidate, tensor (the name of one of the step) -> error, message
REFUSED = {
    "a computed tensor without retain_grad": (
        ("h", torch.ones(1), "h"),
        UsageError,
        "h has no .grad, since autograd does not keep that of a computed tensor: call retain_grad() on it before "
        "backward()",
    ),
    "a leaf that requires no gradient": (
        ("x", torch.ones(1), torch.ones(1)),
        UsageError,
        "x has no .grad, since it does not require one: create it with requires_grad=True, or call requires_grad_() "
        "before the forward pass",
    ),
    "a leaf before backward": (
        ("u", torch.ones(1), LEAF),
        UsageError,
        "u has no .grad yet: call backward() on an output that depends on it",
    ),
    "a computed tensor before backward": (
        ("v", torch.ones(1), COMPUTED),
        UsageError,
        "v has no .grad yet: call backward() on an output that depends on it",
    ),
    "no tensor": (
        ("b", torch.ones(1), 3.0),
        NotATensor,
        "b: the third argument must be the tensor of the forward pass, whose .grad is compared with, not a float",
    ),
    "no candidate": (
        ("b", 3.0, "b"),
        NotATensor,
        "the candidate must be a tensor, not a float: make it one with torch.as_tensor",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_gradient_is_refused(what, step, capsys):
    """With the remedy, nothing printed, and without the warning that reading such a `.grad` gives."""
    (name, candidate, tensor), error, message = REFUSED[what]
    with pytest.raises(error) as caught:
        cmp(name, candidate, step.get(tensor) if isinstance(tensor, str) else tensor)
    assert str(caught.value) == message
    assert capsys.readouterr().out == ""
