"""verify: a case or a candidate in, a report out; check raises instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradverify.case import Case, is_case_class, sizes_of, with_sizes
from gradverify.configuration import Configuration, configurations
from gradverify.errors import GradientMismatch, UsageError
from gradverify.examination import examine, verify_at
from gradverify.function_case import FunctionCase, function_case
from gradverify.report import Report
from gradverify.settings import read_settings
from gradverify.sweep import FITTING, Sweep, sweep_sizes

if TYPE_CHECKING:
    from gradverify.oracles.estimate import Oracle


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
        return verify_at(made, configuration)
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


def _case_of(
    case: Case | type[Case] | Callable[..., object], sizes: Mapping[str, int] | None, **arguments: Any
) -> Case:
    """The case itself, or the one that a candidate and its arguments make."""
    if is_case_class(case):
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


def _verify_sweep(case: Case, configuration: Configuration, sweep: Sweep) -> Report:
    """The first report that failed, or that of the case itself, with what became of all of them."""
    if isinstance(case, FunctionCase) and case.call is not None and not callable(case.call.inputs):
        raise UsageError(
            "sweep= needs inputs that depend on sizes: pass a function, inputs=f(generator, n=8, m=3), that draws them"
        )
    # An error of the case as it is written is raised; at other sizes it hides nothing that was found at the rest.
    first = verify_at(case, configuration)
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
