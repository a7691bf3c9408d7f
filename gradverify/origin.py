"""Where each error of a report comes from, and what mistake was made there."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

from torch import Tensor
from torch.autograd.graph import Node

from gradverify.assessment import Assessment
from gradverify.case import Case
from gradverify.comparison import distance
from gradverify.diagnosis import describe_error, diagnose
from gradverify.diagnosis.addition import find_addition
from gradverify.evaluation import Forward, Tensors, run_forward
from gradverify.gradients import events_of
from gradverify.inputs import Inputs
from gradverify.judge import VANISHED, Judgement, judge_accuracy
from gradverify.location import statement
from gradverify.measurement import Pass
from gradverify.redraw import Redraw, make_subject
from gradverify.replay import Finding, IsOff, replay
from gradverify.report import Row
from gradverify.scope import dtype_name
from gradverify.trace import values_of
from gradverify.verdict import Origin, Verdict

_JUDGED = {Verdict.WRONG, Verdict.SHAPE, Verdict.DTYPE, Verdict.NONFINITE, Verdict.DISPUTED, Verdict.KNOWN}


def find_origins(case: Case, inputs: Inputs, working: Pass, judging: Pass, assessment: Assessment) -> tuple[Row, ...]:
    """The rows again, each error marked as introduced by its statement or inherited, with what went wrong.

    Args:
        case: the case that failed.
        inputs: that it ran on.
        working: the pass at the working precision.
        judging: the pass that judged.
        assessment: its rows, some of which fail.
    """
    rows = {row.name: row for row in assessment.rows}
    wrong = [row.name for row in assessment.rows if row.verdict in _JUDGED and _is_off(row, assessment)]
    fine = [name for name in wrong if name not in assessment.coarse]
    coarse = [name for name in wrong if name in assessment.coarse]
    if fine:
        forward = run_forward(case, inputs, judging.forward.dtype)
        judge = _FineJudge(judging, assessment)
        findings = _replay(case, forward, judging, fine, judge)
        _mark(rows, forward, findings)
        # A fresh forward: the hand-derived pass may have changed the values of its own in place.
        values = values_of(run_forward(case, inputs, judging.forward.dtype, with_grad=False).trace)
        redraw = Redraw(case, inputs, judging, judge.limits)
        for name, finding in findings.items():
            is_mistaken = finding.origin is Origin.INTRODUCED and rows[name].verdict is not Verdict.DISPUTED
            if is_mistaken and finding.replayed is not None:
                subject = make_subject(name, finding, case, inputs, judging, judge.limits.get(name, 0.0), values)
                addition = find_addition(subject, finding.steps)
                if addition is not None:
                    where = addition.location
                    rows[name] = dataclasses.replace(
                        rows[name],
                        file=where.file,
                        line=where.line,
                        source=statement(where),
                        hints=(addition.sentence, *rows[name].hints),
                    )
                    continue
                hint = diagnose(subject, partial(redraw.subject, name)) or describe_error(subject)
                rows[name] = dataclasses.replace(rows[name], hints=(hint, *rows[name].hints))
    if coarse:
        forward = run_forward(case, inputs, working.forward.dtype)
        rounded = {name: one.to(working.forward.dtype) for name, one in judging.reference.items()}
        precise = dataclasses.replace(working, reference=rounded)
        _mark(rows, forward, _replay(case, forward, precise, coarse, _CoarseJudge(judging, assessment, rounded)))
    return tuple(rows.values())


def _is_off(row: Row, assessment: Assessment) -> bool:
    """Whether autograd disagrees with it, rather than a witness with both."""
    seen = assessment.evidence.get(row.name)
    return row.verdict is not Verdict.DISPUTED or seen is None or seen.distance.error > assessment.allowed[row.name]


class _FineJudge:
    """Whether a replayed gradient is off in the pass that judged."""

    def __init__(self, judging: Pass, assessment: Assessment) -> None:
        self._reference = judging.reference
        self.limits = dict(assessment.allowed)
        for row in assessment.rows:
            if row.verdict is Verdict.IMPRECISE:
                scale = assessment.evidence[row.name].distance.scale
                self.limits[row.name] = max(self.limits[row.name], VANISHED * scale)
            elif row.verdict in (Verdict.INCONCLUSIVE, Verdict.SUBGRADIENT, Verdict.VACUOUS):
                del self.limits[row.name]  # what could not be judged is accused of nothing

    def __call__(self, name: str, value: Tensor) -> bool:
        reference = self._reference[name]
        if value.shape != reference.shape:
            return True
        return name in self.limits and not (distance(value, reference).error <= self.limits[name])


class _CoarseJudge:
    """Whether a replayed gradient is off at the working precision, where in float64 it is right."""

    def __init__(self, judging: Pass, assessment: Assessment, rounded: Tensors) -> None:
        self._exact = judging.reference
        self._evidence = assessment.evidence
        self._rounded = rounded

    def __call__(self, name: str, value: Tensor) -> bool:
        rounded = self._rounded[name]
        if value.shape != rounded.shape or value.dtype != rounded.dtype:
            return True
        seen = self._evidence.get(name)
        if seen is None or seen.accuracy is None:
            return False
        own = distance(value, self._exact[name])
        error = math.nan if own.nonfinite else own.error
        replayed = dataclasses.replace(seen.accuracy, candidate_error=error)
        return judge_accuracy(Judgement(Verdict.OK, 0.0), replayed, dtype_name(value.dtype)).verdict.fails


def _replay(case: Case, forward: Forward, one: Pass, wrong: list[str], is_off: IsOff) -> dict[str, Finding]:
    return replay(case, forward, one.cotangents, one.reference, events_of(one.gradients), wrong, is_off)


def _mark(rows: dict[str, Row], forward: Forward, findings: dict[str, Finding]) -> None:
    introduced = [name for name, finding in findings.items() if finding.origin is Origin.INTRODUCED]
    uses = {name: _computed_from(forward, name) for name in introduced}
    for name, finding in findings.items():
        row = rows[name]
        hints = row.hints if finding.note is None else (*row.hints, finding.note)
        if finding.masked:
            row = dataclasses.replace(row, verdict=Verdict.WRONG, passed=False)
        if finding.origin is Origin.INHERITED:
            sources = [source for source in introduced if name in uses[source]] or introduced
            what = "dispute over" if row.verdict is Verdict.DISPUTED else "error of"
            hints = (*hints, f"inherits the {what} {', '.join(f'd.{source}' for source in sources)}")
        rows[name] = dataclasses.replace(row, origin=finding.origin, hints=hints)


def _computed_from(forward: Forward, name: str) -> set[str]:
    """The recorded tensors that a recorded tensor was computed from."""
    names: dict[Node | int, list[str]] = {}
    for other, tensor in forward.differentiable.items():
        names.setdefault(tensor.grad_fn or id(tensor), []).append(other)
    found: set[str] = set()
    start = forward.differentiable[name].grad_fn
    pending = [start] if start is not None else []
    seen = set(pending)
    while pending:
        for node, _ in pending.pop().next_functions:
            if node is None or node in seen:
                continue
            seen.add(node)
            pending.append(node)
            leaf = getattr(node, "variable", None)  # AccumulateGrad, the end of the graph at a leaf
            found.update(names.get(node if leaf is None else id(leaf), ()))
    return found
