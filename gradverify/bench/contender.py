"""What is timed: a forward, and the backward that takes up what it left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Contender:
    """One pass, ready to run as often as wanted on the same inputs.

    Attributes:
        name: as the table has it.
        forward: gives what `backward` takes; backward: gives the gradients.
        with_grad: whether autograd is on.
        held: the tensors that lie between the two; None where autograd is asked for what it saved.
    """

    name: str
    forward: Callable[[], Any]
    backward: Callable[[Any], object]
    with_grad: bool
    held: Callable[[Any], Iterable[Tensor]] | None = None

    def both(self) -> object:
        """The whole pass; gives the gradients."""
        return self.backward(self.forward())

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Run with autograd on or off, once for many runs, as a training loop or a no_grad block does."""
        with torch.set_grad_enabled(self.with_grad):
            yield


@dataclass(frozen=True)
class Contest:
    """The passes of one case: the hand-derived one, or the candidate, first.

    Attributes:
        contenders: what is timed.
        ambient: the default dtype, and where it is needed the default device, of the case; entered around everything.
        notes: what the numbers include that is not obvious.
    """

    contenders: tuple[Contender, ...]
    ambient: Callable[[], AbstractContextManager[None]]
    notes: tuple[str, ...] = ()
