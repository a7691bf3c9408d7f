"""Forward mode: torch's dual numbers carry a tangent through the forward, by other formulas than the backward's."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
import torch.autograd.forward_ad as duals
from torch import Tensor
from typing_extensions import override

from gradverify.errors import CaseRaised, GradverifyError
from gradverify.oracles.directional import Directional
from gradverify.oracles.lines import Line, Probe, summed
from gradverify.oracles.problem import Problem
from gradverify.oracles.slope import Slope, rounded


@dataclass(frozen=True, kw_only=True)
class ForwardMode(Directional):
    """The inner product <cotangent, J u>, which is <J^T cotangent, u>: a gradient's derivative along u."""

    name: ClassVar[str] = "forward_mode"

    def probe(self, problem: Problem, name: str, allowed: float) -> Probe:
        """Check that a tangent can be attached to the tensor.

        Raises:
            GradverifyError: if it is a view, whose tangent its base would share.
        """
        if problem.is_view(name):
            raise GradverifyError(f"{name} is a view of another tensor, which would share its tangent")
        _load_decompositions()
        return _Tangents(problem, name, allowed)


@dataclass(frozen=True)
class _Tangents(Probe):
    problem: Problem
    name: str
    allowed: float

    def slopes(self, lines: Sequence[Line]) -> list[Slope]:
        numbers = torch.stack([self._pair(line) for line in lines]).tolist()
        rounding = self.problem.rounding
        return [rounded(total, rounding * absolute + self.allowed * length) for total, absolute, length in numbers]

    @override
    def glance(self, line: Line, step: float) -> float:
        return float(self._pair(line)[0])

    def _pair(self, line: Line) -> Tensor:
        """What `summed` says of the derivative along a line."""
        value = self.problem.values[self.name]

        def attach(tensor: Tensor) -> None:
            with torch.no_grad():  # a leaf is changed in place
                dual = duals.make_dual(value.clone(), line.direction)  # type: ignore[no-untyped-call]  # torch leaves it untyped
                tensor.copy_(dual)

        with duals.dual_level():
            try:
                forward = self.problem.run_with(self.name, attach)
            except CaseRaised as error:
                raise _explained(error) from error
            tangents = {name: _tangent(forward.trace[name]) for name in self.problem.outputs}
            terms = self.problem.terms({name: tangent for name, tangent in tangents.items() if tangent is not None})
        return summed(terms, line)


@lru_cache(maxsize=1)
def _load_decompositions() -> None:
    """Let torch load what dual numbers need, of which it warns on first use that it is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with duals.dual_level():
            duals.make_dual(torch.zeros(1, device="cpu"), torch.zeros(1, device="cpu"))  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _tangent(tensor: Tensor) -> Tensor | None:
    """The tangent of a tensor; None where it has none."""
    tangent: Tensor | None = duals.unpack_dual(tensor).tangent  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return None if tangent is None else tangent.detach()


def _explained(error: CaseRaised) -> GradverifyError:
    """What an operation without forward mode is called, where that is what went wrong."""
    message = str(error.__cause__)
    operation = re.search(r"forward AD with (\w+) that does not support it", message)
    if operation:
        return GradverifyError(f"torch has no forward mode for {operation[1]}", error.location)
    if "You must implement the jvp function" in message:
        return GradverifyError("the autograd.Function defines no jvp", error.location)
    return error
