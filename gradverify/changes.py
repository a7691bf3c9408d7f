"""What changed from one run to a later one, as data; reading two saved runs is all it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gradverify.judge import IMPRECISE_ACCURACY
from gradverify.report import Report, Row
from gradverify.verdict import Verdict
from gradverify.word import Word

_Item = TypeVar("_Item", Report, Row)

# An accuracy is the ratio of two rounding errors, and of a few elements luck decides it. From the factor on at which a
# gradient counts as imprecise, it is no luck; and what is better than autograd's own is as good as that.
_FACTOR = IMPRECISE_ACCURACY

# Verdicts under which a row passes although its gradient was not found right.
_EXCUSED = frozenset({Verdict.KNOWN, Verdict.GIVEN, Verdict.MISSING})


class Change(Word):
    """What became of a gradient or a report, the most urgent first."""

    REGRESSED = "regressed"  # it fails, and did not before; or it passes, and is less accurate by more than 4 times
    CHANGED = "changed"  # another verdict, origin or error, neither better nor worse
    FIXED = "fixed"  # it failed, and passes
    IMPROVED = "improved"  # it passes as before, and is more accurate by more than 4 times
    NEW = "new"  # it was not there, and passes
    REMOVED = "removed"  # it is no longer there


_ORDER = {change: number for number, change in enumerate(Change)}


@dataclass(frozen=True)
class RowChange:
    """A gradient that changed: its rows in the old run and in the new one, None where it has none."""

    change: Change
    old: Row | None
    new: Row | None

    @property
    def name(self) -> str:
        """Of the tensor whose gradient it is."""
        return _one_of(self.old, self.new).name


@dataclass(frozen=True)
class ReportChange:
    """A report that changed.

    Attributes:
        change: the most urgent of its rows', or what became of the report as a whole.
        old, new: the report in each run, None where it has none.
        rows: the gradients that changed, in the order of the new report; none where a report is missing, or holds
            an error in place of its rows.
    """

    change: Change
    old: Report | None
    new: Report | None
    rows: tuple[RowChange, ...] = ()

    @property
    def report(self) -> Report:
        """The later of the two that there is."""
        return _one_of(self.old, self.new)


@dataclass(frozen=True)
class Changes:
    """What changed from one run to another.

    Attributes:
        reports: those that changed, the most urgent first.
        common: how many reports are in both runs; they have the same case, dtype, device, seed and sizes.
        unchanged: how many of them are as they were.
    """

    reports: tuple[ReportChange, ...]
    common: int
    unchanged: int

    @property
    def has_regressed(self) -> bool:
        """Whether something fails that did not before, or is far less accurate."""
        return any(one.change is Change.REGRESSED for one in self.reports)

    def count(self, change: Change) -> int:
        """How many gradients changed so; a report that changed as a whole counts once."""
        return sum(max(sum(row.change is change for row in one.rows), one.change is change) for one in self.reports)


def find_changes(old: Sequence[Report], new: Sequence[Report]) -> Changes:
    """Compare the reports of two runs; those with the same case, dtype, device, seed and sizes belong together."""
    pairs = _pair(_keyed(old, _identity), _keyed(new, _identity))
    found = [_compare_reports(*pair) for pair in pairs]
    changed = [one for one in found if one is not None]
    common = sum(None not in pair for pair in pairs)
    return Changes(
        reports=tuple(sorted(changed, key=_urgency)),
        common=common,
        unchanged=len(found) - len(changed),
    )


def _urgency(one: ReportChange) -> tuple[int, bool]:
    """What fails comes before what passes at a lost accuracy."""
    return _ORDER[one.change], one.new is not None and one.new.passed


def _compare_reports(old: Report | None, new: Report | None) -> ReportChange | None:
    if old is None or new is None:
        return ReportChange(_presence(new), old, new)
    if old.error is not None or new.error is not None:
        change = _compare_errors(old, new)
        return None if change is None else ReportChange(change, old, new)
    pairs = _pair(_keyed(old.rows, _name), _keyed(new.rows, _name))
    rows = tuple(
        RowChange(change, before, after)
        for before, after in pairs
        if (change := _compare_rows(before, after)) is not None
    )
    kinds = [row.change for row in rows]
    if old.passed != new.passed:  # which something else than a row may decide
        kinds.append(Change.FIXED if new.passed else Change.REGRESSED)
    return ReportChange(min(kinds, key=_ORDER.__getitem__), old, new, rows) if kinds else None


def _compare_errors(old: Report, new: Report) -> Change | None:
    if old.passed != new.passed:
        return Change.FIXED if new.passed else Change.REGRESSED
    if old.error is not None and new.error is not None and old.error.message == new.error.message:
        return None
    return Change.REGRESSED if _fails_anew(old, new) else Change.CHANGED


def _fails_anew(old: Report, new: Report) -> bool:
    """Whether an error took the place of rows some of which passed."""
    return old.error is None and any(row.passed for row in old.rows) and new.error is not None


def _compare_rows(old: Row | None, new: Row | None) -> Change | None:
    if old is None or new is None:
        return _presence(new)
    if old.passed != new.passed:
        if old.passed:
            return Change.REGRESSED
        return Change.CHANGED if new.verdict in _EXCUSED else Change.FIXED
    if new.passed and old.accuracy is not None and new.accuracy is not None:
        if _is_worse(new.accuracy, old.accuracy):
            return Change.REGRESSED
        if _is_worse(old.accuracy, new.accuracy):
            return Change.IMPROVED
    return Change.CHANGED if (old.verdict, old.origin) != (new.verdict, new.origin) else None


def _is_worse(accuracy: float, than: float) -> bool:
    """Whether an accuracy is more than 4 times another; nan is worse than any number."""
    return than == than and not (accuracy <= _FACTOR * max(than, 1.0))


def _presence(new: Report | Row | None) -> Change:
    """What is in one run alone: it has gone, or it has come; what comes and fails is not let in as new."""
    if new is None:
        return Change.REMOVED
    return Change.NEW if new.passed else Change.REGRESSED


def _identity(report: Report) -> tuple[object, ...]:
    return (report.case, report.dtype, report.device, report.seed, tuple(sorted(report.sizes.items())))


def _name(row: Row) -> tuple[object, ...]:
    return (row.name,)


def _keyed(items: Iterable[_Item], key: Callable[[_Item], tuple[object, ...]]) -> dict[tuple[object, ...], _Item]:
    """Items by their key and, where several share one, by their number among those."""
    found: dict[tuple[object, ...], _Item] = {}
    amounts: dict[object, int] = {}
    for item in items:
        own = key(item)
        number = amounts.get(own, 0)
        amounts[own] = number + 1
        found[own, number] = item
    return found


def _pair(
    old: dict[tuple[object, ...], _Item], new: dict[tuple[object, ...], _Item]
) -> list[tuple[_Item | None, _Item | None]]:
    """What has the same key in both, in the order of the new one; what is gone comes last."""
    keys = [*new, *(key for key in old if key not in new)]
    return [(old.get(key), new.get(key)) for key in keys]


def _one_of(old: _Item | None, new: _Item | None) -> _Item:
    one = old if new is None else new
    assert one is not None  # what is in neither run did not change
    return one
