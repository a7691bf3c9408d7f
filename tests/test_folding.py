"""Folding: a graph of any size becomes one that can be read, without a circle and without hiding an error."""

from __future__ import annotations

import dataclasses
import graphlib

import pytest

from gradverify import folding
from gradverify.folding import fold, levels_of, with_mentions
from gradverify.graph import Edge, Graph, Kind
from gradverify.verdict import Origin
from graphs import chain, edges, failing, operation, tensor


def order(graph: Graph) -> list[str]:
    """The ids, sources first; raises where there is a circle."""
    known = {node.id for node in graph.nodes}
    assert len(known) == len(graph.nodes)
    uses: dict[str, set[str]] = {name: set() for name in known}
    for edge in graph.edges:
        uses[edge.target].add(edge.source)
    assert known == set(uses), "an edge leads to a node that is not there"
    return list(graphlib.TopologicalSorter(uses).static_order())


def test_a_small_graph_stays_as_it_is():
    """But for operations that follow each other."""
    graph = Graph((tensor("a"), operation("f"), tensor("b")), edges("a f b"))
    assert fold(graph, 3) == graph


def test_operations_that_follow_each_other_are_one():
    """Read in the order in which they are done."""
    nodes = (tensor("a"), operation("f", "mean"), operation("g", "log"), operation("h", "neg"), tensor("b"))
    folded = fold(Graph(nodes, edges("a f g h b")), 100)
    assert [node.label for node in folded.nodes] == ["a", "mean, log, neg", "b"]
    assert folded.edges == edges("a f b")


def test_operations_with_a_branch_between_them_stay_apart():
    """The twin: one that is used twice, and one that uses two, are places to look at."""
    nodes = (tensor("a"), operation("f"), operation("g"), operation("h"), tensor("b"), tensor("c"))
    graph = Graph(nodes, edges("a f g b", "f h c", "a h"))
    assert fold(graph, 100) == graph


def test_operations_become_part_of_what_they_compute_where_there_are_many():
    """And what they used leads there."""
    nodes = (tensor("a"), tensor("w"), operation("f", "@"), operation("g", "+"), tensor("b"))
    folded = fold(Graph(nodes, edges("a f g b", "w f", "w g")), 4)
    assert [(node.label, node.operation) for node in folded.nodes] == [("a", None), ("w", None), ("b", "@, +")]
    assert set(folded.edges) == set(edges("a b", "w b"))


@pytest.mark.parametrize("limit", [1, 2, 7, 20, 100])
@pytest.mark.parametrize("broken", [None, 0, 30, 59])
def test_a_long_graph_is_bounded_and_has_no_circle(limit, broken):
    """Whatever the limit is, and wherever the error."""
    folded = fold(chain(60, broken), limit)
    assert len(folded.nodes) <= max(limit, 3) + 2
    names = order(folded)
    assert [node.id for node in folded.nodes if node.id not in names] == []
    # Nodes come after what they use, as the renderers and the next fold expect.
    place = {node.id: number for number, node in enumerate(folded.nodes)}
    assert all(place[edge.source] < place[edge.target] for edge in folded.edges)
    assert sum(node.size for node in folded.nodes) == 122 or limit > 122


def test_a_group_across_a_kept_level_would_close_a_circle(monkeypatch):
    """The twin: were everything far from the error one group, it would be both before and after it."""

    def planted(graph, kept):
        into = {node.id: "rest" for node in graph.nodes if node.id not in kept}
        nodes = [node for node in graph.nodes if node.id in kept] + [tensor("rest", kind=Kind.GROUP)]
        return Graph(tuple(nodes), folding._redirected(graph.edges, into))

    monkeypatch.setattr(folding, "_grouped", planted)
    with pytest.raises(graphlib.CycleError):
        order(fold(chain(60, 30), 20))


def test_the_error_that_was_introduced_is_never_folded_away():
    """What is near it stays too; what inherited it far away is counted."""
    folded = fold(chain(200, 100), 30)
    introduced = [node for node in folded.nodes if node.origin is Origin.INTRODUCED]
    assert [node.label for node in introduced] == ["h100"]
    assert {"h99", "h101", "x100", "loss"} <= {node.label for node in folded.nodes}
    groups = [node for node in folded.nodes if node.kind is Kind.GROUP]
    assert any(group.passed is False and group.label.endswith("inherited") for group in groups)
    inherited = sum(node.passed is False for node in folded.nodes if node.kind is not Kind.GROUP)
    assert inherited < 40


def test_the_inherited_path_leads_through_a_group():
    """It is drawn all the way from the error to the first step."""
    folded = fold(chain(200, 100), 30)
    uses = {edge.target: edge.source for edge in folded.edges if edge.inherited}
    one = "h100"
    while one in uses:
        one = uses[one]
    assert one == "h0"


def test_a_group_of_right_tensors_counts_them():
    """And is not said to have failed."""
    groups = [node for node in fold(chain(200), 30).nodes if node.kind is Kind.GROUP]
    assert groups
    assert all(group.label == f"{group.size} more tensors" and group.passed for group in groups)


def test_many_tensors_beside_each_other_are_grouped_too():
    """A level of a thousand is no chain of levels."""
    nodes = (*(tensor(f"a{number}") for number in range(1000)), tensor("loss", kind=Kind.OUTPUT))
    folded = fold(Graph(nodes, tuple(Edge(f"a{number}", "loss") for number in range(1000))), 50)
    assert len(folded.nodes) <= 52
    order(folded)


def test_an_input_is_as_late_as_it_can_be():
    """So that it is drawn next to its use, and not with the others at the left end."""
    levels = levels_of(chain(10))
    assert levels["x9"] == levels["m9"] - 1
    assert levels["W"] == levels["m0"] - 1


def test_an_input_that_is_used_everywhere_is_mentioned_where_it_is_used():
    """Near its first use it has lines, further on it has mentions; nothing is lost."""
    graph = chain(10, broken=5)
    shown = with_mentions(graph)
    mentions = [node for node in shown.nodes if node.kind is Kind.MENTION]
    assert {node.label for node in mentions} == {"W"}
    assert len(shown.edges) == len(graph.edges)
    assert {edge.target for edge in shown.edges if edge.source.startswith("W")} == {f"m{step}" for step in range(10)}
    order(shown)


def test_an_inherited_path_ends_in_the_mention():
    """As it ended in the input."""
    graph = Graph(
        (failing("W", Origin.INHERITED), *(tensor(f"t{number}") for number in range(9))),
        (*edges("t0 t1 t2 t3 t4 t5 t6 t7 t8"), *(Edge("W", f"t{number}", inherited=True) for number in (0, 4, 8))),
    )
    mentions = [edge for edge in with_mentions(graph).edges if edge.source not in {node.id for node in graph.nodes}]
    assert [edge.target for edge in mentions] == ["t4", "t8"]
    assert all(edge.inherited for edge in mentions)


def test_a_tensor_on_the_way_is_not_mentioned():
    """The twin: only what the computation starts from can stand anywhere."""
    graph = chain(10)
    late = dataclasses.replace(graph, edges=(*graph.edges, *(Edge("h0", f"m{step}") for step in range(3, 10))))
    assert "h0" not in {node.label for node in with_mentions(late).nodes if node.kind is Kind.MENTION}
