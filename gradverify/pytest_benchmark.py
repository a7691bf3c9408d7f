"""`--gradverify-benchmark`: the backward of each case and autograd's, as two items of pytest-benchmark in one group."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gradverify.bench.benchmark import bench, draw_contest
from gradverify.bench.stopwatch import Stopwatch
from gradverify.case import Case, changed_sizes
from gradverify.function_case import FunctionCase
from gradverify.pytest_failure import failure_of
from gradverify.pytest_items import CaseItem, class_of, free_name, marks_of
from gradverify.pytest_options import options_of
from gradverify.report import Report
from gradverify.timing import Benchmark, Ratio, Timing

if TYPE_CHECKING:
    from gradverify.configuration import Configuration

# How long an item lasts, about, and within which number of rounds.
_SECONDS = 0.5
_FEWEST_ROUNDS, _MOST_ROUNDS = 5, 1000


class BenchmarkItem(CaseItem):
    """One pass of a case, its backward timed on a graph that the setup of each round builds."""


class _Subject:
    """A case that is timed, and what both of its items tell of it; measured once, by the first that runs."""

    def __init__(self, case: Case, configuration: Configuration) -> None:
        self.case = case
        self.configuration = configuration
        self._result: Benchmark | None = None

    @property
    def passes(self) -> tuple[str, ...]:
        """The names of its items."""
        return ("candidate", "reference") if isinstance(self.case, FunctionCase) else ("manual", "autograd")

    def measure(self, seconds: float) -> Benchmark:
        """Both passes in pairs, verified before and after."""
        if self._result is None:
            self._result = bench(self.case, self.configuration, seconds=seconds)
        return self._result


def make_benchmarks(items: Sequence[CaseItem]) -> list[BenchmarkItem]:
    """Two items for each item of a case; none where it is not fit to run, or has nothing to be held against."""
    made = []
    for item in items:
        case = item.entry if isinstance(item.entry, Case) else None
        if not item.runs:
            continue
        if case is None:
            case = class_of(item.entry)()  # what made the item has made one before
        if isinstance(case, FunctionCase) and type(case).reference is None:
            continue
        subject = _Subject(case, item.runs[0])
        alone = sum(other.entry is item.entry for other in items) == 1
        made += [_make_item(item, subject, name, with_dtype=not alone) for name in subject.passes]
    return made


def _make_item(item: CaseItem, subject: _Subject, name: str, *, with_dtype: bool) -> BenchmarkItem:
    def time_pass() -> None:
        __tracebackhide__ = True
        _time(made, subject, name)

    marks = pytest.mark.benchmark(group=f"{item.name}: backward", timer=_timer(subject.configuration.device))
    # As a mark and not as an argument, of which pytest takes the first for `self` within a test class.
    time_pass.pytestmark = [  # type: ignore[attr-defined]  # where pytest looks for marks
        *marks_of(class_of(item.entry)),
        pytest.mark.usefixtures("benchmark").mark,
        marks.mark,
    ]
    cls, _, inside = item.name[:-1].partition("[")
    parts = [inside] if with_dtype else [f"{size}={value}" for size, value in changed_sizes(subject.case).items()]
    own = free_name(item.parent, f"{cls}[{'-'.join([*parts, name])}]", item.entry)  # type: ignore[arg-type]  # a collector made it
    made: BenchmarkItem = BenchmarkItem.from_parent(item.parent, name=own, callobj=time_pass)
    made.entry, made.runs = item.entry, ()
    return made


def _timer(device: str) -> Callable[[], float]:
    """The clock; pytest-benchmark wants a function, whose name it writes down."""
    if torch.device(device).type == "cpu":
        return time.perf_counter
    stopwatch = Stopwatch(torch.device(device))

    def synchronized_clock() -> float:
        return stopwatch()

    return synchronized_clock


def _time(item: BenchmarkItem, subject: _Subject, name: str) -> None:
    __tracebackhide__ = True
    benchmark: Any = item.funcargs["benchmark"]
    result = subject.measure(_SECONDS if benchmark.enabled else 0.0)
    if result.error is not None:
        report = Report(result.case, result.dtype, result.device, result.seed, result.sizes, error=result.error)
        failure = failure_of([report], options_of(item.config).style)

        def refuse() -> None:
            __tracebackhide__ = True
            raise failure

        benchmark.pedantic(refuse)  # within it, or pytest-benchmark warns that its fixture was not used
    contest = draw_contest(subject.case, subject.configuration)
    contender = next(one for one in contest.contenders if one.name == name)
    timing = next(one for one in result.timings if one.name == name)
    rounds = min(max(int(_SECONDS / timing.both), _FEWEST_ROUNDS), _MOST_ROUNDS)
    before = torch.get_num_threads()
    torch.set_num_threads(result.threads)
    try:
        with contest.ambient(), contender.entered():
            # A graph of its own each round; torch.autograd.grad leaves no .grad behind.
            benchmark.pedantic(
                contender.backward, setup=lambda: ((contender.forward(),), {}), rounds=rounds, warmup_rounds=2
            )
    finally:
        torch.set_num_threads(before)
    benchmark.extra_info.update(_extra_info(result, timing))


def _extra_info(result: Benchmark, timing: Timing) -> dict[str, Any]:
    """What the item tells beyond its times: the ratio to the first pass, of the pair, and its own bytes."""
    ratios = result.timings[1].ratios
    assert ratios is not None  # only the first pass has none
    return {
        "ratio": ratios.both.value,
        "ratio_interval": _bounds(ratios.both),
        "ratio_forward": ratios.forward.value,
        "ratio_forward_interval": _bounds(ratios.forward),
        "ratio_backward": ratios.backward.value,
        "ratio_backward_interval": _bounds(ratios.backward),
        "pairs": result.pairs,
        "threads": result.threads,
        "kept_bytes": timing.kept,
        "peak_bytes": timing.peak,
    }


def _bounds(ratio: Ratio) -> list[float]:
    return [ratio.low, ratio.high]
