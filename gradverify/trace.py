"""What a forward writes: a Trace records its values by name.

It has no public attribute of its own, so that any name is free for a tensor; what works on it are the functions of
this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from gradverify.entry import check_attribute, check_name, check_tensor, unseen, version_of
from gradverify.errors import AssignedTwice, ChangedInPlace, UnknownName, did_you_mean
from gradverify.location import Location, caller

OnAssign = Callable[[str, Tensor], None]


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
        check_name("t", name)
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
        check_name("t", name)
        with unseen():
            check_tensor("t", name, value)
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
        check_attribute("t", name)
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
        forward.versions[name] = version_of(value)
    forward.values[name] = value


def _check_version(forward: _Forward, name: str, where: Location | None = None) -> None:
    value = forward.values[name]
    if value is not None and version_of(value) != forward.versions[name]:
        first = forward.locations.get(name)
        raise ChangedInPlace(
            f"t.{name}, {f'recorded at {first}' if first else 'an input'}, was changed in place afterwards, so that "
            "its gradient no longer belongs to the value recorded: compute a new tensor, or assign the name once it "
            "is final",
            where or caller(),
        )
