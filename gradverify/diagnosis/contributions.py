"""The shares of a gradient, one for each use of its tensor in the forward, read off autograd's own graph."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge

from gradverify.case import Case
from gradverify.diagnosis.subject import Contribution
from gradverify.evaluation import Forward, Tensors, run_forward
from gradverify.inputs import Inputs
from gradverify.scope import user_code

# Nodes that only rearrange or copy: the operation that a reader would name comes after them.
_HELPERS = frozenset(
    f"{operation}Backward{number}"
    for operation in (
        "Alias",
        "AsStrided",
        "Clone",
        "Expand",
        "Permute",
        "Reshape",
        "ReshapeAlias",
        "Squeeze",
        "T",
        "ToCopy",
        "Transpose",
        "Unsqueeze",
        "UnsafeView",
        "View",
    )
    for number in range(3)
)

# The operation of the share that an output has without being used.
COTANGENT = "cotangent"
# A gradient edge: a node and the number of its output.
_Edge = tuple[Node, int]
_Uses = dict[_Edge, list[_Edge]]


def find_contributions(
    case: Case, inputs: Inputs, dtype: torch.dtype, cotangents: Tensors, name: str
) -> list[Contribution]:
    """The shares of one gradient, in the order of the forward; they sum exactly to it.

    Where the tensor is an output itself, its cotangent is the first share.

    Args:
        case: the case, whose forward is run again.
        inputs: that it ran on.
        dtype: of the pass.
        cotangents: the upstream gradients of that pass.
        name: of the recorded tensor.

    Returns:
        The shares; none where the same tensor has a second name, whose uses cannot be told from its own.
    """
    forward = run_forward(case, inputs, dtype)
    tensor = forward.trace[name]
    if any(other is tensor for known, other in forward.differentiable.items() if known != name):
        return []
    uses = _uses(forward)
    edge = get_gradient_edge(tensor)
    own = (edge.node, edge.output_nr)
    shares: dict[_Edge, Tensor] = {}
    with contextlib.ExitStack() as stack, user_code(case, "autograd's backward", dtype, forward.device):
        for consumer in dict.fromkeys(consumer for consumer, _ in uses.get(own, ())):
            arguments = [number for node, number in uses[own] if node is consumer]
            handle = consumer.register_hook(_recorder(shares, consumer, arguments))
            stack.callback(handle.remove)
        outputs = [forward.trace[output] for output in forward.outputs]
        upstream = [cotangents[output] for output in forward.outputs]
        torch.autograd.grad(outputs, [tensor], upstream, allow_unused=True)
    found = [Contribution(cotangents[name], name, COTANGENT)] if name in forward.outputs else []
    names = _names(forward)
    # The graph was walked from the outputs back; a reader follows the forward.
    for consumer, number in reversed(uses.get(own, ())):
        if (consumer, number) in shares:
            through, operation = _lead(consumer, uses, names)
            several = sum(node is consumer for node, _ in uses[own]) > 1
            argument = number if several else None
            found.append(Contribution(shares[consumer, number], through or name, operation, argument))
    return found


def _uses(forward: Forward) -> _Uses:
    """For every edge of the graph, the inputs of later nodes that it feeds."""
    uses: _Uses = {}
    pending = deque(node for output in forward.outputs if (node := forward.trace[output].grad_fn) is not None)
    seen = set(pending)
    while pending:
        node = pending.popleft()
        for number, (earlier, output) in enumerate(node.next_functions):
            if earlier is None:
                continue
            uses.setdefault((earlier, output), []).append((node, number))
            if earlier not in seen:
                seen.add(earlier)
                pending.append(earlier)
    return uses


def _recorder(
    shares: dict[_Edge, Tensor], consumer: Node, arguments: Sequence[int]
) -> Callable[[Sequence[Tensor | None], Sequence[Tensor | None]], None]:
    """A hook that keeps what one node hands to some of its inputs."""

    def record(handed: Sequence[Tensor | None], _: Sequence[Tensor | None]) -> None:
        for number in arguments:
            share = handed[number]
            if share is not None:
                shares[consumer, number] = share.detach()

    return record


def _names(forward: Forward) -> dict[_Edge, str]:
    names: dict[_Edge, str] = {}
    for name, tensor in forward.differentiable.items():
        edge = get_gradient_edge(tensor)
        names[edge.node, edge.output_nr] = name
    return names


def _lead(node: Node, uses: _Uses, names: dict[_Edge, str]) -> tuple[str | None, str]:
    """The next recorded tensor that a use leads to, and the first operation on the way that is no helper."""
    by_node: dict[Node, list[int]] = {}
    for known, output in (*uses, *names):
        by_node.setdefault(known, []).append(output)
    operation: str | None = None
    pending, seen = deque([node]), {node}
    while pending:
        one = pending.popleft()
        if operation is None and one.name() not in _HELPERS:
            operation = one.name()
        edges = [(one, output) for output in by_node.get(one, ())]
        for edge in edges:
            if edge in names:
                return names[edge], operation or node.name()
        for edge in edges:
            for later, _ in uses.get(edge, ()):
                if later not in seen:
                    seen.add(later)
                    pending.append(later)
    return None, operation or node.name()
