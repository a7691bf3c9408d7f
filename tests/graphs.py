"""Graphs for the tests of what folds and draws them."""

from __future__ import annotations

from itertools import pairwise

from gradverify.graph import Edge, Graph, Kind, Node
from gradverify.verdict import Origin, Verdict


def tensor(name: str, **changes: object) -> Node:
    """A tensor whose gradient is right, except for the changes."""
    values: dict[str, object] = {
        "id": name,
        "label": name,
        "kind": Kind.TENSOR,
        "shape": (4, 3),
        "value_norm": 2.5,
        "gradient_norm": 0.125,
        "verdict": Verdict.OK,
        "passed": True,
    }
    return Node(**{**values, **changes})  # type: ignore[arg-type]  # loosely typed on purpose


def failing(name: str, origin: Origin | None, **changes: object) -> Node:
    """A tensor whose gradient is wrong."""
    where = {"error_norm": 0.5, "file": "/somewhere/case.py", "line": 12}
    return tensor(name, verdict=Verdict.WRONG, passed=False, origin=origin, **{**where, **changes})


def operation(name: str, label: str = "exp") -> Node:
    """An operation."""
    return Node(name, label, Kind.OPERATION)


def edges(*paths: str, inherited: bool = False) -> tuple[Edge, ...]:
    """The edges of some paths, such as "a b c"."""
    steps = [path.split() for path in paths]
    return tuple(Edge(a, b, inherited) for path in steps for a, b in pairwise(path))


def chain(length: int, broken: int | None = None) -> Graph:
    """A recurrence h0, h1, ...: each step uses the one before, an input of its own, and one weight.

    Args:
        length: the number of steps.
        broken: the step that introduces an error, which the earlier ones inherit.
    """
    nodes, used = [tensor("W", kind=Kind.INPUT)], []
    for step in range(length):
        nodes.append(tensor(f"x{step}", kind=Kind.INPUT))
        state = tensor if broken is None or step > broken else failing
        origin = Origin.INTRODUCED if step == broken else Origin.INHERITED
        told = {} if state is tensor else {"origin": origin}
        nodes += [operation(f"m{step}", "@"), operation(f"t{step}", "tanh"), state(f"h{step}", **told)]  # type: ignore[arg-type]  # the same
        used += [Edge("W", f"m{step}"), Edge(f"x{step}", f"m{step}"), *edges(f"m{step} t{step} h{step}")]
        if step:
            used.append(Edge(f"h{step - 1}", f"m{step}", inherited=broken is not None and step <= broken))
    nodes.append(tensor("loss", kind=Kind.OUTPUT, shape=(), verdict=None, passed=None))
    return Graph(tuple(nodes), (*used, Edge(f"h{length - 1}", "loss")))
