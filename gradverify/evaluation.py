"""One pass of a case at one precision: the forward, autograd's gradients, the hand-derived ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gradverify.capture import CaptureGuard
from gradverify.case import Case
from gradverify.entry import unseen
from gradverify.errors import (
    CaseRaised,
    EmptyTensor,
    GradverifyError,
    InvalidGradient,
    InvalidInputs,
    InvalidOutput,
    NotDeterministic,
)
from gradverify.gradients import Gradients, Observer, derived_of, events_of, written_at
from gradverify.location import Location
from gradverify.misfit import blame_misfit
from gradverify.scope import code_of, defined_at, dtype_name, own_copy, user_code
from gradverify.trace import OnAssign, Trace, assigned_at, finish, frozen_copy, values_of

Tensors = dict[str, Tensor]

# Two runs that drop each of a few elements at random agree by luck one time in 2^elements; twenty do not.
_MORE_RUNS = 20


@dataclass(frozen=True)
class Inputs:
    """The inputs of a case, rounded to the working dtype; every pass starts from a copy of them.

    Attributes:
        case: the case as `inputs` left it, its own tensors rounded likewise.
        values: by name; None passes through.
        differentiated: the names of those with a gradient.
        cotangent_seed: of the generator that draws the cotangents.
    """

    case: Case
    values: dict[str, Tensor | None]
    differentiated: frozenset[str]
    cotangent_seed: int
    device: torch.device


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


def draw_inputs(case: Case, seed: int, dtype: torch.dtype, device: torch.device, constants: frozenset[str]) -> Inputs:
    """The inputs for a seed, at the working dtype and on the device.

    Raises:
        InvalidInputs: if they are no mapping of names to tensors, or none has a gradient.
        EmptyTensor: if one has no element.
    """
    generator = torch.Generator().manual_seed(seed)
    where = defined_at(case, "inputs")
    # The generator is on the CPU whatever the device, so that a seed means the same everywhere.
    # Half precisions are rounded to afterwards: drawing in them gives few distinct numbers, and much of what an
    # `inputs` may call does not exist for them.
    drawn_at = dtype if dtype == torch.float64 else torch.float32
    own = own_copy(case, drawn_at, torch.device("cpu"))
    with user_code(case, "inputs", drawn_at, torch.device("cpu")):
        drawn: object = own.inputs(generator)
        if not isinstance(drawn, Mapping):
            raise InvalidInputs(f"inputs returned {_describe(drawn)}; expected a mapping such as {{'x': x}}", where)
        for name, value in drawn.items():
            _check_input(name, value, where)
        for name in sorted(constants - set(drawn)):
            raise InvalidInputs(f"`constants` names {name!r}, which is no input; inputs: {', '.join(drawn)}", where)
        floating = {name for name, value in drawn.items() if value is not None and value.is_floating_point()}
        if not floating - constants:
            shown = ", ".join(f"{name} ({_describe(value)})" for name, value in drawn.items())
            raise InvalidInputs(
                "no input has a gradient: at least one must be a floating tensor that is not in `constants`; "
                f"got {shown or 'no inputs at all'}",
                where,
            )
    values = {
        name: None if value is None else value.detach().to(device, dtype if name in floating else value.dtype)
        for name, value in drawn.items()
    }
    cotangent_seed = int(torch.randint(2**62, (), generator=generator, device="cpu"))
    rounded = own_copy(own, dtype, torch.device("cpu"))
    return Inputs(rounded, values, frozenset(floating - constants), cotangent_seed, device)


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


def check_deterministic(case: Case, inputs: Inputs, forward: Forward) -> None:
    """Run the forward once more and compare every recorded tensor; several times where it drew random numbers.

    Raises:
        NotDeterministic: where two runs differ by more than rounding.
    """
    before = _random_states(inputs.device)
    _check_alike(case, forward, run_forward(case, inputs, forward.dtype, with_grad=False))
    if all(torch.equal(now, then) for now, then in zip(_random_states(inputs.device), before, strict=True)):
        return
    for _ in range(_MORE_RUNS):
        _check_alike(case, forward, run_forward(case, inputs, forward.dtype, with_grad=False))


def _random_states(device: torch.device) -> list[Tensor]:
    """The states of the global generators that a forward may draw from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def _check_alike(case: Case, forward: Forward, again: Forward) -> None:
    first, second = values_of(forward.trace), values_of(again.trace)
    for name in {**first, **second}:
        if name in first and name in second and _agree(second[name].detach(), first[name].detach()):
            continue
        error = NotDeterministic(
            f"two runs of forward on the same inputs gave different values of t.{name}: draw the randomness in "
            "`inputs` and pass it as a tensor",
            assigned_at(forward.trace, name) or assigned_at(again.trace, name),
        )
        error.case = type(case).__name__
        raise error


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
                    f"backward returned {_describe(returned)}; assign each gradient to `d.<name>` and return nothing",
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


def _check_input(name: object, value: object, where: Location) -> None:
    if not isinstance(name, str):
        raise InvalidInputs(f"inputs: a name is a string, got {name!r}", where)
    if value is None:
        return
    if not isinstance(value, Tensor):
        raise InvalidInputs(
            f"inputs: {name!r} is {_describe(value)}, expected a tensor: torch.tensor(...) makes one, and plain "
            "numbers are fields of the case",
            where,
        )
    if value.layout is not torch.strided:
        raise InvalidInputs(
            f"inputs: {name!r} is {str(value.layout).removeprefix('torch.')}; pass its values and indices as dense "
            "tensors and build the sparse one in forward",
            where,
        )
    if value.is_complex():
        raise InvalidInputs(
            f"inputs: {name!r} is complex; gradients are compared for real tensors, so pass its real and imaginary "
            "parts and build the complex one in forward",
            where,
        )
    if value.numel() == 0:
        raise EmptyTensor(
            f"inputs: {name!r} has no elements (shape {tuple(value.shape)}), so that nothing can be compared: "
            "choose sizes of at least 1",
            where,
        )


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
                f"forward returned {_describe(output)}; expected a tensor assigned to t, or a tuple of such", where
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


def _agree(value: Tensor, known: Tensor) -> bool:
    """Whether two runs gave the same value, up to rounding that differs between runs (atomic additions)."""
    if value.shape != known.shape or value.dtype != known.dtype:
        return False
    if torch.equal(value, known):
        return True
    if not value.is_floating_point():
        return False
    # Half of the digits: far above what the order of a sum changes, far below any draw of random numbers.
    tolerance = torch.finfo(value.dtype).eps ** 0.5
    scale = known[torch.isfinite(known)].abs().max() if torch.isfinite(known).any() else known.new_zeros(())
    return torch.allclose(value, known, rtol=0.0, atol=float(scale) * tolerance, equal_nan=True)


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {dtype_name(value.dtype)} tensor"
    return repr(value) if value is None or isinstance(value, (bool, int, float)) else f"a {type(value).__name__}"
