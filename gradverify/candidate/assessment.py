"""A candidate, from its runs to the rows of its report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradverify.assessment import settle
from gradverify.candidate.cotangent import Cotangent, draw_cotangents
from gradverify.candidate.experiment import ASPECTS, Aspect, Experiment, Sample
from gradverify.candidate.judging import Finding, judge_aspect
from gradverify.candidate.noise import as_numbers
from gradverify.candidate.pair import Pair, draw_pair, redrawn
from gradverify.candidate.pool import Pool
from gradverify.candidate.run import backward_of, run
from gradverify.comparison import compare, count_above, distance, worst_element
from gradverify.errors import InvalidCase, NotDeterministic, UsageError, did_you_mean
from gradverify.function_case import FunctionCase
from gradverify.inspection import measure, quote
from gradverify.judge import PRECISIONS, WORST_ACCURACY, Accuracy
from gradverify.location import UNKNOWN
from gradverify.report import Row, Worst
from gradverify.scope import dtype_name
from gradverify.settings import Settings, has_witnesses
from gradverify.signature import defined_at
from gradverify.verdict import Verdict

# From the verdict that says least against a row to the one that says most.
_SEVERITY = (
    Verdict.VACUOUS,
    Verdict.EXACT,
    Verdict.OK,
    Verdict.IMPRECISE,
    Verdict.INCONCLUSIVE,
    Verdict.NONFINITE,
    Verdict.WRONG,
)

_UNSUPPORTED = (
    "in {dtype} it is right to rounding, so that float64 may be to blame: a candidate that does not support it should "
    "raise there, and is then judged in {dtype} alone"
)


@dataclass(frozen=True)
class Assessment:
    """The rows of a candidate: outputs first, then gradients; and what could not be seen, a sentence each.

    `pair` is what was run. `first` are the gradients of the very first call, for the audit of the contract; None where
    the candidate cannot be audited.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    pair: Pair
    first: dict[str, Tensor | None] | None


def assess_candidate(
    case: FunctionCase,
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
    settings: Settings,
    *,
    quick: bool = False,
    detailed: bool = False,
) -> Assessment:
    """Judge every output and every gradient of a candidate; without a reference, only the gradients.

    Args:
        case: the candidate and its reference.
        seed: of the inputs.
        dtype: the working dtype.
        device: where to run.
        settings: what to expect (`constants`, `known`, `expected_zero`), and how strictly.
        quick: run the candidate at the working precision alone.
        detailed: gather what only a page shows.

    Raises:
        GradverifyError: for whatever the case does wrong.
    """
    constants = settings.constants or frozenset()
    pair = draw_pair(case, seed, dtype, device, constants)
    warm = _warm_up(pair)
    if pair.reference is None:
        # Imported only here: a candidate with a reference needs no numerical derivatives.
        from gradverify.candidate.standalone import NOTE, judge_standalone

        settled = _settled(judge_standalone(pair, settings), settings, detailed)
        return Assessment(settled, (NOTE.format(dtype=dtype_name(pair.dtype)),), pair, warm)
    first = Experiment(pair, pair.reference, quick=quick, detailed=detailed)
    _check_names(settings, first)

    def redraw(number: int) -> Experiment:
        other = redrawn(pair, seed + number, dtype, constants)
        assert other.reference is not None  # the case has one
        return Experiment(other, other.reference, quick=True)

    rows = _misshapen(first)
    can_be_audited = not rows
    if rows:
        notes = [f"no gradient was judged, since {', '.join(rows)} has not the shape of the reference's"]
    else:
        notes = [*_check_repeatable(first), *_told_of_reference(first)]
        rows = _judge(first, Pool(first, redraw), settings)
        if has_witnesses(settings) and first.unjudged is not None:
            notes.append("the witnesses were not heard, who need the candidate in float64")
        if first.unjudged is not None:
            notes.append(
                f"judged in {dtype_name(pair.dtype)} alone, where an error below the resolution shown is not noticed; "
                f"in float64 there is no candidate, because {first.unjudged}"
            )
    return Assessment(_settled(rows.values(), settings, detailed), tuple(notes), pair, warm if can_be_audited else None)


def _settled(rows: Iterable[Row], settings: Settings, detailed: bool) -> tuple[Row, ...]:
    settled = (settle(row, settings) for row in rows)
    return tuple(quote(row) if detailed else row for row in settled)


def _warm_up(pair: Pair) -> dict[str, Tensor | None]:
    """Call the candidate once, and do not judge it by that: kernels tune themselves on their first call."""
    called = run(pair.candidate, pair.arguments.fresh(), pair.outputs)
    return called.gradients(draw_cotangents(Cotangent.NORMAL, called.differentiable, pair.cotangent_seed))


def _check_names(settings: Settings, first: Experiment) -> None:
    outputs, leaves = first.reference.outputs, first.reference.leaves
    for name in outputs.keys() & leaves.keys():
        raise UsageError(
            f"{name!r} is the name of an output and of an input or a parameter: give the outputs other names, such as "
            f"outputs=({name + '_out'!r},)"
        )
    names = [*outputs, *leaves]
    listed = dict.fromkeys(settings.expected_zero or (), "expected_zero")
    listed.update({name: "known" for name, _ in settings.known or {}})
    for name, setting in listed.items():
        if name not in names:
            raise InvalidCase(f"`{setting}` names {name!r}, which is no row; {did_you_mean(name, names)}")


def _misshapen(first: Experiment) -> dict[str, Row]:
    """Rows for the outputs of another shape, which no upstream gradient fits both of."""
    rows = {}
    for name, reference in first.reference.outputs.items():
        candidate = first.candidate.outputs[name]
        if candidate.shape != reference.shape:
            hint = f"its shape is {tuple(candidate.shape)}, that of the reference's {tuple(reference.shape)}"
            row = dataclasses.replace(_blank(first, name), verdict=Verdict.SHAPE, hints=(hint,))
            rows[name] = dataclasses.replace(row, comparison=compare(candidate, reference))
    return rows


def _check_repeatable(first: Experiment) -> list[str]:
    """What two calls of the candidate on the same inputs show, where they are not equal bit for bit.

    Raises:
        NotDeterministic: where they differ by more than rounding.
    """
    notes = []
    called = first.call_candidate()
    for aspect in (None, Cotangent.NORMAL):
        known, again = first.candidate_values(aspect), first.values(called, aspect)
        for name, value in known.items():
            if torch.equal(value, again[name]):
                continue
            seen = distance(as_numbers(again[name]), as_numbers(value))
            # Half of the digits: far above what the order of a sum changes, far below any draw of random numbers.
            allowed = torch.finfo(value.dtype).eps ** 0.5 if value.is_floating_point() else 0.0
            if not (seen.error <= allowed * seen.scale):
                raise NotDeterministic(
                    f"two calls of the candidate on the same inputs gave different values of {name}: draw the "
                    "randomness in `inputs` and pass it as a tensor, or call eval() on the module",
                    defined_at(first.pair.candidate.function),
                )
            if seen.error:
                what = name if aspect is None else f"the gradient of {name}"
                notes.append(
                    f"two calls on the same inputs gave {what} apart by up to {seen.error:.2g}, as sums by atomic "
                    "additions do; the verdict is that of one call"
                )
    return notes


def _told_of_reference(first: Experiment) -> list[str]:
    """That the reference has gradients of its own writing, where it has."""
    function = first.reference.custom_function
    if function is None or function.__module__.startswith("torch."):
        return []
    return [
        f"the reference has a backward of its own, that of {function.__name__}: what is wrong there too is not "
        "noticed; write the reference in plain torch"
    ]


def _judge(first: Experiment, pool: Pool, settings: Settings) -> dict[str, Row]:
    zeros = settings.expected_zero or frozenset()
    findings: dict[str, list[Finding]] = {}
    for aspect in ASPECTS:
        for name, finding in judge_aspect(first, aspect, pool, zeros).items():
            findings.setdefault(name, []).append(finding)
        if first.unjudged is not None:
            return _judge_alone(first, pool, zeros)
    rows = {name: _row(first, name, several) for name, several in findings.items()}
    if has_witnesses(settings):
        rows = _with_witnesses(first, rows, findings, settings)
    for name, row in rows.items():
        if row.verdict is Verdict.WRONG and name not in zeros:
            rows[name] = _explained(first, row, findings[name])
    return rows


def _judge_alone(first: Experiment, pool: Pool, zeros: Collection[str]) -> dict[str, Row]:
    """The rows of a candidate that does not run in float64."""
    rows = {}
    dtype, unit = dtype_name(first.pair.dtype), first.pair.precision.unit
    samples = {aspect: first.samples(aspect, precise=False) for aspect in ASPECTS}
    for name in (*first.reference.outputs, *first.reference.leaves):
        pooled, own = pool[name], _unit_of(first, name)
        judgement = pooled.judge(unit, dtype, own)
        if judgement.verdict is Verdict.VACUOUS and name in zeros:
            judgement = dataclasses.replace(judgement, verdict=Verdict.EXACT)
        aspect = None if name in first.reference.outputs else Cotangent.NORMAL
        if judgement.verdict.fails:
            aspect = pooled.shown_by or aspect
        sample = samples[aspect][name]
        row = dataclasses.replace(
            _blank(first, name),
            verdict=judgement.verdict,
            hints=(*judgement.hints, *_shown_by(aspect, judgement.verdict)),
            accuracy=pooled.accuracies(own)[0].ratio,
            resolution=judgement.allowed / pooled.scale if pooled.scale else None,
        )
        allowed = judgement.allowed * first.magnitude(aspect)
        rows[name] = _measured(first, row, sample, allowed, sample.candidate)
    return rows


def _unit_of(first: Experiment, name: str) -> float:
    """The unit roundoff of what one is itself, which is finer than the working precision where dtypes are mixed."""
    outputs = first.reference.outputs
    dtype = (outputs[name] if name in outputs else first.reference.leaves[name]).dtype
    return PRECISIONS[dtype_name(dtype)].unit if dtype.is_floating_point else first.pair.precision.unit


def _row(first: Experiment, name: str, findings: list[Finding]) -> Row:
    """The row of a gradient or an output, from the aspect that says most against it."""
    worst = _worst(findings)
    judgement, seen, sample = worst.judgement, worst.evidence, worst.sample
    assert sample.precise is not None  # a finding is that of a candidate in float64
    allowed = judgement.allowed if math.isfinite(judgement.allowed) else seen.derivation.allowed_first
    by_others = findings[0].judgement.verdict is judgement.verdict
    shown = () if by_others else _shown_by(worst.aspect, judgement.verdict)
    row = dataclasses.replace(
        _blank(first, name),
        verdict=judgement.verdict,
        hints=(*judgement.hints, *shown),
        accuracy=seen.accuracy.ratio if seen.accuracy else None,
        resolution=allowed / seen.derivation.scale if seen.derivation.scale else None,
    )
    if worst.coarse and seen.accuracy is not None:
        return _measured(first, row, sample, seen.accuracy.allowed, sample.candidate)
    return _measured(first, row, sample, allowed, sample.precise)


def _with_witnesses(
    first: Experiment, rows: dict[str, Row], findings: dict[str, list[Finding]], settings: Settings
) -> dict[str, Row]:
    """The rows with what witnesses say, who differentiate the reference; of outputs they say nothing."""
    # Imported only here: a run without witnesses pays nothing for them.
    from gradverify.candidate.forward import inputs_of
    from gradverify.witnesses import Witnesses

    found = {name: one for name, several in findings.items() for one in several if one.aspect is Cotangent.NORMAL}
    inputs = inputs_of(first.pair, first.exact.run)
    witnesses = Witnesses(inputs.case, inputs, first.cotangents(Cotangent.NORMAL), settings)
    return witnesses.hear(
        rows,
        {name: one.sample.precise for name, one in found.items() if one.sample.precise is not None},
        {name: one.sample.exact for name, one in found.items()},
        {name: _explained_by_rounding(one) for name, one in found.items()},
    )


def _explained_by_rounding(finding: Finding) -> float:
    """The largest difference that rounding explains, away from kinks."""
    judgement = finding.judgement
    return judgement.allowed if judgement.verdict is Verdict.OK else finding.evidence.derivation.allowed_first


def _worst(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda one: _SEVERITY.index(one.judgement.verdict))


def _explained(first: Experiment, row: Row, findings: list[Finding]) -> Row:
    """The row with what is known of its mistake."""
    # Imported only here: a run that passes pays for none of this.
    from gradverify.candidate.explanation import explain

    worst = _worst(findings)
    seen = worst.evidence
    hint = None if worst.coarse else explain(first, row.name, worst, worst.judgement.allowed)
    hints = row.hints if hint is None else (hint, *row.hints)
    if not worst.coarse and seen.accuracy is not None and _is_only_in_float64(seen.derivation.error, seen.accuracy):
        hints = (*hints, _UNSUPPORTED.format(dtype=dtype_name(first.pair.dtype)))
    return dataclasses.replace(row, hints=hints)


def _is_only_in_float64(error: float, accuracy: Accuracy) -> bool:
    """Whether it is further off in float64 than where it is used."""
    return error > WORST_ACCURACY * accuracy.unit * accuracy.scale and accuracy.candidate_error <= accuracy.allowed


def _measured(first: Experiment, row: Row, sample: Sample, allowed: float, told: Tensor) -> Row:
    """The row with what was compared, and where the values that tell most differ most."""
    above, nonzero = count_above(sample.exact, allowed)
    row = dataclasses.replace(
        row,
        coverage=above / nonzero if nonzero else None,
        nonfinite=int(sample.exact.numel() - sample.exact.isfinite().sum()),
        comparison=compare(sample.candidate, sample.reference),
    )
    if not row.verdict.fails and sample.candidate.dtype != sample.reference.dtype and sample.exact.numel():
        row = _of_another_dtype(row, sample)
    if row.verdict not in (Verdict.EXACT, Verdict.OK):
        found = worst_element(as_numbers(told), sample.exact)
        limit = allowed if math.isfinite(allowed) else None
        row = dataclasses.replace(row, worst=None if found is None else Worst(*found, allowed=limit))
        row = _without_gradient(first, row)
    if first.detailed:
        row = measure(row, (sample.candidate, sample.reference), (as_numbers(told), sample.exact))
    return row


def _of_another_dtype(row: Row, sample: Sample) -> Row:
    """An output whose dtype is not the reference's; the width of integers is nobody's concern."""
    if not sample.reference.is_floating_point():
        return row
    own, other = dtype_name(sample.candidate.dtype), dtype_name(sample.reference.dtype)
    hint = f"it is {own}, the reference's {other}: let both return the same dtype"
    return dataclasses.replace(row, verdict=Verdict.DTYPE, hints=(hint, *row.hints))


def _without_gradient(first: Experiment, row: Row) -> Row:
    """A row whose gradient the candidate does not give at all."""
    if row.name not in first.reference.leaves or row.verdict not in (Verdict.WRONG, Verdict.VACUOUS):
        return row
    if first.call_candidate().gradients(first.cotangents(Cotangent.NORMAL))[row.name] is not None:
        return row
    if row.verdict is Verdict.VACUOUS:
        return dataclasses.replace(
            row, hints=("no output depends on it, in neither of the two: list it in `constants`", *row.hints)
        )
    hint = "the candidate's backward gives None for it, or its forward is detached from it; the reference's is not zero"
    return dataclasses.replace(row, verdict=Verdict.MISSING, hints=(hint,))


def _shown_by(aspect: Aspect, verdict: Verdict) -> tuple[str, ...]:
    told = aspect not in (None, Cotangent.NORMAL) and verdict not in (Verdict.EXACT, Verdict.OK)
    return (f"shown by an upstream gradient that is {aspect}",) if told else ()


def _blank(first: Experiment, name: str) -> Row:
    """A row that says what it is of and where that is written, and as yet nothing else."""
    outputs = first.reference.outputs
    tensor = outputs[name] if name in outputs else first.reference.leaves[name]
    where = defined_at(first.pair.candidate.function) if name in outputs else backward_of(first.candidate)
    return Row(
        name=name,
        shape=tuple(tensor.shape),
        dtype=dtype_name(tensor.dtype),
        verdict=Verdict.MISSING,
        passed=False,
        file=None if where is UNKNOWN else where.file,
        line=None if where is UNKNOWN else where.line,
    )
