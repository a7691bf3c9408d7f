"""Evaluating an expression where a statement stood: on right gradients, without a trace, within bounds."""

from __future__ import annotations

import ast
import contextlib
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# An edit may do this many times the work of the statement itself, and always as much as small tensors take.
_MOST_WORK, _LEAST_WORK = 8, 2**20
# In the time that an operation takes for an element, a product of matrices does this many multiplications.
_PRODUCTS = 16
_MATMULS = frozenset({torch.matmul, torch.mm, torch.bmm, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__})


class Handed:
    """Hands out tensors by name, as attributes and as items; nothing can be assigned."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_") or name not in self._tensors:
            raise AttributeError(name)
        return self._tensors[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tensors


class Trial:
    """Evaluates expressions in a scope that stays as it is, within a `with` block that makes it the pass again.

    Attributes:
        scope: the variables that the expressions see.
        work: how many elements the expression made that was evaluated first; later ones may do a few times that.
    """

    def __init__(self, scope: Mapping[str, object], dtype: torch.dtype, device: torch.device) -> None:
        self.scope = scope
        self.work = math.inf
        self._dtype = dtype
        self._device = device

    def __enter__(self) -> Trial:
        """Evaluate as the pass did, at its dtype and on its device; warnings of an edit are nobody's concern."""
        with contextlib.ExitStack() as stack:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(self._dtype)
            stack.enter_context(torch.no_grad())
            if torch.get_default_device() != self._device:
                # Every torch function passes through this mode: it is entered only where it changes something.
                stack.enter_context(self._device)
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def evaluate(self, expression: ast.expr) -> Tensor | None:
        """The value of an expression; None where it is no tensor, raises, or asks for far too much."""
        first = math.isinf(self.work)
        meter = _Meter(math.inf if first else max(_LEAST_WORK, _MOST_WORK * self.work))
        try:
            with meter:
                value = eval(compile(ast.Expression(expression), "<trial>", "eval"), dict(self.scope))
        except Exception:  # whatever goes wrong, the expression has no value
            return None
        if first:
            self.work = meter.work
        return value.detach() if isinstance(value, Tensor) else None


class _TooMuchWork(Exception):
    """An expression asks for a tensor as large as the square of the data, say."""


class _Meter(TorchFunctionMode):
    """Counts the elements that operations make, and stops before there are too many."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.work = 0.0
        self._limit = limit

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count, and call the function."""
        shapes = [one.shape for one in args if isinstance(one, Tensor)]
        if len(shapes) > 1:
            self.work += _estimate(func, shapes)
            if self.work > self._limit:
                raise _TooMuchWork
        result = func(*args, **(kwargs or {}))
        if len(shapes) <= 1 and isinstance(result, Tensor):
            self.work += result.numel()
        return result


def _estimate(func: Any, shapes: list[torch.Size]) -> float:
    """How many elements an operation on several tensors makes, or does the work of."""
    if func in _MATMULS:
        left, right = shapes
        columns = right[-1] if len(right) > 1 else 1
        return max(math.prod(left) * columns, math.prod(right) * math.prod(left[:-1])) / _PRODUCTS if left else 0.0
    longest = max(len(shape) for shape in shapes)
    aligned = [(*[1] * (longest - len(shape)), *shape) for shape in shapes]
    return float(math.prod(max(sizes) for sizes in zip(*aligned, strict=True)))
