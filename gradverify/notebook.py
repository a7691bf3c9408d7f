"""`cmp`, the smallest thing that works: one gradient, one printed row."""

from __future__ import annotations

from torch import Tensor

from gradverify.comparison import compare
from gradverify.errors import NotATensor, UsageError
from gradverify.render.classic import render_classic
from gradverify.report import Comparison


def cmp(name: str, candidate: Tensor, tensor: Tensor) -> Comparison:
    """Compare a hand-derived gradient with what autograd left in `tensor.grad`, print a row and return it all.

    Raises:
        NotATensor: candidate or tensor is something else.
        UsageError: the tensor has no `.grad`, or `compare` cannot compare the two.
    """
    comparison = compare(candidate, _gradient_of(name, tensor))
    print(render_classic(name, comparison), flush=True)  # as it comes, also through a pipe
    return comparison


def _gradient_of(name: str, tensor: Tensor) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise NotATensor(
            f"{name}: the third argument must be the tensor of the forward pass, whose .grad is compared with, not a "
            f"{type(tensor).__name__}"
        )
    if not tensor.requires_grad:
        raise UsageError(
            f"{name} has no .grad, since it does not require one: create it with requires_grad=True, or call "
            "requires_grad_() before the forward pass"
        )
    # Autograd keeps the gradient of a computed tensor on request alone, and warns who reads it without one.
    if not (tensor.is_leaf or tensor.retains_grad):
        raise UsageError(
            f"{name} has no .grad, since autograd does not keep that of a computed tensor: call retain_grad() on it "
            "before backward()"
        )
    if tensor.grad is None:
        raise UsageError(f"{name} has no .grad yet: call backward() on an output that depends on it")
    return tensor.grad
