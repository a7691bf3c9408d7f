"""Every gradient of a case, from its evidence to its row in the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from gradverify.case import Case
from gradverify.comparison import compare, count_above, worst_element
from gradverify.errors import InvalidCase, did_you_mean
from gradverify.evaluation import Tensors
from gradverify.gradients import handed_out, written_at
from gradverify.inputs import Inputs
from gradverify.judge import Judgement, judge_accuracy, judge_derivation, judge_doubt, judge_zero
from gradverify.location import Location, statement
from gradverify.measurement import Doubts, Evidence, Pass, allowed_for, rerun_with_noise, weigh
from gradverify.report import Row, Worst
from gradverify.scope import defined_at, dtype_name
from gradverify.settings import Settings
from gradverify.verdict import Verdict

# Lets witnesses speak: rows, candidates, references and what rounding explains of their difference, each by name.
Hear = Callable[[Mapping[str, Row], Tensors, Tensors, Mapping[str, float]], dict[str, Row]]


@dataclass(frozen=True)
class Assessment:
    """The rows of a case, and what they were judged by.

    Attributes:
        rows: for every derived gradient in the order of the backward pass, then the missing and the given ones.
        allowed: the largest difference that rounding explains, for every derived gradient.
        coarse: the gradients that fail only at the working precision.
        evidence: of every gradient that could be compared.
    """

    rows: tuple[Row, ...]
    allowed: dict[str, float]
    coarse: frozenset[str]
    evidence: dict[str, Evidence]


def assess(
    case: Case, inputs: Inputs, working: Pass, judging: Pass, settings: Settings, *, hear: Hear | None = None
) -> Assessment:
    """Judge every gradient of a case that has run.

    Args:
        case: the case that ran.
        inputs: that it ran on.
        working: the pass at the working precision.
        judging: the float64 pass; the working one where there is no other.
        settings: what to expect (`known`, `expected_zero`), and how strictly.
        hear: lets witnesses speak before it is settled what passes; None where there are none.

    Raises:
        InvalidCase: if the settings name a gradient that does not exist.
    """
    _check_names(case, settings, working)
    rows = _mismatched(working, judging)
    comparable = [name for name in working.candidates if name not in rows]
    evidence = {name: weigh(name, working, judging) for name in comparable}
    zeros = settings.expected_zero or frozenset()
    judgements = {name: _first_judgement(one, name in zeros) for name, one in evidence.items()}

    alarmed = [name for name in comparable if judgements[name] is None]
    if alarmed and working is judging and not judging.noise:
        # A quick run measures noise only where something differs by more than a few roundings.
        judging = working = rerun_with_noise(case, inputs, working, alarmed)
        for name in alarmed:
            evidence[name] = weigh(name, working, judging)
            judgements[name] = _first_judgement(evidence[name], name in zeros)
        alarmed = [name for name in alarmed if judgements[name] is None]
    if alarmed:
        doubts = Doubts(case, inputs, working, judging, alarmed)
        for name in alarmed:
            seen = evidence[name]
            judgements[name] = judge_doubt(seen.derivation, doubts.of(name, seen.derivation), seen.accuracy)

    dtype = dtype_name(working.forward.dtype)
    coarse = {name for name, row in rows.items() if row.verdict is Verdict.DTYPE}
    allowed = {name: allowed_for(name, judging) for name in rows}
    for name, judgement in judgements.items():
        assert judgement is not None  # every alarm has been answered
        seen, final = evidence[name], judgement
        if seen.accuracy is not None and name not in zeros:
            final = judge_accuracy(judgement, seen.accuracy, dtype)
        if final.verdict.fails and not judgement.verdict.fails:
            coarse.add(name)
        allowed[name] = judgement.allowed if math.isfinite(judgement.allowed) else seen.derivation.allowed_first
        rows[name] = _row(name, final, allowed[name], seen, working, judging)
        if final.verdict not in (Verdict.EXACT, Verdict.OK):
            # Where only the working precision is to blame, its numbers are the ones to show.
            told = working if final is not judgement else judging
            limit = seen.accuracy.allowed if seen.accuracy and final is not judgement else final.allowed
            rows[name] = dataclasses.replace(
                rows[name], worst=_worst(told.candidates[name], judging.reference[name], limit)
            )
    if hear is not None:
        # At a kink what was allowed in the end is as large as the gradient itself.
        limits = {
            name: evidence[name].derivation.allowed_first
            if judgement.verdict is Verdict.INCONCLUSIVE
            else allowed[name]
            for name, judgement in judgements.items()
            if judgement is not None
        }
        rows = hear(rows, judging.candidates, judging.reference, limits)
        allowed.update({name: limit for name, limit in limits.items() if rows[name].verdict is Verdict.WRONG})
    ordered = [rows[name] for name in working.candidates]
    settled = tuple(settle(row, settings) for row in (*ordered, *_not_derived(case, inputs, working)))
    return Assessment(settled, allowed, frozenset(coarse), evidence)


def settle(row: Row, settings: Settings) -> Row:
    """Decide whether the row passes, which the verdict alone does not where a setting speaks of it."""
    fails = row.verdict.fails or (bool(settings.strict) and row.verdict is Verdict.IMPRECISE)
    reason = (settings.known or {}).get((row.name, row.dtype))
    if reason is not None and fails:
        return dataclasses.replace(
            row, verdict=Verdict.KNOWN, passed=True, hints=(f"{reason} ({row.verdict})", *row.hints)
        )
    if reason is not None:
        hint = f"passes, but `known` lists it ({reason}): remove the entry"
        return dataclasses.replace(row, passed=False, hints=(hint, *row.hints))
    allowed_to_miss = row.verdict is Verdict.MISSING and bool(settings.partial)
    return dataclasses.replace(row, passed=not fails or allowed_to_miss)


def _check_names(case: Case, settings: Settings, working: Pass) -> None:
    tensors = working.forward.differentiable
    listed = dict.fromkeys(settings.expected_zero or (), "expected_zero")
    listed.update({name: "known" for name, _ in settings.known or {}})
    for name, setting in listed.items():
        if name not in tensors:
            error = InvalidCase(
                f"`{setting}` names {name!r}, which is no tensor with a gradient; {did_you_mean(name, tensors)}",
                defined_at(case, "backward"),
            )
            error.case = type(case).__name__
            raise error


def _mismatched(working: Pass, judging: Pass) -> dict[str, Row]:
    """Rows for the candidates that are no gradients of their tensors at all: of another shape, dtype or number."""
    rows = {}
    for name, candidate in working.candidates.items():
        tensor = working.reference[name]
        later = judging.candidates.get(name)
        if candidate.shape != tensor.shape:
            verdict, hint = Verdict.SHAPE, f"its shape is {tuple(candidate.shape)}, its tensor's {tuple(tensor.shape)}"
        elif candidate.dtype != tensor.dtype:
            verdict, hint = Verdict.DTYPE, f"it is {dtype_name(candidate.dtype)}, its tensor {dtype_name(tensor.dtype)}"
        elif later is None or later.shape != tensor.shape:
            verdict = Verdict.WRONG if later is not None else Verdict.MISSING
            hint = "only in the float64 pass: the backward takes another path there than at the working precision"
        else:
            continue
        rows[name] = dataclasses.replace(
            _located(name, working), verdict=verdict, hints=(hint,), comparison=compare(candidate, tensor)
        )
    return rows


def _first_judgement(seen: Evidence, expected_zero: bool) -> Judgement | None:
    if seen.distance.nonfinite:
        count = f"{seen.distance.nonfinite} of {seen.derivation.numel} elements"
        return Judgement(Verdict.NONFINITE, math.nan, (count,))
    return judge_zero(seen.derivation) if expected_zero else judge_derivation(seen.derivation)


def _row(name: str, judgement: Judgement, allowed: float, seen: Evidence, working: Pass, judging: Pass) -> Row:
    reference = judging.reference[name]
    above, nonzero = count_above(reference, allowed)
    return dataclasses.replace(
        _located(name, working),
        verdict=judgement.verdict,
        hints=judgement.hints,
        accuracy=seen.accuracy.ratio if seen.accuracy else None,
        resolution=allowed / seen.derivation.scale if seen.derivation.scale else None,
        coverage=above / nonzero if nonzero else None,
        nonfinite=seen.distance.left_out,
        comparison=seen.comparison,
    )


def _worst(candidate: Tensor, reference: Tensor, allowed: float) -> Worst | None:
    found = worst_element(candidate, reference)
    return None if found is None else Worst(*found, allowed=allowed if math.isfinite(allowed) else None)


def _located(name: str, working: Pass) -> Row:
    return _at(name, working, written_at(working.gradients, name))


def _at(name: str, working: Pass, where: Location) -> Row:
    """A row that says where its gradient comes from, and as yet nothing else."""
    tensor = working.forward.differentiable[name]
    return Row(
        name=name,
        shape=tuple(tensor.shape),
        dtype=dtype_name(tensor.dtype),
        verdict=Verdict.MISSING,
        passed=False,
        file=where.file,
        line=where.line,
        source=statement(where),
    )


def _not_derived(case: Case, inputs: Inputs, working: Pass) -> list[Row]:
    where = defined_at(case, "backward")
    rows = []
    for name in working.forward.differentiable:
        if name in working.candidates:
            continue
        row = dataclasses.replace(_at(name, working, where), source=None)
        if name in handed_out(working.gradients):
            rows.append(dataclasses.replace(row, verdict=Verdict.GIVEN))
        elif name in inputs.differentiated and name not in working.forward.outputs:
            rows.append(row)
    return rows
