"""What a pass writes: Trace records the forward values, Gradients the hand-derived gradients.

Both have no public attribute of their own, so that any name is free for a tensor; what works on them
are the functions of this module.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import CodeType

import torch
from torch import Tensor

from gradverify.errors import (
    AssignedTwice,
    ChangedInPlace,
    InvalidName,
    NotATensor,
    NotDerived,
    NotDifferentiable,
    UnknownName,
    did_you_mean,
)
from gradverify.location import UNKNOWN, Location, caller, caller_stack

OnAssign = Callable[[str, Tensor], None]

# Every look at a tensor passes through the torch function modes of a pass, some microseconds each, and there are ten
# looks of our own to one operation of the user's. Within this context they do not.
unseen = torch._C.DisableTorchFunction


@dataclass
class _Forward:
    """The state of a Trace."""

    values: dict[str, Tensor | None]
    locations: dict[str, Location] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    on_assign: OnAssign | None = None
    writable: bool = True


class Trace:
    """The forward values by name: `t.h` and `t["h"]` are the same, and any string is a name."""

    __slots__ = ("_forward",)
    _forward: _Forward

    def __init__(self, inputs: Mapping[str, Tensor | None], on_assign: OnAssign | None = None) -> None:
        """Start from the inputs; `on_assign` sees every tensor as it is recorded, and may change its data."""
        object.__setattr__(self, "_forward", _Forward({}, on_assign=on_assign))
        for name, value in inputs.items():
            _record_value(self._forward, name, value)

    def __getitem__(self, name: str) -> Tensor:
        forward = self._forward
        _check_name("t", name)
        if name not in forward.values:
            raise UnknownName(f"t has no tensor {name!r}; {did_you_mean(name, forward.values)}", caller())
        value = forward.values[name]
        if forward.writable:
            _check_version(forward, name)
        return value  # type: ignore[return-value]  # None only where the user's own inputs gave None

    def __setitem__(self, name: str, value: Tensor) -> None:
        forward = self._forward
        where = caller()
        if not forward.writable:
            raise AssignedTwice(
                f"t.{name} is assigned in backward, where t holds the values of the forward: use a local variable",
                where,
            )
        _check_name("t", name)
        with unseen():
            _check_tensor("t", name, value)
        if name in forward.values:
            if forward.values[name] is value:
                raise ChangedInPlace(
                    f"t.{name} is changed in place, but its gradient belongs to the value before: "
                    f"write `t.{name}2 = t.{name} + ...` and use that from there on",
                    where,
                )
            first = forward.locations.get(name)
            raise AssignedTwice(
                f"t.{name} is assigned twice, first {f'at {first}' if first else 'as an input'}; "
                f'give the second value a name of its own, such as t.{name}2 or t[f"{name}{{i}}"] in a loop',
                where,
            )
        forward.locations[name] = where
        _record_value(forward, name, value)

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_"):  # what copy, pickle and inspect ask for, never a tensor
            raise AttributeError(f"Trace has no attribute {name!r}")
        return self[name]

    def __setattr__(self, name: str, value: Tensor) -> None:
        _check_attribute("t", name)
        self[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._forward.values

    def __iter__(self) -> Iterator[str]:
        return iter(self._forward.values)

    def __repr__(self) -> str:
        return f"Trace({', '.join(self._forward.values)})"


def values_of(trace: Trace) -> dict[str, Tensor]:
    """The recorded tensors by name, inputs first, in the order of assignment."""
    return {name: value for name, value in trace._forward.values.items() if value is not None}


def assigned_at(trace: Trace, name: str) -> Location | None:
    """Where the forward assigned a name; None for an input."""
    return trace._forward.locations.get(name)


def finish(trace: Trace, where: Location) -> None:
    """Check, once the forward at `where` has returned, that no recorded tensor was changed in place."""
    for name in trace._forward.versions:
        _check_version(trace._forward, name, trace._forward.locations.get(name, where))


def frozen_copy(trace: Trace) -> Trace:
    """The same values, detached and no longer writable: what a backward reads."""
    copy = Trace({})
    values: dict[str, Tensor | None] = {
        name: None if value is None else value.detach() for name, value in trace._forward.values.items()
    }
    object.__setattr__(copy, "_forward", _Forward(values, trace._forward.locations, writable=False))
    return copy


def _record_value(forward: _Forward, name: str, value: Tensor | None) -> None:
    if value is not None:
        with unseen():
            requires_grad = value.requires_grad
        if requires_grad and any(value is known for known in forward.values.values()):
            # A second name for a recorded tensor is a use of it, as in `t.skip = t.x`: it gets a gradient of its own.
            value = value.view_as(value)
        if forward.on_assign is not None:
            forward.on_assign(name, value)
        forward.versions[name] = _version_of(value)
    forward.values[name] = value


def _version_of(tensor: Tensor) -> int:
    with unseen():
        return tensor._version


def _check_version(forward: _Forward, name: str, where: Location | None = None) -> None:
    value = forward.values[name]
    if value is not None and _version_of(value) != forward.versions[name]:
        first = forward.locations.get(name)
        raise ChangedInPlace(
            f"t.{name}, {f'recorded at {first}' if first else 'an input'}, was changed in place afterwards, so that "
            "its gradient no longer belongs to the value recorded: compute a new tensor, or assign the name once it "
            "is final",
            where or caller(),
        )


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
        state.versions = {name: _version_of(value) for name, value in state.values.items()}
        object.__setattr__(self, "_backward", state)

    def __getitem__(self, name: str) -> Tensor:
        state = self._backward
        _check_name("d", name)
        _record(state, Access.READ, name)
        if name not in state.values:
            _hand_out(state, name)
        answer = _observe(state, state.values[name])
        return state.values[name] if answer is None else answer

    def __setitem__(self, name: str, value: Tensor) -> None:
        state = self._backward
        _check_name("d", name)
        with unseen():
            _check_tensor("d", name, value)
        if name not in state.differentiable:
            raise _no_gradient(state, name)
        _record(state, Access.WRITE, name)
        state.written[name] = len(state.events) - 1
        state.values[name] = value
        state.versions[name] = _version_of(value)
        _observe(state, value)

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_"):  # what copy, pickle and inspect ask for, never a gradient
            raise AttributeError(f"Gradients has no attribute {name!r}")
        return self[name]

    def __setattr__(self, name: str, value: Tensor) -> None:
        _check_attribute("d", name)
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
        now = _version_of(state.values[name])
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
    state.versions[name] = _version_of(state.values[name])
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


def _check_attribute(holder: str, name: str) -> None:
    if name.startswith("_"):
        raise InvalidName(
            f"{holder}.{name}: an attribute name must not start with an underscore; "
            f'write {holder}["{name}"] or rename it',
            caller(),
        )


def _check_name(holder: str, name: object) -> None:
    if not isinstance(name, str):
        raise InvalidName(f'{holder}[{name!r}]: a name is a string, such as {holder}["h0"]', caller())


def _check_tensor(holder: str, name: str, value: object) -> None:
    if isinstance(value, torch.Tensor):
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
    raise NotATensor(f"{holder}.{name}: expected a tensor, got {_spell(value)}; {remedy}", caller())


def _spell(value: object) -> str:
    if isinstance(value, (bool, int, float)) or value is None:
        return repr(value)
    return f"a {type(value).__name__}"
