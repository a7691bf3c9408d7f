"""One case at one configuration: its passes are run and judged, and a report or a graph comes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import torch

from gradverify.assessment import assess
from gradverify.candidate.assessment import assess_candidate
from gradverify.case import Case, check_sizes
from gradverify.configuration import Configuration, identity_of
from gradverify.errors import GradverifyError, UsageError
from gradverify.function_case import FunctionCase
from gradverify.graph import Graph
from gradverify.inputs import draw_inputs
from gradverify.measurement import run_pass
from gradverify.report import Clause, Failure, Report, Row
from gradverify.scope import user_traceback
from gradverify.settings import has_witnesses
from gradverify.sweep import excuse
from gradverify.verdict import Verdict

_UNHEARD_NOTE = "quick: the witnesses were not heard, who need float64"
_QUICK_NOTE = (
    "quick: judged in {dtype} alone, against autograd in {dtype}. It cannot see an error smaller than the resolution "
    "shown, nor whether the precision is used well; run without quick for a verdict from float64"
)


def examine(case: Case, configuration: Configuration) -> Report:
    """Verify a case; what the user got wrong becomes the report's error instead of an exception."""
    try:
        return verify_at(case, configuration)
    except GradverifyError as error:
        return Report(**identity_of(case, configuration), error=failure_of(error))


def verify_at(case: Case, configuration: Configuration) -> Report:
    """Verify a case at its sizes, or at those of a sweep, where a gradient that nothing exercises is excused.

    Raises:
        GradverifyError: where the case itself is at fault.
    """
    report = _judge(case, configuration)
    return excuse(report) if configuration.swept else report


def sketch(case: Case, configuration: Configuration, rows: Iterable[Row] = ()) -> Graph:
    """The graph of a case's forward, or of a candidate's reference; it needs no backward, nor a verdict.

    Raises:
        GradverifyError: for whatever the forward does wrong.
    """
    from gradverify.topology import graph_of_candidate, graph_of_case

    check_sizes(case)
    dtype, device = getattr(torch, configuration.dtype), _device(configuration.device)
    constants = configuration.settings.constants or frozenset()
    if isinstance(case, FunctionCase):
        return graph_of_candidate(case, configuration.seed, dtype, device, constants, rows)
    return graph_of_case(case, draw_inputs(case, configuration.seed, dtype, device, constants), dtype, rows=rows)


def failure_of(error: GradverifyError) -> Failure:
    """What a report says of an error."""
    where = error.location
    return Failure(
        kind=type(error).__name__,
        message=error.message,
        file=where.file if where else None,
        line=where.line if where else None,
        traceback=user_traceback(error),
    )


def _judge(case: Case, configuration: Configuration) -> Report:
    check_sizes(case)
    if isinstance(case, FunctionCase):
        return _judge_candidate(case, configuration)
    settings = configuration.settings
    dtype = getattr(torch, configuration.dtype)
    inputs = draw_inputs(
        case, configuration.seed, dtype, _device(configuration.device), settings.constants or frozenset()
    )
    working = run_pass(case, inputs, dtype, partial=bool(settings.partial))
    notes: tuple[str, ...] = (_QUICK_NOTE.format(dtype=configuration.dtype),) if configuration.quick else ()
    judging, assessment = working, None
    if configuration.quick:
        assessment = assess(case, inputs, working, working, settings)
        doubtful = [row.name for row in assessment.rows if row.verdict is Verdict.INCONCLUSIVE]
        if doubtful:
            # One ulp of float32 is coarse: a sum that cancels looks like a kink. Only float64 tells them apart.
            notes = (f"quick: float64 was needed after all, because of {', '.join(doubtful)}",)
            assessment = None
    if assessment is None:
        judging = run_pass(
            case,
            inputs,
            torch.float64,
            partial=bool(settings.partial),
            cotangents=working.cotangents,
            noise_of=working.candidates,
        )
        working = judging if dtype == torch.float64 else working
        hear = None
        if has_witnesses(settings):
            # Imported only here: a run without witnesses pays nothing for them.
            from gradverify.witnesses import Witnesses

            hear = Witnesses(case, inputs, judging.cotangents, settings).hear
        assessment = assess(case, inputs, working, judging, settings, hear=hear)
    elif has_witnesses(settings):
        notes += (_UNHEARD_NOTE,)
    rows = assessment.rows
    if not all(row.passed for row in rows):
        # Imported only here: a run that passes pays for none of this.
        from gradverify.origin import find_origins

        rows = find_origins(case, inputs, working, judging, assessment)
    if configuration.detailed:
        from gradverify.inspection import add_details

        rows = add_details(rows, working, judging, assessment.coarse)
    given_outputs = set(working.forward.outputs) - set(working.candidates)
    report = Report(
        **identity_of(case, configuration),
        rows=rows,
        derived=len(working.candidates),
        named=len(set(working.forward.differentiable) - given_outputs),
        notes=notes,
    )
    if not configuration.detailed:
        return report
    from gradverify.topology import graph_of_case

    # What fails only at the working precision is shown with the error that it has there.
    candidates = {**judging.candidates, **{name: working.candidates[name] for name in assessment.coarse}}
    return _with_graph(
        report,
        lambda: graph_of_case(
            case, inputs, judging.forward.dtype, cotangents=judging.cotangents, candidates=candidates, rows=rows
        ),
    )


def _judge_candidate(case: FunctionCase, configuration: Configuration) -> Report:
    found = assess_candidate(
        case,
        configuration.seed,
        getattr(torch, configuration.dtype),
        _device(configuration.device),
        configuration.settings,
        quick=configuration.quick,
        detailed=configuration.detailed,
    )
    contract: tuple[Clause, ...] = ()
    if not configuration.quick and found.first is not None:
        # Imported only here: a case with steps has no backward of its own to audit.
        from gradverify.contract import audit

        contract = audit(found.pair, found.first, strict=bool(configuration.settings.strict))
    report = Report(
        **identity_of(case, configuration),
        rows=found.rows,
        contract=contract,
        derived=len(found.rows),
        named=len(found.rows),
        notes=found.notes,
    )
    return _with_graph(report, lambda: sketch(case, configuration, found.rows)) if configuration.detailed else report


def _with_graph(report: Report, draw: Callable[[], Graph]) -> Report:
    """The report with its graph; one that cannot be had leaves the verdicts as they are."""
    try:
        return dataclasses.replace(report, graph=draw())
    except GradverifyError as error:
        return dataclasses.replace(report, notes=(*report.notes, f"there is no graph: {error.message}"))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # which a tensor without data, on "meta", does not have
    except (RuntimeError, AssertionError) as error:  # AssertionError: "Torch not compiled with CUDA enabled"
        reason = str(error).splitlines()[0]
        raise UsageError(f"the device {name!r} cannot be used here: {reason}") from None
    return device
