"""Reports: data that says whether it passed, refuses to be taken for a boolean, and survives another process."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from gradverify.report import Comparison, Environment, Failure, Report, Row, Worst
from gradverify.verdict import Verdict

RIGHT = Row("W", (2, 3), "float32", Verdict.OK, True)
WRONG = Row("b", (3,), "float32", Verdict.WRONG, False, file="/cases/net.py", line=7, source="d.b = d.z")
REPORT = Report(case="Net", dtype="float32", device="cpu", seed=1, sizes={"n": 3}, rows=(RIGHT, WRONG))
COMPARISON = Comparison(
    shape=(3,),
    candidate_shape=(3,),
    dtype="float32",
    candidate_dtype="float32",
    numel=3,
    exact=False,
    approximate=True,
    maxdiff=0.5,
    index=(1,),
    candidate=1.5,
    reference=1.0,
    max_ulp=4,
    relative_error=0.1,
    differing=1,
    candidate_nonfinite=0,
    reference_nonfinite=0,
)


@pytest.mark.parametrize(
    ("rows", "error", "passed"),
    [
        ((RIGHT,), None, True),
        ((), None, True),
        ((RIGHT, WRONG), None, False),
        ((RIGHT,), Failure("CaseRaised", "backward raised ValueError"), False),
        # What counts is whether the row passed: a verdict that fails may be known to.
        ((dataclasses.replace(WRONG, passed=True),), None, True),
        ((dataclasses.replace(RIGHT, passed=False),), None, False),
    ],
)
def test_a_report_passes_if_nothing_failed(rows, error, passed):
    """No error, and every row passed."""
    assert dataclasses.replace(REPORT, rows=rows, error=error).passed is passed


def test_the_failed_rows():
    """Those alone that did not pass."""
    assert REPORT.failed_rows == (WRONG,)
    assert dataclasses.replace(REPORT, rows=(RIGHT,)).failed_rows == ()


def test_a_row_by_its_name():
    """A name that has no row is told with those that have one."""
    assert REPORT["b"] is WRONG
    with pytest.raises(KeyError, match="no row 'B'; the rows are W, b"):
        REPORT["B"]


@pytest.mark.parametrize(
    ("result", "remedy"), [(REPORT, r"ask for \.passed"), (COMPARISON, r"ask for \.exact or \.approximate")]
)
def test_a_result_is_no_boolean(result, remedy):
    """`assert verify(case)` would otherwise pass whatever was found."""
    with pytest.raises(TypeError, match=remedy):
        bool(result)
    with pytest.raises(TypeError, match=remedy):
        assert result


def test_a_report_prints_itself():
    """As the table that the command line shows."""
    shown = str(REPORT)
    assert "Net" in shown
    assert "wrong" in shown


@pytest.mark.parametrize("remade", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize(
    "result",
    [
        dataclasses.replace(
            REPORT,
            rows=(
                dataclasses.replace(WRONG, comparison=COMPARISON, worst=Worst((1,), 1.5, 1.0, None), hints=("why",)),
            ),
            error=Failure("CaseRaised", "backward raised", "/cases/net.py", 7, "Traceback"),
        ),
        Environment("0.1.0", "2.13.0", "3.11.7", "Linux", 2, {"cpu": "x86_64"}),
    ],
)
def test_a_result_survives_another_process(result, remade):
    """As workers of a parallel run send it."""
    assert remade(result) == result


@pytest.mark.parametrize("result", [REPORT, RIGHT, COMPARISON, Worst((), 0.0, 0.0, None), Failure("A", "b")])
def test_a_result_does_not_change(result):
    """Whoever holds one can rely on it."""
    name = dataclasses.fields(result)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(result, name, None)
