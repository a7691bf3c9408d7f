"""The computation behind a Value as text in the DOT language: no program has to be installed to write it."""

from __future__ import annotations

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


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
