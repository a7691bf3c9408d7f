"""The complex step: the forward on complex numbers, a tiny imaginary part in, the derivative out, nothing subtracted.

W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real functions", 1998.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from gradverify.oracles.analytic import AnalyticOnly, NotAnalytic
from gradverify.oracles.directional import Directional
from gradverify.oracles.lines import Line, Probe, summed
from gradverify.oracles.problem import Problem, replace_data
from gradverify.oracles.slope import Slope, rounded

# So small that its square vanishes beside any value, and so large that a gradient of 1e-200 times it is a number.
_STEP = 2.0**-100
# The second step, to see that the first was no accident: the derivative does not depend on it.
_OTHER_STEP = 2.0**-80


@dataclass(frozen=True, kw_only=True)
class ComplexStep(Directional):
    """Im L(v + i h u) / h, exact but for rounding where L is analytic; it says so where L is not."""

    name: ClassVar[str] = "complex_step"

    def probe(self, problem: Problem, name: str, allowed: float) -> Probe:
        """Get ready; whether the forward is analytic shows when it runs."""
        return _ImaginarySteps(problem, name, allowed)


@dataclass(frozen=True)
class _ImaginarySteps(Probe):
    problem: Problem
    name: str
    allowed: float

    def slopes(self, lines: Sequence[Line]) -> list[Slope]:
        numbers = torch.stack([torch.cat([self._pair(line, h) for h in (_STEP, _OTHER_STEP)]) for line in lines])
        found = []
        for total, absolute, length, other, *_ in numbers.tolist():
            slope = rounded(total, self.problem.rounding * absolute + self.allowed * length)
            if math.isfinite(slope.error) and not abs(total - other) <= slope.error:
                raise NotAnalytic(
                    f"steps of 2^-100 and 2^-80 give {total:.6g} and {other:.6g}: the imaginary part gets lost on the "
                    "way, as it does where a branch of a complex function is cut"
                )
            found.append(slope)
        return found

    @override
    def glance(self, line: Line, step: float) -> float:
        return float(self._pair(line, _STEP)[0])

    def _pair(self, line: Line, step: float) -> Tensor:
        """What `summed` says of the derivative along a line."""
        value = torch.complex(self.problem.values[self.name], step * line.direction)

        def assign(tensor: Tensor) -> None:
            replace_data(tensor, value)
            _mark(tensor)

        with AnalyticOnly(), WithoutGraph():  # type: ignore[no-untyped-call]  # torch leaves it untyped
            forward = self.problem.run_with(self.name, assign, lambda _, tensor: _mark(tensor))
        outputs = {name: forward.trace[name].detach() for name in self.problem.outputs}
        parts = {name: output.imag / step for name, output in outputs.items() if output.is_complex()}
        return summed(self.problem.terms(parts), line)


class WithoutGraph(TorchFunctionMode):
    """While it is entered autograd records nothing: it refuses complex numbers where it has no formula for them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call the function with autograd switched off."""
        with torch.no_grad():
            return func(*args, **(kwargs or {}))


def _mark(tensor: Tensor) -> None:
    """Let a recorded tensor pass for one that was computed from the inputs, which the forward's output has to be."""
    if tensor.is_floating_point() or tensor.is_complex():
        tensor.requires_grad_()
