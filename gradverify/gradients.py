"""What a backward writes: Gradients take the hand-derived gradients by name, and keep every access to them.

They have no public attribute of their own, so that any name is free for a tensor; what works on them are the functions
of this module.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import CodeType

from torch import Tensor

from gradverify.entry import check_attribute, check_name, check_tensor, unseen, version_of
from gradverify.errors import NotDerived, NotDifferentiable, UnknownName, did_you_mean
from gradverify.location import UNKNOWN, Location, caller, caller_stack


class Access(Enum):
    """What the user's backward did with a gradient."""

    READ = "read"
    WRITE = "write"
    CHANGE = "change"  # in place, through any alias


@dataclass(frozen=True)
class Event:
    """One access to a gradient; the stack runs from the user's innermost frame to `backward`."""

    access: Access
    name: str
    stack: tuple[Location, ...]

    @property
    def location(self) -> Location:
        """The innermost line of the user's code."""
        return self.stack[0] if self.stack else UNKNOWN


# Called with the number of an event, the event, and the gradient as it is after it.
Observer = Callable[[int, Event, Tensor], Tensor | None]


@dataclass
class _Backward:
    """The state of Gradients."""

    values: dict[str, Tensor]
    differentiable: Collection[str]
    undifferentiable: Collection[str]
    given: Callable[[str], Tensor] | None
    outermost: CodeType | None
    observer: Observer | None
    written: dict[str, int] = field(default_factory=dict)
    handed_out: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Gradients:
    """The hand-derived gradients by name: `d.h` is the gradient of `t.h`, `d["h"]` is the same."""

    __slots__ = ("_backward",)
    _backward: _Backward

    def __init__(
        self,
        cotangents: Mapping[str, Tensor],
        *,
        differentiable: Collection[str],
        undifferentiable: Collection[str] = (),
        given: Callable[[str], Tensor] | None = None,
        outermost: CodeType | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Start from the cotangents of the outputs.

        Args:
            cotangents: the upstream gradients, by the name of their output.
            differentiable: the names that can be assigned.
            undifferentiable: the names that are recorded, but have no gradient.
            given: the reference of a gradient that is read before it was derived; None makes that an error.
            outermost: the code of the user's `backward`, where the recorded stacks end.
            observer: follows the run event by event, and may answer a read in place of the gradient.
        """
        state = _Backward(dict(cotangents), differentiable, undifferentiable, given, outermost, observer)
        state.versions = {name: version_of(value) for name, value in state.values.items()}
        object.__setattr__(self, "_backward", state)

    def __getitem__(self, name: str) -> Tensor:
        state = self._backward
        check_name("d", name)
        _record(state, Access.READ, name)
        if name not in state.values:
            _hand_out(state, name)
        answer = _observe(state, state.values[name])
        return state.values[name] if answer is None else answer

    def __setitem__(self, name: str, value: Tensor) -> None:
        state = self._backward
        check_name("d", name)
        with unseen():
            check_tensor("d", name, value)
        if name not in state.differentiable:
            raise _no_gradient(state, name)
        _record(state, Access.WRITE, name)
        state.written[name] = len(state.events) - 1
        state.values[name] = value
        state.versions[name] = version_of(value)
        _observe(state, value)

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_"):  # what copy, pickle and inspect ask for, never a gradient
            raise AttributeError(f"Gradients has no attribute {name!r}")
        return self[name]

    def __setattr__(self, name: str, value: Tensor) -> None:
        check_attribute("d", name)
        self[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._backward.values

    def __iter__(self) -> Iterator[str]:
        return iter(self._backward.values)

    def __repr__(self) -> str:
        return f"Gradients({', '.join(self._backward.values)})"


def derived_of(gradients: Gradients) -> dict[str, Tensor]:
    """The gradients that the user assigned, by name, in the order of their first assignment."""
    state = gradients._backward
    return {name: state.values[name] for name in state.written}


def finished_by(events: Sequence[Event]) -> dict[str, int]:
    """The number of the event that gave each gradient its last value, a write or a change in place."""
    return {event.name: number for number, event in enumerate(events) if event.access is not Access.READ}


def written_at(gradients: Gradients, name: str) -> Location:
    """Where a gradient was written or changed last."""
    events = reversed(gradients._backward.events)
    return next(event.location for event in events if event.name == name and event.access is not Access.READ)


def handed_out(gradients: Gradients) -> set[str]:
    """The names whose reference was handed out because they are not derived yet."""
    return gradients._backward.handed_out


def events_of(gradients: Gradients) -> tuple[Event, ...]:
    """Every read, write and in-place change, in order; call it once `backward` has returned."""
    _record_changes(gradients._backward)
    return tuple(gradients._backward.events)


def _record(state: _Backward, access: Access, name: str) -> None:
    _record_changes(state)
    state.events.append(Event(access, name, caller_stack(state.outermost)))


def _record_changes(state: _Backward) -> None:
    """Note the gradients that changed in place since the last access, by their version counters."""
    with unseen():
        if all(state.values[name]._version == version for name, version in state.versions.items()):
            return
    # An observer may change further ones, so that each is looked at in its turn.
    for name, version in state.versions.items():
        now = version_of(state.values[name])
        if now != version:
            state.versions[name] = now
            # The change happened after the last access and before this one: where that was an access
            # to this name, as in `d.h[mask] = 0`, its line is the line of the change.
            stack = next((event.stack for event in reversed(state.events) if event.name == name), ())
            state.events.append(Event(Access.CHANGE, name, stack))
            _observe(state, state.values[name])


def _observe(state: _Backward, value: Tensor) -> Tensor | None:
    """Show the observer the event that was recorded last, and the gradient as it is now."""
    if state.observer is None:
        return None
    return state.observer(len(state.events) - 1, state.events[-1], value)


def _hand_out(state: _Backward, name: str) -> None:
    if name not in state.differentiable:
        raise _no_gradient(state, name)
    if state.given is None:
        raise NotDerived(
            f"d.{name} is read before it was derived: assign it first, or set `partial = True` to be given the "
            "reference while you derive the others",
            caller(),
        )
    state.values[name] = state.given(name)
    state.versions[name] = version_of(state.values[name])
    state.handed_out.add(name)


def _no_gradient(state: _Backward, name: str) -> UnknownName | NotDifferentiable:
    if name in state.undifferentiable:
        return NotDifferentiable(
            f"t.{name} has no gradient: it is an integer or boolean tensor, is listed in `constants`, or no "
            f"differentiated input reaches it; remove d.{name}",
            caller(),
        )
    return UnknownName(
        f"d.{name}: the forward has no tensor {name!r}; {did_you_mean(name, state.differentiable)}", caller()
    )
