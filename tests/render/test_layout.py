"""What finds the places: the best that is installed, and never a failure for a program that is not."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import stat
import sys

import pytest

from gradverify.render import layout
from gradverify.render.layout import Engine, Unavailable, can_draw_png, draw_png, lay_out
from gradverify.render.plane import Point, Size

SIZES = {"a": Size(60, 40), "b": Size(80, 40), "c": Size(60, 40)}
EDGES = [("a", "b"), ("b", "c"), ("a", "c")]
LAYERED = lay_out(SIZES, EDGES, Engine.LAYERED)

HAS_PYGRAPHVIZ = importlib.util.find_spec("pygraphviz") is not None
needs_pygraphviz = pytest.mark.skipif(not HAS_PYGRAPHVIZ, reason="pygraphviz, the extra [graph], is not installed")

# A stand-in for the program `dot`: it answers as Graphviz does, with everything in one row.
DOT = """#!{python}
import json, re, sys
text = sys.stdin.read()
if "-Tpng" in sys.argv:
    sys.stdout.buffer.write(b"\\x89PNG by dot")
    sys.exit()
names = re.findall(r"^(\\w+) \\[width", text, re.M)
pairs = re.findall(r"^(\\w+) -> (\\w+)", text, re.M)
objects = [{{"name": name, "pos": f"{{100 * place + 50}},30"}} for place, name in enumerate(names)]
edges = [
    {{"tail": names.index(tail), "head": names.index(head), "pos": "0,0 1,1 2,2 3,3"}} for tail, head in pairs
]
print(json.dumps({{"bb": f"0,0,{{100 * len(names)}},60", "objects": objects, "edges": edges}}))
"""


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with neither pygraphviz nor `dot`."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def program(bare):
    """A machine with a `dot` that is a script of the test's; gives a function that writes it."""

    def write(source: str = DOT.format(python=sys.executable)) -> None:
        file = bare / "dot"
        file.write_text(source)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return write


def test_with_neither_installed_the_layers_step_in(bare):
    """Whatever was asked for."""
    for engine in (None, *Engine):
        assert lay_out(SIZES, EDGES, engine) == LAYERED


@needs_pygraphviz
@pytest.mark.parametrize("engine", [None, Engine.PYGRAPHVIZ])
def test_pygraphviz_needs_no_installed_dot(monkeypatch, tmp_path, engine):
    """It brings a Graphviz of its own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = lay_out(SIZES, EDGES, engine)
    assert found != LAYERED
    assert found.centres["a"].x < found.centres["b"].x < found.centres["c"].x
    assert found.paths.keys() == set(EDGES)
    assert all(len(path.points) % 3 == 1 for path in found.paths.values())
    for name, size in SIZES.items():
        assert size.width / 2 - 1 <= found.centres[name].x <= found.size.width - size.width / 2 + 1


@needs_pygraphviz
def test_the_y_axis_is_turned(monkeypatch):
    """Graphviz measures from below: what it calls high is high in the drawing too, and edges meet their boxes."""
    found = lay_out({"a": Size(60, 40), "b": Size(60, 40)}, [("a", "b")], Engine.PYGRAPHVIZ)
    assert found.paths["a", "b"].points[0].y == pytest.approx(found.centres["a"].y, abs=1)


def test_an_installed_dot_is_used_without_pygraphviz(program):
    """The second best."""
    program()
    found = lay_out(SIZES, EDGES)
    assert found.centres == {"a": Point(50, 30), "b": Point(150, 30), "c": Point(250, 30)}
    assert found.size == Size(300, 60)
    assert found.paths["a", "b"].points == (Point(0, 60), Point(1, 59), Point(2, 58), Point(3, 57))


@pytest.mark.parametrize(
    "source",
    [
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\necho nonsense\n",
        "#!/bin/sh\nexec cat > /dev/null\n",
        "#!/nonexistent\n",
        f"#!{sys.executable}\nprint({json.dumps(json.dumps({'bb': '0,0,1,1', 'objects': []}))})\n",
    ],
    ids=["it fails", "it prints nonsense", "it prints nothing", "it does not start", "it leaves nodes out"],
)
def test_a_broken_dot_is_passed_over(program, source):
    """An old version knows no JSON; a broken one does anything."""
    program(source)
    assert lay_out(SIZES, EDGES) == LAYERED


def test_a_broken_pygraphviz_is_passed_over(bare, monkeypatch):
    """Built against a Graphviz that has gone, it imports and then fails."""

    class Broken:
        def __init__(self, **_):
            raise ValueError("Program dot not found in path.")

    monkeypatch.setitem(sys.modules, "pygraphviz", type("module", (), {"AGraph": Broken}))
    assert lay_out(SIZES, EDGES) == LAYERED


def test_a_missing_program_that_is_not_caught_is_found(bare, monkeypatch):
    """The twin: an engine that lets the error through fails here, where nothing is installed."""
    monkeypatch.setattr(layout.contextlib, "suppress", lambda _: layout.contextlib.nullcontext())
    with pytest.raises(Unavailable):
        lay_out(SIZES, EDGES)


def test_graphviz_is_given_no_word_of_the_users():
    """Ids and sizes; a name at which it chokes is none of its business."""
    text = layout._skeleton(SIZES, EDGES, 40)
    assert set(text.split('"')[1::2]) == {""}


def test_a_large_graph_is_left_to_the_layers(program):
    """Graphviz takes seconds for it, and prints a warning."""
    program("#!/bin/sh\nexit 1\n")
    sizes = {f"n{number}": Size(20, 20) for number in range(layout._MOST + 1)}
    edges = [(f"n{number}", f"n{number + 1}") for number in range(layout._MOST)]
    assert lay_out(sizes, edges) == lay_out(sizes, edges, Engine.LAYERED)


@needs_pygraphviz
def test_a_png_is_drawn_without_an_installed_dot(monkeypatch, tmp_path):
    """And whatever the font library complains of does not reach the user."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert can_draw_png()
    assert draw_png('digraph { a [label="λ <b>&amp;"] }').startswith(b"\x89PNG\r\n")


def test_a_png_is_drawn_by_an_installed_dot(program):
    """Where there is no pygraphviz."""
    program()
    assert can_draw_png()
    assert draw_png("digraph {}") == b"\x89PNG by dot"


def test_no_png_is_drawn_with_neither(bare):
    """It is known beforehand, and told."""
    assert not can_draw_png()
    with pytest.raises(Unavailable, match="dot is not installed"):
        draw_png("digraph {}")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed here: apt-get install graphviz")
def test_a_real_dot_answers(monkeypatch):
    """The program itself, where there is one."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    found = lay_out(SIZES, EDGES, Engine.DOT)
    assert found.centres["a"].x < found.centres["b"].x < found.centres["c"].x
    assert draw_png("digraph {a -> b}").startswith(b"\x89PNG")
    assert os.path.isabs(shutil.which("dot") or "")
