"""FunctionCase: something with a backward of its own, and a reference that says what it should compute."""

from __future__ import annotations

import dataclasses
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from gradverify.case import Case
from gradverify.errors import InvalidCase, InvalidInputs, UsageError
from gradverify.location import caller
from gradverify.settings import DTYPES
from gradverify.signature import argument_names, name_of

if TYPE_CHECKING:
    import torch

_CALLED = ("candidate", "reference", "parameters")
_RESERVED = (*_CALLED, "options", "outputs", "native", "call")


@dataclasses.dataclass(frozen=True)
class Call:
    """What `verify` was given to make a case of; `inputs` are named, or a function that draws them."""

    candidate: Callable[..., object]
    inputs: Mapping[str, Any] | Callable[..., object]
    reference: Callable[..., object] | None
    parameters: Callable[..., Mapping[str, torch.Tensor]] | None


class FunctionCase(Case):
    """A candidate that brings its own backward, held against a reference in plain torch.

    `candidate` and `reference` are something to call (a function, `Function.apply`, an op, a module), a method, which
    is given the inputs in their order, or a property, which makes a module from the sizes. Inputs and parameters in
    float32, torch's default, take the working dtype; what is made in another dtype keeps it.

    Class attributes, none of them annotated:
        options: keyword arguments for both.
        outputs: the names of the outputs that are compared, in their order; None passes one over.
        parameters: what becomes of the parameters of a candidate module before the reference is given them; by
            default they are handed on under their own names.
        native: the working dtype at which inputs and parameters are kept as they are, mixed as they may be; at any
            other all of them take that.
        call: what `verify` was given, where it made the case.
    """

    if TYPE_CHECKING:
        candidate: ClassVar[Any]
    else:

        @abstractmethod
        def candidate(self, *inputs):
            """What is verified."""

    reference: ClassVar[Any] = None
    parameters: ClassVar[Any] = None
    options: ClassVar[Mapping[str, object]] = {}
    outputs: ClassVar[Sequence[str | None] | None] = None
    native: ClassVar[str | None] = None
    call: ClassVar[Call | None] = None

    @abstractmethod
    def inputs(self, generator: torch.Generator) -> Mapping[str, Any]:
        """The inputs by name, in the order of the call, drawn from `generator`; what is no tensor passes through."""

    def forward(self, t: object) -> NoReturn:  # noqa: ARG002  # as Case has it
        """A candidate has no forward that records by name.

        Raises:
            InvalidCase: always.
        """
        raise _no_steps(self)

    def backward(self, t: object, d: object) -> NoReturn:  # noqa: ARG002  # as Case has it
        """A candidate brings its own backward.

        Raises:
            InvalidCase: always.
        """
        raise _no_steps(self)

    def __init_subclass__(cls, **keywords: Any) -> None:
        for name in _CALLED:
            value = vars(cls).get(name)
            # Python would make a method of any function found in a class.
            if callable(value) and not isinstance(value, (staticmethod, classmethod, type)) and not _is_method(value):
                setattr(cls, name, staticmethod(value))
        super().__init_subclass__(**keywords)
        fields = {field.name for field in dataclasses.fields(cls)}
        for name in _RESERVED:
            if name in fields:
                raise InvalidCase(f"{cls.__name__}: write `{name} = ...` without annotation, it is no field", caller())


def function_case(
    candidate: Callable[..., object],
    *,
    inputs: object,
    reference: Callable[..., object] | None = None,
    options: Mapping[str, object] | None = None,
    constants: Iterable[str] = (),
    outputs: Sequence[str | None] | None = None,
    parameters: Callable[..., Mapping[str, torch.Tensor]] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> FunctionCase:
    """The case that `verify` makes of a candidate.

    Args:
        candidate: what is verified.
        inputs: a sequence, a mapping of names, or `f(generator, **sizes)` that returns one of them.
        reference: what it is held against.
        options: keyword arguments for both.
        constants: floating inputs and parameters that are not differentiated.
        outputs: the names of the outputs that are compared.
        parameters: maps the parameters of the candidate to those of the reference.
        sizes: those that `inputs` has no default for.

    Raises:
        UsageError: if `inputs` is nothing of the kind, or a size has no value.
    """
    given = None if callable(inputs) else _named(candidate, inputs)
    native, device = _native(candidate, given or {})
    namespace: dict[str, Any] = {
        "candidate": staticmethod(candidate),
        "reference": None if reference is None else staticmethod(reference),
        "parameters": None if parameters is None else staticmethod(parameters),
        "options": dict(options or {}),
        "constants": frozenset(constants),
        "outputs": outputs,
        "native": native,
        "dtypes": native and (native,),
        "devices": device and (device,),
        "call": Call(candidate, inputs if callable(inputs) else given or {}, reference, parameters),
    }
    if callable(inputs):
        fields = _size_fields(inputs, sizes or {})
        namespace.update(__annotations__=dict.fromkeys(fields, int), **fields)

        def draw(self: FunctionCase, generator: torch.Generator) -> Mapping[str, Any]:
            values = inputs(generator, **{name: getattr(self, name) for name in fields})
            return _named(candidate, values)

    else:

        def draw(self: FunctionCase, generator: torch.Generator) -> Mapping[str, Any]:  # noqa: ARG001  # as Case asks
            return dict(given or {})

    made: type[FunctionCase] = type(name_of(candidate), (FunctionCase,), {**namespace, "inputs": draw})
    return made()


def _no_steps(case: FunctionCase) -> InvalidCase:
    return InvalidCase(
        f"{type(case).__name__} is a FunctionCase: its candidate brings its own backward, so that there is no "
        "hand-derived one to run step by step; this needs a Case with forward and backward"
    )


def _is_method(function: object) -> bool:
    if not isinstance(function, FunctionType):
        return False
    return next(iter(inspect.signature(function).parameters), None) == "self"


def _size_fields(inputs: Callable[..., object], sizes: Mapping[str, int]) -> dict[str, Any]:
    """The sizes of the case: the arguments of `inputs` but for the generator."""
    fields: dict[str, Any] = {}
    parameters = list(inspect.signature(inputs).parameters.values())
    if not parameters or parameters[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise UsageError(
            "inputs: a function that draws them is given a torch.Generator first, as in def inputs(generator, n=8)"
        )
    for parameter in parameters[1:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            fields.update({name: value for name, value in sizes.items() if name not in fields})
        elif parameter.default is not inspect.Parameter.empty:
            fields[parameter.name] = parameter.default
        elif parameter.name in sizes:
            fields[parameter.name] = sizes[parameter.name]
        else:
            raise UsageError(
                f"inputs: {parameter.name!r} has no value: give it a default, or pass sizes={{{parameter.name!r}: ...}}"
            )
    return fields


def _named(candidate: Callable[..., object], values: object) -> dict[str, Any]:
    if isinstance(values, Mapping):
        return dict(values)
    if isinstance(values, (list, tuple)):
        return dict(zip(argument_names(candidate, len(values)), values, strict=True))
    raise InvalidInputs(
        "inputs: expected a sequence, a mapping of names, or a function that returns one; a single tensor is "
        f"inputs=[x]; got a {type(values).__name__}"
    )


def _native(candidate: object, given: Mapping[str, object]) -> tuple[str | None, str | None]:
    """The coarsest dtype among the parameters and the inputs, and the device they are on; None where there are none."""
    from torch import Tensor, finfo
    from torch.nn import Module

    tensors: list[Tensor] = [*candidate.parameters()] if isinstance(candidate, Module) else []
    tensors += [value for value in given.values() if isinstance(value, Tensor)]
    names = {finfo(one.dtype).eps: str(one.dtype).removeprefix("torch.") for one in tensors if one.is_floating_point()}
    known = {eps: name for eps, name in names.items() if name in DTYPES}
    return known[max(known)] if known else None, str(tensors[0].device) if tensors else None
