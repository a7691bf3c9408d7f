"""One pass of a case at one precision: the forward, autograd's gradients, the hand-derived ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gradverify.capture import CaptureGuard
from gradverify.case import Case
from gradverify.entry import describe, unseen
from gradverify.errors import (
    CaseRaised,
    EmptyTensor,
    GradverifyError,
    InvalidGradient,
    InvalidOutput,
)
from gradverify.gradients import Gradients, Observer, derived_of, events_of, written_at
from gradverify.inputs import Inputs
from gradverify.location import Location
from gradverify.misfit import blame_misfit
from gradverify.scope import code_of, defined_at, dtype_name, own_copy, user_code
from gradverify.trace import OnAssign, Trace, assigned_at, finish, frozen_copy, values_of

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Forward:
    """A forward that has run: every recorded tensor, and the names of the returned ones.

    Attributes:
        case: the case as the forward left it; the backward of the same pass runs on it.
        trace: what was recorded; outputs: the names of what was returned.
        dtype: the precision of the pass; device: where it ran.
        guard: knows what the pass made.
    """

    case: Case
    trace: Trace
    outputs: tuple[str, ...]
    dtype: torch.dtype
    device: torch.device
    guard: CaptureGuard

    @cached_property
    def differentiable(self) -> Tensors:
        """The recorded tensors that have a gradient, by name."""
        return {name: value for name, value in values_of(self.trace).items() if value.requires_grad}

    @cached_property
    def undifferentiable(self) -> set[str]:
        """The names of the recorded tensors that have none."""
        return {name for name, value in values_of(self.trace).items() if not value.requires_grad}

    @cached_property
    def largest(self) -> int:
        """The largest number of elements of a recorded tensor."""
        return max(value.numel() for value in values_of(self.trace).values())


def run_forward(
    case: Case,
    inputs: Inputs,
    dtype: torch.dtype,
    *,
    on_assign: OnAssign | None = None,
    with_grad: bool = True,
    guarded: bool = True,
) -> Forward:
    """Run the forward at a precision on a fresh copy of the inputs.

    Args:
        case: the case.
        inputs: from `draw_inputs`.
        dtype: the precision of the pass.
        on_assign: sees every tensor as it is recorded, inputs included.
        with_grad: whether the recorded tensors keep their graph. The forward itself always runs with autograd
            on: it may differentiate something, or hang a hook on a tensor.
        guarded: whether to look for tensors of another precision from outside the case. It is most of the time of
            a small forward, and needless where an earlier pass over it has looked.

    Raises:
        GradverifyError: for whatever the forward does wrong; see `gradverify.errors`.
    """
    leaves = {
        name: None if value is None else _leaf(value, dtype, name in inputs.differentiated)
        for name, value in inputs.values.items()
    }
    guard = CaptureGuard(dtype, (value for value in leaves.values() if value is not None))
    own = own_copy(inputs.case, dtype, inputs.device)
    where = defined_at(case, "forward")
    with user_code(case, "forward", dtype, inputs.device, guard if guarded else None), torch.enable_grad():
        trace = Trace(leaves, on_assign)
        returned: object = own.forward(trace)
        with unseen():
            finish(trace, where)
            _check_recorded(trace, inputs)
            outputs = _name_outputs(trace, returned, where)
    return Forward(own, trace if with_grad else frozen_copy(trace), outputs, dtype, inputs.device, guard)


def draw_cotangents(inputs: Inputs, forward: Forward) -> Tensors:
    """The upstream gradient of each output, at the precision of `forward`: ones for one element, else normal."""
    generator = torch.Generator().manual_seed(inputs.cotangent_seed)
    cotangents: Tensors = {}
    for name in forward.outputs:
        output = forward.trace[name].detach()
        if output.numel() == 1:
            cotangents[name] = torch.ones_like(output)
        else:
            drawn = torch.randn(output.shape, generator=generator, dtype=torch.float32, device="cpu")
            cotangents[name] = drawn.to(output)
    return cotangents


def run_autograd(case: Case, forward: Forward, cotangents: Tensors, *, retain_graph: bool = False) -> Tensors:
    """Autograd's gradient of every recorded tensor, as `retain_grad` would leave it; zeros where it gives none.

    Raises:
        CaseRaised: if a backward within the forward raises, such as that of an `autograd.Function`.
    """
    tensors = forward.differentiable
    outputs = [forward.trace[name] for name in forward.outputs]
    upstream = [cotangents[name] for name in forward.outputs]
    with user_code(case, "autograd's backward", forward.dtype, forward.device):
        gradients = torch.autograd.grad(
            outputs, list(tensors.values()), upstream, retain_graph=retain_graph, allow_unused=True
        )
    return {
        name: torch.zeros_like(tensor) if gradient is None or torch._is_zerotensor(gradient) else gradient.detach()
        for (name, tensor), gradient in zip(tensors.items(), gradients, strict=True)
    }


def run_backward(
    case: Case,
    forward: Forward,
    cotangents: Tensors,
    given: Callable[[str], Tensor] | None = None,
    observer: Observer | None = None,
) -> Gradients:
    """Run the hand-derived backward on the values of a forward.

    Args:
        case: the case.
        forward: whose values `t` holds.
        cotangents: what `d.<output>` starts as.
        given: hands out the reference of a gradient that is read before it was derived; None forbids that.
        observer: follows the run event by event.

    Raises:
        GradverifyError: for whatever the backward does wrong; see `gradverify.errors`.
    """
    trace = frozen_copy(forward.trace)
    upstream = {name: value.clone() for name, value in cotangents.items()}
    gradients = Gradients(
        upstream,
        differentiable=forward.differentiable.keys(),
        undifferentiable=forward.undifferentiable,
        given=given,
        outermost=code_of(case, "backward"),
        observer=observer,
    )
    forward.guard.admit((upstream, values_of(trace)))
    try:
        with user_code(case, "backward", forward.dtype, forward.device, forward.guard), torch.no_grad():
            returned: object = forward.case.backward(trace, gradients)
            events_of(gradients)
            if returned is not None:
                raise InvalidOutput(
                    f"backward returned {describe(returned)}; assign each gradient to `d.<name>` and return nothing",
                    defined_at(case, "backward"),
                )
            with unseen():
                _check_derived(gradients, forward)
    except CaseRaised as error:
        blame_misfit(error, gradients, trace)
        raise
    return gradients


def _leaf(value: Tensor, dtype: torch.dtype, differentiated: bool) -> Tensor:
    if not value.is_floating_point():
        return value.clone()
    return value.to(dtype, copy=True).requires_grad_(differentiated)


def _check_recorded(trace: Trace, inputs: Inputs) -> None:
    for name, value in values_of(trace).items():
        if name in inputs.values:
            continue
        where = assigned_at(trace, name)
        if value.numel() == 0:
            raise EmptyTensor(
                f"t.{name} has no elements (shape {tuple(value.shape)}), so that nothing can be compared: choose sizes "
                "that leave it at least one",
                where,
            )
        if value.is_floating_point() and value.requires_grad and value.device.type != inputs.device.type:
            raise GradverifyError(
                f"t.{name} is on {value.device}, the case runs on {inputs.device}: make tensors without `device=`, "
                "or from those of the case",
                where,
            )


def _check_derived(gradients: Gradients, forward: Forward) -> None:
    tensors = values_of(forward.trace)
    for name, value in derived_of(gradients).items():
        if value.layout is not torch.strided:
            complaint = f"{str(value.layout).removeprefix('torch.')}, expected a dense tensor: assign its .to_dense()"
        elif value.is_complex():
            complaint = "complex; gradients are compared for real tensors, so record real and imaginary parts"
        elif value.device != tensors[name].device:
            complaint = f"on {value.device}, its tensor on {tensors[name].device}: make it from tensors of the case"
        else:
            continue
        raise InvalidGradient(f"d.{name} is {complaint}", written_at(gradients, name))


def _name_outputs(trace: Trace, returned: object, where: Location) -> tuple[str, ...]:
    outputs = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
    if returned is None or not outputs:
        raise InvalidOutput("forward returned nothing; end it with `return t.loss`, the tensor to differentiate", where)
    names = []
    for output in outputs:
        if not isinstance(output, Tensor):
            raise InvalidOutput(
                f"forward returned {describe(output)}; expected a tensor assigned to t, or a tuple of such", where
            )
        # The last name wins, so that `t.loss = t.total` returns as the loss.
        name = next((name for name, value in reversed(values_of(trace).items()) if value is output), None)
        if name is None:
            raise InvalidOutput(
                f"forward returned a tensor of shape {tuple(output.shape)} that has no name: assign it, "
                "`t.loss = ...`, and return t.loss",
                where,
            )
        if not output.requires_grad:
            raise InvalidOutput(
                f"the output t.{name} ({dtype_name(output.dtype)}) has no gradient: it must be computed from the "
                "differentiated inputs, without detach, no_grad or integer operations",
                assigned_at(trace, name) or where,
            )
        if name in names:
            raise InvalidOutput(f"forward returned t.{name} twice; return each output once", where)
        names.append(name)
    return tuple(names)
