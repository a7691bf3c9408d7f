"""A graph as SVG and as DOT: what is written where, that it stands alone, and that no name gets out of its text."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from browser import Browser, find_browser
from gradverify.graph import Edge, Graph, Kind, Node
from gradverify.render import graph as renderer
from gradverify.render.graph import LIMIT, STYLE, render_dot, render_svg
from gradverify.render.layout import Engine
from gradverify.verdict import Origin, Verdict
from graphs import chain, edges, failing, operation, tensor

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]></style><script>alert(1)</script>",
    "a\nb\x00\ud800 \\N \\\" &lt; &quot; '",
    "</title><svg onload=alert(1)>",
)

# An error that y introduced and x inherited; what follows is right.
BROKEN = Graph(
    (
        failing("x", Origin.INHERITED, kind=Kind.INPUT),
        operation("f", "exp"),
        failing("y", Origin.INTRODUCED, shape=(4,)),
        operation("g", "sum"),
        tensor("loss", kind=Kind.OUTPUT, shape=(), verdict=None, passed=None),
    ),
    (*edges("x f y", inherited=True), *edges("y g loss")),
)


def svg_of(graph: Graph, **options: object) -> ET.Element:
    """The drawing, which must be well formed; laid out by what is always there."""
    return ET.fromstring(render_svg(graph, **{"engine": Engine.LAYERED, **options}))  # type: ignore[arg-type]  # loosely


def texts(element: ET.Element) -> list[str]:
    return [one.text or "" for one in element.iter(f"{SVG}text")]


def classes(element: ET.Element) -> list[str]:
    return [name for one in element.iter() for name in one.get("class", "").split()]


def test_a_tensor_shows_its_name_shape_norms_and_verdict():
    """Everything that the issue of a gradient needs, in the node itself."""
    shown = texts(svg_of(Graph((tensor("h3", shape=(100, 10)),))))
    assert shown[:8] == ["h3", "ok", "shape", "100×10", "‖value‖", "2.5", "‖grad‖", "0.125"]


def test_an_introduced_error_is_framed_and_says_its_line():
    """An inherited one says that it is, and has no second frame."""
    drawing = svg_of(BROKEN)
    shown = texts(drawing)
    assert "introduced" in shown
    assert "at case.py:12" in shown
    assert "inherited" in shown
    frames = [one for one in drawing.iter(f"{SVG}rect") if one.get("stroke-width") == "2.5"]
    assert len(frames) == 2  # around y, and in the legend
    assert {"introduced here", "the way an error is inherited"} <= set(shown)


def test_the_inherited_path_is_drawn_through():
    """Two edges and their heads; those after the error are plain."""
    found = classes(svg_of(BROKEN))
    assert (found.count("gv-path-head"), found.count("gv-head")) == (2, 2)


def test_a_right_graph_has_no_red():
    """The twin."""
    drawing = svg_of(chain(3))
    assert not {"gv-path", "gv-path-head", "gv-bad", "gv-bad-card"} & set(classes(drawing))
    assert "not right" not in texts(drawing)


@pytest.mark.parametrize(
    ("verdict", "passed", "tone"),
    [
        (Verdict.EXACT, True, "gv-good"),
        (Verdict.OK, True, "gv-good"),
        (Verdict.IMPRECISE, True, "gv-doubt"),
        (Verdict.IMPRECISE, False, "gv-doubt"),
        (Verdict.WRONG, False, "gv-bad"),
        (Verdict.SHAPE, False, "gv-bad"),
        (Verdict.MISSING, False, "gv-bad"),
        (Verdict.MISSING, True, "gv-quiet"),
        (Verdict.VACUOUS, False, "gv-doubt"),
        (Verdict.KNOWN, True, "gv-quiet"),
        (Verdict.GIVEN, True, "gv-quiet"),
    ],
)
def test_the_colour_follows_the_verdict(verdict, passed, tone):
    """And the word stands there too, for whoever does not see the colour."""
    drawing = svg_of(Graph((tensor("x", verdict=verdict, passed=passed),)))
    tones = {"gv-good", "gv-doubt", "gv-bad", "gv-quiet"} & set(classes(drawing))
    assert tones == {tone}
    assert str(verdict) in texts(drawing)


def test_nodes_go_from_left_to_right():
    """Inputs on the left, the loss on the right, and no two on top of each other."""
    titles = [one for one in svg_of(BROKEN).iter(f"{SVG}text") if one.text in ("x", "exp", "y", "sum", "loss")]
    places = {one.text: float(one.get("x", "0")) for one in titles}
    assert sorted(places, key=places.__getitem__) == ["x", "exp", "y", "sum", "loss"]


@pytest.mark.parametrize("engine", [None, *Engine])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_never_gets_out_of_its_text(name, engine):
    """Whatever it is; the drawing has no elements but its own."""
    nodes = (
        tensor("x", label=name, file=f"/{name}/{name}.py", origin=Origin.INTRODUCED, line=1, passed=False),
        Node("f", name, Kind.OPERATION),
        tensor("y", label="y", operation=name, data=1.0, grad=1.0),
    )
    graph = Graph(nodes, (Edge("x", "f", label=name), *edges("f y")), (name,))
    drawing = svg_of(graph, title=name, engine=engine)
    allowed = {"svg", "title", "style", "rect", "g", "path", "text"}
    assert {one.tag.removeprefix(SVG) for one in drawing.iter()} <= allowed
    assert not [key for one in drawing.iter() for key in one.attrib if key.startswith("on") or "href" in key]


def test_a_name_that_is_not_escaped_is_found(monkeypatch):
    """The twin."""
    monkeypatch.setattr(renderer, "_text", lambda text: text)
    graph = Graph((tensor("x", label="<b>bold</b>"),))
    assert "b" in {one.tag.removeprefix(SVG) for one in svg_of(graph).iter()}


def test_a_drawing_needs_nothing_from_elsewhere():
    """No address, no import, no script, and no id that a second drawing on the page could share."""
    text = render_svg(BROKEN, title="A title", engine=Engine.LAYERED)
    assert not re.search(r"url\(|href|@import|<script|\bid=|https?://(?!www\.w3\.org/2000/svg)", text)


def test_an_embedded_drawing_leaves_its_style_to_the_page():
    """A page with a strict policy has it once."""
    assert STYLE in render_svg(BROKEN)
    embedded = render_svg(BROKEN, embedded=True)
    assert "<style" not in embedded
    assert "style=" not in embedded


def test_every_colour_is_there_in_light_and_in_dark():
    """And without a style sheet: a viewer that knows no variables sees the light one."""
    assert renderer._LIGHT.keys() == renderer._DARK.keys()
    used = set(classes(svg_of(BROKEN))) - {"gv-graph"}
    assert all(f".{name}{{" in STYLE for name in used)
    bare = [
        one.get("class")
        for one in svg_of(BROKEN).iter()
        if one.get("class") and not (one.get("fill") or one.get("stroke"))
    ]
    assert bare == ["gv-graph"]


def test_a_long_name_is_cut_and_whole_in_the_tooltip():
    """A drawing is as wide as its names."""
    name = "encoder.layers.11.self_attention.output.dense.weight"
    drawing = svg_of(Graph((tensor("x", label=name),)))
    assert max(map(len, texts(drawing))) < 60
    assert any(name in (one.text or "") for one in drawing.iter(f"{SVG}title"))


def test_a_long_title_breaks_into_lines():
    """It is read without scrolling."""
    drawing = svg_of(BROKEN, title="word " * 100)
    lines = [one for one in texts(drawing) if "word" in one]
    assert len(lines) > 3
    assert max(map(len, lines)) <= 120


def test_the_whole_drawing_lies_inside_its_frame():
    """Nothing is cut off, at the right or below."""
    drawing = svg_of(chain(6, 3), title="A title")
    width, height = float(drawing.get("width", "0")), float(drawing.get("height", "0"))
    group = next(one for one in drawing if one.tag == f"{SVG}g")
    left, top = map(float, re.findall(r"[\d.]+", group.get("transform", "")))
    for one in group.iter(f"{SVG}rect"):
        x, y, w, h = (float(one.get(key, "0")) for key in ("x", "y", "width", "height"))
        assert 0 <= left + x <= left + x + w <= width
        assert 0 <= top + y <= top + y + h <= height


@pytest.mark.parametrize("steps", [50, 300])
def test_a_long_recurrence_is_legible(steps):
    """Bounded, with the error in it, and with the weight next to its uses instead of a line across."""
    text = render_svg(chain(steps, broken=steps // 2), engine=Engine.LAYERED)
    drawing = ET.fromstring(text)
    assert len(text) < 200_000
    assert "more tensors" in text
    assert f"h{steps // 2}" in texts(drawing)
    assert texts(drawing).count("W") > 3
    assert float(drawing.get("height", "0")) < 2000


def test_what_has_no_gradient_is_told():
    """It is part of the computation, but autograd's graph does not lead through it."""
    graph = dataclasses.replace(BROKEN, omitted=tuple(f"mask{number}" for number in range(9)))
    assert "not drawn, having no gradient: mask0, mask1, mask2, mask3, mask4, mask5 and 3 more" in texts(svg_of(graph))


def test_a_scalar_value_shows_data_and_grad():
    """With the derivative on its edge."""
    nodes = (
        Node("v0", "x", Kind.INPUT, data=2.0, grad=-3.0),
        Node("v1", "", Kind.OUTPUT, data=-4.0, grad=1.0, operation="*"),
    )
    shown = texts(svg_of(Graph(nodes, (Edge("v0", "v1", label="-2"),))))
    assert shown == ["x", "data", "2", "grad", "-3", "*", "data", "-4", "grad", "1", "-2"]


def test_an_empty_graph_is_drawn():
    """There is nothing in it, and nothing breaks."""
    assert texts(svg_of(Graph(()))) == []
    assert render_dot(Graph(())).startswith("digraph {")


def test_the_text_of_dot():
    """Ids, labels, colours; what a program that draws it needs, and what a person reads."""
    lines = render_dot(BROKEN, title='A "title"').splitlines()
    assert lines[0] == "digraph {"
    assert lines[-1] == "}"
    assert r'label="A \"title\"\l"' in lines[2]
    nodes = [line.strip() for line in lines if line.startswith("  y [")]
    assert nodes == [
        r'y [label="y (wrong)\nshape 4\n‖value‖ 2.5\n‖grad‖ 0.125\n‖error‖ 0.5\nintroduced\nat case.py:12", '
        'tooltip="y · shape 4 · ‖value‖ 2.5 · ‖grad‖ 0.125 · ‖error‖ 0.5 · wrong: differs from the reference by more '
        'than rounding can explain · introduced · /somewhere/case.py:12", color="#cf222e", fillcolor="#fff1f0", '
        'peripheries="2", penwidth="2.5"]'
    ]
    assert '  x -> f [color="#cf222e", penwidth=2.5]' in lines
    assert "  y -> g" in lines


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_never_gets_out_of_its_string_in_dot(name):
    """Without escaped backslashes and quotes no unescaped quote is left but those around the strings."""
    text = render_dot(Graph((tensor("x", label=name),), (Edge("x", "x", label=name),)), title=name)
    bare = re.sub(r"\\.", "", text)
    outside = re.sub(r'"[^"]*"', "", bare)
    assert '"' not in outside
    assert "alert" not in outside
    assert text.isascii() or "\x00" not in text


def test_dot_holds_every_node_unless_it_is_limited():
    """Another program may have its own way with a large graph."""
    graph = chain(100)
    assert render_dot(graph).count("label=") > len(graph.nodes)
    assert render_dot(graph, limit=LIMIT).count("\n") < LIMIT * 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_and_runs_nothing(tmp_path, scheme):
    """No dialog, no message, no request but for the page itself; as part of a page and as a file of its own."""
    path = find_browser()
    if path is None:
        pytest.skip("there is no Chromium here; Debian's package is called chromium")
    graph = Graph(tuple(tensor(f"n{number}", label=name) for number, name in enumerate(HOSTILE)), edges("n0 n1 n2 n3"))
    text = render_svg(graph, title=HOSTILE[0], engine=Engine.LAYERED)
    files = {"page.html": f"<!doctype html><meta charset=utf-8>{text}", "drawing.svg": text}
    browser = Browser(path)
    try:
        for name, content in files.items():
            file = tmp_path / name
            file.write_text(content, encoding="utf-8")
            browser.open(file, scheme=scheme)
            paper = browser.run("getComputedStyle(document.querySelector('.gv-paper')).fill")
            assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
            assert browser.run("document.querySelectorAll('script, img').length") == 0
            assert (browser.dialogs, browser.messages) == ([], [])
            assert [one for one in browser.requests if one != file.resolve().as_uri()] == []
    finally:
        browser.close()
