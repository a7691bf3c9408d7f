"""What a rule looks at: one introduced error, and everything that may explain it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile, takewhile

from torch import Tensor

from gradverify.comparison import distance
from gradverify.diagnosis.sample import Sample, take_sample
from gradverify.gradients import Access, Event
from gradverify.location import Location


@dataclass(frozen=True)
class Contribution:
    """One share of a gradient, through one use of its tensor in the forward.

    Attributes:
        gradient: the share; the shares of a tensor sum exactly to its gradient.
        through: the next recorded tensor that this use leads to.
        operation: the name of the autograd node, such as "PowBackward0".
        argument: which argument of the operation the tensor was, from 0; None where the operation uses it once.
    """

    gradient: Tensor
    through: str
    operation: str
    argument: int | None = None

    def __str__(self) -> str:
        argument = "" if self.argument is None else f", argument {self.argument}"
        return f"`{self.through}` ({self.operation}{argument})"


@dataclass(frozen=True)
class Subject:
    """One introduced error, in the precision of the pass that found it.

    Attributes:
        name: of the gradient.
        candidate: as its statement computes it from right upstream gradients; its shape may be wrong.
        reference: what it should be.
        allowed: the largest difference from the reference that rounding explains.
        values: every recorded forward tensor by name.
        references: every gradient by name, right.
        outputs: the names of the outputs.
        sizes: the sizes of the case.
        source: the statement that gave the gradient its last value.
        variables: what that statement saw.
        events: every access of the first run, in order.
        find_contributions: the shares of the reference, one for each use of the tensor; costs a backward.
    """

    name: str
    candidate: Tensor
    reference: Tensor
    allowed: float
    values: Mapping[str, Tensor]
    references: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    sizes: Mapping[str, int]
    source: str | None
    variables: Mapping[str, object]
    events: Sequence[Event]
    find_contributions: Callable[[], list[Contribution]]

    @cached_property
    def contributions(self) -> list[Contribution]:
        """The shares of the reference; found once, and only if a rule asks."""
        return self.find_contributions()

    @cached_property
    def sample(self) -> Sample:
        """A few dozen elements, on which rules try their ideas first; of the reference alone where shapes differ."""
        return take_sample(self.candidate if self.has_shape else self.reference, self.reference)

    @property
    def has_shape(self) -> bool:
        """Whether the candidate has the shape of its tensor."""
        return self.candidate.shape == self.reference.shape

    @cached_property
    def events_before(self) -> Sequence[Event]:
        """What happened before the gradient was last written."""
        last = (n for n, event in enumerate(self.events) if event.name == self.name and event.access is Access.WRITE)
        return self.events[: max(last, default=len(self.events))]

    @property
    def written_at(self) -> Location | None:
        """Where the gradient was last written."""
        number = len(self.events_before)
        return self.events[number].location if number < len(self.events) else None

    @property
    def derived_before(self) -> frozenset[str]:
        """The gradients that the statement could read: the cotangents, and what was written before."""
        written = {event.name for event in self.events_before if event.access is Access.WRITE}
        return frozenset(written | set(self.outputs)) - {self.name}

    @property
    def read_by_statement(self) -> frozenset[str]:
        """The gradients that were read for the last write of this one."""
        # `d.h += ...` reads d.h, changes it in place, and then writes it.
        before = dropwhile(lambda event: event.access is Access.CHANGE, reversed(self.events_before))
        reads = takewhile(lambda event: event.access is Access.READ, before)
        return frozenset(event.name for event in reads)

    def is_candidate(self, value: Tensor) -> bool:
        """Whether a tensor is the candidate, to rounding."""
        return value.shape == self.candidate.shape and distance(value, self.candidate).error <= self.allowed

    def agrees(self, corrected: Tensor) -> bool:
        """Whether a corrected gradient is the reference, to rounding."""
        return corrected.shape == self.reference.shape and distance(corrected, self.reference).error <= self.allowed
