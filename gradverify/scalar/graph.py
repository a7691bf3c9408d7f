"""The computation behind a Value as text in the DOT language, or drawn: no program has to be installed for either."""

from __future__ import annotations

from dataclasses import dataclass

from gradverify.scalar.value import Value, ordered


def to_dot(root: Value) -> str:
    """The graph of a computation, parents first; each edge bears the derivative of its head by its tail.

    Any viewer of the DOT language shows it; the text says the same without one.
    """
    order = ordered(root)
    names = {value: f"v{index}" for index, value in enumerate(order)}
    lines = ["digraph {", "  rankdir=LR", "  node [shape=box]"]
    for value, name in names.items():
        title = " ".join(part for part in (value.label, value.operation) if part)
        shown = [title] if title else []
        text = "\\n".join(_escape(line) for line in (*shown, f"data {value.data:.6g}", f"grad {value.grad:.6g}"))
        lines.append(f'  {name} [label="{text}"]')
        lines.extend(f'  {names[parent]} -> {name} [label="{slope:.6g}"]' for parent, slope in value.edges)
    return "\n".join((*lines, "}"))


@dataclass(frozen=True)
class Drawing:
    """A picture: a notebook shows it, and its text is that of an .svg file."""

    svg: str

    def __str__(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return self.svg


def draw(root: Value) -> Drawing:
    """The graph of a computation from left to right, data and grad in every node; a long one is drawn in part."""
    # A renderer belongs to a higher floor; a Value that can be looked at is worth this exception.
    from gradverify.render.graph import render_svg
    from gradverify.scalar_graph import graph_of_value

    return Drawing(render_svg(graph_of_value(root)))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
