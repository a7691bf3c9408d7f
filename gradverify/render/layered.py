"""A layered drawing that needs no program: levels, few crossings, and neighbours at one height.

After Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures (1981).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from gradverify.render.plane import Edges, Layout, Path, Point, Size

# Sweeps to and fro; on the graphs of the founding cases nothing that can be seen changed after them.
_ORDERING, _PLACING = 8, 25
# How much a bend of a long edge weighs against one between two boxes, so that long edges run straight.
_STRAIGHTNESS = 4.0
# How much a place insists on staying where it is, if it is to stay.
_FIRM = 1e6
# What an edge takes up that passes a box.
_PASSING = Size(0.0, 4.0)

# A place in a layer: a node, or a point at which an edge passes it.
_Slot = str | tuple[str, str, int]
_Chains = dict[tuple[str, str], list[_Slot]]


def lay_out_in_layers(sizes: Mapping[str, Size], edges: Edges, *, beside: float, after: float) -> Layout:
    """The places of some boxes, left to right.

    Args:
        sizes: of the boxes, by id.
        edges: from one to another, without a circle.
        beside: the room to leave between two boxes of a layer.
        after: the room between two layers.
    """
    edges = list(dict.fromkeys(edges))
    levels = _levels(sizes, edges)
    layers: list[list[_Slot]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for name in sizes:
        layers[levels[name]].append(name)
    chains: _Chains = {}
    for source, target in edges:
        passing: list[_Slot] = [(source, target, level) for level in range(levels[source] + 1, levels[target])]
        chains[source, target] = [source, *passing, target]
        for slot in passing:
            layers[slot[2]].append(slot)  # type: ignore[index]  # a triple, whose last part is the level
    backward, forward = _links(chains)
    _reduce_crossings(layers, backward, forward)
    heights = _heights(layers, sizes, backward, forward, beside)
    return _assemble(layers, sizes, chains, heights, after)


def _levels(sizes: Mapping[str, Size], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of every box; one that uses nothing is moved next to where it is used first."""
    # Imported only here: it takes longer than the rest of the command line together.
    import networkx  # type: ignore[import-untyped]  # its stubs are a package of their own

    graph = networkx.DiGraph()
    graph.add_nodes_from(sizes)
    graph.add_edges_from(edges)
    levels = {name: level for level, names in enumerate(networkx.topological_generations(graph)) for name in names}
    for name in sizes:
        if not graph.in_degree(name) and graph.out_degree(name):
            levels[name] = min(levels[target] for target in graph.successors(name)) - 1
    return levels


def _links(chains: _Chains) -> tuple[dict[_Slot, list[_Slot]], dict[_Slot, list[_Slot]]]:
    """The neighbours of every place in the layer before and in the layer after."""
    backward: dict[_Slot, list[_Slot]] = {}
    forward: dict[_Slot, list[_Slot]] = {}
    for chain in chains.values():
        for before, behind in pairwise(chain):
            backward.setdefault(behind, []).append(before)
            forward.setdefault(before, []).append(behind)
    return backward, forward


def _reduce_crossings(
    layers: list[list[_Slot]], backward: Mapping[_Slot, list[_Slot]], forward: Mapping[_Slot, list[_Slot]]
) -> None:
    """Order every layer by where the neighbours are, to and fro, and keep the order with the fewest crossings."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, forward)
    for sweep in range(_ORDERING):
        if not fewest:
            break
        rightwards = sweep % 2 == 0
        neighbours = backward if rightwards else forward
        for fixed, moved in pairwise(layers if rightwards else layers[::-1]):
            places = {slot: place for place, slot in enumerate(fixed)}
            own = {slot: place for place, slot in enumerate(moved)}
            scale = len(fixed) / max(len(moved), 1)
            means = {
                slot: _mean([places[one] for one in neighbours.get(slot, ())], own[slot] * scale) for slot in moved
            }
            moved.sort(key=means.__getitem__)
        crossings = _crossings(layers, forward)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _crossings(layers: Sequence[Sequence[_Slot]], forward: Mapping[_Slot, list[_Slot]]) -> int:
    """How often two edges cross: the inversions of their ends, counted in a binary indexed tree."""
    total = 0
    for before, behind in pairwise(layers):
        places = {slot: place for place, slot in enumerate(behind)}
        ends = [end for slot in before for end in sorted(places[one] for one in forward.get(slot, ()))]
        tree = [0] * (len(behind) + 1)
        for seen, end in enumerate(ends):
            total += seen - _taken(tree, end + 1)
            place = end + 1
            while place < len(tree):
                tree[place] += 1
                place += place & -place
    return total


def _taken(tree: Sequence[int], place: int) -> int:
    """How many ends so far lie at or before a place."""
    found = 0
    while place:
        found += tree[place]
        place -= place & -place
    return found


def _heights(
    layers: Sequence[Sequence[_Slot]],
    sizes: Mapping[str, Size],
    backward: Mapping[_Slot, list[_Slot]],
    forward: Mapping[_Slot, list[_Slot]],
    beside: float,
) -> dict[_Slot, float]:
    """The y of every place: as near to its neighbours as the order and the room between boxes allow."""
    heights: dict[_Slot, float] = {}
    offsets: list[list[float]] = []
    for layer in layers:
        tall = [_size(slot, sizes).height for slot in layer]
        steps = [(a + b) / 2 + beside for a, b in pairwise(tall)]
        offsets.append([sum(steps[:place]) for place in range(len(layer))])
        middle = offsets[-1][-1] / 2 if layer else 0.0
        heights.update({slot: offset - middle for slot, offset in zip(layer, offsets[-1], strict=True)})
    for sweep in range(_PLACING):
        side = backward if sweep % 2 == 0 else forward
        for level in range(len(layers)) if sweep % 2 == 0 else reversed(range(len(layers))):
            near = {slot: side.get(slot, ()) for slot in layers[level]}
            # What starts the computation pulls nothing that something else pulls: the way through it is straight.
            near = {slot: [one for one in several if one in backward] or several for slot, several in near.items()}
            _settle(layers[level], near, offsets[level], heights)
    for level, layer in enumerate(layers):
        # In the end it follows what uses it, which moved in the last sweep.
        starting = {slot: () if slot in backward else forward.get(slot, ()) for slot in layer}
        _settle(layer, starting, offsets[level], heights, fixed=True)
    return heights


def _settle(
    layer: Sequence[_Slot],
    near: Mapping[_Slot, Sequence[_Slot]],
    offsets: Sequence[float],
    heights: dict[_Slot, float],
    *,
    fixed: bool = False,
) -> None:
    """Move the places of a layer towards what is near them; one that has nothing near it stays where it can.

    Args:
        layer: the places in their order.
        near: the neighbours that pull each of them.
        offsets: how far each place is from the first at the least.
        heights: of all places, changed here.
        fixed: a place that nothing pulls is not to be pushed either.
    """
    wanted, weights = [], []
    for slot, offset in zip(layer, offsets, strict=True):
        pull = [_STRAIGHTNESS if isinstance(slot, tuple) and isinstance(one, tuple) else 1.0 for one in near[slot]]
        towards = sum(heights[one] * weight for one, weight in zip(near[slot], pull, strict=True))
        wanted.append((towards / sum(pull) if pull else heights[slot]) - offset)
        weights.append(sum(pull) or (_FIRM if fixed else 1 / _FIRM))
    settled = _monotonic(wanted, weights)
    heights.update({slot: one + offset for slot, one, offset in zip(layer, settled, offsets, strict=True)})


def _monotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values, in weighted squares, that never fall: pool adjacent violators."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values, weights, strict=True):
        mean, total, count = value, weight, 1
        while pools and pools[-1][0] > mean:
            other, heavy, several = pools.pop()
            mean = (mean * total + other * heavy) / (total + heavy)
            total, count = total + heavy, count + several
        pools.append((mean, total, count))
    return [mean for mean, _, count in pools for _ in range(count)]


def _assemble(
    layers: Sequence[Sequence[_Slot]],
    sizes: Mapping[str, Size],
    chains: _Chains,
    heights: Mapping[_Slot, float],
    after: float,
) -> Layout:
    top = min((heights[name] - size.height / 2 for name, size in sizes.items()), default=0.0)
    top = min([top, *heights.values()])
    bottom = max((heights[name] + size.height / 2 for name, size in sizes.items()), default=0.0)
    bottom = max([bottom, *heights.values()])
    centres: dict[_Slot, Point] = {}
    # Where the column of a place begins and ends: inside it edges are level, so that they meet no other box of it.
    columns: dict[_Slot, tuple[float, float]] = {}
    left = 0.0
    for layer in layers:
        width = max((_size(slot, sizes).width for slot in layer), default=0.0)
        for slot in layer:
            centres[slot], columns[slot] = Point(left + width / 2, heights[slot] - top), (left, left + width)
        left += width + after
    paths = {edge: _curve(chain, centres, columns, sizes) for edge, chain in chains.items()}
    boxes = {name: centres[name] for name in sizes}
    return Layout(Size(max(left - after, 0.0), bottom - top), boxes, paths)


def _curve(
    chain: Sequence[_Slot],
    centres: Mapping[_Slot, Point],
    columns: Mapping[_Slot, tuple[float, float]],
    sizes: Mapping[str, Size],
) -> Path:
    """From the right side of the first box to the left side of the last, level within every layer."""
    first, last = chain[0], chain[-1]
    points = [Point(centres[first].x + _size(first, sizes).width / 2, centres[first].y)]
    for before, behind in pairwise(chain):
        start, end = Point(columns[before][1], centres[before].y), Point(columns[behind][0], centres[behind].y)
        half = (start.x + end.x) / 2
        if start != points[-1]:
            points += [points[-1], start, start]
        points += [Point(half, start.y), Point(half, end.y), end]
    tip = Point(centres[last].x - _size(last, sizes).width / 2, centres[last].y)
    return Path(tuple(points if tip == points[-1] else [*points, points[-1], tip, tip]))


def _size(slot: _Slot, sizes: Mapping[str, Size]) -> Size:
    return sizes[slot] if isinstance(slot, str) else _PASSING
