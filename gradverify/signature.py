"""What something callable is called, and what its arguments are: a function, a module, `Function.apply`, an op."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator

from gradverify.location import UNKNOWN, Location, is_users

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def name_of(function: Callable[..., object]) -> str:
    """The name by which its author knows it: that of the class for a module and for `Function.apply`."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    owner = _owner_of_apply(function)
    if owner is not None:
        return owner.__name__
    name = getattr(function, "__name__", None) or getattr(_operator(function), "__name__", None)
    return str(name).partition(".")[0] if name else type(function).__name__


def argument_names(function: Callable[..., object], count: int) -> list[str]:
    """The names of its first positional arguments; "input3" where the signature has none to tell."""
    known = list(_names(function))
    return [known[place] if place < len(known) else f"input{place}" for place in range(count)]


def defined_at(function: Callable[..., object]) -> Location:
    """The line on which its author wrote what it computes; UNKNOWN where that is torch's own, or no Python."""
    if isinstance(function, functools.partial):
        return defined_at(function.func)
    code = getattr(inspect.unwrap(_forward_of(function)), "__code__", None)
    if code is None or not is_users(code.co_filename):
        return UNKNOWN
    return Location(code.co_filename, code.co_firstlineno, code.co_name)


def _names(function: Callable[..., object]) -> Iterator[str]:
    schema = getattr(_operator(function), "_schema", None)
    if schema is not None:
        yield from (argument.name for argument in schema.arguments)
        return
    try:
        parameters = list(inspect.signature(_forward_of(function)).parameters.values())
    except (TypeError, ValueError):  # a builtin
        return
    owner = _owner_of_apply(function)
    if owner is not None and "setup_context" not in _defined_by(owner):
        parameters = parameters[1:]  # ctx
    for parameter in parameters:
        if parameter.kind not in _POSITIONAL:
            return
        yield parameter.name


def _forward_of(function: Callable[..., object]) -> Callable[..., object]:
    """The function that the author wrote: behind `apply`, behind a module, behind a custom op."""
    owner = _owner_of_apply(function)
    written = getattr(function if owner is None else owner, "forward", function)
    return getattr(written, "_init_fn", written)


def _operator(function: Callable[..., object]) -> object:
    """The overload behind `torch.ops.ns.name`, or behind what `torch.library.custom_op` made."""
    function = getattr(function, "_opoverload", function)
    return getattr(function, "default", function)


def _owner_of_apply(function: Callable[..., object]) -> type | None:
    """The autograd.Function whose `apply` this is."""
    owner = getattr(function, "__self__", None)
    is_apply = isinstance(owner, type) and getattr(function, "__name__", "") == "apply" and hasattr(owner, "backward")
    return owner if is_apply else None


def _defined_by(owner: type) -> set[str]:
    """What the user's classes define, torch's own left out."""
    return {name for cls in owner.__mro__ if not cls.__module__.startswith("torch.") for name in vars(cls)}
