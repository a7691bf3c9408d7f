"""The conditions of a run: as the user calls it, in float64, or in float64 with every cast to less undone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_LOWER = frozenset({torch.float32, torch.bfloat16, torch.float16})


class Conditions(Enum):
    """Under what a candidate or a reference runs; gradients are taken under the same.

    AS_CALLED changes nothing. DOUBLE makes float64 the default dtype, as a user in float64 might. WIDENED also turns
    every cast to a lower precision into one to float64: a reference that says `x.float()` means "more digits", and
    would have fewer in a float64 run.
    """

    AS_CALLED = "as called"
    DOUBLE = "float64"
    WIDENED = "widened"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Run under these conditions."""
        if self is Conditions.AS_CALLED:
            yield
            return
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with _Widening() if self is Conditions.WIDENED else contextlib.nullcontext():  # type: ignore[no-untyped-call]  # torch leaves it untyped
                yield
        finally:
            torch.set_default_dtype(before)


class _Widening(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Asks for float64 wherever the code asks for a lower floating dtype.

    Below autograd, so that it reaches the Python of a backward too. Operators take a dtype by keyword; only the
    one that reads the same bits as another dtype takes it by position, and is left alone.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # By default torch wraps the method below for the compiler's sake, and imports the compiler at its first call:
        # two seconds, where nothing is compiled while a mode is active.
        return False

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operator."""
        return func(*args, **{name: _widened(value) for name, value in (kwargs or {}).items()})


def _widened(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in _LOWER else value
