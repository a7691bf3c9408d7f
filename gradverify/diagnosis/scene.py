"""A statement with the tensors that it works on, or with a few rows of each, on which it is quickly tried again."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradverify.comparison import distance
from gradverify.diagnosis.statement import Statement
from gradverify.diagnosis.subject import Subject
from gradverify.diagnosis.trial import Trial

# Of smaller gradients all rows are used: evaluating a statement costs little more than parsing it.
_LARGE = 2**17
# Enough for a formula to show in, and small enough that an operation takes no longer than calling it.
_LEAST_ROWS, _FEW_ELEMENTS = 8, 2**12


@dataclass(frozen=True)
class Scene:
    """A statement, what it reads, and what it gives.

    Attributes:
        statement: the assignment.
        gradients: what it reads from the gradients, right.
        values: what it reads from the trace; None for the trace's own.
        every: the values that it could read.
        reference: what it should give.
    """

    statement: Statement
    gradients: Mapping[str, Tensor]
    values: Mapping[str, Tensor] | None
    every: Mapping[str, Tensor]
    reference: Tensor

    def trial(self, *, gradients: Mapping[str, Tensor] | None = None) -> Trial:
        """Where expressions are evaluated in the place of the statement's, with its own gradients or others."""
        return self.statement.trial(self.reference, gradients or self.gradients, self.values)

    def random_trial(self, named: Collection[str]) -> Trial:
        """The same with random tensors under some names."""
        generator = torch.Generator().manual_seed(0)

        def random(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {
                name: torch.randn(one.shape, generator=generator, dtype=torch.float64).to(one)
                if one.is_floating_point() and name in named
                else one
                for name, one in tensors.items()
            }

        return self.statement.trial(self.reference, random(self.gradients), random(self.every))


def whole_scene(subject: Subject, statement: Statement) -> Scene | None:
    """The statement as it ran, on right gradients; None if it gives another candidate now."""
    scene = Scene(statement, statement.gradients, None, subject.values, subject.reference)
    return scene if _gives(scene, subject.candidate, subject.allowed) else None


def excerpt(subject: Subject, scene: Scene) -> Scene | None:
    """A few rows of everything, those that matter; None where they give other rows, as a sum over rows does."""
    if not subject.has_shape or subject.reference.numel() < _LARGE:
        return None
    count = len(subject.reference)
    wanted = max(_LEAST_ROWS, _FEW_ELEMENTS * count // subject.reference.numel())
    sampled = subject.sample.index[0]
    rows = sampled[:: max(1, len(sampled) // wanted)]

    def cut(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: one[rows] if one.dim() and len(one) == count else one for name, one in tensors.items()}

    variables = {name: one for name, one in scene.statement.variables.items() if isinstance(one, Tensor)}
    statement = dataclasses.replace(scene.statement, variables={**scene.statement.variables, **cut(variables)})
    every = cut(scene.every)
    part = Scene(statement, cut(scene.gradients), every, every, subject.reference[rows])
    return part if _gives(part, subject.candidate[rows], subject.allowed) else None


def are_alike(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two values are those of one formula."""
    if one is None or other is None or one.shape != other.shape:
        return False
    return torch.allclose(one, other, rtol=1e-6, atol=0.0, equal_nan=True)


def _gives(scene: Scene, candidate: Tensor, allowed: float) -> bool:
    with scene.trial() as trial:
        value = trial.evaluate(scene.statement.expression)
    return value is not None and value.shape == candidate.shape and distance(value, candidate).error <= allowed
