"""What is written in a node of a drawn graph, and in which tone; both for SVG and for DOT."""

from __future__ import annotations

from dataclasses import dataclass

from gradverify.graph import Kind, Node
from gradverify.location import shorten
from gradverify.render import spelling
from gradverify.verdict import Origin, Verdict
from gradverify.word import Word

# Longer text is cut in the middle: a drawing is as wide as its widest nodes, and the whole is in the tooltip.
_WIDEST = 26

_DOUBTFUL = (Verdict.IMPRECISE, Verdict.VACUOUS, Verdict.INCONCLUSIVE)
_QUIET = (Verdict.KNOWN, Verdict.GIVEN, Verdict.MISSING)


class Tone(Word):
    """How a node is coloured; a string, so that it is part of a class name."""

    NONE = "none"  # nothing was judged
    GOOD = "good"
    DOUBT = "doubt"
    BAD = "bad"
    QUIET = "quiet"


@dataclass(frozen=True)
class Card:
    """The text of a node.

    Attributes:
        title: its first line; aside: what stands at the right end of that line, a verdict say.
        facts: further lines, in two columns.
        footnotes: the last lines.
        whole: all of it in one line, for a tooltip.
        tone: how it is coloured.
    """

    title: str
    aside: str
    facts: tuple[tuple[str, str], ...]
    footnotes: tuple[str, ...]
    whole: str
    tone: Tone


def write_card(node: Node) -> Card:
    """What to write in a node."""
    # What a group says is our own text, and short.
    title = node.label if node.kind is Kind.GROUP else spelling.name(node.label, _WIDEST) if node.label else ""
    operation = spelling.name(node.operation, _WIDEST) if node.operation else ""
    verdict = str(node.verdict) if node.verdict else ""
    if node.data is not None:
        # A Value is known by its label where it has one, and by what computed it where it has not.
        title, operation = (title, operation) if title else (operation, "")
        return Card(title, operation, _numbers(node), (), _whole(node), tone_of(node))
    footnotes: tuple[str, ...] = ()
    if node.origin is Origin.INTRODUCED:
        footnotes = ("introduced", *_place(node))
    elif node.kind is not Kind.GROUP and node.origin is Origin.INHERITED:
        footnotes = ("inherited",)
    facts = _numbers(node)
    if operation:
        facts = (("by", operation), *facts)
    return Card(title, verdict, facts, footnotes, _whole(node), tone_of(node))


def tone_of(node: Node) -> Tone:
    """The tone of a node's verdict."""
    if node.passed is False:
        return Tone.DOUBT if node.verdict in _DOUBTFUL else Tone.BAD
    if node.verdict in _DOUBTFUL:
        return Tone.DOUBT
    if node.verdict in _QUIET:
        return Tone.QUIET
    return Tone.GOOD if node.passed else Tone.NONE


def spell_shape(shape: tuple[int, ...]) -> str:
    """A shape as it is read aloud: "100×10"; "scalar" for that of a single number."""
    return "×".join(map(str, shape)) or "scalar"


def _numbers(node: Node) -> tuple[tuple[str, str], ...]:
    facts = []
    if node.shape is not None:
        facts.append(("shape", spelling.name(spell_shape(node.shape), _WIDEST)))
    for label, value in (
        ("‖value‖", node.value_norm),
        ("‖grad‖", node.gradient_norm),
        ("‖error‖", node.error_norm),
    ):
        if value is not None:
            facts.append((label, spelling.number(value)))
    for label, value in (("data", node.data), ("grad", node.grad)):
        if value is not None:
            facts.append((label, f"{value:.6g}"))
    return tuple(facts)


def _place(node: Node) -> tuple[str, ...]:
    """The line that introduced the error, short."""
    if node.file is None:
        return ()
    base = spelling.one_line(shorten(node.file).rpartition("/")[2])
    return (f"at {spelling.name(base if node.line is None else f'{base}:{node.line}', _WIDEST)}",)


def _whole(node: Node) -> str:
    parts = [spelling.one_line(node.label)] if node.label else []
    if node.operation:
        parts.append(f"by {spelling.one_line(node.operation)}")
    parts += [f"{label} {value}" for label, value in _numbers(node)]
    if node.verdict is not None:
        parts.append(f"{node.verdict}: {node.verdict.sentence}")
    if node.origin is not None and node.kind is not Kind.GROUP:
        parts.append(str(node.origin))
    if node.file is not None:
        where = spelling.one_line(shorten(node.file))
        parts.append(where if node.line is None else f"{where}:{node.line}")
    return " · ".join(parts)
