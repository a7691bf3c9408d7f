"""Where the nodes of a drawing go: by pygraphviz, by an installed `dot`, or by a layout that needs neither."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradverify.render.layered import lay_out_in_layers
from gradverify.render.plane import Edges, Layout, Path, Point, Size
from gradverify.word import Word

# What Graphviz calls an inch; its positions are in points.
_INCH = 72
# Pixels between a node and the next one beside it and after it.
BESIDE, AFTER = 20.0, 38.0
# Beyond, Graphviz prints a warning, and takes seconds where the layers take less than one.
_MOST = 800
# A program that takes longer than any graph worth looking at is given up.
_SECONDS = 60

_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format="png", prog="dot"))
"""


class Engine(Word):
    """What can find the places; a string, so that it prints as its value."""

    PYGRAPHVIZ = "pygraphviz"
    DOT = "dot"
    LAYERED = "layered"


class Unavailable(Exception):
    """An engine is not installed, or did not answer."""


def lay_out(sizes: Mapping[str, Size], edges: Edges, engine: Engine | None = None, *, after: float = AFTER) -> Layout:
    """The places of some boxes, left to right, and the curves between them.

    Args:
        sizes: of the boxes, by id.
        edges: from one id to another, without a circle.
        after: the room between a box and the next one, in pixels.
        engine: by what; None takes the first that is installed. The last one always is, and steps in for the others.
    """
    if engine is None and len(sizes) > _MOST:
        engine = Engine.LAYERED
    if engine in (None, Engine.PYGRAPHVIZ):
        with contextlib.suppress(Unavailable):
            return _read(_ask_pygraphviz(_skeleton(sizes, edges, after)), sizes)
    if engine in (None, Engine.DOT):
        with contextlib.suppress(Unavailable):
            return _read(_run_dot(_skeleton(sizes, edges, after), "json0"), sizes)
    return lay_out_in_layers(sizes, edges, beside=BESIDE, after=after)


def draw_png(dot: str) -> bytes:
    """A DOT text as a PNG file, by pygraphviz or an installed `dot`.

    Raises:
        Unavailable: if there is neither.
    """
    with contextlib.suppress(Unavailable):
        _pygraphviz()
        # In a process of its own, because this text is the user's: whatever it does to a library in C, and what the
        # font library complains of, stays there.
        return _run([sys.executable, "-c", _PYGRAPHVIZ], dot)
    return _run_dot(dot, "png")


def can_draw_png() -> bool:
    """Whether there is something that draws one."""
    with contextlib.suppress(Unavailable):
        _pygraphviz()
        return True
    return shutil.which("dot") is not None


def _skeleton(sizes: Mapping[str, Size], edges: Edges, after: float) -> str:
    """What Graphviz is given: numbers, but no word of the user's, at which it could choke."""
    lines = [
        "digraph {",
        f"rankdir=LR; nodesep={BESIDE / _INCH:.4f}; ranksep={after / _INCH:.4f}; nslimit=4; nslimit1=4; mclimit=2",
        'node [shape=box, fixedsize=true, label=""]; edge [arrowhead=none]',
    ]
    numbers = {name: number for number, name in enumerate(sizes)}
    for name, size in sizes.items():
        lines.append(f"{numbers[name]} [width={size.width / _INCH:.4f}, height={size.height / _INCH:.4f}]")
    # What starts the computation hangs on the way through it, which is straight.
    edges = list(edges)
    on_the_way = {target for _, target in edges}
    for source, target in edges:
        weight = 10 if source in on_the_way else 1
        lines.append(f"{numbers[source]} -> {numbers[target]} [weight={weight}]")
    return "\n".join([*lines, "}"])


def _pygraphviz() -> Any:
    try:
        import pygraphviz  # type: ignore[import-untyped, import-not-found, unused-ignore]  # optional, and untyped
    except Exception as error:  # ImportError, or what a broken library raises
        raise Unavailable(str(error)) from None
    return pygraphviz


def _ask_pygraphviz(dot: str) -> bytes:
    module = _pygraphviz()
    try:
        drawn: object = module.AGraph(string=dot).draw(format="json0", prog="dot")
    except Exception as error:
        # Built against an installed Graphviz, pygraphviz runs its programs, which may have gone.
        raise Unavailable(str(error)) from None
    if not isinstance(drawn, bytes):
        raise Unavailable("it draws nothing")
    return drawn


def _run_dot(dot: str, form: str) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise Unavailable("dot is not installed")
    return _run([program, f"-T{form}"], dot)


def _run(command: Sequence[str], dot: str) -> bytes:
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, check=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(str(error)) from None
    if not done.stdout:
        raise Unavailable("it drew nothing")
    return done.stdout


def _read(answer: bytes, sizes: Mapping[str, Size]) -> Layout:
    """The layout in Graphviz's JSON, whose y axis points up."""
    try:
        document = json.loads(answer)
        _, _, width, height = _numbers(document["bb"])
        known = list(sizes)
        names = [known[int(found["name"])] for found in document["objects"]]
        places = (_flipped(found["pos"], height) for found in document["objects"])
        centres = dict(zip(names, places, strict=True))
        paths = {
            (names[found["tail"]], names[found["head"]]): Path(tuple(_points(found["pos"], height)))
            for found in document.get("edges", ())
        }
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Unavailable(f"an answer that cannot be read: {error}") from None
    if centres.keys() != sizes.keys():
        raise Unavailable("it left nodes out")
    return Layout(Size(width, height), centres, paths)


def _points(text: str, height: float) -> Iterator[Point]:
    """The points of a spline; those of its ends, which arrowheads would have, come with a letter."""
    for one in text.split():
        if "," in one and one[0] not in "es":
            yield _flipped(one, height)


def _flipped(text: str, height: float) -> Point:
    x, y = _numbers(text)
    return Point(x, height - y)


def _numbers(text: str) -> Sequence[float]:
    return [float(one) for one in text.split(",")]
