"""Where a forward hides a dependence from autograd, so that its gradient is meant to differ from the derivative."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gradverify.location import Location, called_by_gradverify, caller

_HIDING: frozenset[object] = frozenset({Tensor.detach, Tensor.detach_, Tensor.data.__get__})  # type: ignore[attr-defined]  # data is a getset descriptor


class HidingPlaces(TorchFunctionMode):
    """While it is entered, notes where a tensor is detached or autograd switched off.

    Attributes:
        found: the lines, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[Location, None] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Look at the function, and call it."""
        switched_off = func is torch._C._set_grad_enabled and args and not args[0]
        if (func in _HIDING or switched_off) and not called_by_gradverify():
            self.found[caller()] = None
        return func(*args, **(kwargs or {}))
