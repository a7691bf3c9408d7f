"""The section at the end of a session, imported once there is something to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

from gradverify.render.spelling import several
from gradverify.render.summary import Shown, render_report
from gradverify.render.table import Style, headline
from gradverify.report import Report
from gradverify.verdict import Verdict

if TYPE_CHECKING:
    # pytest gives its reporter to hooks, but does not export the class.
    from _pytest.terminal import TerminalReporter

# As many lines, the total and pytest's own closing lines still fit a screen of 24.
_MOST_LINES = 10


class Concern(IntEnum):
    """How much a report asks for attention."""

    NONE = 0
    DOUBT = 1
    FAILURE = 2


# The colours in which pytest prints passed, xfailed and failed.
_MARKUP = {Concern.NONE: {"green": True}, Concern.DOUBT: {"yellow": True}, Concern.FAILURE: {"red": True}}


@dataclass(frozen=True)
class Told:
    """A report, and whether the test that made it failed; one that fails as expected did not."""

    report: Report
    failed: bool

    @property
    def concern(self) -> Concern:
        """A report that did not pass is no failure where the test expected that, or only looked at it."""
        if not self.report.passed:
            return Concern.FAILURE if self.failed else Concern.DOUBT
        right = (Verdict.EXACT, Verdict.OK)
        return Concern.NONE if all(row.verdict in right for row in self.report.rows) else Concern.DOUBT


def show_section(terminal: TerminalReporter, told: Sequence[Told], shown: Shown, style: Style) -> None:
    """Write what the user wants to see of the reports, of which there is one at least, and the total line."""
    if shown is Shown.NONE:
        return
    terminal.write_sep("=", "gradverify")
    if shown is Shown.ALL:
        for one in told:
            terminal.write_line(f"{render_report(one.report, style=replace(style, color=terminal.hasmarkup))}\n")
    else:
        chosen = _choose(told, shown)
        for one in chosen[:_MOST_LINES]:
            terminal.write_line(headline(one.report), **_MARKUP[one.concern])
        if len(chosen) > _MOST_LINES:
            terminal.write_line(f"... and {len(chosen) - _MOST_LINES} more; --gradverify-report=all shows every table")
    terminal.write_line(_total(told), **_MARKUP[max(one.concern for one in told)])


def _choose(told: Sequence[Told], shown: Shown) -> list[Told]:
    """The reports that get a line: all while they are few, then those that did not simply pass, failures first."""
    if shown is Shown.AUTO and len(told) <= _MOST_LINES:
        return list(told)
    least = Concern.FAILURE if shown is Shown.FAILED else Concern.DOUBT
    return sorted((one for one in told if one.concern >= least), key=lambda one: -one.concern)


def _total(told: Sequence[Told]) -> str:
    """How many gradients in how many reports, and how many of each verdict."""
    verdicts = Counter(row.verdict for one in told for row in one.report.rows)
    counts = [f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict]]
    errors = sum(one.report.error is not None for one in told)
    if errors:
        counts.append(several(errors, "error"))
    amount = f"{several(verdicts.total(), 'gradient')} in {several(len(told), 'report')}"
    return f"gradverify: {amount}: {', '.join(counts)}"
