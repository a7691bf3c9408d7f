"""The fixture `gradverify`: gradients checked inside a test function, and told at the end of the session."""

from __future__ import annotations

import itertools
import sys
from types import FrameType, TracebackType
from typing import Any

import pytest
from torch import Tensor

from gradverify.case import Case, settings_of
from gradverify.comparison import compare
from gradverify.errors import GradientMismatch, UsageError
from gradverify.location import caller, statement
from gradverify.pytest_options import marker_settings, options_of
from gradverify.pytest_summary import REPORTS
from gradverify.render.table import render_table
from gradverify.report import Comparison, Report, Row, Worst
from gradverify.settings import NAMES, Settings, read_settings
from gradverify.verdict import Verdict
from gradverify.verification import check, verify

# What a mark can say of a test; the other settings belong to the class of a case.
_SETTINGS_OF_TESTS = frozenset({"dtypes", "devices", "seeds", "oracles", "strict", "partial"})


class GradverifyFixture:
    """What a test gets that asks for the fixture `gradverify`."""

    def __init__(self, item: pytest.Item, overrides: Settings) -> None:
        """Start with nothing gathered; `overrides` are the settings of the command line and of marks."""
        self._item = item
        self._options = options_of(item.config)
        self._overrides = overrides
        self._reports: list[Report] = []
        self._rows: list[Row] = []
        self._device = ""
        self._first_failure: TracebackType | None = None
        item.stash[REPORTS] = self._reports

    def cmp(self, name: str, candidate: Tensor, tensor: Tensor) -> Comparison:
        """Compare a gradient with `tensor.grad`; if any differs, the test fails at its end with all of them.

        What differs is another shape or dtype, or what `torch.allclose` says: a fixed tolerance, for gradients that are
        no case yet. `check` judges against rounding instead.

        Raises:
            UsageError: if the tensor has no `.grad`.
        """
        __tracebackhide__ = True
        comparison = compare(candidate, _gradient_of(name, tensor))
        row = _judge_by_allclose(name, comparison)
        if self._options.html is not None:
            row = _detail(row, candidate, _gradient_of(name, tensor))
        self._rows.append(row)
        self._device = str(tensor.device)
        if not row.passed and self._first_failure is None:
            self._first_failure = _traceback_to(sys._getframe(1))
        return comparison

    def verify(self, case: Case | type[Case], **arguments: Any) -> Report:
        """`gradverify.verify`, under the settings of the session and of marks; an argument given here wins."""
        __tracebackhide__ = True
        report = verify(case, **self._fill_in(case, arguments))
        self._reports.append(report)
        return report

    def check(self, case: Case | type[Case], **arguments: Any) -> Report:
        """`gradverify.check`, under the settings of the session and of marks; an argument given here wins."""
        __tracebackhide__ = True
        try:
            report = check(case, **self._fill_in(case, arguments))
        except GradientMismatch as mismatch:
            self._reports.append(mismatch.report)
            raise
        self._reports.append(report)
        return report

    def finish(self) -> None:
        """Judge the rows gathered so far.

        Raises:
            GradientMismatch: if one failed, from the line that compared it.
        """
        __tracebackhide__ = True
        if not self._rows:
            return
        report = Report(
            case=self._item.name,
            dtype=self._rows[0].dtype,
            device=self._device,
            seed=0,  # the test draws its own inputs
            sizes={},
            rows=tuple(self._rows),
            derived=len(self._rows),
            named=len(self._rows),
        )
        self._reports.append(report)
        self._rows = []
        where, self._first_failure = self._first_failure, None
        if not report.passed:
            raise GradientMismatch(render_table(report, style=self._options.style), report).with_traceback(where)

    def finish_after_error(self) -> None:
        """Judge the rows gathered so far where the test has raised already: they become a section of its report."""
        try:
            self.finish()
        except GradientMismatch as mismatch:
            self._item.add_report_section("call", "gradverify", str(mismatch))

    def _fill_in(self, case: Case | type[Case], arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments of the call; what they leave open is taken from overrides, the case, the ini file."""
        settings = self._overrides.over(settings_of(case)).over(self._options.defaults)
        chosen = {
            "dtype": settings.dtypes and settings.dtypes[0],
            "device": settings.devices and settings.devices[0],
            "seed": settings.seeds and settings.seeds[0],
            "oracles": settings.oracles,
            "strict": settings.strict,
            "partial": settings.partial,
            "detailed": self._options.html is not None,
        }
        return {**chosen, **arguments}


def make_fixture(request: pytest.FixtureRequest) -> GradverifyFixture:
    """The fixture for one test."""
    overrides = getattr(request, "param", None) or _overrides(request.node)
    return GradverifyFixture(request.node, overrides)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each of several dtypes, devices and seeds that the command line or a mark names.

    Raises:
        CollectError: for a mark that does not fit.
    """
    test = metafunc.definition
    try:
        overrides = _overrides(test)
    except UsageError as error:
        raise pytest.Collector.CollectError(f"{test.nodeid}: {error.message}") from None
    if "gradverify" not in metafunc.fixturenames:
        return
    choices = {name: getattr(overrides, name) or (None,) for name in ("devices", "dtypes", "seeds")}
    varying = [name for name, values in choices.items() if len(values) > 1]
    if varying:
        combinations = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
        metafunc.parametrize(
            "gradverify",
            [read_settings(one).over(overrides) for one in combinations],
            ids=["-".join(str(one[name]) for name in varying) for one in combinations],
            indirect=True,
        )


def _overrides(test: pytest.Item) -> Settings:
    """The settings of the command line over those of the test's marks."""
    marked = marker_settings(test.iter_markers("gradverify"))
    alien = [name for name in NAMES if getattr(marked, name) is not None and name not in _SETTINGS_OF_TESTS]
    if alien:
        raise UsageError(
            f"@pytest.mark.gradverify: {alien[0]} is a setting of a case: write it in the class body; a test function "
            f"takes {', '.join(sorted(_SETTINGS_OF_TESTS))}"
        )
    return options_of(test.config).overrides.over(marked)


def _gradient_of(name: str, tensor: Tensor) -> Tensor:
    # torch warns of `.grad` where a tensor does not keep it.
    gradient = tensor.grad if tensor.is_leaf or tensor.retains_grad else None
    if gradient is None:
        raise UsageError(
            f"{name}: the tensor has no `.grad`; call `backward()` first, and before it `retain_grad()` on what is "
            "computed from other tensors"
        )
    return gradient


def _judge_by_allclose(name: str, comparison: Comparison) -> Row:
    where = caller()
    verdict = _verdict(comparison)
    hint = "judged by allclose, |candidate - reference| <= 1e-08 + 1e-05 |reference|; `check` judges against rounding"
    return Row(
        name=name,
        shape=comparison.shape,
        dtype=comparison.dtype,
        verdict=verdict,
        passed=not verdict.fails,
        file=where.file,
        line=where.line,
        source=statement(where),
        hints=(hint,) if verdict in (Verdict.OK, Verdict.WRONG) else (),
        worst=Worst(comparison.index, comparison.candidate, comparison.reference, None) if comparison.index else None,
        comparison=comparison,
    )


def _detail(row: Row, candidate: Tensor, reference: Tensor) -> Row:
    """The row with what a page shows of it."""
    # Imported only here: only a page needs it.
    from gradverify.inspection import is_comparable, measure, quote

    pair = (candidate, reference)
    return quote(measure(row, pair, pair) if is_comparable(row) else row)


def _verdict(comparison: Comparison) -> Verdict:
    if comparison.candidate_shape != comparison.shape:
        return Verdict.SHAPE
    if comparison.candidate_dtype != comparison.dtype:
        return Verdict.DTYPE
    if comparison.exact:
        return Verdict.EXACT
    return Verdict.OK if comparison.approximate else Verdict.WRONG


def _traceback_to(frame: FrameType | None) -> TracebackType | None:
    """The traceback that an exception raised in the frame would have."""
    traceback = None
    while frame is not None:
        traceback = TracebackType(traceback, frame, frame.f_lasti, frame.f_lineno)
        frame = frame.f_back
    return traceback
