"""`gradverify graph` as a user meets it: what it draws, says and refuses, whatever is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from commandline import SQUARE, runner

CASES = Path(__file__).parents[1] / "cases"
NET = CASES / "three_layer_net.py"

RAISING = SQUARE.replace("d.x = 2", "raise RuntimeError('my own')\n        d.x = 2")
UNABLE = SQUARE.replace("t.y = t.x * t.x", "raise RuntimeError('my own')")
ENDING = SQUARE.replace("t.y = t.x * t.x", "raise SystemExit(0)")
VALUE = """
from gradverify.scalar import Value
print("hello from the module")
x, w = Value(2.0, label="x"), Value(-3.0, label="<script>alert(1)</script>")
loss = (x * w).tanh()
loss.backward()
number = 3
"""


@pytest.fixture
def draw(write, capfd):
    """Run the command in this process; gives its exit code, stdout and stderr."""
    return runner(capfd, "graph")


@pytest.fixture
def planted(write):
    """The three-layer net with a mistake: the contribution of h3_sum to d.h3 is forgotten."""
    source = NET.read_text(encoding="utf-8")
    right = "d.h3 = t.h3_sum_inv * d.probs + d.h3_sum"
    assert right in source
    return write("net.py", source.replace(right, "d.h3 = t.h3_sum_inv * d.probs"))


def without_pygraphviz(monkeypatch, path=""):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", path)


def check_planted(file: Path) -> None:
    """The drawing names the mistake, frames it, and draws the path by which it was inherited."""
    text = file.read_text(encoding="utf-8")
    shown = [one.text for one in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert {"X", "W1", "b1", "h1_preact", "h3", "h3_sum_inv", "loss", "relu", "sigmoid", "@", "+"} <= set(shown)
    assert shown.count("introduced") == 1
    assert shown.count("inherited") == 12
    assert "at net.py:73" in shown
    assert {"100×10", "100×1", "2.5e+19", "scalar"} <= set(shown)
    assert text.count('class="gv-path-head"') == 21  # seven a layer
    assert text.count('class="gv-head"') > 10
    title = " ".join(shown)
    assert "ThreeLayerNet[float32]: 13 of 18 gradients wrong, 12 of them inherited; first: h3 (wrong)" in title


def test_the_three_layer_net_is_drawn_without_a_dot(draw, planted, monkeypatch, tmp_path):
    """By pygraphviz, which brings a Graphviz of its own; or by what is always there, where even that is missing."""
    monkeypatch.setenv("PATH", "")
    assert shutil.which("dot") is None
    code, out, err = draw(planted, "-o", "net.svg")
    assert (code, err) == (0, "")
    assert out.startswith("ThreeLayerNet[float32]: 13 of 18 gradients wrong, 12 of them inherited; first: h3 (wrong)")
    assert out.endswith("\ndrawn in net.svg\n")
    check_planted(tmp_path / "net.svg")


def test_the_three_layer_net_is_drawn_with_neither_dot_nor_pygraphviz(draw, planted, monkeypatch, tmp_path):
    """No traceback, no word of a missing program: the picture is there."""
    without_pygraphviz(monkeypatch)
    code, _, err = draw(planted, "-o", "net.svg")
    assert (code, err) == (0, "")
    check_planted(tmp_path / "net.svg")


def test_a_right_net_has_no_error_in_its_picture(draw, tmp_path):
    """The twin."""
    assert draw(NET, "-o", "net.svg")[0] == 0
    text = (tmp_path / "net.svg").read_text(encoding="utf-8")
    assert "introduced" not in text.split("</style>")[1]
    assert 'class="gv-path-head"' not in text


def test_without_a_file_the_text_of_dot_goes_to_stdout(draw, write):
    """And nothing else does, so that it can be piped."""
    code, out, err = draw(write("square.py", SQUARE))
    assert code == 0
    assert out.startswith("digraph {\n")
    assert out.endswith("}\n")
    assert err.startswith("Square[float32]: 2 of 2 gradients right")


@pytest.mark.parametrize("available", [True, False])
def test_dot_always_works(draw, write, monkeypatch, tmp_path, available):
    """It is text."""
    if not available:
        without_pygraphviz(monkeypatch)
    assert draw(write("square.py", SQUARE), "-o", "square.dot")[0] == 0
    assert "n0 -> n1" in (tmp_path / "square.dot").read_text(encoding="utf-8")


def test_a_png_without_graphviz_is_refused_before_anything_runs(draw, write, monkeypatch, tmp_path):
    """What is missing, and the one command that mends it."""
    without_pygraphviz(monkeypatch)
    code, out, err = draw(write("square.py", SQUARE.replace("class", "print('ran')\nclass")), "-o", "square.png")
    assert (code, out) == (4, "")
    assert err == (
        "gradverify: -o square.png: a PNG is drawn by Graphviz, and neither pygraphviz nor a program `dot` is "
        "installed: pip install 'gradverify[graph]' brings one; or write a .svg, which needs neither\n"
    )
    assert not (tmp_path / "square.png").exists()


def test_a_png_that_fails_is_told_with_the_remedy(draw, write, monkeypatch, tmp_path):
    """A broken program is no traceback either."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "dot"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    without_pygraphviz(monkeypatch, str(tmp_path / "bin"))
    code, _, err = draw(write("square.py", SQUARE), "-o", "square.png")
    assert code == 4
    assert "Graphviz failed to draw the PNG" in err
    assert "pip install 'gradverify[graph]'" in err
    assert "Traceback" not in err


def test_a_png_is_a_picture(draw, write, tmp_path):
    """By pygraphviz."""
    pytest.importorskip("pygraphviz", reason="pygraphviz, the extra [graph], is not installed")
    code, _, err = draw(write("square.py", SQUARE), "-o", "square.png")
    assert (code, err) == (0, "")
    assert (tmp_path / "square.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_case_whose_backward_raises_is_drawn_without_verdicts(draw, write, tmp_path):
    """The forward is there to be looked at; the exit code tells that something raised."""
    code, out, _ = draw(write("square.py", RAISING), "-o", "square.svg")
    assert code == 1
    assert out.startswith("Square[float32]: backward raised RuntimeError")
    text = (tmp_path / "square.svg").read_text(encoding="utf-8")
    assert "‖grad‖" in text
    assert "gv-good" not in text.split("</style>")[1]


@pytest.mark.parametrize("source", [UNABLE, ENDING], ids=["it raises", "it ends the program"])
def test_a_case_whose_forward_raises_is_not_drawn(draw, write, tmp_path, source):
    """There is nothing to draw, and the line says why."""
    code, out, err = draw(write("square.py", source), "-o", "square.svg")
    assert (code, out) == (1, "")
    assert re.match(r"Square\[float32\]: .* raised .*; nothing is drawn\n$", err)
    assert not (tmp_path / "square.svg").exists()


def test_sizes_seeds_and_dtypes_are_those_of_run(draw, write, tmp_path):
    """The picture is of that very run."""
    code, out, _ = draw(
        write("square.py", SQUARE), "-o", "a.dot", "--size", "n=7", "--dtype", "bfloat16", "--seed", "3"
    )
    assert code == 0
    assert out.startswith("Square[n=7-bfloat16]:")
    assert "n=7" in out
    assert "shape 7" in (tmp_path / "a.dot").read_text(encoding="utf-8")


def test_one_case_is_drawn(draw, write):
    """Of several, the user says which."""
    file = write("two.py", SQUARE + SQUARE.replace("Square", "Other"))
    code, _, err = draw(file)
    assert code == 4
    assert f"holds 2 cases, and one is drawn: name it, as in {file}::Square, {file}::Other" in err
    assert draw(f"{file}::Other")[2].startswith("Other[float32]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.py"], "nowhere.py does not exist"),
        (["square.py::Sqare"], "holds no case 'Sqare'; did you mean 'Square'?"),
        (["square.py", "-o", "a.pdf"], "its ending says what to write, one of .svg, .png, .dot; got .pdf"),
        (["square.py", "-o", "picture"], "got none"),
        (["square.py", "-o", "no/such/folder/a.svg"], "there is no folder"),
        (["square.py", "--nodes", "0"], "expected a number of nodes, 1 or more, got '0'"),
        (["square.py", "--nodes", "many"], "expected a number of nodes, 1 or more, got 'many'"),
        (["square.py", "--size", "n=3,4"], "each size has one value"),
        (["square.py", "--size", "m=3"], "no case has a size 'm'"),
        (["square.py", "--device", "nonsense"], "--device nonsense"),
        ([], "the following arguments are required: CASE"),
    ],
)
def test_wrong_usage_is_told(draw, write, arguments, said):
    """With exit code 4, and no traceback."""
    write("square.py", SQUARE)
    code, out, err = draw(*arguments)
    assert (code, out) == (4, "")
    assert said in err
    assert "Traceback" not in err


def test_a_file_without_cases_is_told(draw, write):
    """It may hold Values, which need a name."""
    code, _, err = draw(write("values.py", VALUE))
    assert code == 5
    assert "holds no case" in err
    assert "::name draws a scalar Value" in err


def test_a_file_that_does_not_import_is_told(draw, write):
    """As `run` tells it."""
    code, _, err = draw(f"{write('broken.py', 'import nothing_of_that_name')}::Square")
    assert code == 1
    assert "does not import: ModuleNotFoundError" in err


def test_a_scalar_value_is_drawn(draw, write, monkeypatch, tmp_path):
    """With nothing installed; what the module prints is not part of the text."""
    without_pygraphviz(monkeypatch)
    file = write("values.py", VALUE)
    code, out, err = draw(f"{file}::loss", "-o", "loss.svg")
    assert code == 0
    assert out == "loss = -0.999988\ndrawn in loss.svg\n"
    assert err == "hello from the module\n"
    drawing = ET.parse(tmp_path / "loss.svg")
    shown = [one.text for one in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"data", "grad", "tanh", "*", "x", "-0.999988", "<script>alert(1)</script>"} <= set(shown)
    code, out, _ = draw(f"{file}::loss")
    assert out.startswith("digraph {")


def test_a_name_that_is_no_value_is_told(draw, write):
    """A number is not drawn."""
    code, _, err = draw(f"{write('values.py', VALUE)}::number")
    assert code == 4
    assert "holds no case 'number'" in err


def test_a_large_computation_is_folded_unless_it_is_asked_for(draw, write, tmp_path):
    """To about as many nodes as the user wants."""
    file = write(
        "long.py", "from gradverify.scalar import Value\nx = Value(1.0)\nfor _ in range(1000):\n    x = x * 1.001\n"
    )
    for limit in (20, 2000):
        assert draw(f"{file}::x", "-o", "x.svg", "--nodes", limit)[0] == 0
        found = (tmp_path / "x.svg").read_text(encoding="utf-8").count("<g><title>")
        assert (found == 1001) if limit == 2000 else (found <= limit + 2)


def test_help_needs_no_torch():
    """It answers at once."""
    code = """
import sys
from gradverify.cli import main
try:
    main(["graph", "--help"])
finally:
    assert not {"torch", "networkx", "pygraphviz"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--output FILE" in done.stdout
