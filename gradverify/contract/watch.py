"""One backward under watch: what it was given, what it wrote on, and what it returned before the engine took over."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.graph import Node, saved_tensors_hooks

from gradverify.candidate import Arguments, Run
from gradverify.contract.subject import Subject, backward, detached


@dataclass(frozen=True)
class RawGradient:
    """What a backward written in Python returned for one input, and what that input is like."""

    function: str
    place: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    wanted_shape: tuple[int, ...]
    wanted_dtype: torch.dtype


@dataclass
class Watched:
    """What was seen.

    Attributes:
        functions: the names of the Functions whose backward is written in Python.
        cotangents, inputs, saved: the names of those that the backward wrote on.
        raw: the gradients that backwards in Python returned.
        shared: what each returned gradient shares memory with, a phrase each.
        with_cotangent: the gradients that share memory with an upstream gradient.
    """

    functions: list[str] = field(default_factory=list)
    cotangents: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    raw: list[RawGradient] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    with_cotangent: list[str] = field(default_factory=list)


def watch(subject: Subject) -> Watched:
    """Run the candidate once, and watch its backward; what was seen is kept for the other rules.

    Raises:
        GradverifyError: from what it raises.
    """
    return subject.once("watched", lambda: _watch(subject))


def _watch(subject: Subject) -> Watched:
    seen = Watched()
    _watch_once(subject, subject.copies(), seen)
    if all(one.numel() == 1 for one in subject.cotangents.values()):
        # A loss: its upstream gradient is 1 as a rule, for which some take a way of their own.
        _watch_once(subject, {name: torch.ones_like(one) for name, one in subject.cotangents.items()}, seen)
    return seen


def _watch_once(subject: Subject, cotangents: dict[str, Tensor], seen: Watched) -> None:
    kept: list[Tensor] = []
    arguments = subject.pair.arguments.fresh()
    with saved_tensors_hooks(lambda one: _kept(one, kept), lambda one: one):
        called = subject.call(arguments)
    nodes = [node for node in called.nodes if hasattr(node, "_forward_cls")]
    packed = [one for node in nodes for one in getattr(node, "saved_tensors", ())]
    own = {one.data_ptr() for one in packed if one is not None}
    saved = {f"saved tensor {number}": one for number, one in enumerate(_distinct(kept, arguments, own))}
    for node in nodes:
        seen.functions.append(node._forward_cls.__name__)
        stashed = {name: value for name, value in vars(node).items() if isinstance(value, Tensor)}
        saved.update({f"ctx.{name}": value.detach() for name, value in stashed.items()})
        _listen(node, seen)
    before = _Bytes({name: one.detach() for name, one in arguments.tensors.items()})
    saved_before, given = _Bytes(saved), _Bytes(cotangents)
    # Where the graph is not kept, torch's own recurrent layers work in what they saved: nobody reads it again.
    gradients = backward(called, cotangents, retain_graph=True)
    seen.inputs += before.changed()
    seen.saved += saved_before.changed()
    seen.cotangents += [f"the upstream gradient of {name}" for name in given.changed()]
    _find_shared(seen, gradients, arguments, called, saved, cotangents)


def overlap(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have a byte of memory in common, but for gaps of their strides."""
    if one.numel() == 0 or other.numel() == 0 or one.device != other.device:
        return False
    (start, end), (first, last) = _span(one), _span(other)
    return start < last and first < end


class _Bytes:
    """The bits of tensors as they were, since kernels do not bump version counters."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._now = dict(tensors)
        self._before = {name: one.clone() for name, one in tensors.items()}

    def changed(self) -> list[str]:
        return [name for name, one in self._now.items() if not equal_bits(one, self._before[name])]


def equal_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same bits."""
    # nan differs from nan, and 0 equals -0, only as numbers.
    return one.shape == other.shape and (torch.equal(one, other) or torch.equal(_bits(one), _bits(other)))


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _kept(tensor: Tensor, kept: list[Tensor]) -> Tensor:
    alias = tensor.detach()
    kept.append(alias)
    return alias


def _distinct(kept: Sequence[Tensor], arguments: Arguments, own: Collection[int]) -> list[Tensor]:
    """Saved tensors that are no input, each once; `own` are the addresses of those that Functions in Python saved.

    Raw bytes that torch saved are left out: oneDNN's recurrent layers keep a workspace in them, which they write on.
    """
    known = [one.detach() for one in arguments.tensors.values()]
    found: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Tensor] = {}
    for one in kept:
        is_workspace = one.dtype == torch.uint8 and one.data_ptr() not in own
        if one.layout is torch.strided and not is_workspace and not any(overlap(one, other) for other in known):
            found.setdefault((one.data_ptr(), tuple(one.shape), one.stride()), one)
    return [*found.values()]


def _listen(node: Node, seen: Watched) -> None:
    """Record what the backward of one node is given and returns; the Function itself stays as it is."""
    own: Any = node._forward_cls  # type: ignore[attr-defined]  # only the node of a Function has it
    needed: tuple[bool, ...] = node.needs_input_grad  # type: ignore[attr-defined]  # the same
    is_boxed = getattr(own, "boxed_grads_call", False)
    user: Callable[..., Any] = own.vjp if own.vjp is not Function.vjp else own.backward

    def spied(ctx: Any, *given: Any) -> Any:
        tensors = [one for one in (given[0] if is_boxed else given) if isinstance(one, Tensor)]
        before = _Bytes({f"the upstream gradient {place} of {own.__name__}": one for place, one in enumerate(tensors)})
        returned = user(ctx, *given)
        seen.cotangents += before.changed()
        several = returned if isinstance(returned, tuple) else (returned,)
        wanted = [(place, one) for place, one in enumerate(several) if place < len(needed) and needed[place]]
        edges = [edge for edge in node.next_functions if edge[0] is not None]
        for (place, one), (target, number) in zip(wanted, edges, strict=False):
            metadata = getattr(target, "_input_metadata", None)
            if isinstance(one, Tensor) and metadata is not None:
                about = metadata[number]
                shape = tuple(about.shape)
                seen.raw.append(RawGradient(own.__name__, place, tuple(one.shape), one.dtype, shape, about.dtype))
        return returned

    # Found on the node before its class is: this call of it alone is watched.
    node._forward_cls = types.SimpleNamespace(  # type: ignore[attr-defined]  # the same
        __name__=own.__name__, backward=spied, vjp=Function.vjp, boxed_grads_call=is_boxed
    )


def _find_shared(
    seen: Watched,
    gradients: Mapping[str, Tensor | None],
    arguments: Arguments,
    called: Run,
    saved: Mapping[str, Tensor],
    cotangents: Mapping[str, Tensor],
) -> None:
    possible = {
        **{f"the input {name}": one.detach() for name, one in arguments.tensors.items()},
        **{f"the output {name}": one for name, one in detached(called).items()},
        **saved,
    }
    for name, gradient in gradients.items():
        if gradient is None:
            continue
        others = [other for other, one in possible.items() if overlap(gradient, one)]
        seen.shared += [f"the gradient of {name} with {other}" for other in others[:1]]
        if any(overlap(gradient, one) for one in cotangents.values()):
            seen.with_cotangent.append(name)


def _span(tensor: Tensor) -> tuple[int, int]:
    start = tensor.data_ptr()
    last = sum((length - 1) * stride for length, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.element_size()
