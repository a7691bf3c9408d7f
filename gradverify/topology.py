"""The graph that autograd built of a forward, as data: its named tensors, and the operations between them."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node as Step
from torch.autograd.graph import get_gradient_edge

from gradverify.candidate.cotangent import Cotangent
from gradverify.candidate.cotangent import draw_cotangents as draw_cotangents_of
from gradverify.candidate.pair import draw_pair
from gradverify.candidate.run import run
from gradverify.case import Case
from gradverify.evaluation import Tensors, draw_cotangents, run_autograd, run_forward
from gradverify.folding import fold
from gradverify.function_case import FunctionCase
from gradverify.graph import Edge, Graph, Kind, Node
from gradverify.inputs import Inputs
from gradverify.report import Row
from gradverify.verdict import Origin, Verdict

# A gradient edge: a step of autograd's, and the number of its output.
_Place = tuple[Step, int]

_SYMBOLS = {
    "Add": "+",
    "Addmm": "@ +",
    "Addmv": "@ +",
    "Baddbmm": "@ +",
    "Bmm": "@",
    "Div": "÷",
    "Dot": "@",
    "Mm": "@",
    "Mul": "×",
    "Mv": "@",
    "Rsub": "−",
    "Sub": "−",
    "T": "transpose",
}

# Steps that hand on what they are given, and that nobody wrote: torch puts them around its own operations.
_COPIES = frozenset({"Alias", "Clone", "ReshapeAlias", "UnsafeView"})
_RESHAPING = frozenset({"Expand", "View"})
_BATCHED = frozenset({"Baddbmm", "Bmm"})

# The smallest normal number of float64; nothing is divided by less.
_TINY = torch.finfo(torch.float64).tiny

# Larger graphs lose their middle when they are drawn; this bounds what a report keeps of them.
_LARGEST = 5000


def build_graph(
    tensors: Mapping[str, Tensor],
    *,
    inputs: Collection[str],
    outputs: Collection[str],
    gradients: Mapping[str, Tensor],
    candidates: Mapping[str, Tensor] | None = None,
    rows: Iterable[Row] = (),
    omitted: Sequence[str] = (),
) -> Graph:
    """The graph behind some named tensors.

    Args:
        tensors: those that have a gradient, by name, before autograd's graph of them is gone.
        inputs: the names of those that the computation starts from.
        outputs: the names of those that it ends in.
        gradients: autograd's, by name.
        candidates: those that were judged, by name; where one is not right, its error is measured.
        rows: what was found about them.
        omitted: the names of the recorded tensors without gradient.
    """
    walk = _Walk(tensors)
    norms = _norms(tensors)
    gradient_norms = _norms(gradients)
    judged = {row.name: row for row in rows}
    error_norms = _norms(_errors(gradients, candidates or {}, judged))
    nodes = []
    for node in walk.nodes:
        name = walk.names.get(node.id)
        if name is None:
            nodes.append(node)
            continue
        told = dataclasses.replace(
            node,
            kind=Kind.OUTPUT if name in outputs else Kind.INPUT if name in inputs else Kind.TENSOR,
            value_norm=norms[name],
            gradient_norm=gradient_norms.get(name),
            error_norm=error_norms.get(name),
        )
        nodes.append(_judged(told, judged[name]) if name in judged else told)
    graph = Graph(tuple(nodes), tuple(_inherited(nodes, walk.edges)), tuple(omitted))
    return graph if len(nodes) <= _LARGEST else fold(graph, _LARGEST)


def _judged(node: Node, row: Row) -> Node:
    node = dataclasses.replace(node, verdict=row.verdict, passed=row.passed, origin=row.origin)
    return node if row.passed else dataclasses.replace(node, file=row.file, line=row.line)


class _Walk:
    """Everything that autograd's graph holds behind some tensors: inputs first, each node once.

    Attributes:
        nodes: as yet without what is known of the tensors; edges: between them.
        names: those of the nodes that are tensors of the user's.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.nodes: list[Node] = []
        self.edges: dict[tuple[str, str], Edge] = {}
        self.names: dict[str, str] = {}
        self._named: dict[_Place, list[str]] = {}
        self._tensors = tensors
        self._ids: dict[_Place | Step, str] = {}
        for name, tensor in tensors.items():
            edge = get_gradient_edge(tensor)
            self._named.setdefault((edge.node, edge.output_nr), []).append(name)
        for place in self._named:
            self._visit(place)

    def _visit(self, place: _Place) -> None:
        """Add what a place was computed from, then itself; nothing recurses, as a computation may be long."""
        pending: list[tuple[_Place, bool]] = [(place, False)]
        while pending:
            one, ready = pending.pop()
            if self._known(one) is not None:
                continue
            sources = [self._resolve(earlier, one[0]) for earlier in _sources(one[0])]
            if ready:
                self._add(one, sources)
            else:
                pending.append((one, True))
                # Reversed, so that the first argument is drawn first.
                pending += [(source, False) for source in reversed(sources) if self._known(source) is None]

    def _resolve(self, place: _Place, consumer: Step) -> _Place:
        """The place that a consumer uses, behind what only copies it."""
        while place not in self._named and (_is_copy(place, consumer) or self._is_converted(place)):
            following = _sources(place[0])
            if len(following) != 1:
                break  # what starts the computation, for one
            place = following[0]
        return place

    def _is_converted(self, place: _Place) -> bool:
        """Whether it is a parameter that the case keeps, at the precision of the pass: nobody wrote that step."""
        while place not in self._named and _base(place[0]) == "ToCopy":
            place = _sources(place[0])[0]
        return place not in self._named and hasattr(place[0], "variable")

    def _known(self, place: _Place) -> str | None:
        return self._ids.get(place) or (None if place in self._named else self._ids.get(place[0]))

    def _add(self, place: _Place, sources: Sequence[_Place]) -> None:
        step = place[0]
        variable: Tensor | None = getattr(step, "variable", None)
        produced_by: str | None = None
        if variable is None and place in self._named and _is_copy(place, step) and len(sources) == 1:
            produced_by = self._known(sources[0])  # a second name, such as `t.skip = t.x`
        elif variable is None:
            produced_by = self._operation(step, sources)
        elif place not in self._named:
            # A parameter of a module, say, that the case never named.
            self._ids[place] = self._new("unnamed", Kind.INPUT, tuple(variable.shape))
            return
        for name in self._named.get(place, ()):
            own = self._new(name, Kind.TENSOR, tuple(self._tensors[name].shape))
            self.names[own] = name
            if produced_by is not None:
                self._connect(produced_by, own)
            self._ids.setdefault(place, own)
            produced_by = self._ids[place]  # an output that is an input: one tensor with two names

    def _operation(self, step: Step, sources: Sequence[_Place]) -> str:
        if step not in self._ids:
            self._ids[step] = self._new(_spell(step), Kind.OPERATION, None)
            for source in sources:
                known = self._known(source)
                assert known is not None  # it was visited before
                self._connect(known, self._ids[step])
        return self._ids[step]

    def _new(self, label: str, kind: Kind, shape: tuple[int, ...] | None) -> str:
        node = Node(f"n{len(self.nodes)}", label, kind, shape)
        self.nodes.append(node)
        return node.id

    def _connect(self, source: str, target: str) -> None:
        self.edges[source, target] = Edge(source, target)


def _sources(step: Step) -> list[_Place]:
    """What a step uses; a constant is not among them."""
    return [(earlier, output) for earlier, output in step.next_functions if earlier is not None]


def _base(step: Step) -> str:
    """The operation without what autograd appends: "Mm" of "MmBackward0"."""
    return re.sub(r"Backward\d*$", "", step.name().rpartition("::")[2])


def _is_copy(place: _Place, consumer: Step) -> bool:
    base = _base(place[0])
    return base in _COPIES or (base in _RESHAPING and _base(consumer) in _BATCHED)


def _spell(step: Step) -> str:
    """What a step does, as its user would write it: "+", "@", "pow 2", "sum over 1"."""
    forward: type | None = getattr(step, "_forward_cls", None)
    if forward is not None:
        return forward.__name__
    base = _base(step)
    if base in _SYMBOLS:
        return _SYMBOLS[base]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", base).lower()
    exponent = getattr(step, "_saved_exponent", None)
    if isinstance(exponent, (int, float)):
        return f"{words} {exponent:g}"
    dims = getattr(step, "_saved_dim", ())
    dims = (dims,) if isinstance(dims, int) else dims or ()
    # Autograd keeps a negative dimension as an unsigned number.
    shown = ", ".join(str(dim - 2**64 if dim >= 2**63 else dim) for dim in dims if isinstance(dim, int))
    return f"{words} over {shown}" if shown else words


def _errors(
    gradients: Mapping[str, Tensor], candidates: Mapping[str, Tensor], rows: Mapping[str, Row]
) -> dict[str, Tensor]:
    """What separates the candidates that are not right from autograd's gradients, where both have one shape."""
    return {
        name: candidate - gradients[name]
        for name, candidate in candidates.items()
        if name in rows
        and name in gradients
        and rows[name].verdict not in (Verdict.EXACT, Verdict.OK)
        and candidate.shape == gradients[name].shape
    }


def _norms(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """The Euclidean norms, read from the device in one go."""
    if not tensors:
        return {}
    scales = [one.detach().abs().amax().double() for one in tensors.values()]
    # Relative to the largest element: the squares of numbers that float64 holds need not fit in it.
    relative = [
        torch.linalg.vector_norm(one.detach() / scale.clamp_min(_TINY), dtype=torch.float64)
        for one, scale in zip(tensors.values(), scales, strict=True)
    ]
    pairs = torch.stack([torch.stack(scales), torch.stack(relative)]).tolist()
    norms = (scale if math.isinf(scale) else scale * ratio for scale, ratio in zip(*pairs, strict=True))
    return dict(zip(tensors, norms, strict=True))


def _inherited(nodes: Sequence[Node], edges: Mapping[tuple[str, str], Edge]) -> list[Edge]:
    """The edges, marked where an error came along: from an erroneous tensor, through what is not judged."""
    known = {node.id: node for node in nodes}
    later: dict[str, list[str]] = {}
    for source, target in edges:
        later.setdefault(source, []).append(target)
    # Whether an error reaches a node from the side of the outputs; what comes later in `nodes` is settled first.
    carries: dict[str, bool] = {}
    marked: set[tuple[str, str]] = set()
    for node in reversed(nodes):
        bringing = [target for target in later.get(node.id, ()) if carries[target]]
        is_open = node.verdict is None
        carries[node.id] = bool(bringing) if is_open else known[node.id].origin is not None
        if is_open or node.origin is Origin.INHERITED:
            marked.update((node.id, target) for target in bringing)
    # A path through what is not judged counts only if it ends in a tensor that inherited.
    reached: set[str] = set()
    found = []
    for node in nodes:
        if node.origin is Origin.INHERITED or node.id in reached:
            for target in later.get(node.id, ()):
                if (node.id, target) in marked:
                    found.append((node.id, target))
                    if known[target].verdict is None:
                        reached.add(target)
    inherited = set(found)
    return [dataclasses.replace(edge, inherited=place in inherited) for place, edge in edges.items()]


def graph_of_case(
    case: Case,
    inputs: Inputs,
    dtype: torch.dtype,
    *,
    cotangents: Tensors | None = None,
    candidates: Mapping[str, Tensor] | None = None,
    rows: Iterable[Row] = (),
) -> Graph:
    """The graph of a case's forward, which is run once more.

    Args:
        case: the case.
        inputs: that it is run on.
        dtype: at which.
        cotangents: of an earlier pass; drawn where there was none.
        candidates: the hand-derived gradients of that pass.
        rows: what was found about them.

    Raises:
        GradverifyError: for whatever the forward does wrong.
    """
    forward = run_forward(case, inputs, dtype, guarded=False)
    upstream = draw_cotangents(inputs, forward) if cotangents is None else cotangents
    return build_graph(
        forward.differentiable,
        inputs=inputs.differentiated,
        outputs=forward.outputs,
        # The graph is kept, since what its steps saved is part of what is shown.
        gradients=run_autograd(case, forward, upstream, retain_graph=True),
        candidates=candidates,
        rows=rows,
        omitted=sorted(forward.undifferentiable),
    )


def graph_of_candidate(
    case: FunctionCase,
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
    constants: frozenset[str],
    rows: Iterable[Row] = (),
) -> Graph:
    """The graph of what a candidate is held against, or of the candidate itself where that is nothing.

    Raises:
        GradverifyError: for whatever the case does wrong.
    """
    pair = draw_pair(case, seed, dtype, device, constants)
    called = run(pair.reference or pair.candidate, pair.arguments.fresh(), pair.outputs)
    upstream = draw_cotangents_of(Cotangent.NORMAL, called.differentiable, pair.cotangent_seed)
    judged = tuple(rows)
    candidates = None
    if pair.reference is not None and not all(row.passed for row in judged):
        candidates = run(pair.candidate, pair.arguments.fresh(), pair.outputs).filled_gradients(upstream)
    return build_graph(
        {**called.leaves, **called.differentiable},
        inputs=called.leaves,
        outputs=called.differentiable,
        gradients=called.filled_gradients(upstream, retain_graph=True),
        candidates=candidates,
        rows=judged,
        omitted=sorted(name for name in pair.arguments.tensors if name not in called.leaves),
    )
