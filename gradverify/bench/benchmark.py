"""bench: a case in, what its passes take in time and memory out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch

from gradverify.bench import called, derived
from gradverify.bench.contender import Contest
from gradverify.bench.interval import paired_ratio
from gradverify.bench.memory import kept_bytes, peak_bytes
from gradverify.bench.race import Phase, Seconds, run_race
from gradverify.case import Case
from gradverify.configuration import Configuration, identity_of
from gradverify.errors import GradverifyError, UsageError
from gradverify.examination import examine, failure_of
from gradverify.function_case import FunctionCase
from gradverify.report import Failure, Report
from gradverify.timing import Benchmark, Ratios, Timing
from gradverify.verdict import Verdict

# How long the passes of a case race: some hundred rounds of small ones.
SECONDS = 1.5


def bench(
    case: Case,
    configuration: Configuration,
    *,
    threads: int = 1,
    compiled: bool = False,
    seconds: float = SECONDS,
) -> Benchmark:
    """Time the hand-derived pass of a case next to autograd's, or a candidate next to its reference.

    A case that does not verify is not timed, and one that no longer does afterwards is as if it had not been.

    Args:
        case: what is timed.
        configuration: at which dtype, on which device, from which seed.
        threads: of the CPU, to which every pass is held.
        compiled: time the reference of a candidate under torch.compile too.
        seconds: how long the passes race, if that is enough for a few rounds.

    Raises:
        UsageError: for a number of threads that is none.
    """
    if threads < 1:
        raise UsageError(f"threads: expected 1 or more, got {threads}")
    blank = Benchmark(**identity_of(case, configuration), threads=threads)
    report = examine(case, configuration)
    if report.error is not None:
        return dataclasses.replace(blank, error=report.error)
    reason = _unfit(report)
    if reason is not None:
        return dataclasses.replace(blank, error=_failure(report, reason))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = _time(case, configuration, blank, compiled=compiled, seconds=seconds)
    except GradverifyError as error:
        return dataclasses.replace(blank, error=failure_of(error))
    finally:
        torch.set_num_threads(before)
    again = examine(case, configuration)
    if not again.passed:
        told = again.error.message if again.error is not None else _wrong(again)
        return dataclasses.replace(blank, error=_failure(again, f"after it was timed it no longer verifies: {told}"))
    return found


def _time(case: Case, configuration: Configuration, blank: Benchmark, *, compiled: bool, seconds: float) -> Benchmark:
    device = torch.device(configuration.device)
    contest = draw_contest(case, configuration, compiled=compiled)
    with contest.ambient():
        # Apart, and not timed: what watches the memory takes time.
        kept = {one.name: kept_bytes(one) for one in contest.contenders}
        peaks = {one.name: peak_bytes(one, device) for one in contest.contenders}
        samples = run_race(contest.contenders, device, threads=blank.threads, seconds=seconds)
    names = [one.name for one in contest.contenders]
    timings = tuple(
        Timing(
            name,
            forward=_median(samples[name, Phase.FORWARD]),
            backward=_median(samples[name, Phase.BACKWARD]),
            both=_median(samples[name, Phase.BOTH]),
            kept=kept[name],
            peak=peaks[name],
            ratios=_ratios(samples, name, names[0]) if name != names[0] else None,
        )
        for name in names
    )
    pairs = len(samples[names[0], Phase.BOTH])
    return dataclasses.replace(blank, pairs=pairs, timings=timings, notes=contest.notes)


def draw_contest(case: Case, configuration: Configuration, *, compiled: bool = False) -> Contest:
    """The passes of a case that has been verified in this configuration, ready to be timed.

    Raises:
        GradverifyError: for whatever the case does wrong.
    """
    where = (
        configuration.seed,
        getattr(torch, configuration.dtype),
        torch.device(configuration.device),
        configuration.settings.constants or frozenset(),
    )
    if isinstance(case, FunctionCase):
        return called.draw_contest(case, *where, compiled=compiled)
    return derived.draw_contest(case, *where)


def _ratios(samples: Seconds, name: str, first: str) -> Ratios:
    forward, backward, both = (paired_ratio(samples[name, phase], samples[first, phase]) for phase in Phase)
    return Ratios(forward, backward, both)


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)  # of an odd number
    return ordered[len(ordered) // 2]


def _unfit(report: Report) -> str | None:
    """Why the passes of a case cannot be held against each other; None where they can."""
    if not report.passed:
        return f"it does not verify: {_wrong(report)}"
    absent = [row.name for row in report.rows if row.verdict in (Verdict.MISSING, Verdict.GIVEN)]
    if absent:
        return f"d.{absent[0]} is not derived yet, so that there is no whole pass to time"
    known = [row.name for row in report.rows if row.verdict is Verdict.KNOWN]
    if known:
        return f"d.{known[0]} is known to be wrong, and a wrong pass may well be quick"
    return None


def _wrong(report: Report) -> str:
    row = report.failed_rows[0]
    others = len(report.failed_rows) - 1
    return f"d.{row.name} is {row.verdict}" + (f", and so are {others} more" if others > 1 else "")


def _failure(report: Report, message: str) -> Failure:
    row = next(iter(report.failed_rows), None)
    return Failure("NotTimed", message, file=row.file if row else None, line=row.line if row else None)
