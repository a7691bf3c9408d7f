"""What changed from one run to another, as text, as Markdown that fits a comment, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gradverify.changes import Change, Changes, ReportChange, RowChange
from gradverify.location import shorten
from gradverify.render import spelling
from gradverify.render.color import Color, paint
from gradverify.render.comment import LIMIT, fit, omitted, spaced
from gradverify.render.escaping import block, cell, code, prose
from gradverify.render.explanation import explain_rows, tell
from gradverify.render.json import plain
from gradverify.render.markdown import table
from gradverify.render.table import PLAIN, Style, headline, label_of, setting_of
from gradverify.report import Environment, Report, Row
from gradverify.verdict import Origin

# Raised when a document that was valid no longer is; a new key is no such change.
SCHEMA = 1

_ARROW = "->"

# What of a gradient the JSON document repeats; the saved runs hold the rest.
_COMPARED = ("verdict", "passed", "origin", "accuracy", "file", "line")

_HEADERS = ["gradient", "change", "verdict", "accuracy", "line"]
_ALIGNED = ["left", "left", "left", "right", "right"]


def render_changes(changes: Changes, old: Environment, new: Environment, *, style: Style = PLAIN) -> str:
    """A line that tells the story, a table a report that changed, and an explanation of what fails now.

    Args:
        changes: from the run in the environment `old` to that in `new`.
        old: that of the earlier run.
        new: that of the later one.
        style: of the tables.
    """
    color = Color.BAD if changes.has_regressed else Color.GOOD
    parts = [paint(_headline(changes), color, enabled=style.is_colored)]
    # Reports that came or went are a line each.
    lines = [_line(one) for one in changes.reports if not one.rows]
    for one in changes.reports:
        if one.rows:
            parts.append(_title(one.report))
            parts.append(style.layout([_cells(row) for row in one.rows], _HEADERS, _ALIGNED))
            parts += explain_rows(_failing(one))
    parts += ["\n".join(lines)] if lines else []
    parts.append("\n".join([_totals(changes), *_environments(old, new)]))
    return "\n\n".join(parts) + "\n"


def render_changes_markdown(changes: Changes, old: Environment, new: Environment, *, limit: int = LIMIT) -> str:
    """The same for a comment on a pull request, the most urgent first."""
    sections = [_section(one) for one in changes.reports]
    opening = f"## gradverify: {prose(_headline(changes))}"
    closing = "\n".join(f"<sub>{prose(line)}</sub><br>" for line in [_totals(changes), *_environments(old, new)])
    told, _ = fit(sections, limit - len(opening) - len(closing) - 300)  # and a sentence on what is left out
    return spaced([opening, *told, *omitted(len(sections) - len(told), "that changed"), closing]) + "\n"


def render_changes_json(changes: Changes, old: Environment, new: Environment) -> str:
    """The same for a program: ASCII, indented."""
    document = {
        "schema": SCHEMA,
        "regressed": changes.has_regressed,
        "old": plain(old),
        "new": plain(new),
        "counts": {change.value: changes.count(change) for change in Change},
        "common": changes.common,
        "unchanged": changes.unchanged,
        "changes": [_plain_change(one) for one in changes.reports],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _headline(changes: Changes) -> str:
    if not changes.has_regressed:
        if not changes.reports:
            return f"nothing changed in {spelling.several(changes.unchanged, 'report')}"
        return f"no regression: {_counts(changes)}"
    first = next(one for one in changes.reports if one.change is Change.REGRESSED)
    amount = spelling.several(changes.count(Change.REGRESSED), "regression")
    regressed = [row for row in first.rows if row.change is Change.REGRESSED and row.new is not None]
    if not regressed:
        return f"{amount}; first: {headline(first.report)}"
    row = min(regressed, key=lambda one: one.new is not None and one.new.origin is Origin.INHERITED)
    return f"{amount}; first: {label_of(first.report)} {spelling.name(row.name)}: {_story(row)}"


def _story(change: RowChange) -> str:
    row = change.new
    assert row is not None  # what is no longer there is no regression
    where = f", at {spelling.one_line(shorten(row.file))}:{row.line}" if row.file and row.line else ""
    if row.passed:
        return f"accuracy {_accuracy(change)}{where}"
    told = row.hints[0] if row.origin is Origin.INTRODUCED and row.hints else tell(row)
    return f"{_verdict(change)}{where}: {spelling.one_line(told)}"


def _counts(changes: Changes) -> str:
    return ", ".join(f"{amount} {change}" for change in Change if (amount := changes.count(change)))


def _totals(changes: Changes) -> str:
    counted = _counts(changes) or "nothing changed"
    return f"{counted}; {changes.unchanged} of {spelling.several(changes.common, 'common report')} unchanged"


def _environments(old: Environment, new: Environment) -> list[str]:
    """What the two runs do not have in common besides the code: a change may come from there."""
    before, after = plain(old), plain(new)
    differing = [
        f"{name} {spelling.one_line(_spell(before[name]))} {_ARROW} {spelling.one_line(_spell(after[name]))}"
        for name in before
        if before[name] != after[name]
    ]
    return [" · ".join(differing)] if differing else []


def _spell(value: Any) -> str:
    return (
        ", ".join(f"{name}: {one}" for name, one in value.items()) or "none" if isinstance(value, dict) else str(value)
    )


def _title(report: Report) -> str:
    return " · ".join(part for part in (label_of(report), setting_of(report) if report.dtype else "") if part)


def _line(change: ReportChange) -> str:
    report = change.report
    told = _title(report) if change.new is None else headline(report)
    return f"{change.change}: {told}"


def _cells(change: RowChange) -> list[str]:
    row = change.new
    line = f"{spelling.one_line(shorten(row.file))}:{row.line}" if row and row.file and row.line else ""
    return [spelling.name(change.name), change.change.value, _verdict(change), _accuracy(change), line]


def _verdict(change: RowChange) -> str:
    return _between(*(None if row is None else _judged(row) for row in (change.old, change.new)))


def _judged(row: Row) -> str:
    origin = f" ({row.origin})" if row.origin is not None else ""
    return f"{row.verdict}{origin}" if row.passed else f"{row.verdict}{origin} ✗"


def _accuracy(change: RowChange) -> str:
    spelt = (
        None if row is None or row.accuracy is None else spelling.ratio(row.accuracy)
        for row in (change.old, change.new)
    )
    return _between(*spelt)


def _between(old: str | None, new: str | None) -> str:
    if old == new or old is None:
        return new or ""
    return old if new is None else f"{old} {_ARROW} {new}"


def _failing(change: ReportChange) -> list[Row]:
    """The rows that fail now and did not, in the order in which a report explains them."""
    anew = {id(row.new) for row in change.rows if row.change is Change.REGRESSED}
    return [row for row in change.report.failed_rows if id(row) in anew]


def _section(change: ReportChange) -> tuple[str, ...]:
    """A report in several lengths, the longest first."""
    if not change.rows:
        return (f"- {prose(_line(change))}",)
    shortest = f"- {change.change}: {prose(_title(change.report))}: {_tally(change.rows)}"
    rules = ["---:" if one == "right" else "---" for one in _ALIGNED]
    rows = []
    for one in change.rows:
        name, *others = _cells(one)
        rows.append([cell(code(name)), *(cell(prose(text)) for text in others)])
    whole = [f"### {prose(_title(change.report))}", table([_HEADERS, rules, *rows])]
    explained = explain_rows(_failing(change))
    told = [block("\n\n".join(explained))] if explained else []
    return ("\n\n".join([*whole, *told]), "\n\n".join(whole), shortest)


def _tally(rows: Sequence[RowChange]) -> str:
    amounts = {change: sum(row.change is change for row in rows) for change in Change}
    return ", ".join(f"{amount} {change}" for change, amount in amounts.items() if amount)


def _plain_change(change: ReportChange) -> dict[str, Any]:
    report = change.report
    return {
        **{name: plain(getattr(report, name)) for name in ("case", "dtype", "device", "seed", "sizes")},
        "change": change.change.value,
        **{name: _plain_report(one) for name, one in (("old", change.old), ("new", change.new))},
        "rows": [
            {
                "name": row.name,
                "change": row.change.value,
                **{name: _plain_row(one) for name, one in (("old", row.old), ("new", row.new))},
            }
            for row in change.rows
        ],
    }


def _plain_report(report: Report | None) -> dict[str, Any] | None:
    return None if report is None else {"passed": report.passed, "error": plain(report.error)}


def _plain_row(row: Row | None) -> dict[str, Any] | None:
    return None if row is None else {name: plain(getattr(row, name)) for name in _COMPARED}
