"""Oracles that measure along lines: every element of a small tensor, random directions through a large one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
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

    def measure_at(self, problem: Problem, name: str, where: Tensor, allowed: float) -> Estimate | None:
        """The derivatives along some elements of a tensor; None where they are too many, or cannot be measured."""
        numbers = where.flatten().nonzero().flatten().tolist()
        if not 0 < len(numbers) <= self.elements:
            return None
        try:
            return self._measure(problem, name, allowed, numbers)
        except GradverifyError:
            return None

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

    def _measure(self, problem: Problem, name: str, allowed: float, numbers: Sequence[int] | None = None) -> Estimate:
        """Measure every element, or some of them by their number; the error bar of the others is infinite."""
        before = problem.evaluations
        value = problem.values[name]
        probe = self.probe(problem, name, allowed)
        lines = element_lines(value, numbers)
        slopes = probe.slopes(lines)

        def tensor(found: Iterable[float], others: float = 0.0) -> Tensor:
            lengths = [line.scale for line in lines]
            scaled = [number / length for number, length in zip(found, lengths, strict=True)]
            measured = torch.tensor(scaled, dtype=torch.float64, device=value.device)
            if numbers is None:
                return measured.view(value.shape)
            whole = torch.full((value.numel(),), others, dtype=torch.float64, device=value.device)
            whole[torch.tensor(numbers, device=value.device)] = measured
            return whole.view(value.shape)

        kinked = [(line, slope) for line, slope in zip(lines, slopes, strict=True) if slope.jump]
        if numbers is None:
            joint = len(kinked) > 1 and probe.is_joint(kinked)
        else:  # a kink may be shared with an element that is not among them
            joint = not all(probe.is_alone(*one) for one in kinked)
        return Estimate(
            tensor(slope.value for slope in slopes),
            tensor((slope.error for slope in slopes), math.inf),
            tensor(slope.jump for slope in slopes) if kinked else None,
            joint=joint,
            reach=max((slope.step for _, slope in kinked), default=0.0),
            evaluations=problem.evaluations - before,
        )
