"""A report or a comparison inside a notebook: a small piece of HTML that brings its own style and runs nothing.

Colours are translucent, so that they show on a light page and on a dark one, whose own text colour stays.
"""

from __future__ import annotations

from html import escape

from gradverify.render import spelling
from gradverify.render.clauses import explain_clauses, summarize_clauses
from gradverify.render.explanation import explain_failure, explain_rows
from gradverify.render.table import grid_of, headline, setting_of
from gradverify.report import Comparison, Report
from gradverify.verdict import Verdict

_GOOD, _DOUBTFUL, _BAD = "rgba(46, 160, 67, .25)", "rgba(210, 153, 34, .3)", "rgba(218, 54, 51, .3)"

# Notebooks keep what every cell shows: a report of very many gradients shows what failed of it.
_MOST_ROWS = 200

_CELL = "padding:.1em .6em;text-align:"
_TEXT = "white-space:pre-wrap;background:none;color:inherit;margin:.4em 0"


def render_fragment(report: Report) -> str:
    """The headline, the table of gradients, what is known of each failure."""
    color = _GOOD if report.passed else _BAD
    parts = [f'<p style="margin:.4em 0"><b style="background:{color}">{escape(headline(report))}</b></p>']
    if report.error is not None:
        parts.append(_quoted(explain_failure(report.error)))
    if report.rows:
        parts.append(_gradients(report))
    if report.contract:
        parts.append(f"<p>{escape(summarize_clauses(report.contract))}</p>")
    if not report.passed and report.dtype:
        parts.append(f"<p>{escape(setting_of(report))}</p>")
    explained = [*explain_rows(report.failed_rows), *explain_clauses(report.broken_clauses)]
    parts += [f"<p>note: {escape(spelling.one_line(note))}</p>" for note in report.notes]
    parts.append(_quoted("\n\n".join(explained)))
    return f"<div>{''.join(parts)}</div>"


def render_comparison(comparison: Comparison) -> str:
    """A row a number, the words those of the attributes."""
    rows = [("exact", str(comparison.exact)), ("approximate", str(comparison.approximate))]
    if comparison.candidate_shape != comparison.shape:
        rows.append(("shape", f"{comparison.candidate_shape} is not {comparison.shape}"))
    else:
        rows.append(("shape", str(comparison.shape)))
        rows.append(("maxdiff", _worst(comparison)))
        rows.append(("differing", f"{comparison.differing} of {spelling.several(comparison.numel, 'element')}"))
        rows.append(("relative_error", spelling.number(comparison.relative_error)))
    if comparison.max_ulp is not None:
        rows.append(("max_ulp", spelling.count(comparison.max_ulp)))
    if comparison.candidate_dtype != comparison.dtype:
        rows.append(("dtype", f"{comparison.candidate_dtype} is not {comparison.dtype}"))
    else:
        rows.append(("dtype", comparison.dtype))
    nonfinite = (comparison.candidate_nonfinite, comparison.reference_nonfinite)
    if any(nonfinite):
        rows.append(("nonfinite", f"candidate {nonfinite[0]}, reference {nonfinite[1]}"))
    color = _GOOD if comparison.exact else _DOUBTFUL if comparison.approximate else _BAD
    lines = []
    for name, text in rows:
        shown = _cell(text, "left", color if name == "exact" else None)
        lines.append(f'<tr><th scope="row" style="{_CELL}left">{name}</th>{shown}</tr>')
    return _table("".join(lines))


def _worst(comparison: Comparison) -> str:
    if comparison.index is None:
        return spelling.number(comparison.maxdiff)
    where = f" at {list(comparison.index)}" if comparison.index else ""
    return (
        f"{spelling.number(comparison.maxdiff)}{where}: candidate {comparison.candidate!r}, reference "
        f"{comparison.reference!r}"
    )


def _gradients(report: Report) -> str:
    grid = grid_of(report)
    shown = list(zip(report.rows, grid.rows, strict=True))
    left_out = ""
    if len(shown) > _MOST_ROWS:
        shown = sorted(shown, key=lambda each: each[0].passed)[:_MOST_ROWS]
        left_out = f"<p>{len(report.rows) - _MOST_ROWS} more gradients are not shown; print(report) shows all</p>"
    heads = "".join(
        f'<th scope="col" style="{_CELL}{side}">{escape(header)}</th>'
        for header, side in zip(grid.headers, grid.aligned, strict=True)
    )
    verdict = grid.headers.index("verdict")
    lines = []
    for row, cells in shown:
        color = _BAD if not row.passed else _GOOD if row.verdict in (Verdict.EXACT, Verdict.OK) else _DOUBTFUL
        painted = (
            _cell(cell, side, color if number == verdict else None)
            for number, (cell, side) in enumerate(zip(cells, grid.aligned, strict=True))
        )
        lines.append(f"<tr>{''.join(painted)}</tr>")
    return _table(f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody>") + left_out


def _table(body: str) -> str:
    # A page in quirks mode would give it a colour of its own, black on whatever the page is.
    return f'<table style="color:inherit">{body}</table>'


def _cell(text: str, side: str, color: str | None = None) -> str:
    background = f";background:{color}" if color else ""
    return f'<td style="{_CELL}{side}{background}">{escape(text)}</td>'


def _quoted(text: str) -> str:
    return f'<pre style="{_TEXT}">{escape(text)}</pre>' if text else ""
