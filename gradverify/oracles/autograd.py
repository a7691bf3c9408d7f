"""Reverse mode through the forward, by torch's own autograd: the reference unless another is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gradverify.errors import GradverifyError
from gradverify.evaluation import run_autograd
from gradverify.oracles.estimate import Estimate, allowed_or_measured, compare_with, reason_of
from gradverify.oracles.problem import Problem
from gradverify.witness import Witness


@dataclass(frozen=True)
class Autograd:
    """torch.autograd.grad."""

    name: ClassVar[str] = "autograd"

    def gradients(self, problem: Problem, names: Iterable[str]) -> dict[str, Estimate]:
        """One forward and one backward for all of them."""
        names = tuple(names)
        try:
            found = problem.once(self.name, lambda: run_autograd(problem.case, problem.run(), problem.cotangents))
        except GradverifyError as error:
            return {name: Estimate(None, evaluations=1, reason=reason_of(error)) for name in names}
        return {name: Estimate(found[name], problem.allowed_for(name), evaluations=1) for name in names}

    def check(self, problem: Problem, name: str, candidate: Tensor, *, allowed: float | None = None) -> Witness:
        """Compare element by element."""
        (estimate,) = self.gradients(problem, [name]).values()
        return compare_with(estimate, self.name, candidate, allowed_or_measured(problem, name, allowed))
