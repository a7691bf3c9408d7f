"""What a run shows of each case, and of all of them at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gradverify.render import spelling
from gradverify.render.color import Color, paint
from gradverify.render.markdown import render_markdown
from gradverify.render.table import MARKDOWN, PLAIN, Style, headline, label_of, render_table
from gradverify.report import Environment, Report

# Tables of more cases than this scroll away unread.
FEW = 10
_SLOWEST = 5
# The sizes that fail are listed until nobody would read on; each has a report of its own.
_MOST_SIZES = 20


class Shown(str, Enum):
    """Which reports are shown in full: the failed ones, all, none, or all as long as they are few."""

    FAILED = "failed"
    ALL = "all"
    NONE = "none"
    AUTO = "auto"


@dataclass(frozen=True)
class Outcome:
    """A report, and how long it took in seconds; None where that is not known, as of a saved run."""

    report: Report
    seconds: float | None = None


def render_report(report: Report, *, style: Style = PLAIN, seconds: float | None = None) -> str:
    """A report in the format of the style.

    Args:
        report: what to show.
        style: the format, and whether to colour.
        seconds: how long the case took, where that is known.
    """
    if style.format == MARKDOWN:
        return render_markdown(report, seconds=seconds)
    return render_table(report, style=style, seconds=seconds)


def render_outcome(outcome: Outcome, shown: Shown, total: int, *, style: Style = PLAIN) -> str:
    """A table, a line, or nothing, ending in a line break where it is something.

    Args:
        outcome: of one case.
        shown: what the user wants to see.
        total: how many cases there are.
        style: of a table.
    """
    report = outcome.report
    if shown is Shown.NONE or (shown is Shown.FAILED and report.passed):
        return ""
    if shown is Shown.AUTO and report.passed and total > FEW:
        line = headline(report, seconds=outcome.seconds)
        return paint(line, Color.GOOD, enabled=style.is_colored) + "\n"
    return render_report(report, style=style, seconds=outcome.seconds) + "\n\n"


def render_totals(outcomes: Sequence[Outcome], shown: Shown, environment: Environment, *, style: Style = PLAIN) -> str:
    """The slowest cases, where they are many and the user left it to us; the sizes that fail; how many passed."""
    parts = []
    timed = [(one, one.seconds) for one in outcomes if one.seconds is not None]
    if shown is Shown.AUTO and len(timed) > FEW:
        slowest = sorted(timed, key=lambda each: each[1], reverse=True)[:_SLOWEST]
        parts += ["slowest:", *(f"  {spelling.duration(seconds)}  {label_of(one.report)}" for one, seconds in slowest)]
    parts += [paint(line, Color.BAD, enabled=style.is_colored) for line in _failing_sizes(outcomes)]
    color = Color.GOOD if all(one.report.passed for one in outcomes) else Color.BAD
    parts.append(paint(count_outcomes(outcomes), color, enabled=style.is_colored))
    parts.append(paint(spell_environment(environment), Color.FAINT, enabled=style.is_colored))
    return "\n".join(parts) + "\n"


def count_outcomes(outcomes: Sequence[Outcome]) -> str:
    """How many reports ended how, and how long they took where that is known: "1 failed, 2 passed in 1.2 s"."""
    passed = sum(one.report.passed for one in outcomes)
    errors = sum(one.report.error is not None for one in outcomes)
    amounts = {"failed": len(outcomes) - passed - errors, "passed": passed, "errors" if errors > 1 else "error": errors}
    counted = ", ".join(f"{amount} {word}" for word, amount in amounts.items() if amount) or "nothing ran"
    seconds = [one.seconds for one in outcomes if one.seconds is not None]
    return f"{counted} in {spelling.duration(sum(seconds))}" if seconds else counted


def _failing_sizes(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each case that ran at several sizes and failed at some: at which."""
    runs: dict[tuple[str, str, str], dict[str, bool]] = {}
    for report in (one.report for one in outcomes):
        sizes = ", ".join(f"{spelling.one_line(name)}={value}" for name, value in report.sizes.items())
        passed = runs.setdefault((spelling.one_line(report.case), report.dtype, report.device), {})
        passed[sizes] = passed.get(sizes, True) and report.passed
    lines = []
    for (case, dtype, _), passed in runs.items():
        failing = [sizes for sizes, right in passed.items() if not right]
        if len(passed) > 1 and failing:
            shown = "; ".join(failing[:_MOST_SIZES]) + ("; ..." if len(failing) > _MOST_SIZES else "")
            lines.append(f"{case}[{dtype}] fails at {len(failing)} of {len(passed)} combinations of sizes: {shown}")
    return lines


def spell_environment(environment: Environment) -> str:
    """Versions, platform and devices on one line."""
    parts = [
        f"gradverify {environment.gradverify}",
        f"torch {environment.torch}",
        f"Python {environment.python}",
        environment.platform,
        spelling.several(environment.threads, "thread"),
        *(f"{device}: {name}" for device, name in environment.devices.items() if device != name),
    ]
    return " · ".join(spelling.one_line(part) for part in parts)
