"""A graph as a drawing: SVG that needs nothing from elsewhere, or text in the DOT language.

Every name in it may be anybody's text. All of it is escaped; the SVG has no script, no link and no id.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from html import escape

from gradverify.folding import fold, with_mentions
from gradverify.graph import Edge, Graph, Kind, Node
from gradverify.render import spelling
from gradverify.render.card import Card, Tone, write_card
from gradverify.render.layout import AFTER, Engine, lay_out
from gradverify.render.plane import Path, Point, Size
from gradverify.verdict import Origin

# More nodes than this are not read on a screen: larger graphs are folded.
LIMIT = 100

# What is drawn with its title alone.
_SMALL = (Kind.OPERATION, Kind.MENTION)

# In pixels. A character of a monospaced font is 0.6 of its size wide, a little more in some.
_FONT, _CHARACTER, _LINE = 12, 7.3, 17
_PADDING, _STRIPE, _RING, _MARGIN = 10, 5, 5, 16
_ARROW = 7.0
_AROUND_LABEL = 24
# Narrower drawings leave no room for their title.
_NARROWEST = 420
# A title that is as wide as the drawing would be scrolled away with it.
_LONGEST_LINE = 120

_LIGHT = {
    "paper": "#ffffff",
    "card": "#ffffff",
    "input": "#f3f5f8",
    "bad-card": "#fff1f0",
    "frame": "#c4ccd6",
    "line": "#8b95a1",
    "ink": "#1f2328",
    "faint": "#5d6670",
    "good": "#1a7f37",
    "doubt": "#9a6700",
    "bad": "#cf222e",
    "quiet": "#6e7781",
}
_DARK = {
    "paper": "#0d1117",
    "card": "#161b22",
    "input": "#1f2630",
    "bad-card": "#351719",
    "frame": "#3d444d",
    "line": "#7d8590",
    "ink": "#e6edf3",
    "faint": "#9aa4af",
    "good": "#3fb950",
    "doubt": "#d29922",
    "bad": "#ff6a61",
    "quiet": "#848d97",
}


def _style() -> str:
    def variables(colours: dict[str, str]) -> str:
        return "".join(f"--gv-{name}:{colour};" for name, colour in colours.items())

    def fill(selector: str, name: str) -> str:
        return f".gv-graph .gv-{selector}{{fill:var(--gv-{name})}}"

    def stroke(selector: str, name: str) -> str:
        return f".gv-graph .gv-{selector}{{stroke:var(--gv-{name})}}"

    rules = [
        f".gv-graph{{{variables(_LIGHT)}}}",
        f"@media (prefers-color-scheme:dark){{.gv-graph{{{variables(_DARK)}}}}}",
        *(fill(name, name) for name in ("paper", "card", "input", "bad-card", "ink", "faint")),
        *(fill(tone, tone) for tone in Tone if tone is not Tone.NONE),
        *(stroke(name, name) for name in ("frame", "line")),
        ".gv-graph .gv-head{fill:var(--gv-line)}",
        ".gv-graph .gv-path{stroke:var(--gv-bad)}",
        ".gv-graph .gv-doubt-frame{stroke:var(--gv-doubt)}",
        ".gv-graph .gv-path-head{fill:var(--gv-bad)}",
    ]
    return "\n".join(rules)


# For a page that shows several drawings, and may want other colours: `--gv-bad: ...` on `.gv-graph`.
STYLE = _style()


def render_svg(
    graph: Graph, *, title: str = "", limit: int = LIMIT, engine: Engine | None = None, embedded: bool = False
) -> str:
    """A graph as one SVG element, from inputs to outputs, light or dark as the reader has it.

    Args:
        graph: what is drawn.
        title: a line above it.
        limit: how many nodes to draw; a larger graph is folded, far from the errors first.
        engine: what finds the places; None takes the best that is installed.
        embedded: leave the style to the page around, which has `STYLE` once.
    """
    graph = with_mentions(fold(graph, max(limit, 1)))
    cards = {node.id: write_card(node) for node in graph.nodes}
    sizes = {node.id: _size(node, cards[node.id]) for node in graph.nodes}
    labels = max((_width(edge.label) for edge in graph.edges if edge.label), default=0.0)
    after = max(AFTER, labels + _AROUND_LABEL) if labels else AFTER
    layout = lay_out(sizes, [(edge.source, edge.target) for edge in graph.edges], engine, after=after)
    keys = list(_legend(graph))
    legend_width = sum(_width(text) + 34 for _, text in keys)
    width = max(layout.size.width, legend_width, _NARROWEST) + 2 * _MARGIN
    columns = min(int((width - 2 * _MARGIN) / (1.1 * _CHARACTER)), _LONGEST_LINE)
    heading = textwrap.wrap(spelling.one_line(title), columns) if title else []
    top = _MARGIN + 18 * len(heading) + (8 if heading else 0)
    bottom = top + layout.size.height + _MARGIN
    notes = _notes(graph)
    height = bottom + (20 if keys else 0) + 18 * len(notes) + (8 if keys or notes else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gv-graph" role="img" width="{_n(width)}" '
        f'height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}" font-size="{_FONT}" '
        f"font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\">",
        f"<title>{_text(' '.join(heading) or 'The computation, from its inputs to its outputs')}</title>",
    ]
    if not embedded:
        parts.append(f"<style>\n{STYLE}\n</style>")
    parts.append(f'<rect class="gv-paper" width="{_n(width)}" height="{_n(height)}" fill="{_LIGHT["paper"]}"/>')
    for number, line in enumerate(heading):
        parts.append(_label(_MARGIN, _MARGIN + 10 + 18 * number, line, "ink", bold=True, size=13))
    parts.append(f'<g transform="translate({_MARGIN} {_n(top)})">')
    # Inherited paths lie on top of the others.
    for edge in sorted(graph.edges, key=lambda one: one.inherited):
        parts += _edge(edge, layout.paths[edge.source, edge.target])
    paths = {node for edge in graph.edges if edge.inherited for node in (edge.source, edge.target)}
    for node in graph.nodes:
        parts += _node(node, cards[node.id], layout.centres[node.id], sizes[node.id], node.id in paths)
    parts += _edge_labels(graph.edges, layout.paths)
    parts.append("</g>")
    x = float(_MARGIN)
    for swatch, text in keys:
        parts += [_swatch(swatch, x, bottom), _label(x + 20, bottom + 10, text, "faint")]
        x += _width(text) + 34
    for number, note in enumerate(notes):
        parts.append(_label(_MARGIN, bottom + (30 if keys else 10) + 18 * number, note, "faint"))
    return "\n".join([*parts, "</svg>", ""])


def render_dot(graph: Graph, *, title: str = "", limit: int | None = None) -> str:
    """A graph in the DOT language, which any version of Graphviz draws.

    Args:
        graph: what is written.
        title: a line above it.
        limit: how many nodes to write; None for all of them.
    """
    graph = graph if limit is None else fold(graph, max(limit, 1))
    heading = "".join(f"{_quoted(line)}\\l" for line in textwrap.wrap(title, _LONGEST_LINE))
    font = 'fontname="DejaVu Sans Mono, Menlo, Consolas, monospace"'
    lines = [
        "digraph {",
        f'  rankdir=LR; bgcolor="{_LIGHT["paper"]}"; nodesep=0.3; ranksep=0.6; charset="UTF-8"',
        f'  graph [{font}, fontsize=13, labelloc=t, labeljust=l, label="{heading}"]',
        f'  node [shape=box, style="rounded,filled", {font}, fontsize=11, fillcolor="{_LIGHT["card"]}", '
        f'color="{_LIGHT["frame"]}", fontcolor="{_LIGHT["ink"]}", margin="0.14,0.08"]',
        f'  edge [color="{_LIGHT["line"]}", {font}, fontsize=9, fontcolor="{_LIGHT["faint"]}", arrowsize=0.7]',
    ]
    lines += [f"  {node.id} [{_attributes(node, write_card(node))}]" for node in graph.nodes]
    for edge in graph.edges:
        shown = [f'label="{_quoted(edge.label)}"'] if edge.label else []
        shown += [f'color="{_LIGHT["bad"]}", penwidth=2.5'] if edge.inherited else []
        lines.append(f"  {edge.source} -> {edge.target}" + (f" [{', '.join(shown)}]" if shown else ""))
    return "\n".join([*lines, "}", ""])


def _attributes(node: Node, card: Card) -> str:
    label = [" ".join(part for part in (card.title, f"({card.aside})" if card.aside else "") if part)]
    label += [f"{name} {value}" for name, value in card.facts]
    label += card.footnotes
    shown = {"label": _lines(label), "tooltip": _quoted(card.whole)}
    if node.kind is Kind.OPERATION:
        shown.update(fontcolor=_LIGHT["faint"], margin="0.08,0.03", height="0.3", width="0.3")
    elif node.kind is Kind.INPUT:
        shown["fillcolor"] = _LIGHT["input"]
    elif node.kind is Kind.GROUP:
        shown["style"] = "rounded,filled,dashed"
    if card.tone is not Tone.NONE:
        shown["color"] = _LIGHT[card.tone]
    if card.tone is Tone.BAD and node.origin is not Origin.INHERITED:
        shown["fillcolor"] = _LIGHT["bad-card"]
    if node.origin is Origin.INTRODUCED:
        shown.update(peripheries="2", penwidth="2.5")
    return ", ".join(f'{name}="{value}"' for name, value in shown.items())


def _lines(lines: Sequence[str]) -> str:
    return "\\n".join(map(_quoted, lines))


def _quoted(text: str) -> str:
    """Text inside a quoted string of DOT, where Graphviz reads entities, and escapes after a backslash."""
    plain = spelling.one_line(text) if text else ""
    return plain.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def _size(node: Node, card: Card) -> Size:
    if node.kind in _SMALL:
        return Size(max(_width(card.title) + 16, 26), 24)
    widest = max(
        [
            (_width(card.title) * 1.03 + (_width(card.aside) + 18 if card.aside else 0)),
            *(_width(name) + _width(value) + 16 for name, value in card.facts),
            *map(_width, card.footnotes),
        ]
    )
    lines = 1 + len(card.facts) + len(card.footnotes)
    ring = 2 * _RING if node.origin is Origin.INTRODUCED else 0
    return Size(round(widest + 2 * _PADDING + _STRIPE) + ring, lines * _LINE + 14 + ring)


def _width(text: str) -> float:
    """How wide a line of text is drawn."""
    columns = 0
    for one in text:
        columns += 0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
    return columns * _CHARACTER


def _node(node: Node, card: Card, centre: Point, size: Size, on_path: bool) -> Iterator[str]:
    left, top = centre.x - size.width / 2, centre.y - size.height / 2
    yield f"<g><title>{_text(card.whole)}</title>"
    if node.kind in _SMALL:
        frame = ("path", _LIGHT["bad"]) if on_path else ("frame", _LIGHT["frame"])
        is_mention = node.kind is Kind.MENTION
        yield _box(left, top, size, "input" if is_mention else "card", frame, radius=4 if is_mention else 12)
        yield _label(centre.x, centre.y + 4, card.title, "ink" if is_mention else "faint", anchor="middle")
        yield "</g>"
        return
    bad = card.tone is Tone.BAD
    fill = "bad-card" if bad and node.origin is not Origin.INHERITED else "input" if node.kind is Kind.INPUT else "card"
    doubt = card.tone is Tone.DOUBT and node.passed is False
    frame = (
        ("path", _LIGHT["bad"]) if bad else ("doubt-frame", _LIGHT["doubt"]) if doubt else ("frame", _LIGHT["frame"])
    )
    if node.origin is Origin.INTRODUCED:
        yield _box(left, top, size, "", frame, radius=10, thickness=2.5)
        left, top, size = left + _RING, top + _RING, Size(size.width - 2 * _RING, size.height - 2 * _RING)
    dashes = node.kind is Kind.GROUP
    yield _box(left, top, size, fill, frame, radius=6, thickness=1.5 if bad else 1.0, dashed=dashes)
    if card.tone is not Tone.NONE:
        yield (
            f'<path class="gv-{card.tone}" fill="{_LIGHT[card.tone]}" d="M{_n(left + _STRIPE)} {_n(top)}v'
            f'{_n(size.height)}a5 6 0 0 1 -5 -6v{_n(12 - size.height)}a5 6 0 0 1 5 -6z"/>'
        )
    x, right, y = left + _STRIPE + _PADDING, left + size.width - _PADDING, top + 19.0
    yield _label(x, y, card.title, "ink", bold=True)
    if card.aside:
        tone = "faint" if card.tone is Tone.NONE else card.tone.value
        yield _label(right, y, card.aside, tone, anchor="end")
    for name, value in card.facts:
        y += _LINE
        yield _label(x, y, name, "faint")
        yield _label(right, y, value, "ink", anchor="end")
    for footnote in card.footnotes:
        y += _LINE
        yield _label(x, y, footnote, "bad" if bad else "faint")
    yield "</g>"


def _edge(edge: Edge, path: Path) -> Iterator[str]:
    """The curve, and an arrowhead of its own: a marker would need an id, which two drawings on a page share."""
    name, colour = ("path", _LIGHT["bad"]) if edge.inherited else ("line", _LIGHT["line"])
    head = "path-head" if edge.inherited else "head"
    thickness = 2.5 if edge.inherited else 1.25
    tip, before = path.points[-1], path.points[-2]
    angle = math.atan2(tip.y - before.y, tip.x - before.x) if tip != before else 0.0
    back = Point(tip.x - _ARROW * math.cos(angle), tip.y - _ARROW * math.sin(angle))
    points = [*path.points[:-1], Point((tip.x + back.x) / 2, (tip.y + back.y) / 2)]
    start, *rest = [f"{_n(one.x)} {_n(one.y)}" for one in points]
    yield (
        f'<path class="gv-{name}" fill="none" stroke="{colour}" stroke-width="{thickness}" '
        f'd="M{start}C{" ".join(rest)}"/>'
    )
    side = Point(0.45 * _ARROW * math.sin(angle), -0.45 * _ARROW * math.cos(angle))
    yield (
        f'<path class="gv-{head}" fill="{colour}" d="M{_n(tip.x)} {_n(tip.y)}L{_n(back.x + side.x)} '
        f'{_n(back.y + side.y)}L{_n(back.x - side.x)} {_n(back.y - side.y)}z"/>'
    )


def _edge_labels(edges: Sequence[Edge], paths: dict[tuple[str, str], Path]) -> Iterator[str]:
    for edge in edges:
        if edge.label:
            middle = paths[edge.source, edge.target].middle
            width = _width(edge.label) * 10 / _FONT + 4
            yield (
                f'<rect class="gv-paper" fill="{_LIGHT["paper"]}" x="{_n(middle.x - width / 2)}" '
                f'y="{_n(middle.y - 6)}" width="{_n(width)}" height="12"/>'
            )
            yield _label(middle.x, middle.y + 3.5, spelling.one_line(edge.label), "faint", anchor="middle", size=10)


def _legend(graph: Graph) -> Iterator[tuple[str, str]]:
    """What the colours and lines mean, as far as they are there."""
    tones = {write_card(node).tone for node in graph.nodes if node.kind not in _SMALL}
    for tone, text in (
        (Tone.GOOD, "right"),
        (Tone.DOUBT, "imprecise or undecided"),
        (Tone.BAD, "not right"),
        (Tone.QUIET, "known, given or not derived"),
    ):
        if tone in tones:
            yield tone.value, text
    if any(node.origin is Origin.INTRODUCED for node in graph.nodes):
        yield "framed", "introduced here"
    if any(edge.inherited for edge in graph.edges):
        yield "path", "the way an error is inherited"


def _swatch(kind: str, x: float, y: float) -> str:
    if kind == "path":
        return f'<path class="gv-path" stroke="{_LIGHT["bad"]}" stroke-width="2.5" d="M{_n(x)} {_n(y + 6)}h14"/>'
    if kind == "framed":
        return _box(x + 1, y, Size(12, 12), "bad-card", ("path", _LIGHT["bad"]), radius=3, thickness=2.5)
    return f'<rect class="gv-{kind}" fill="{_LIGHT[kind]}" x="{_n(x)}" y="{_n(y)}" width="14" height="12" rx="3"/>'


def _notes(graph: Graph) -> list[str]:
    if not graph.omitted:
        return []
    names = ", ".join(spelling.name(one, 24) for one in graph.omitted[:6])
    rest = len(graph.omitted) - 6
    return [f"not drawn, having no gradient: {names}{f' and {rest} more' if rest > 0 else ''}"]


def _box(
    x: float,
    y: float,
    size: Size,
    fill: str,
    frame: tuple[str, str],
    *,
    radius: float,
    thickness: float = 1.0,
    dashed: bool = False,
) -> str:
    inside = f'class="gv-{fill} gv-{frame[0]}" fill="{_LIGHT[fill]}"' if fill else f'class="gv-{frame[0]}" fill="none"'
    dashes = ' stroke-dasharray="5 3"' if dashed else ""
    return (
        f'<rect {inside} stroke="{frame[1]}" stroke-width="{thickness}"{dashes} x="{_n(x)}" y="{_n(y)}" '
        f'width="{_n(size.width)}" height="{_n(size.height)}" rx="{radius}"/>'
    )


def _label(
    x: float, y: float, text: str, colour: str, *, anchor: str = "start", bold: bool = False, size: int = _FONT
) -> str:
    weight = ' font-weight="600"' if bold else ""
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    scaled = f' font-size="{size}"' if size != _FONT else ""
    return (
        f'<text class="gv-{colour}" fill="{_LIGHT[colour]}"{weight}{placed}{scaled} x="{_n(x)}" y="{_n(y)}">'
        f"{_text(text)}</text>"
    )


def _text(text: str) -> str:
    return escape(text)


def _n(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")
