"""A graph small enough to be read: operations fold into what they compute, then what is far from any error groups."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from gradverify.graph import Edge, Graph, Kind, Node
from gradverify.verdict import Origin

# A tensor used in so many places (the weight of a recurrent net) says little about what is near it.
_HUB = 8
# An input that is used so often is mentioned where it is used this many levels after its first use.
_MENTIONED, _REACH = 3, 3


def fold(graph: Graph, limit: int) -> Graph:
    """The graph in at most about `limit` nodes.

    Operations that follow each other without a branch are always one; more goes only where the graph is too large.
    What stays longest are the errors that were introduced, the outputs, and what is near them. No group closes a
    circle: each holds nodes of levels that no other group and no single node shares.
    """
    graph = _chained(graph)
    if len(graph.nodes) > limit:
        graph = _without_operations(graph)
    if len(graph.nodes) > limit:
        graph = _grouped(graph, _kept(graph, max(limit // 2, 1)))
    return graph


def with_mentions(graph: Graph) -> Graph:
    """An input that is used in many places is mentioned at the later ones, instead of a line across the drawing."""
    sources, targets = _neighbours(graph)
    levels = levels_of(graph)
    nodes: list[Node] = []
    mentions: dict[str, list[Node]] = {}
    edges = {(edge.source, edge.target): edge for edge in graph.edges}
    for node in graph.nodes:
        near = levels[node.id] + _REACH
        far = [target for target in targets[node.id] if levels[target] > near] if not sources[node.id] else []
        if len(targets[node.id]) < _MENTIONED:
            continue
        for target in far:
            mention = dataclasses.replace(node, id=f"{node.id}m{len(mentions.get(target, ()))}{target}")
            mentions.setdefault(target, []).append(dataclasses.replace(mention, kind=Kind.MENTION))
            edge = edges.pop((node.id, target))
            edges[mention.id, target] = dataclasses.replace(edge, source=mention.id)
    for node in graph.nodes:
        nodes += [*mentions.get(node.id, ()), node]
    return dataclasses.replace(graph, nodes=tuple(nodes), edges=tuple(edges.values()))


def levels_of(graph: Graph) -> dict[str, int]:
    """How far each node is from the inputs; an input is as close as it can be to where it is used first."""
    sources, targets = _neighbours(graph)
    levels: dict[str, int] = {}
    for node in graph.nodes:
        levels[node.id] = max((levels[source] + 1 for source in sources[node.id]), default=0)
    for node in graph.nodes:
        if not sources[node.id] and targets[node.id]:
            levels[node.id] = min(levels[target] for target in targets[node.id]) - 1
    return levels


def _neighbours(graph: Graph) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    sources: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    targets: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        sources[edge.target].append(edge.source)
        targets[edge.source].append(edge.target)
    return sources, targets


def _chained(graph: Graph) -> Graph:
    """Every operation that is the only one to use another one's result, and uses nothing else, becomes part of it."""
    sources, targets = _neighbours(graph)
    known = {node.id: node for node in graph.nodes}
    into: dict[str, str] = {}
    labels: dict[str, str] = {}
    for node in graph.nodes:
        if node.kind is not Kind.OPERATION or len(sources[node.id]) != 1:
            continue
        before = sources[node.id][0]
        if known[before].kind is Kind.OPERATION and len(targets[before]) == 1:
            first = into[node.id] = into.get(before, before)
            labels[first] = f"{labels.get(first, known[first].label)}, {node.label}"
    nodes = tuple(
        dataclasses.replace(node, label=labels.get(node.id, node.label)) for node in graph.nodes if node.id not in into
    )
    return dataclasses.replace(graph, nodes=nodes, edges=_redirected(graph.edges, into))


def _without_operations(graph: Graph) -> Graph:
    """Every operation that serves one node alone becomes part of it."""
    _, targets = _neighbours(graph)
    into: dict[str, str] = {}
    operations: dict[str, list[str]] = {}
    # What an operation becomes part of comes later among the nodes, so that it is settled first.
    for node in reversed(graph.nodes):
        if node.kind is Kind.OPERATION and len(targets[node.id]) == 1:
            home = into.get(targets[node.id][0], targets[node.id][0])
            into[node.id] = home
            operations.setdefault(home, []).append(node.label)
    nodes = []
    for node in graph.nodes:
        if node.id in into:
            continue
        own = operations.get(node.id, [])[::-1]
        if node.kind is Kind.OPERATION:
            node = dataclasses.replace(node, label=", ".join([*own, node.label]))
        elif own:
            node = dataclasses.replace(node, operation=", ".join(own))
        nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(nodes), edges=_redirected(graph.edges, into))


def _kept(graph: Graph, limit: int) -> set[str]:
    """The nodes that are drawn one by one: those nearest to what matters."""
    sources, targets = _neighbours(graph)
    kept: set[str] = set()

    def spread(start: Iterable[Node], share: int) -> None:
        pending = deque(node.id for node in start)
        while pending and len(kept) < share:
            one = pending.popleft()
            if one in kept:
                continue
            kept.add(one)
            near = [*sources[one], *targets[one]]
            if len(near) <= _HUB:
                pending += near

    failing = [node for node in graph.nodes if node.passed is False]
    spread((node for node in failing if node.origin is Origin.INTRODUCED), limit // 2)
    spread((node for node in failing if node.origin is None), limit // 2)
    spread((node for node in reversed(graph.nodes) if node.kind is Kind.OUTPUT), limit * 3 // 4)
    levels = levels_of(graph)
    for node in sorted(graph.nodes, key=lambda one: levels[one.id]):
        if len(kept) < limit:
            kept.add(node.id)
    return kept


def _grouped(graph: Graph, kept: Collection[str]) -> Graph:
    """Everything else, one group for every run of levels without a kept node."""
    levels = levels_of(graph)
    broken = {levels[one] for one in kept}
    # A level with a kept node is a run by itself; those between two of them are one.
    runs, run = {}, 0
    for level in sorted(set(levels.values())):
        run += level in broken or level - 1 in broken
        runs[level] = run
    members: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if node.id not in kept:
            members.setdefault(runs[levels[node.id]], []).append(node)
    into = {}
    replaced: dict[str, Node] = {}
    for number, group in members.items():
        node = group[0] if len(group) == 1 else _group(f"g{number}", group)
        replaced[node.id] = node
        into.update({one.id: node.id for one in group if one.id != node.id})
    drawn = {node.id: node for node in graph.nodes if node.id in kept} | replaced
    level_of = {**{into.get(name, name): level for name, level in levels.items()}}
    ordered = sorted(drawn.values(), key=lambda node: level_of[node.id])
    return dataclasses.replace(graph, nodes=tuple(ordered), edges=_redirected(graph.edges, into))


def _group(name: str, members: Sequence[Node]) -> Node:
    def count(wanted: Callable[[Node], bool]) -> int:
        return sum(node.size for node in members if wanted(node))

    size = count(lambda _: True)
    failing = [node for node in members if node.passed is False]
    inherited = [node for node in failing if node.origin is Origin.INHERITED]
    kinds = {
        "operations" if one.kind is Kind.OPERATION else "tensors" if one.data is None else "values" for one in members
    }
    label = f"{size} more {kinds.pop() if len(kinds) == 1 else 'nodes'}"
    if failing:
        amount = sum(node.size for node in failing)
        told = "inherited" if len(inherited) == len(failing) else "not right"
        label += f", {'all' if amount == size else amount} {told}"
    return Node(
        name,
        label,
        Kind.GROUP,
        passed=False if failing else True if any(node.passed for node in members) else None,
        origin=Origin.INHERITED if inherited else None,
        size=size,
    )


def _redirected(edges: Iterable[Edge], into: dict[str, str]) -> tuple[Edge, ...]:
    """The edges between what the nodes became part of, each once."""
    found: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        source, target = into.get(edge.source, edge.source), into.get(edge.target, edge.target)
        if source == target:
            continue
        known = found.get((source, target))
        inherited = edge.inherited or (known is not None and known.inherited)
        # Of several derivatives that lead from one group to another, none is that of the whole.
        label = edge.label if known is None and (source, target) == (edge.source, edge.target) else None
        found[source, target] = Edge(source, target, inherited, label)
    return tuple(found.values())
