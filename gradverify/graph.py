"""A computation as a graph, as data: what is drawn of a case or of a scalar Value, and read without torch."""

from __future__ import annotations

from dataclasses import dataclass

from gradverify.verdict import Origin, Verdict
from gradverify.word import Word


class Kind(Word):
    """What a node stands for; a string, so that it serialises as its value."""

    INPUT = "input"
    TENSOR = "tensor"
    OUTPUT = "output"
    OPERATION = "operation"
    GROUP = "group"  # several nodes that are drawn as one
    MENTION = "mention"  # a node that is drawn elsewhere, near another use of it


@dataclass(frozen=True)
class Node:
    """A named tensor, an operation, or a scalar Value.

    Attributes:
        id: unique within its graph, letters and digits.
        label: the name of a tensor, or what an operation does; text of the user's, not escaped.
        kind: what it stands for.
        shape: of a tensor; None for an operation and a scalar Value.
        value_norm: of a tensor, the Euclidean norm of its value; gradient_norm: that of autograd's gradient.
        error_norm: that of the difference between the hand-derived gradient and autograd's, where it is not right.
        data, grad: of a scalar Value.
        operation: of a scalar Value or a folded node: what computed it.
        verdict, passed, origin: of the row of this gradient; None where it has no row.
        file, line: the statement that assigned the gradient, where it is not right.
        size: how many nodes a group stands for.
    """

    id: str
    label: str
    kind: Kind
    shape: tuple[int, ...] | None = None
    value_norm: float | None = None
    gradient_norm: float | None = None
    error_norm: float | None = None
    data: float | None = None
    grad: float | None = None
    operation: str | None = None
    verdict: Verdict | None = None
    passed: bool | None = None
    origin: Origin | None = None
    file: str | None = None
    line: int | None = None
    size: int = 1


@dataclass(frozen=True)
class Edge:
    """A use of one node by another, in the direction of the forward, by their ids.

    Attributes:
        source, target: the ids of the two nodes.
        inherited: whether an error came this way, from the target to the source.
        label: what is written beside it; of a scalar Value, the derivative of the target by the source.
    """

    source: str
    target: str
    inherited: bool = False
    label: str | None = None


@dataclass(frozen=True)
class Graph:
    """A computation from its inputs to its outputs.

    Attributes:
        nodes: each after those that it uses.
        edges: between them.
        omitted: the recorded tensors that are not drawn because they have no gradient, by name.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    omitted: tuple[str, ...] = ()

    @property
    def defect(self) -> str | None:
        """Why it is no graph that can be drawn, as one from an edited file may be; None for a sound one."""
        seen: dict[str, int] = {}
        for number, node in enumerate(self.nodes):
            if node.id in seen:
                return f"has two nodes {node.id!r}"
            seen[node.id] = number
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in seen:
                    return f"has an edge to {end!r}, which is no node"
            if seen[edge.source] >= seen[edge.target]:
                return f"has an edge from {edge.source!r} back to {edge.target!r}"
        return None
