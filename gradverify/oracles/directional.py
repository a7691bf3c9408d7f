"""Oracles that measure along lines: every element of a small tensor, random directions through a large one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from gradverify.errors import GradverifyError
from gradverify.oracles.estimate import Estimate, absent, allowed_or_measured, compare_with, reason_of
from gradverify.oracles.lines import Probe, element_lines
from gradverify.oracles.problem import Problem
from gradverify.oracles.search import Search
from gradverify.witness import Witness


@dataclass(frozen=True, kw_only=True)
class Directional(ABC):
    """What such oracles have in common.

    Args:
        elements: the largest tensor that is measured at each of its elements.
        directions: how many random lines are drawn through a larger one. A wrong element shows on every line; what
            several wrong ones add up to vanishes on one line with a chance of at most 1/2, on four with 1/16.
        seed: of the random lines.
    """

    name: ClassVar[str]
    elements: int = 64
    directions: int = 4
    seed: int = 0

    @abstractmethod
    def probe(self, problem: Problem, name: str, allowed: float) -> Probe:
        """Get ready to measure one tensor.

        Raises:
            GradverifyError: where this oracle does not apply, with the reason as its message.
        """

    def gradients(self, problem: Problem, names: Iterable[str]) -> dict[str, Estimate]:
        """The gradient by each of the named tensors; large tensors can only be checked."""
        return {name: self._estimate(problem, name) for name in names}

    def check(self, problem: Problem, name: str, candidate: Tensor, *, allowed: float | None = None) -> Witness:
        """Hold a candidate against the derivatives along the elements of its tensor, or along random lines."""
        allowed = allowed_or_measured(problem, name, allowed)
        before = problem.evaluations
        try:
            if candidate.numel() <= self.elements:
                estimate = self._measure(problem, name, allowed)
                return compare_with(estimate, self.name, candidate, allowed)
            witness = Search(
                self.name, self.probe(problem, name, allowed), problem.values[name], candidate, allowed
            ).run(directions=self.directions, seed=self.seed)
            return replace(witness, evaluations=problem.evaluations - before)
        except GradverifyError as error:
            return absent(self.name, reason_of(error), problem.evaluations - before)

    def _estimate(self, problem: Problem, name: str) -> Estimate:
        numel = problem.values[name].numel()
        if numel > self.elements:
            reason = (
                f"{name} has {numel} elements; {self.name} measures each of at most {self.elements}, and checks more"
            )
            return Estimate(None, reason=reason)
        before = problem.evaluations
        try:
            return self._measure(problem, name, problem.allowed_for(name))
        except GradverifyError as error:
            return Estimate(None, evaluations=problem.evaluations - before, reason=reason_of(error))

    def _measure(self, problem: Problem, name: str, allowed: float) -> Estimate:
        before = problem.evaluations
        value = problem.values[name]
        probe = self.probe(problem, name, allowed)
        lines = element_lines(value)
        slopes = probe.slopes(lines)

        def tensor(numbers: Iterable[float]) -> Tensor:
            lengths = [line.scale for line in lines]
            scaled = [number / length for number, length in zip(numbers, lengths, strict=True)]
            return torch.tensor(scaled, dtype=torch.float64, device=value.device).view(value.shape)

        kinked = [(line, slope) for line, slope in zip(lines, slopes, strict=True) if slope.jump]
        return Estimate(
            tensor(slope.value for slope in slopes),
            tensor(slope.error for slope in slopes),
            tensor(slope.jump for slope in slopes) if kinked else None,
            joint=len(kinked) > 1 and probe.is_joint(kinked),
            reach=max((slope.step for _, slope in kinked), default=0.0),
            evaluations=problem.evaluations - before,
        )
