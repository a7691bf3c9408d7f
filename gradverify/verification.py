"""verify: a case or a candidate in, a report out; check raises instead."""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradverify.assessment import assess
from gradverify.candidate.assessment import assess_candidate
from gradverify.case import Case, changed_sizes, check_sizes, settings_of, sizes_of, with_sizes
from gradverify.errors import GradientMismatch, GradverifyError, UsageError
from gradverify.evaluation import draw_inputs
from gradverify.function_case import FunctionCase, function_case
from gradverify.graph import Graph
from gradverify.measurement import run_pass
from gradverify.report import Clause, Environment, Failure, Report, Row
from gradverify.scope import user_traceback
from gradverify.settings import DEFAULTS, NOTHING, Settings, has_witnesses, read_settings
from gradverify.sweep import FITTING, Sweep, excuse, sweep_sizes
from gradverify.verdict import Verdict

if TYPE_CHECKING:
    from gradverify.oracles.estimate import Oracle

_UNHEARD_NOTE = "quick: the witnesses were not heard, who need float64"
_QUICK_NOTE = (
    "quick: judged in {dtype} alone, against autograd in {dtype}. It cannot see an error smaller than the resolution "
    "shown, nor whether the precision is used well; run without quick for a verdict from float64"
)


@dataclass(frozen=True)
class Configuration:
    """One way to run a case: a dtype, a device, a seed, and the settings that judge.

    `quick` runs the working precision alone. `swept` says that the sizes are not the case's own, but those of a sweep.
    `detailed` gathers what a page shows and a terminal cannot: where in the tensor the errors are, how many there are
    of each size, the source around the statement, the graph.
    """

    dtype: str
    device: str
    seed: int
    settings: Settings = DEFAULTS
    _: KW_ONLY
    quick: bool = False
    swept: bool = False
    detailed: bool = False


def verify(
    case: Case | type[Case] | Callable[..., object],
    *,
    inputs: object = None,
    reference: Callable[..., object] | None = None,
    options: Mapping[str, object] | None = None,
    constants: Iterable[str] = (),
    outputs: Sequence[str | None] | None = None,
    parameters: Callable[..., Mapping[str, Tensor]] | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    oracles: str | Oracle | Sequence[str | Oracle] | None = None,
    strict: bool | None = None,
    partial: bool | None = None,
    quick: bool = False,
    sweep: int | None = None,
    detailed: bool = False,
) -> Report:
    """Verify every hand-derived gradient of a case against autograd, or a candidate against its reference.

    Args:
        case: a Case, or a class of it, which is made with its default sizes; or a candidate that brings its own
            backward: a function, `Function.apply`, a module, an op.
        inputs: of a candidate: a sequence, a mapping whose keys name the rows, or `f(generator, **sizes)` that
            returns one. Tensors keep the dtype that they are given with.
        reference: what a candidate is held against, called alike.
        options: keyword arguments for candidate and reference.
        constants: floating inputs and parameters of a candidate that are not differentiated.
        outputs: the names of the outputs that are compared, in their order; None passes one over.
        parameters: maps the parameters of a candidate module, by name, to those of the reference.
        sizes: other values for some size fields.
        seed: of the inputs; the first of the case's `seeds` where it is not given.
        dtype: the working precision; the first of the case's `dtypes` where it is not given.
        device: where to run; the first of the case's `devices` where it is not given.
        oracles: who says what a gradient should be, by name or made with options: the first gives the reference,
            the others are witnesses; autograd is the first where it is not among them.
        strict: imprecise gradients fail.
        partial: gradients not yet derived do not fail.
        quick: run the working precision alone; the report's notes say what that cannot see.
        sweep: verify at so many combinations of the sizes, those of the case first; see `gradverify.sweep`. Sizes in
            `sizes` stay as they are. The report is the first that failed, else that of the case's own sizes; its
            notes name every combination that was run.
        detailed: gather what only a page shows, see `Row.details`.

    Raises:
        GradverifyError: where the case itself is at fault (a name that does not exist, a backward that
            raises); a gradient that is not right is a result, not an error.
    """
    overrides = read_settings(
        {
            "seeds": seed,
            "dtypes": dtype,
            "devices": device,
            "oracles": oracles,
            "strict": strict,
            "partial": partial,
        }
    )
    made = _case_of(
        case,
        sizes,
        inputs=inputs,
        reference=reference,
        options=options,
        constants=constants,
        outputs=outputs,
        parameters=parameters,
    )
    before, made = made, with_sizes(made, sizes or {})
    configuration = configurations(made, overrides, quick=quick, detailed=detailed)[0]
    if sweep is None:
        return _verify(made, configuration)
    return _verify_sweep(made, configuration, sweep_sizes(made, sweep, held=_held(before, sizes or {})))


def check(
    case: Case | type[Case] | Callable[..., object],
    *,
    inputs: object = None,
    reference: Callable[..., object] | None = None,
    options: Mapping[str, object] | None = None,
    constants: Iterable[str] = (),
    outputs: Sequence[str | None] | None = None,
    parameters: Callable[..., Mapping[str, Tensor]] | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    oracles: str | Oracle | Sequence[str | Oracle] | None = None,
    strict: bool | None = None,
    partial: bool | None = None,
    quick: bool = False,
    sweep: int | None = None,
    detailed: bool = False,
) -> Report:
    """Verify a case and raise where a gradient is not right; the arguments are those of `verify`.

    Raises:
        GradientMismatch: if the report did not pass; its `report` holds everything.
    """
    report = verify(
        case,
        inputs=inputs,
        reference=reference,
        options=options,
        constants=constants,
        outputs=outputs,
        parameters=parameters,
        sizes=sizes,
        seed=seed,
        dtype=dtype,
        device=device,
        oracles=oracles,
        strict=strict,
        partial=partial,
        quick=quick,
        sweep=sweep,
        detailed=detailed,
    )
    if not report.passed:
        raise GradientMismatch(str(report), report)
    return report


def configurations(
    case: Case,
    overrides: Settings = NOTHING,
    defaults: Settings = NOTHING,
    *,
    quick: bool = False,
    detailed: bool = False,
) -> list[Configuration]:
    """Every way to run a case: the product of its devices, dtypes and seeds.

    Args:
        case: its own settings lie between the two others.
        overrides: what the command line or a marker says.
        defaults: what an ini file says.
        quick: run the working precision alone.
        detailed: gather what only a page shows.
    """
    settings = overrides.over(settings_of(case)).over(defaults).over(DEFAULTS)
    return [
        Configuration(dtype, device, seed, settings, quick=quick, detailed=detailed)
        for device in settings.devices or ()
        for dtype in settings.dtypes or ()
        for seed in settings.seeds or ()
    ]


def examine(case: Case, configuration: Configuration) -> Report:
    """Verify a case; what the user got wrong becomes the report's error instead of an exception."""
    try:
        return _verify(case, configuration)
    except GradverifyError as error:
        return dataclasses.replace(_blank(case, configuration), error=failure_of(error))


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


def describe_environment(devices: Iterable[str] = ("cpu",)) -> Environment:
    """The environment that results depend on."""
    from gradverify import __version__

    names = {
        device: torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.processor() or device
        for device in devices
    }
    python = ".".join(map(str, sys.version_info[:3]))
    return Environment(__version__, torch.__version__, python, platform.platform(), torch.get_num_threads(), names)


def _case_of(
    case: Case | type[Case] | Callable[..., object], sizes: Mapping[str, int] | None, **arguments: Any
) -> Case:
    """The case itself, or the one that a candidate and its arguments make."""
    if isinstance(case, type) and issubclass(case, Case):
        case = case()
    if isinstance(case, Case):
        for name, value in arguments.items():
            if value is not None and not (isinstance(value, tuple) and not value):
                raise UsageError(f"{name}= belongs to a candidate; {type(case).__name__} is a Case and has its own")
        return case
    if not callable(case) or arguments["inputs"] is None:
        raise UsageError(
            "expected a Case or a subclass of it, or a candidate and its inputs, as in verify(f, inputs=[x], "
            f"reference=g); got {case!r}"
        )
    return function_case(case, sizes=sizes, **arguments)


def _blank(case: Case, configuration: Configuration) -> Report:
    return Report(
        case=type(case).__name__,
        dtype=configuration.dtype,
        device=configuration.device,
        seed=configuration.seed,
        sizes=sizes_of(case),
        resized=tuple(changed_sizes(case)),
    )


def _verify(case: Case, configuration: Configuration) -> Report:
    report = _judge(case, configuration)
    return excuse(report) if configuration.swept else report


def _judge(case: Case, configuration: Configuration) -> Report:
    check_sizes(case)
    if isinstance(case, FunctionCase):
        return _verify_candidate(case, configuration)
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
    report = dataclasses.replace(
        _blank(case, configuration),
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


def _verify_sweep(case: Case, configuration: Configuration, sweep: Sweep) -> Report:
    """The first report that failed, or that of the case itself, with what became of all of them."""
    if isinstance(case, FunctionCase) and case.call is not None and not callable(case.call.inputs):
        raise UsageError(
            "sweep= needs inputs that depend on sizes: pass a function, inputs=f(generator, n=8, m=3), that draws them"
        )
    # An error of the case as it is written is raised; at other sizes it hides nothing that was found at the rest.
    first = _verify(case, configuration)
    others = dataclasses.replace(configuration, swept=True)
    reports = [first, *(examine(one, others) for one in sweep.cases[1:])]
    failed = [report for report in reports if not report.passed]
    notes = sweep.notes
    if len(reports) > 1:
        notes = (_tell_sweep(reports, failed), *notes)
    if any(report.error is not None for report in failed):
        notes = (*notes, FITTING)
    told = failed[0] if failed else first
    return dataclasses.replace(told, notes=(*told.notes, *notes))


def _tell_sweep(reports: Sequence[Report], failed: Sequence[Report]) -> str:
    def spell(those: Sequence[Report]) -> str:
        return ", ".join(f"({', '.join(map(str, one.sizes.values()))})" for one in those)

    names = ", ".join(reports[0].sizes)
    sentence = f"sweep: {len(reports)} combinations of sizes were run, ({names}) = {spell(reports)}; "
    sentence += f"{len(failed)} of them failed: {spell(failed)}" if failed else "all of them passed"
    idle = [one for one in reports if one.passed and any(row.verdict.fails for row in one.rows)]
    return sentence + (f"; of some gradients nothing could be told at {spell(idle)}" if idle else "")


def _held(case: Case, sizes: Mapping[str, int]) -> frozenset[str]:
    """The sizes that a sweep leaves alone: those that were given, but for what has no other value to start from."""
    if isinstance(case, FunctionCase) and case.call is not None:
        return frozenset(name for name, value in sizes.items() if sizes_of(case).get(name) != value)
    return frozenset(sizes)


def _verify_candidate(case: FunctionCase, configuration: Configuration) -> Report:
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
    report = dataclasses.replace(
        _blank(case, configuration),
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
