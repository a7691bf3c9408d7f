"""Functions that torch computes by an approximation which its derivative then belongs to, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ExactFunctions(TorchFunctionMode):
    """While it is entered, such functions are computed as they are defined.

    Attributes:
        notes: a sentence for each of them whose value this changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notes: set[str] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace the function where it has a definition."""
        kwargs = kwargs or {}
        if func is torch.nn.functional.softplus:
            return self._softplus(*args, **kwargs)
        return func(*args, **kwargs)

    def _softplus(self, x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
        """log(1 + e^(beta x)) / beta; torch takes x where beta x exceeds the threshold."""
        if x.is_complex():  # which has no order; log1p keeps its digits there
            return torch.log1p(torch.exp(beta * x)) / beta
        beyond = beta * x > threshold
        if not beyond.any():
            return torch.nn.functional.softplus(x, beta, threshold)
        self.notes.add(
            f"with softplus as log(1 + exp(x)) everywhere, where torch computes x beyond its threshold of {threshold:g}"
        )
        # x + log(1 + e^-x) loses no digits there; the other branch keeps to what torch does.
        tail = torch.log1p(torch.exp(-beta * x.where(beyond, 0.0))) / beta
        return torch.where(beyond, x + tail, torch.nn.functional.softplus(x, beta, threshold))
