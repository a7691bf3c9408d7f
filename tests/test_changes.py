"""What changed between two runs: what fails anew is a regression, and nothing else is but a lost accuracy."""

from __future__ import annotations

import dataclasses
import math

import pytest

from gradverify.changes import Change, find_changes
from gradverify.report import Failure, Report, Row
from gradverify.verdict import Origin, Verdict

RIGHT = Row("W", (2, 3), "float32", Verdict.OK, True, accuracy=1.0)
EXACT = dataclasses.replace(RIGHT, verdict=Verdict.EXACT)
WRONG = dataclasses.replace(RIGHT, verdict=Verdict.WRONG, passed=False, accuracy=1e7)
SHAPE = dataclasses.replace(RIGHT, verdict=Verdict.SHAPE, passed=False, accuracy=None)
KNOWN = dataclasses.replace(WRONG, verdict=Verdict.KNOWN, passed=True)
GIVEN = dataclasses.replace(RIGHT, verdict=Verdict.GIVEN, accuracy=None)
STRICT = dataclasses.replace(RIGHT, verdict=Verdict.IMPRECISE, passed=False, accuracy=9.0)
LISTED = dataclasses.replace(RIGHT, passed=False)  # passes, but `known` lists it
INTRODUCED = dataclasses.replace(WRONG, origin=Origin.INTRODUCED)
INHERITED = dataclasses.replace(WRONG, origin=Origin.INHERITED)

RAISED = Failure("CaseRaised", "backward raised ValueError: bad")
OTHERWISE = Failure("CaseRaised", "backward raised TypeError: worse")


def accurate(value: float, verdict: Verdict = Verdict.OK) -> Row:
    return dataclasses.replace(RIGHT, accuracy=value, verdict=verdict)


def report(*rows: Row, **changes: object) -> Report:
    values: dict[str, object] = {"case": "Net", "dtype": "float32", "device": "cpu", "seed": 1, "sizes": {"n": 3}}
    return Report(rows=rows, **{**values, **changes})  # type: ignore[arg-type]  # loosely typed on purpose


# Before, after, what became of it.
ROWS = {
    "the same": (RIGHT, RIGHT, None),
    "still wrong": (WRONG, WRONG, None),
    "wrong by more": (WRONG, dataclasses.replace(WRONG, accuracy=1e12), None),
    "it moved": (RIGHT, dataclasses.replace(RIGHT, line=99, file="other.py"), None),
    "right to wrong": (RIGHT, WRONG, Change.REGRESSED),
    "exact to another shape": (EXACT, SHAPE, Change.REGRESSED),
    "strict": (RIGHT, STRICT, Change.REGRESSED),
    "known, and right": (KNOWN, LISTED, Change.REGRESSED),
    "wrong to right": (WRONG, RIGHT, Change.FIXED),
    "wrong to known": (WRONG, KNOWN, Change.CHANGED),
    "wrong to given": (WRONG, GIVEN, Change.CHANGED),
    "right to given": (RIGHT, GIVEN, Change.CHANGED),
    "wrong to another shape": (WRONG, SHAPE, Change.CHANGED),
    "exact to right": (EXACT, RIGHT, Change.CHANGED),
    "another origin": (INTRODUCED, INHERITED, Change.CHANGED),
    "new": (None, RIGHT, Change.NEW),
    "new and wrong": (None, WRONG, Change.REGRESSED),
    "gone": (RIGHT, None, Change.REMOVED),
    "gone while wrong": (WRONG, None, Change.REMOVED),
    "less accurate by 4 times": (accurate(2.0), accurate(8.0), None),
    "less accurate by more": (accurate(2.0), accurate(8.1), Change.REGRESSED),
    "less accurate, and imprecise": (accurate(2.0), accurate(50.0, Verdict.IMPRECISE), Change.REGRESSED),
    "imprecise, and hardly less accurate": (accurate(3.0), accurate(5.0, Verdict.IMPRECISE), Change.CHANGED),
    # What is better than autograd's own accuracy is as good as that.
    "from better than autograd to as good": (accurate(0.0), accurate(4.0), None),
    "from better than autograd to worse": (accurate(0.0), accurate(4.1), Change.REGRESSED),
    "more accurate": (accurate(8.1), accurate(2.0), Change.IMPROVED),
    "more accurate by little": (accurate(8.0), accurate(2.0), None),
    "infinitely less accurate": (accurate(1.0), accurate(math.inf), Change.REGRESSED),
    "no longer a number": (accurate(1.0), accurate(math.nan), Change.REGRESSED),
    "a number again": (accurate(math.nan), accurate(1.0), Change.IMPROVED),
    "never a number": (accurate(math.nan), accurate(math.nan), None),
    "not known after a quick run": (RIGHT, dataclasses.replace(RIGHT, accuracy=None), None),
}


@pytest.mark.parametrize("what", ROWS)
def test_what_becomes_of_a_gradient(what):
    before, after, change = ROWS[what]
    other = dataclasses.replace(EXACT, name="b")
    changes = find_changes(
        [report(*(row for row in (before, other) if row))], [report(*(row for row in (after, other) if row))]
    )
    found = [row for one in changes.reports for row in one.rows]
    assert [row.change for row in found] == ([change] if change else [])
    assert changes.has_regressed is (change is Change.REGRESSED)
    assert changes.unchanged == (0 if change else 1)
    if change:
        assert ((found[0].old, found[0].new), found[0].name) == ((before, after), "W")
        assert changes.count(change) == 1


REPORTS = {
    "the same error": (report(error=RAISED), report(error=RAISED), None),
    "another error": (report(error=RAISED), report(error=OTHERWISE), Change.CHANGED),
    "it raises": (report(RIGHT), report(error=RAISED), Change.REGRESSED),
    "it raises where only one gradient was right": (report(RIGHT, WRONG), report(error=RAISED), Change.REGRESSED),
    "it raises where nothing was right": (report(WRONG), report(error=RAISED), Change.CHANGED),
    "it no longer raises": (report(error=RAISED), report(RIGHT), Change.FIXED),
    "it no longer raises but is wrong": (report(error=RAISED), report(WRONG), Change.CHANGED),
    "new": (None, report(RIGHT), Change.NEW),
    "new and wrong": (None, report(WRONG), Change.REGRESSED),
    "new and raises": (None, report(error=RAISED), Change.REGRESSED),
    "gone": (report(RIGHT), None, Change.REMOVED),
}


@pytest.mark.parametrize("what", REPORTS)
def test_what_becomes_of_a_report(what):
    before, after, change = REPORTS[what]
    changes = find_changes([before] if before is not None else [], [after] if after is not None else [])
    assert [one.change for one in changes.reports] == ([change] if change else [])
    assert changes.common == (0 if None in (before, after) else 1)
    if change:
        assert (changes.reports[0].old, changes.reports[0].new, changes.count(change)) == (before, after, 1)


@pytest.mark.parametrize(
    ("name", "value"), [("case", "Other"), ("dtype", "float64"), ("device", "cuda"), ("seed", 2), ("sizes", {"n": 4})]
)
def test_a_report_is_known_by_its_case_dtype_device_seed_and_sizes(name, value):
    """One that differs in any of them is another one; in anything else it is not."""
    changes = find_changes([report(RIGHT)], [report(RIGHT, **{name: value})])
    assert [one.change for one in changes.reports] == [Change.NEW, Change.REMOVED]
    assert find_changes([report(RIGHT)], [report(RIGHT, notes=("quick",))]).reports == ()


def test_the_order_of_sizes_and_reports_does_not_matter():
    old = [report(RIGHT, sizes={"n": 1, "m": 2}), report(RIGHT, case="Other")]
    new = [report(RIGHT, case="Other"), report(RIGHT, sizes={"m": 2, "n": 1})]
    assert find_changes(old, new).unchanged == 2


def test_reports_of_one_identity_are_paired_in_their_order():
    """Two files may hold cases of one name."""
    changes = find_changes([report(RIGHT), report(WRONG)], [report(RIGHT), report(WRONG)])
    assert (changes.unchanged, changes.reports) == (2, ())
    changes = find_changes([report(RIGHT), report(WRONG)], [report(RIGHT), report(RIGHT)])
    assert [one.change for one in changes.reports] == [Change.FIXED]


def test_the_most_urgent_comes_first():
    old = [report(RIGHT, case="A"), report(WRONG, case="B"), report(RIGHT, case="C")]
    new = [report(RIGHT, case="D"), report(RIGHT, case="B"), report(WRONG, case="C")]
    changes = find_changes(old, new)
    assert [one.report.case for one in changes.reports] == ["C", "B", "D", "A"]


def test_what_fails_comes_before_a_lost_accuracy():
    old = [report(RIGHT, case="A"), report(RIGHT, case="B")]
    changes = find_changes(old, [report(accurate(60.0), case="A"), report(WRONG, case="B")])
    assert [(one.report.case, one.change) for one in changes.reports] == [
        ("B", Change.REGRESSED),
        ("A", Change.REGRESSED),
    ]


@dataclasses.dataclass(frozen=True)
class Broken(Report):
    """A report that fails for a reason that no row tells."""

    passed = False


def test_a_report_that_fails_for_another_reason_than_its_rows_is_a_regression():
    broken = Broken(**vars(report(RIGHT)))
    changes = find_changes([report(RIGHT)], [broken])
    assert (changes.has_regressed, changes.count(Change.REGRESSED)) == (True, 1)
    changes = find_changes([report(EXACT)], [broken])
    assert [row.change for row in changes.reports[0].rows] == [Change.CHANGED]
    assert (changes.has_regressed, changes.count(Change.REGRESSED)) == (True, 1)
    assert find_changes([broken], [report(RIGHT)]).count(Change.FIXED) == 1
