"""What t and d take: any string for a name, a tensor for a value; and how gradverify looks at a tensor unseen."""

from __future__ import annotations

import torch
from torch import Tensor

from gradverify.errors import InvalidName, NotATensor, NotDifferentiable
from gradverify.location import caller

# Every look at a tensor passes through the torch function modes of a pass, some microseconds each, and there are ten
# looks of our own to one operation of the user's. Within this context they do not.
unseen = torch._C.DisableTorchFunction


def version_of(tensor: Tensor) -> int:
    """The number of changes in place that a tensor has seen, through any alias."""
    with unseen():
        return tensor._version


def check_attribute(holder: str, name: str) -> None:
    """Refuse an attribute of `holder`, "t" or "d", that could be one of Python's own.

    Raises:
        InvalidName: for a leading underscore.
    """
    if name.startswith("_"):
        raise InvalidName(
            f"{holder}.{name}: an attribute name must not start with an underscore; "
            f'write {holder}["{name}"] or rename it',
            caller(),
        )


def check_name(holder: str, name: object) -> None:
    """Refuse a name that is no string.

    Raises:
        InvalidName: for anything else.
    """
    if not isinstance(name, str):
        raise InvalidName(f'{holder}[{name!r}]: a name is a string, such as {holder}["h0"]', caller())


def check_tensor(holder: str, name: str, value: object) -> None:
    """Refuse a value that cannot be recorded.

    Raises:
        NotATensor: for anything that is no tensor.
        NotDifferentiable: for a tensor that was made under `torch.inference_mode`.
    """
    if isinstance(value, Tensor):
        if value.is_inference():
            raise NotDifferentiable(
                f"{holder}.{name} was made under torch.inference_mode, which autograd cannot follow: use torch.no_grad "
                "for what needs no gradient",
                caller(),
            )
        return
    if isinstance(value, (list, tuple)):
        remedy = f'record each one: {holder}[f"{name}{{i}}"] = ... in a loop'
    elif holder == "d":
        remedy = f"a gradient has the shape of its tensor: torch.full_like(t.{name}, ...) makes one of a number"
    else:
        remedy = "only tensors are recorded: keep it in a local variable, or make it a tensor with torch.tensor(...)"
    raise NotATensor(f"{holder}.{name}: expected a tensor, got {describe(value)}; {remedy}", caller())


def describe(value: object) -> str:
    """A value in the words of a message, "a float32 tensor" or "a list"; what is short is shown itself."""
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor"
    return repr(value) if value is None or isinstance(value, (bool, int, float)) else f"a {type(value).__name__}"
