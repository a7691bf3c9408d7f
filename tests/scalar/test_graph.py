"""The graph as text."""

from __future__ import annotations

from gradverify.scalar import Value, to_dot


def test_the_graph_shows_labels_operations_numbers_and_local_derivatives():
    """The whole text."""
    x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    product = x * y
    product.label = "xy"
    result = product + x
    result.backward()
    assert to_dot(result).splitlines() == [
        "digraph {",
        "  rankdir=LR",
        "  node [shape=box]",
        '  v0 [label="x\\ndata 2\\ngrad -2"]',
        '  v1 [label="y\\ndata -3\\ngrad 2"]',
        '  v2 [label="xy *\\ndata -6\\ngrad 1"]',
        '  v0 -> v2 [label="-3"]',
        '  v1 -> v2 [label="2"]',
        '  v3 [label="+\\ndata -4\\ngrad 1"]',
        '  v2 -> v3 [label="1"]',
        '  v0 -> v3 [label="1"]',
        "}",
    ]


def test_a_label_with_quotes_and_backslashes_stays_text():
    """It cannot end the string that it stands in."""
    assert r'label="a \"b\" \\c\ndata 1\ngrad 0"' in to_dot(Value(1.0, label='a "b" \\c'))


def test_a_value_made_by_hand_is_a_graph_of_one():
    """There is nothing to differentiate, but something to draw."""
    assert 'v0 [label="data 1\\ngrad 0"]' in to_dot(Value(1.0))
