"""A report as Markdown for GitHub: short enough for a comment, long parts folded, every name escaped."""

from __future__ import annotations

from collections.abc import Sequence

from gradverify.render import spelling
from gradverify.render.clauses import HEADERS, clause_cells, explain_clauses, summarize_clauses
from gradverify.render.escaping import block, cell, code, folded, prose
from gradverify.render.explanation import explain_failure, explain_rows, explain_witnesses
from gradverify.render.table import Grid, grid_of, headline, setting_of
from gradverify.report import Report

# Longer tables and texts are folded: a reader of a pull request has other comments to get past.
_MOST_ROWS = 12
_MOST_LINES = 40

# Of a report that does not fit, so much is still told.
_MOST_EXPLAINED = 3


def render_markdown(report: Report, *, seconds: float | None = None) -> str:
    """A report as a section: its headline, its table, and what is known of each failure."""
    return sizes_of_section(report, seconds=seconds)[0]


def sizes_of_section(report: Report, *, seconds: float | None = None) -> tuple[str, ...]:
    """A report in several lengths, the longest first; the shortest is a line of a list.

    Args:
        report: what to show.
        seconds: how long the case took, where that is known.
    """
    line = headline(report, seconds=seconds)
    shortest = f"- {prose(line)}"
    if report.passed:
        parts = (_table(grid_of(report)), *_contract(report), *_notes(report))
        body = "\n\n".join(part for part in parts if part)
        return (folded(line, body), shortest) if body else (shortest,)
    heading = f"### {prose(line)}"
    setting = prose(setting_of(report, seconds=seconds)) if report.dtype else ""
    explained = [*explain_rows(report.failed_rows), *explain_clauses(report.broken_clauses)]
    tables = [*_tables(report), *_contract(report)]
    full = [heading, setting, _failure(report), *tables, *_notes(report), _explanation(explained)]
    some = [heading, setting, _failure(report), _explanation(explained[:_MOST_EXPLAINED])]
    return ("\n\n".join(part for part in full if part), "\n\n".join(part for part in some if part), shortest)


def _tables(report: Report) -> list[str]:
    """The table in full while it is short, else what failed of it, and all of it folded."""
    grid = grid_of(report)
    if len(grid.rows) <= _MOST_ROWS:
        return [_table(grid)]
    failed = [cells for cells, row in zip(grid.rows, report.rows, strict=True) if not row.passed]
    shown = _table(Grid(grid.headers, grid.aligned, failed[:_MOST_ROWS]))
    more = f"and {len(failed) - _MOST_ROWS} more that failed" if len(failed) > _MOST_ROWS else ""
    everything = folded(f"all {spelling.several(len(grid.rows), 'gradient')}", _table(grid))
    return [shown, more, everything] if failed else [everything]


def _table(grid: Grid) -> str:
    # Not padded, as a table for the eye would be: in a comment every character counts.
    if not grid.rows:
        return ""
    rules = ["---:" if one == "right" else "---" for one in grid.aligned]
    named = grid.headers.index("gradient")
    rows = [
        [cell(code(text) if number == named else prose(text)) for number, text in enumerate(cells)]
        for cells in grid.rows
    ]
    return table([grid.headers, rules, *rows])


def table(lines: Sequence[Sequence[str]]) -> str:
    """A table of cells that are escaped already: the header, the rules below it, the rows."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _contract(report: Report) -> list[str]:
    if not report.contract:
        return []
    cells = [[cell(prose(text)) for text in row] for row in clause_cells(report.contract)]
    rows = [table([HEADERS, ["---"] * len(HEADERS), *cells])] if cells else []
    return [prose(summarize_clauses(report.contract)), *rows]


def _failure(report: Report) -> str:
    text = explain_failure(report.error) if report.error is not None else ""
    return _fold(text, "traceback") if text else ""


def _notes(report: Report) -> list[str]:
    witnesses = explain_witnesses(report.rows).splitlines()
    return [*(f"note: {prose(spelling.one_line(note))}" for note in report.notes), *map(prose, witnesses)]


def _explanation(paragraphs: Sequence[str]) -> str:
    return _fold("\n\n".join(paragraphs), "what is known of each") if paragraphs else ""


def _fold(text: str, summary: str) -> str:
    return folded(summary, block(text)) if len(text.splitlines()) > _MOST_LINES else block(text)
