"""Tensors of another precision that reach a pass from outside the case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor
from torch.overrides import TorchFunctionMode

from gradverify.errors import CapturedTensor
from gradverify.location import called_by_gradverify, caller


class CaptureGuard(TorchFunctionMode):
    """Refuses, in a float64 pass, a floating tensor of lower precision that the pass did not make itself.

    Such a tensor is a constant of the module, say, rounded once and for all: the float64 pass would
    judge the gradient of another function, or fail in the middle of it with a message about dtypes.
    A cast written in the case (`t.x.float()`) makes its tensor inside the pass and is let through.
    """

    def __init__(self, dtype: torch.dtype, known: Iterable[Tensor]) -> None:
        """Guard a pass at `dtype`; `known` are its inputs, whatever their precision."""
        super().__init__()
        self.is_needed = dtype == torch.float64
        self._known: set[int] = set()
        self.admit(known)

    def admit(self, values: Iterable[object]) -> None:
        """Take the tensors among some values, and whatever shares their storage, as made by the pass."""
        if self.is_needed:
            self._known.update(_storage(tensor) for tensor in _lower(values))

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Check the arguments, call the function, and remember what it made."""
        kwargs = kwargs or {}
        for tensor in _lower((*args, *kwargs.values())):
            if _storage(tensor) not in self._known and not called_by_gradverify():
                raise CapturedTensor(
                    f"a {str(tensor.dtype).removeprefix('torch.')} tensor of shape {tuple(tensor.shape)} from outside "
                    "the case is used in the float64 pass: return it from `inputs` (and list it in `constants` if it "
                    "has no gradient), or keep it on `self`; both are converted to the dtype of the pass",
                    caller(),
                )
        result = func(*args, **kwargs)
        self.admit((result,))
        return result


def _lower(values: Iterable[object]) -> list[Tensor]:
    """The tensors of lower precision among some values, in containers too."""
    # By hand, and without generators: torch's own walk over containers takes twice the time of a small operation.
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            # A sparse tensor has no storage of its own to be known by.
            if value.dtype in _LOWER and value.layout is torch.strided:
                found.append(value)
        elif isinstance(value, (tuple, list)):
            found += _lower(value)
        elif isinstance(value, dict):
            found += _lower(value.values())
    return found


def _storage(tensor: Tensor) -> int:
    while is_functorch_wrapped_tensor(tensor):  # torch.func hands the user's function a stand-in
        tensor = get_unwrapped(tensor)
    # Views share their storage, so that t.x.float().T is known as soon as t.x.float() is.
    return int(tensor.untyped_storage()._cdata)


_LOWER = frozenset({torch.float32, torch.bfloat16, torch.float16})
