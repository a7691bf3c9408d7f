"""float32 inside a float64 run: who asks for float64 asks for its digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from gradverify.contract.rule import Finding, Rule, broken, inapplicable, kept
from gradverify.contract.subject import Subject, backward, detached, in_float64, named
from gradverify.location import Location, caller
from gradverify.scope import dtype_name

_LOWER = frozenset({torch.float32, torch.bfloat16, torch.float16})


class DoubleThroughout(Rule):
    """In a float64 run nothing goes through a lower precision."""

    name = "float64 throughout"
    remedy = (
        "compute in the dtype of the inputs, x.to(torch.promote_types(x.dtype, torch.float32)) for x.float(), or "
        "refuse float64"
    )

    @override
    def check(self, subject: Subject) -> Finding:
        if subject.pair.dtype != torch.float64:
            return inapplicable(f"the run is in {dtype_name(subject.pair.dtype)}")
        casts = _Casts()
        with casts:
            called = subject.call()
            backward(called, subject.copies())
        if casts.found is not None:
            dtype, where = casts.found
            return broken(f"a tensor is cast to {dtype_name(dtype)}" + (f" at {where}" if where.line else ""))
        for name, gradient in subject.values.items():
            if gradient is not None and _fits_float32(gradient) and not self._is_short(subject, name):
                return broken(f"every element of {name} fits in float32, those of the reference do not")
        return kept("no cast to less")

    def _is_short(self, subject: Subject, name: str) -> bool:
        """Whether the numbers of the reference are as short, or there is none."""
        if subject.pair.reference is None:
            return True
        known = subject.once("reference in float64", lambda: _reference(subject))[name]
        return known is None or _fits_float32(known)


def _reference(subject: Subject) -> dict[str, Tensor | None]:
    assert subject.pair.reference is not None  # asked only where there is one
    called = in_float64(subject.pair.reference, subject.pair.arguments, subject.pair.outputs)
    return named(detached(called), called.gradients(subject.cotangents))


def _fits_float32(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or torch.equal(tensor.float().to(tensor.dtype), tensor)


def _is_equal(cast: Tensor, given: Tensor) -> bool:
    return torch.equal(cast.double(), given)


class _Casts(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """The first cast from float64 to less that loses something.

    Attributes:
        found: to what, and where in the user's code.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self.found: tuple[torch.dtype, Location] | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in gradverify.candidate.widening: no compiler is imported

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operator."""
        made = func(*args, **(kwargs or {}))
        if self.found is None and isinstance(made, Tensor) and made.dtype in _LOWER:
            given = args[0] if args else None
            is_cast = getattr(func, "overloadpacket", None) is torch.ops.aten._to_copy
            if is_cast and isinstance(given, Tensor) and given.dtype == torch.float64 and not _is_equal(made, given):
                self.found = made.dtype, caller()
        return made
