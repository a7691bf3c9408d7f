"""The computation behind a scalar Value as a graph, to be drawn as that of a case is."""

from __future__ import annotations

from gradverify.graph import Edge, Graph, Kind, Node
from gradverify.scalar.value import Value, ordered


def graph_of_value(root: Value) -> Graph:
    """Every Value that `root` was computed from, parents first; an edge bears the derivative of its target.

    It is that by its source. A parent that one Value uses twice has one edge, with both derivatives.
    """
    order = ordered(root)
    names = {value: f"v{number}" for number, value in enumerate(order)}
    nodes = []
    slopes: dict[tuple[str, str], list[str]] = {}
    for value, name in names.items():
        kind = Kind.OUTPUT if value is root else Kind.TENSOR if value.edges else Kind.INPUT
        nodes.append(Node(name, value.label, kind, data=value.data, grad=value.grad, operation=value.operation or None))
        for parent, slope in value.edges:
            slopes.setdefault((names[parent], name), []).append(f"{slope:.4g}")
    edges = [Edge(source, target, label=" + ".join(several)) for (source, target), several in slopes.items()]
    return Graph(tuple(nodes), tuple(edges))
