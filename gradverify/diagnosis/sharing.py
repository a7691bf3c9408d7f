"""Mistakes of shared storage: a gradient is right, until another one is changed in place."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from gradverify.diagnosis.contributions import COTANGENT
from gradverify.diagnosis.mistake import Mistake
from gradverify.diagnosis.statement import parse_statement
from gradverify.diagnosis.subject import Subject
from gradverify.gradients import Access, Event
from gradverify.location import statement


class Overwritten(Mistake):
    """Right when it was assigned, then changed in place through another tensor that shares its storage."""

    @override
    def explain(self, subject: Subject) -> str | None:
        change = _last_change(subject.name, subject.events)
        if change is None or not _is_right_as_written(subject):
            return None
        return f"it is right when it is assigned, and then {_changed(subject.events, change)}"


class SpoiltUpstream(Mistake):
    """Computed rightly from a gradient that had been changed in place."""

    @override
    def explain(self, subject: Subject) -> str | None:
        for name in sorted(subject.read_by_statement):
            change = _last_change(name, subject.events_before)
            if change is not None and _is_right_as_written(subject):
                return (
                    f"its own statement is right, but d.{name}, which it reads, was {_changed(subject.events, change)}"
                )
        return None


class ReadTooEarly(Mistake):
    """Computed rightly, but from a gradient that was still to be added to."""

    @override
    def explain(self, subject: Subject) -> str | None:
        before = subject.events_before
        if len(before) == len(subject.events):
            return None
        for name in sorted(subject.read_by_statement - {subject.name}):
            written = [event.access is not Access.READ for event in before if event.name == name]
            later = [event for event in subject.events[len(before) :] if _is_write(event, name)]
            if later and _is_right_as_written(subject):
                return (
                    f"its own statement is right, but d.{name}, which it reads, is not finished there: it is written "
                    f"again at {later[0].location}; move this statement below"
                )
            if not any(written) and name in subject.outputs and _is_right_as_written(subject):
                return (
                    f"its own statement is right, but d.{name}, which it reads, still holds its upstream gradient "
                    f"alone: t.{name} is used inside too, so add that contribution first"
                )
        return None


def _is_write(event: Event, name: str) -> bool:
    return event.name == name and event.access is not Access.READ


def _last_change(name: str, events: Sequence[Event]) -> int | None:
    """The number of the change in place that gave a gradient its last value; None where an assignment did."""
    for number in range(len(events) - 1, -1, -1):
        if events[number].name == name and events[number].access is not Access.READ:
            return number if events[number].access is Access.CHANGE else None
    return None


def _is_right_as_written(subject: Subject) -> bool:
    """Whether its last assignment, or its cotangent where there is none, gives the reference."""
    if subject.written_at is None:
        return any(share.operation == COTANGENT and subject.agrees(share.gradient) for share in subject.contributions)
    parsed = parse_statement(statement(subject.written_at), subject)
    value = parsed.evaluate(subject.reference) if parsed else None
    return value is not None and subject.agrees(value)


def _changed(events: Sequence[Event], number: int) -> str:
    """How a gradient was changed, and how that is avoided."""
    name = events[number].name
    # Changes of several gradients that share a storage are noticed one after the other, before the next access.
    after = next((n for n in range(number, len(events)) if events[n].access is not Access.CHANGE), len(events))
    first = next((n for n in range(number, -1, -1) if events[n].access is not Access.CHANGE), -1) + 1
    alike = {event.name for event in events[first:after]} - {name}
    if after < len(events) and events[after].access is Access.WRITE and events[after].name in alike:
        other, line = events[after].name, events[after].location
        return (
            f"changed in place at {line}, as part of d.{other}, whose storage it shares: "
            f"write `d.{other} = d.{other} + ...` there"
        )
    return f"changed in place after {events[number].location}: clone it before"
