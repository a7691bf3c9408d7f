"""What a run shows of each case, and of all of them at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gradverify.render import spelling
from gradverify.render.color import Color, paint
from gradverify.render.table import PLAIN, Style, headline, label_of, render_table
from gradverify.report import Environment, Report

# Tables of more cases than this scroll away unread.
_MOST_TABLES = 10
_SLOWEST = 5


class Shown(str, Enum):
    """Which reports are shown in full: the failed ones, all, none, or all as long as they are few."""

    FAILED = "failed"
    ALL = "all"
    NONE = "none"
    AUTO = "auto"


@dataclass(frozen=True)
class Outcome:
    """A report, and how long it took in seconds."""

    report: Report
    seconds: float


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
    if shown is Shown.AUTO and report.passed and total > _MOST_TABLES:
        line = headline(report, seconds=outcome.seconds)
        return paint(line, Color.GOOD, enabled=style.is_colored) + "\n"
    return render_table(report, style=style, seconds=outcome.seconds) + "\n\n"


def render_totals(outcomes: Sequence[Outcome], shown: Shown, environment: Environment, *, style: Style = PLAIN) -> str:
    """The slowest cases, where they are many and the user left it to us; how many passed; what it depended on."""
    parts = []
    if shown is Shown.AUTO and len(outcomes) > _MOST_TABLES:
        parts += [
            "slowest:",
            *(f"  {spelling.duration(one.seconds)}  {label_of(one.report)}" for one in _slowest(outcomes)),
        ]
    passed = sum(one.report.passed for one in outcomes)
    errors = sum(one.report.error is not None for one in outcomes)
    amounts = {"failed": len(outcomes) - passed - errors, "passed": passed, "errors" if errors > 1 else "error": errors}
    counted = ", ".join(f"{amount} {word}" for word, amount in amounts.items() if amount) or "nothing ran"
    seconds = spelling.duration(sum(one.seconds for one in outcomes))
    color = Color.GOOD if passed == len(outcomes) else Color.BAD
    parts.append(paint(f"{counted} in {seconds}", color, enabled=style.is_colored))
    parts.append(paint(spell_environment(environment), Color.FAINT, enabled=style.is_colored))
    return "\n".join(parts) + "\n"


def _slowest(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda one: one.seconds, reverse=True)[:_SLOWEST]


def spell_environment(environment: Environment) -> str:
    """The environment on one line."""
    parts = [
        f"gradverify {environment.gradverify}",
        f"torch {environment.torch}",
        f"Python {environment.python}",
        environment.platform,
        spelling.several(environment.threads, "thread"),
        *(f"{device}: {name}" for device, name in environment.devices.items() if device != name),
    ]
    return " · ".join(spelling.one_line(part) for part in parts)
