"""A candidate and its reference, and the arguments that both are called with."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import Module
from torch.utils._pytree import tree_iter

from gradverify.candidate.callee import Arguments, Callee, Role
from gradverify.errors import EmptyTensor, InvalidInputs, UsageError, did_you_mean
from gradverify.function_case import FunctionCase
from gradverify.judge import PRECISIONS, Precision
from gradverify.location import Location, is_users
from gradverify.scope import defined_at, dtype_name, user_code


@dataclass(frozen=True)
class Pair:
    """A candidate and its reference on the same arguments.

    Attributes:
        case: the case they belong to.
        candidate: what is verified; reference: what it is held against, None where there is none.
        arguments: at the working precision.
        outputs: the names of the outputs that are compared; None for all of them.
        device: where everything is.
        cotangent_seed: of the upstream gradients.
    """

    case: FunctionCase
    candidate: Callee
    reference: Callee | None
    arguments: Arguments
    outputs: tuple[str | None, ...] | None
    device: torch.device
    cotangent_seed: int

    @cached_property
    def precise_candidate(self) -> Callee:
        """The candidate in float64."""
        return self.candidate.to(torch.float64)

    @property
    def dtype(self) -> torch.dtype:
        """The coarsest dtype among what is differentiated: the working precision."""
        return max((leaf.dtype for leaf in self.arguments.leaves.values()), key=lambda one: torch.finfo(one).eps)

    @property
    def precision(self) -> Precision:
        """The working precision, as the judge wants it."""
        return PRECISIONS[dtype_name(self.dtype)]


def draw_pair(
    case: FunctionCase, seed: int, dtype: torch.dtype, device: torch.device, constants: frozenset[str]
) -> Pair:
    """What is called, and with what, for a seed.

    Args:
        case: the case.
        seed: of the inputs, and of a module that the case makes in a property.
        dtype: the working dtype.
        device: they are moved there.
        constants: floating inputs and parameters that have no gradient.

    Raises:
        UsageError: if candidate or reference are nothing that can be called.
        InvalidInputs: if the inputs cannot be given to them.
    """
    # Half precisions are rounded to afterwards: much of what makes inputs does not exist for them.
    drawn_at = dtype if dtype == torch.float64 else torch.float32
    cast = _Cast(dtype, case.native)
    candidate, reference = (_made(case, role, drawn_at, cast, device, seed) for role in Role)
    if candidate is None:
        raise UsageError(f"{type(case).__name__}: candidate is None; it is what is verified, a function say")
    where = defined_at(case, "inputs")
    shown = where if is_users(where.file) else None
    generator = torch.Generator().manual_seed(seed)
    with user_code(case, "inputs", drawn_at, torch.device("cpu")):
        drawn: object = case.inputs(generator)
        if not isinstance(drawn, Mapping):
            raise InvalidInputs(
                f"inputs returned a {type(drawn).__name__}; expected a mapping such as {{'x': x}}", shown
            )
        inputs = {name: _admitted(str(name), value, cast, device, shown) for name, value in drawn.items()}
        parameters = {}
        if isinstance(candidate, Module):
            parameters = {name: parameter.detach() for name, parameter in candidate.named_parameters()}
        _check_names(inputs, parameters, constants, shown)
        arguments = Arguments(inputs, parameters, _differentiated(inputs, parameters, candidate, constants))
        _check_differentiated(arguments, shown)
    return Pair(
        case=case,
        candidate=Callee(Role.CANDIDATE, candidate, case.options, type(case).__name__),
        reference=None if reference is None else _reference(case, reference, parameters),
        arguments=arguments,
        outputs=None if case.outputs is None else tuple(case.outputs),
        device=device,
        cotangent_seed=int(torch.randint(2**62, (), generator=generator, device="cpu")),
    )


def redrawn(pair: Pair, seed: int, dtype: torch.dtype, constants: frozenset[str]) -> Pair:
    """The same case at another seed; where its inputs do not depend on that, they are moved by one ulp instead."""
    other = draw_pair(pair.case, seed, dtype, pair.device, constants)
    return dataclasses.replace(other, arguments=other.arguments.moved(seed), cotangent_seed=seed)


@dataclass(frozen=True)
class _Cast:
    """Which dtype a tensor of the case takes at a working dtype; see `FunctionCase`."""

    dtype: torch.dtype
    native: str | None

    def __call__(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if self.changes(tensor) else tensor

    def changes(self, tensor: Tensor) -> bool:
        """Whether it takes another."""
        if not tensor.is_floating_point() or tensor.dtype == self.dtype:
            return False
        return tensor.dtype == torch.float32 if self.native is None else dtype_name(self.dtype) != self.native


def _made(case: FunctionCase, role: Role, drawn_at: torch.dtype, cast: _Cast, device: torch.device, seed: int) -> Any:
    """What the case calls its candidate or its reference; a property makes it anew, from the seed."""
    with torch.random.fork_rng(devices=[]), user_code(case, role, drawn_at, torch.device("cpu")):
        torch.default_generator.manual_seed(seed)
        function: object = getattr(case, role)
    if isinstance(function, type):
        remedy = f"{function.__name__}.apply" if issubclass(function, Function) else f"{function.__name__}(...)"
        raise UsageError(f"the {role} is the class {function.__name__}: pass {remedy}, which can be called with inputs")
    if isinstance(function, Module):
        tensors = [*function.parameters(), *function.buffers()]
        if any(cast.changes(tensor) or not _is_on(tensor, device) for tensor in tensors):
            # What `Module.to` is made of: only here the dtype depends on the tensor.
            return copy.deepcopy(function)._apply(lambda tensor: cast(tensor).to(device))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    elif function is not None and not callable(function):
        shown = _spelled(function) if isinstance(function, Tensor) else repr(function)
        raise UsageError(f"the {role} is {shown}: expected a function, a module, Function.apply or an op")
    return function


def _is_on(tensor: Tensor, device: torch.device) -> bool:
    return tensor.device.type == device.type and device.index in (None, tensor.device.index)


def _admitted(name: str, value: Any, cast: _Cast, device: torch.device, where: Location | None) -> Any:
    """An input as it is passed on, tensors at their dtype and on the device."""
    if not isinstance(value, Tensor):
        if any(isinstance(leaf, Tensor) for leaf in tree_iter(value)):
            raise InvalidInputs(
                f"inputs: {name!r} is a {type(value).__name__} that holds tensors, whose gradients would have no name: "
                "give each as an input of its own, and let candidate and reference put them together",
                where,
            )
        return value
    if value.layout is not torch.strided or value.is_complex():
        kind = "complex" if value.is_complex() else str(value.layout).removeprefix("torch.")
        raise InvalidInputs(
            f"inputs: {name!r} is {kind}; give dense real tensors, and let candidate and reference build it of them",
            where,
        )
    if value.is_floating_point() and dtype_name(value.dtype) not in PRECISIONS:
        raise InvalidInputs(
            f"inputs: {name!r} is {dtype_name(value.dtype)}, which has no gradient; known dtypes: "
            f"{', '.join(PRECISIONS)}",
            where,
        )
    if value.numel() == 0:
        raise EmptyTensor(
            f"inputs: {name!r} has no elements (shape {tuple(value.shape)}), so that nothing can be compared: choose "
            "sizes of at least 1",
            where,
        )
    return cast(value.detach()).to(device)


def _check_names(
    inputs: Mapping[str, Any], parameters: Mapping[str, Tensor], constants: Iterable[str], where: Location | None
) -> None:
    for name in inputs.keys() & parameters.keys():
        raise InvalidInputs(
            f"inputs: {name!r} is the name of an input and of a parameter of the module: give the inputs as a mapping "
            "with other names",
            where,
        )
    for name in sorted(set(constants) - inputs.keys() - parameters.keys()):
        raise InvalidInputs(
            f"`constants` names {name!r}, which is no input; {did_you_mean(name, [*inputs, *parameters])}", where
        )


def _differentiated(
    inputs: Mapping[str, Any], parameters: Mapping[str, Tensor], candidate: Any, constants: frozenset[str]
) -> tuple[str, ...]:
    """The floating inputs, then the parameters that are trained."""
    frozen = {name for name in parameters if not candidate.get_parameter(name).requires_grad}
    floating = [name for name, value in inputs.items() if isinstance(value, Tensor) and value.is_floating_point()]
    return tuple(name for name in [*floating, *parameters] if name not in constants | frozen)


def _check_differentiated(arguments: Arguments, where: Location | None) -> None:
    if not arguments.differentiated:
        shown = ", ".join(f"{name} ({_spelled(value)})" for name, value in arguments.inputs.items())
        raise InvalidInputs(
            "no input has a gradient: at least one must be a floating tensor that is not in `constants`; got "
            f"{shown or 'no inputs at all'}",
            where,
        )


def _reference(case: FunctionCase, function: Callable[..., object], parameters: dict[str, Tensor]) -> Callee:
    name, hand_over = type(case).__name__, case.parameters or dict
    callee = Callee(Role.REFERENCE, function, case.options, name, hand_over)
    if not parameters:
        return callee
    own = dict(function.named_parameters()) if isinstance(function, Module) else {}
    if case.parameters is None and not isinstance(function, Module):
        raise UsageError(
            f"the candidate is a module with parameters ({', '.join(parameters)}), its reference a function: say by "
            f"which keywords it takes them, such as parameters=lambda p: {{{next(iter(parameters))!r}: p[...]}}"
        )
    with callee.running("`parameters`"):
        handed: object = hand_over(dict(parameters))
    if not isinstance(handed, Mapping):
        raise UsageError(f"parameters returned a {type(handed).__name__}; expected a mapping of names to tensors")
    if not isinstance(function, Module):
        return callee
    for known, given, problem in ((own, handed, "which the reference has not"), (handed, own, "which is not given")):
        for missing in sorted(given.keys() - known.keys()):
            raise UsageError(
                f"the parameters of candidate and reference do not fit: {missing!r}, {problem}; "
                f"{did_you_mean(missing, known)} Say what becomes of the candidate's: parameters=lambda p: {{...}}"
            )
    for name, tensor in handed.items():
        if tensor.shape != own[name].shape:
            raise UsageError(
                f"parameters gives {name!r} the shape {tuple(tensor.shape)}, in the reference it has "
                f"{tuple(own[name].shape)}"
            )
    return callee


def _spelled(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {dtype_name(value.dtype)} tensor"
    if type(value).__module__ == "numpy":  # which nobody wants printed
        return f"a numpy.{type(value).__name__}: torch.as_tensor(...) makes a tensor of it"
    return repr(value) if isinstance(value, (bool, int, float, str, type(None))) else f"a {type(value).__name__}"
