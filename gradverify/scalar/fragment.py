"""A Value inside a notebook: a small piece of HTML that takes the colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

# A sum of many terms has as many parents.
_MOST_PARENTS = 20

_CELL = "padding:.1em .6em;text-align:left"


def render_value(title: str, data: float, grad: float, parents: Iterable[tuple[str, float, float]]) -> str:
    """A Value as a table: itself, and what it was computed from.

    Args:
        title: its label and the operation; may be empty.
        data: the number.
        grad: what its `backward` accumulated.
        parents: of each the title, the number, and the derivative of the Value by it.
    """
    several = list(parents)
    lines = [_row("th", ("", "data", "grad")), _row("td", (title or "Value", repr(data), repr(grad)))]
    if several:
        lines.append(_row("th", ("from", "data", "derivative")))
        lines += [
            _row("td", (name or "Value", repr(number), repr(slope))) for name, number, slope in several[:_MOST_PARENTS]
        ]
    left_out = len(several) - _MOST_PARENTS
    if left_out > 0:
        lines.append(_row("td", (f"and {left_out} more", "", "")))
    return f'<table style="color:inherit">{"".join(lines)}</table>'


def _row(kind: str, cells: Sequence[str]) -> str:
    shown = (f'<{kind} style="{_CELL}">{escape(cell)}</{kind}>' for cell in cells)
    return f"<tr>{''.join(shown)}</tr>"
