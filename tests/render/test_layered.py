"""The layout that needs no program: layers, few crossings, no box on another, no edge across a box."""

from __future__ import annotations

import itertools
import random

import pytest

from gradverify.render import layered
from gradverify.render.layered import lay_out_in_layers
from gradverify.render.plane import Layout, Path, Point, Size
from graphs import chain

Sizes = dict[str, Size]
Edges = list[tuple[str, str]]


def drawn(sizes: Sizes, edges: Edges) -> Layout:
    return lay_out_in_layers(sizes, edges, beside=20, after=40)


def tangle(seed: int, amount: int = 60) -> tuple[Sizes, Edges]:
    """A graph in which anything uses anything before it, in boxes of any size."""
    generator = random.Random(seed)
    sizes = {f"n{one}": Size(generator.randint(20, 200), generator.randint(20, 120)) for one in range(amount)}
    edges = [
        (f"n{generator.randint(max(0, one - 15), one - 1)}", f"n{one}") for one in range(1, amount) for _ in range(2)
    ]
    return sizes, edges


def recurrence(steps: int) -> tuple[Sizes, Edges]:
    graph = chain(steps)
    return {node.id: Size(100, 60) for node in graph.nodes}, [(edge.source, edge.target) for edge in graph.edges]


SAMPLES = {
    "nothing": ({}, []),
    "one": ({"a": Size(30, 20)}, []),
    "apart": ({"a": Size(30, 20), "b": Size(50, 40)}, []),
    "recurrence": recurrence(8),
    **{f"tangle {seed}": tangle(seed) for seed in range(3)},
}


def points(path: Path) -> list[Point]:
    """The curve as a line of many pieces."""
    found = []
    for start in range(0, len(path.points) - 1, 3):
        a, b, c, d = path.points[start : start + 4]
        for step in range(9):
            s, t = 1 - step / 8, step / 8
            found.append(
                Point(
                    s**3 * a.x + 3 * s * s * t * b.x + 3 * s * t * t * c.x + t**3 * d.x,
                    s**3 * a.y + 3 * s * s * t * b.y + 3 * s * t * t * c.y + t**3 * d.y,
                )
            )
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_no_box_lies_on_another_nor_outside(name):
    """With room between them."""
    sizes, edges = SAMPLES[name]
    layout = drawn(sizes, edges)
    boxes = {one: (layout.centres[one], size) for one, size in sizes.items()}
    for centre, size in boxes.values():
        assert -0.01 <= centre.x - size.width / 2 <= centre.x + size.width / 2 <= layout.size.width + 0.01
        assert -0.01 <= centre.y - size.height / 2 <= centre.y + size.height / 2 <= layout.size.height + 0.01
    for (a, first), (b, second) in itertools.combinations(boxes.values(), 2):
        beside = abs(a.x - b.x) >= (first.width + second.width) / 2 + 19
        below = abs(a.y - b.y) >= (first.height + second.height) / 2 + 19
        assert beside or below


@pytest.mark.parametrize("name", SAMPLES)
def test_edges_go_from_left_to_right(name):
    """From the right side of a box to the left side of another."""
    sizes, edges = SAMPLES[name]
    layout = drawn(sizes, edges)
    assert layout.paths.keys() == set(edges)
    for (source, target), path in layout.paths.items():
        assert path.points[0].x == pytest.approx(layout.centres[source].x + sizes[source].width / 2)
        assert path.points[-1].x == pytest.approx(layout.centres[target].x - sizes[target].width / 2)
        assert len(path.points) % 3 == 1
        xs = [one.x for one in points(path)]
        assert xs == sorted(xs)


def crossed(layout: Layout, sizes: Sizes) -> list[tuple[tuple[str, str], str]]:
    """The edges that lead through a box that is neither of their ends."""
    found = []
    for ends, path in layout.paths.items():
        for one, size in sizes.items():
            centre = layout.centres[one]
            if one not in ends and any(
                abs(point.x - centre.x) < size.width / 2 and abs(point.y - centre.y) < size.height / 2
                for point in points(path)
            ):
                found.append((ends, one))
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_no_edge_crosses_a_box(name):
    """A line that enters a box seems to belong to it."""
    sizes, edges = SAMPLES[name]
    assert crossed(drawn(sizes, edges), sizes) == []


def test_edges_that_are_drawn_straight_cross_boxes(monkeypatch):
    """The twin: without its places in the layers between, a long edge goes through what is there."""

    def planted(chain, centres, *_):
        start, end = centres[chain[0]], centres[chain[-1]]
        return Path((start, start, end, end))

    monkeypatch.setattr(layered, "_curve", planted)
    sizes, edges = SAMPLES["tangle 0"]
    assert crossed(drawn(sizes, edges), sizes)


def test_crossings_that_can_be_avoided_are():
    """Two lines that swap sides need no crossing once their boxes do."""
    sizes = {name: Size(30, 20) for name in "abcd"}
    layout = drawn(sizes, [("a", "d"), ("b", "c")])
    above = layout.centres["a"].y < layout.centres["b"].y
    assert (layout.centres["d"].y < layout.centres["c"].y) is above


def test_without_reordering_they_cross(monkeypatch):
    """The twin."""
    monkeypatch.setattr(layered, "_reduce_crossings", lambda *_: None)
    sizes = {name: Size(30, 20) for name in "abcd"}
    layout = drawn(sizes, [("a", "d"), ("b", "c")])
    above = layout.centres["a"].y < layout.centres["b"].y
    assert (layout.centres["d"].y < layout.centres["c"].y) is not above


def test_crossings_are_counted():
    """Each pair of edges that cross, once."""
    layers = [["a", "b", "c"], ["x", "y", "z"]]
    forward = {"a": ["z"], "b": ["y"], "c": ["x"]}
    assert layered._crossings(layers, forward) == 3
    assert layered._crossings(layers, {"a": ["x", "z"], "b": ["y"]}) == 1
    assert layered._crossings(layers, {"a": ["x"], "b": ["x", "y"], "c": ["y", "z"]}) == 0


def test_the_way_through_a_recurrence_is_straight():
    """The states lie on one line, whatever hangs on them."""
    sizes, edges = recurrence(12)
    layout = drawn(sizes, [edge for edge in edges if edge[0] != "W"])
    heights = [layout.centres[f"h{step}"].y for step in range(3, 12)]
    assert max(heights) - min(heights) < 1


def test_values_that_fall_are_pooled():
    """The nearest sequence that does not fall, in weighted squares."""
    assert layered._monotonic([1.0, 3.0, 2.0, 4.0], [1.0] * 4) == [1.0, 2.5, 2.5, 4.0]
    assert layered._monotonic([3.0, 0.0], [3.0, 1.0]) == [2.25, 2.25]
    assert layered._monotonic([], []) == []


def test_a_layout_is_the_same_every_time():
    """A picture that is drawn again can be compared."""
    sizes, edges = tangle(7)
    assert drawn(sizes, edges) == drawn(sizes, edges)
