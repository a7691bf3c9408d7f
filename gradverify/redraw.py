"""The same errors on other inputs: a hint that holds there too is no coincidence of these numbers."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import torch
from torch import Tensor

from gradverify.case import Case, sizes_of
from gradverify.comparison import distance
from gradverify.diagnosis import Subject, find_contributions
from gradverify.errors import GradverifyError
from gradverify.evaluation import Tensors, run_forward
from gradverify.gradients import events_of, finished_by
from gradverify.inputs import Inputs, draw_inputs
from gradverify.location import statement
from gradverify.measurement import Pass, run_pass
from gradverify.replay import Finding, replay
from gradverify.trace import values_of
from gradverify.verdict import Origin

# What rounding explains was measured on the first inputs; on others of the same kind it is of the same order.
_SLACK = 16.0


class Redraw:
    """Other inputs of a case, on which it runs at most once."""

    def __init__(self, case: Case, inputs: Inputs, judging: Pass, allowed: dict[str, float]) -> None:
        """`allowed` is what rounding explains of each gradient of `judging`."""
        self._case = case
        self._inputs = inputs
        self._judging = judging
        self._allowed = allowed

    def subject(self, name: str) -> Subject | None:
        """What the rules of diagnosis are given of an error there; None if it does not show, or nothing runs."""
        return self._subjects.get(name)

    @cached_property
    def _subjects(self) -> dict[str, Subject]:
        try:
            return self._find()
        except GradverifyError:  # these inputs may well be out of what the case can take
            return {}

    def _find(self) -> dict[str, Subject]:
        case, first, dtype = self._case, self._inputs, self._judging.forward.dtype
        floating = {name for name, one in first.values.items() if one is not None and one.is_floating_point()}
        # The seed of the cotangents was drawn from the generator: nobody has looked at what it gives.
        inputs = draw_inputs(
            case, first.cotangent_seed, dtype, first.device, frozenset(floating - first.differentiated)
        )
        if all(_is_same(one, first.values.get(name)) for name, one in inputs.values.items()):
            inputs = scaled_inputs(inputs, first.cotangent_seed)
        run = run_pass(case, inputs, dtype, partial=True)
        limits = {name: self._limit(name, reference) for name, reference in run.reference.items()}

        def is_off(name: str, value: Tensor) -> bool:
            reference = run.reference[name]
            return value.shape != reference.shape or not distance(value, reference).error <= limits[name]

        wrong = [name for name, candidate in run.candidates.items() if is_off(name, candidate)]
        forward = run_forward(case, inputs, dtype)
        findings = replay(case, forward, run.cotangents, run.reference, events_of(run.gradients), wrong, is_off)
        values = values_of(run_forward(case, inputs, dtype, with_grad=False).trace)
        return {
            name: make_subject(name, finding, case, inputs, run, limits[name], values)
            for name, finding in findings.items()
            if finding.origin is Origin.INTRODUCED and finding.replayed is not None
        }

    def _limit(self, name: str, reference: Tensor) -> float:
        first = self._judging.reference.get(name)
        if first is None:
            return 0.0
        scale = distance(first, first).scale
        ratio = distance(reference, reference).scale / scale if scale else 1.0
        return _SLACK * ratio * self._allowed.get(name, 0.0)


def scaled_inputs(inputs: Inputs, seed: int) -> Inputs:
    """The inputs, each element times a number between 1/2 and 3/2; a tensor of zeros becomes one of normal numbers.

    Signs, zeros in between (a mask, a label) and infinities stay.
    """
    generator = torch.Generator().manual_seed(seed)

    def scale(value: Tensor | None) -> Tensor | None:
        if value is None or not value.is_floating_point():
            return value
        if not value.any():
            return torch.randn(value.shape, generator=generator, dtype=torch.float32, device="cpu").to(value)
        return value * (torch.rand(value.shape, generator=generator, dtype=torch.float32, device="cpu") + 0.5).to(value)

    return dataclasses.replace(inputs, values={name: scale(value) for name, value in inputs.values.items()})


def _is_same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether an input does not depend on the seed; what was rounded to a lower precision counts as the same."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.equal(one.to(other.dtype), other)


def make_subject(
    name: str, finding: Finding, case: Case, inputs: Inputs, one: Pass, allowed: float, values: Tensors
) -> Subject:
    """What the rules of diagnosis are given of one introduced error, which the replay reached."""
    assert finding.replayed is not None  # the caller asks for no other
    events = events_of(one.gradients)
    return Subject(
        name=name,
        candidate=finding.replayed,
        reference=one.reference[name],
        allowed=allowed,
        values=values,
        references=one.reference,
        outputs=one.forward.outputs,
        sizes=sizes_of(case),
        source=statement(events[finished_by(events)[name]].location),
        variables=finding.variables,
        events=events,
        find_contributions=lambda: find_contributions(case, inputs, one.forward.dtype, one.cotangents, name),
    )
