"""The forward on the scalar engine, which shares no code with torch: for cases whose tensors are single numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gradverify.errors import GradverifyError
from gradverify.evaluation import Tensors
from gradverify.inputs import Inputs
from gradverify.location import raised_at
from gradverify.oracles.estimate import Estimate, allowed_or_measured, compare_with, reason_of
from gradverify.oracles.problem import Problem
from gradverify.scalar import UnsupportedOperation, Value
from gradverify.scope import own_copy, user_code
from gradverify.witness import Witness


@dataclass(frozen=True)
class Scalar:
    """Reverse mode through gradverify.scalar.Value."""

    name: ClassVar[str] = "scalar"

    def gradients(self, problem: Problem, names: Iterable[str]) -> dict[str, Estimate]:
        """One forward and one backward for all of them."""
        names = tuple(names)
        try:
            found = problem.once(self.name, lambda: _differentiate(problem))
        except GradverifyError as error:
            return {name: Estimate(None, reason=reason_of(error)) for name in names}
        return {name: Estimate(found[name], problem.allowed_for(name), evaluations=1) for name in names}

    def check(self, problem: Problem, name: str, candidate: Tensor, *, allowed: float | None = None) -> Witness:
        """Compare the one number."""
        (estimate,) = self.gradients(problem, [name]).values()
        return compare_with(estimate, self.name, candidate, allowed_or_measured(problem, name, allowed))


class ScalarTrace:
    """What a forward reads from and assigns to, as Trace is, for Values in place of tensors."""

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, values: dict[str, Any]) -> None:
        object.__setattr__(self, "_values", values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: object) -> None:
        if isinstance(value, Value) and any(value is known for known in self._values.values()):
            # A second name for a recorded number is a use of it, which gets a gradient of its own.
            value = value + 0.0
        self._values[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copy, pickle and inspect ask for
            raise AttributeError(f"ScalarTrace has no attribute {name!r}")
        return self._values[name]

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._values


def _differentiate(problem: Problem) -> Tensors:
    """Run forward and backward: the gradient of everything that the forward assigned."""
    inputs = problem.inputs
    values = _as_values(inputs)
    for name, tensor in problem.values.items():
        _check_single(name, tensor)
    trace = ScalarTrace(values)
    own = own_copy(inputs.case, torch.float64, inputs.device)
    with user_code(problem.case, "forward", torch.float64, inputs.device):
        try:
            own.forward(trace)  # type: ignore[arg-type]  # it stands in for a Trace
        except (UnsupportedOperation, ArithmeticError, ValueError) as error:
            raise GradverifyError(str(error), raised_at(error.__traceback__)) from error
    total = sum(values[name] * float(cotangent) for name, cotangent in problem.cotangents.items())
    if not isinstance(total, Value):
        raise GradverifyError("no output depends on an input, as the scalar engine sees it")
    total.backward()
    gradients = {name: value.grad for name, value in values.items() if isinstance(value, Value)}
    return {
        name: torch.tensor(gradient, dtype=torch.float64, device=inputs.device) for name, gradient in gradients.items()
    }


def _as_values(inputs: Inputs) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, tensor in inputs.values.items():
        if tensor is None:
            values[name] = None
            continue
        _check_single(name, tensor)
        values[name] = Value(tensor.item(), name) if tensor.is_floating_point() else tensor.item()
    return values


def _check_single(name: str, tensor: Tensor) -> None:
    if tensor.dim():
        raise GradverifyError(
            f"the scalar engine takes cases whose tensors are all 0-dimensional; {name} has shape {tuple(tensor.shape)}"
        )
