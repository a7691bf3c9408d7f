"""The graph of a scalar Value: every number that it was computed from, with its derivative."""

from __future__ import annotations

import sys

import pytest

from gradverify.graph import Edge, Kind, Node
from gradverify.scalar import Value, draw
from gradverify.scalar_graph import graph_of_value


def test_every_value_has_its_number_and_its_derivative():
    """Parents first; an edge bears the derivative of its target by its source."""
    x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    product = x * y
    product.label = "xy"
    result = product + x
    result.backward()
    graph = graph_of_value(result)
    assert graph.nodes == (
        Node("v0", "x", Kind.INPUT, data=2.0, grad=-2.0),
        Node("v1", "y", Kind.INPUT, data=-3.0, grad=2.0),
        Node("v2", "xy", Kind.TENSOR, data=-6.0, grad=1.0, operation="*"),
        Node("v3", "", Kind.OUTPUT, data=-4.0, grad=1.0, operation="+"),
    )
    assert graph.edges == (
        Edge("v0", "v2", label="-3"),
        Edge("v1", "v2", label="2"),
        Edge("v2", "v3", label="1"),
        Edge("v0", "v3", label="1"),
    )


def test_a_value_that_is_used_twice_has_one_edge_with_both_derivatives():
    """They add up."""
    x = Value(3.0)
    assert graph_of_value(x * x).edges == (Edge("v0", "v1", label="3 + 3"),)


def test_a_value_made_by_hand_is_a_graph_of_one():
    """There is nothing to differentiate, but something to draw."""
    assert [node.kind for node in graph_of_value(Value(1.0)).nodes] == [Kind.OUTPUT]


def test_a_notebook_shows_a_drawing(monkeypatch):
    """Also where nothing that draws graphs is installed, which stops engines that call it."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    x = Value(2.0, label="<b>x")
    shown = draw(x * x)._repr_html_()
    assert shown == str(draw(x * x))
    assert shown.startswith("<svg")
    assert "&lt;b&gt;x" in shown
    assert "<b>" not in shown


@pytest.mark.parametrize("length", [1000, 5000])
def test_a_long_computation_is_drawn_in_bounds(length):
    """It neither recurses nor draws every step."""
    value = Value(1.0)
    for _ in range(length):
        value = value * 1.001
    shown = draw(value).svg
    assert "more values" in shown
    assert len(shown) < 100_000
