"""Breaks one thing at a time in the backward of a case and verifies what is left: has the check teeth?"""

from __future__ import annotations

import dataclasses
import math
import re
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from gradverify.case import Case
from gradverify.configuration import Configuration
from gradverify.errors import GradverifyError
from gradverify.evaluation import Tensors
from gradverify.examination import examine
from gradverify.gradients import Access, Event, events_of
from gradverify.inputs import Inputs, draw_inputs
from gradverify.measurement import Pass, run_pass
from gradverify.mutants import Edit, Kind, Names, find_edits
from gradverify.redraw import scaled_inputs
from gradverify.report import Report, Row
from gradverify.rewriting import Source, quoted_as, read_backward, with_backward
from gradverify.study import Outcome, Trial
from gradverify.trace import values_of
from gradverify.verdict import Origin, Verdict

# Two gradients that differ by less, of their largest element, are those of one formula: what two orders of the
# same few operations give. Far above it begins what an edit does, far below ends what a judge would forgive.
_SAME_ULP = 16

# A mutant that the seeds of the case do not show is tried at this many others before it is said to survive: the
# first of the next ones at which the unbroken case verifies (of five units all may be off at one seed).
_FURTHER_SEEDS, _NEXT_SEEDS = 2, 6

# How the sentence looks that a row holds where no rule of diagnosis explains the error.
_DESCRIPTION = re.compile(r"^its shape is |; relative error ")


class NotSound(GradverifyError):
    """A case that does not verify as it is: nothing can be learnt from breaking it further."""


@dataclass(frozen=True)
class Draw:
    """Inputs, and the gradients that the unbroken backward gives for them in float64."""

    inputs: Inputs
    unbroken: Pass


@dataclass(frozen=True)
class Subject:
    """A case ready to be broken.

    Attributes:
        case: what is verified; configurations: how, one after the other, until one notices a mistake.
        source: of its backward; edits: every way to break it, in the order of the source.
        seconds: how long verifying the unbroken case took.
        written: the gradients that each line writes, or changes in place.
        draws: the inputs on which an edit is compared with the original.
        further: configurations at other seeds, for what the own ones do not show.
    """

    case: Case
    configurations: tuple[Configuration, ...]
    source: Source
    edits: tuple[Edit, ...]
    seconds: float
    written: Mapping[int, frozenset[str]]
    draws: tuple[Draw, ...]
    further: tuple[Configuration, ...] = ()


def prepare(case: Case, configurations: Sequence[Configuration]) -> Subject:
    """Verify the unbroken case in each configuration, and find out what can be broken in its backward.

    Raises:
        NoSource: if the source of its backward is not to be had.
        NotSound: if it does not verify, or if there is nothing in it to break.
    """
    source = read_backward(type(case))
    started = time.perf_counter()
    failed = _first_failed(case, configurations)
    seconds = time.perf_counter() - started
    if failed is not None:
        raise NotSound(f"it does not verify as it is: {_first_line(failed)}; fix that first")
    draws = _draws(case, configurations[0])
    run = draws[-1].unbroken
    events = events_of(run.gradients)
    values, gradients = source.parameters
    names = Names(values, gradients, _value_twins(run), _gradient_twins(run, events, source.file), source.modules)
    edits = tuple(find_edits(source.node, names))
    if not edits:
        raise NotSound("its backward holds nothing that could be broken; mutants of helpers are not made")
    written = _written_names(events, source.file)
    further = _further(case, configurations)
    return Subject(case, tuple(configurations), source, edits, seconds, written, draws, further)


def try_edit(subject: Subject, edit: Edit) -> Trial:
    """Verify the case with one thing broken; what that does to time and memory is the caller's to bound."""
    broken = with_backward(subject.case, subject.source, edit.old, edit.new)
    seed: int | None = None
    with quoted_as(subject.source, edit.old, edit.new), warnings.catch_warnings():
        # A broken formula may well do what torch warns of; the user did not write it.
        warnings.simplefilter("ignore")
        try:
            report = _first_failed(broken, subject.configurations)
        except (MemoryError, RuntimeError) as error:
            if not _is_exhaustion(f"{type(error).__name__}: {error}"):
                raise
            return Trial(edit.mutant, Outcome.KILLED)
        if report is None:
            if all(_agrees(subject, edit, draw) for draw in subject.draws):
                return Trial(edit.mutant, Outcome.EQUIVALENT)
            report = _first_failed(broken, subject.further)
            if report is None:
                return Trial(edit.mutant, Outcome.SURVIVED)
            seed = report.seed
    if report.error is not None:
        if _is_exhaustion(report.error.message):
            return Trial(edit.mutant, Outcome.KILLED, seed=seed)
        return Trial(edit.mutant, Outcome.RAISED, named=_names_error(report, subject, edit), seed=seed)
    accused = [row for row in report.rows if row.origin is Origin.INTRODUCED]
    named = _names_row(report, accused, subject, edit)
    return Trial(edit.mutant, Outcome.CAUGHT, named, _mistake(report, accused) if named else None, seed)


def check_unharmed(subject: Subject) -> None:
    """Verify the unbroken case once more, after its mutants.

    Raises:
        NotSound: if it does not pass any longer: then what the mutants seemed to show may be an echo of one of them.
    """
    failed = _first_failed(subject.case, subject.configurations)
    if failed is not None:
        raise NotSound(
            f"after its mutants were tried it no longer verifies: {_first_line(failed)}; one of them changed what "
            "outlives a run (an attribute, a global), so let backward change nothing but d"
        )


def _first_failed(case: Case, configurations: Iterable[Configuration]) -> Report | None:
    reports = (examine(case, one) for one in configurations)
    return next((report for report in reports if not report.passed), None)


def _further(case: Case, configurations: Sequence[Configuration]) -> tuple[Configuration, ...]:
    """The first configuration at some other seeds, where the unbroken case verifies."""
    first, used = configurations[0], {one.seed for one in configurations}
    seeds = [seed for seed in range(first.seed + 1, first.seed + 1 + _NEXT_SEEDS) if seed not in used]
    others = (dataclasses.replace(first, seed=seed) for seed in seeds)
    return tuple(islice((other for other in others if examine(case, other).passed), _FURTHER_SEEDS))


def _is_exhaustion(message: str) -> bool:
    """Whether an error says that memory ran out: Python's and CUDA's by their class, torch's own by its text."""
    return "MemoryError" in message or "can't allocate memory" in message


def _first_line(report: Report) -> str:
    if report.error is not None:
        return report.error.message
    failed = report.failed_rows[0]
    return f"d.{failed.name} is {failed.verdict}"


def _names_error(report: Report, subject: Subject, edit: Edit) -> bool:
    """Whether the error that a broken backward raises points at what is broken."""
    error, mutant = report.error, edit.mutant
    if error is None:
        return False
    if mutant.kind is Kind.DELETION:
        return any(error.message.startswith(f"d.{name} is read before") for name in _deleted(subject, edit))
    return _is_inside(error.file, error.line, subject, edit)


def _names_row(report: Report, accused: list[Row], subject: Subject, edit: Edit) -> bool:
    """Whether the rows point at what is broken, and at nothing else."""
    if edit.mutant.kind is Kind.DELETION:
        deleted = _deleted(subject, edit)
        missing = [row for row in report.rows if row.verdict is Verdict.MISSING and not row.passed]
        named = {row.name for row in (*accused, *missing)}
        return bool(named) and named <= deleted
    return bool(accused) and all(_is_inside(row.file, row.line, subject, edit) for row in accused)


def _mistake(report: Report, accused: list[Row]) -> str | None:
    """What a report says went wrong in the rows that it accuses; a gradient that is missing needs no more words."""
    if not accused:
        return next((str(row.verdict) for row in report.rows if row.verdict is Verdict.MISSING), None)
    sentences = [row.hints[0] for row in accused if row.hints]
    return next((one for one in sentences if not _DESCRIPTION.search(one)), None)


def _deleted(subject: Subject, edit: Edit) -> frozenset[str]:
    """The gradients that a statement writes, or changes in place."""
    lines = range(edit.mutant.line, edit.mutant.last_line + 1)
    return frozenset().union(*(subject.written.get(line, frozenset()) for line in lines))


def _is_inside(file: str | None, line: int | None, subject: Subject, edit: Edit) -> bool:
    return file == subject.source.file and line is not None and edit.mutant.line <= line <= edit.mutant.last_line


def _draws(case: Case, configuration: Configuration) -> tuple[Draw, Draw]:
    """The inputs of the case, and those of another seed, these scaled element by element.

    Inputs that are too alike (all of them one, say) hide a mistake from the check, and would hide it here too,
    or two tensors that are equal by accident.
    Where the case does not stand the scaling, the second ones are used as they are drawn.
    """
    own = _draw(case, configuration, _inputs(case, configuration, configuration.seed))
    other = _inputs(case, configuration, configuration.seed ^ 1)
    try:
        scaled = _draw(case, configuration, scaled_inputs(other, configuration.seed))
    except GradverifyError:
        return own, _draw(case, configuration, other)
    finite = all(bool(one.isfinite().all()) for one in scaled.unbroken.candidates.values())
    return own, scaled if finite else _draw(case, configuration, other)


def _inputs(case: Case, configuration: Configuration, seed: int) -> Inputs:
    constants = configuration.settings.constants or frozenset()
    dtype, device = getattr(torch, configuration.dtype), torch.device(configuration.device)
    return draw_inputs(case, seed, dtype, device, constants)


def _draw(case: Case, configuration: Configuration, inputs: Inputs) -> Draw:
    return Draw(inputs, run_pass(case, inputs, torch.float64, partial=bool(configuration.settings.partial)))


def _agrees(subject: Subject, edit: Edit, draw: Draw) -> bool:
    """Whether an edited case gives the gradients of the original; one that it no longer gives is not compared.

    Only a gradient that nothing needs can be left out: without one of an input, the case would not have passed.
    """
    inputs, unbroken = draw.inputs, draw.unbroken
    # The case as `inputs` left it, which may have kept something on itself.
    broken = with_backward(inputs.case, subject.source, edit.old, edit.new)
    inputs = dataclasses.replace(inputs, case=broken)
    partial = bool(subject.configurations[0].settings.partial)
    try:
        edited = run_pass(broken, inputs, torch.float64, partial=partial, cotangents=unbroken.cotangents)
    except GradverifyError:
        return False
    return all(
        name in unbroken.candidates and _is_same(candidate, unbroken.candidates[name])
        for name, candidate in edited.candidates.items()
    )


def _is_same(edited: Tensor, unbroken: Tensor) -> bool:
    if edited.shape != unbroken.shape or edited.dtype != unbroken.dtype:
        return False
    equal = (edited == unbroken) | (edited.isnan() & unbroken.isnan())
    differences = (edited - unbroken).abs().masked_fill(equal, 0.0)
    scale = float(unbroken.abs().nan_to_num(nan=0.0, posinf=0.0).max())
    return float(differences.max()) <= _SAME_ULP * math.ulp(scale)  # False for nan


def _value_twins(run: Pass) -> dict[str, str]:
    """For each forward value the next one, in a circle, of the same shape and dtype that is not equal to it."""
    values = values_of(run.forward.trace)
    return {name: twin for name in values if (twin := _twin(name, list(values), values)) is not None}


def _gradient_twins(run: Pass, events: tuple[Event, ...], file: str) -> dict[tuple[int, str], str]:
    """For each gradient, at each line that reads it, the same among those that are derived by then."""
    derived = list(run.forward.outputs)
    twins: dict[tuple[int, str], str] = {}
    for event in events:
        place = event.location.line, event.name
        if event.access is Access.WRITE and event.name not in derived:
            derived.append(event.name)
        elif event.access is Access.READ and event.location.file == file and place not in twins:
            twin = _twin(event.name, derived, run.reference)
            if twin is not None:
                twins[place] = twin
    return twins


def _twin(name: str, others: list[str], values: Tensors) -> str | None:
    start = others.index(name) + 1 if name in others else 0
    for other in (*others[start:], *others[:start]):
        one, two = values[name], values[other]
        if other != name and one.shape == two.shape and one.dtype == two.dtype and not torch.equal(one, two):
            return other
    return None


def _written_names(events: tuple[Event, ...], file: str) -> dict[int, frozenset[str]]:
    """The gradients that each line of a file writes, or changes in place, through a helper too."""
    written: dict[int, frozenset[str]] = {}
    for event in events:
        if event.access is not Access.READ:
            for where in event.stack:
                if where.file == file:
                    written[where.line] = written.get(where.line, frozenset()) | {event.name}
    return written
