"""A backward that raises often does so lines after the mistake: where a gradient of the wrong shape was used."""

from __future__ import annotations

from collections.abc import Sequence

from gradverify.errors import CaseRaised
from gradverify.trace import Access, Event, Gradients, Trace, derived_of, events_of, finished_by, values_of


def blame_shape(error: CaseRaised, gradients: Gradients, trace: Trace) -> None:
    """Let an error of backward point at the first gradient of another shape than its tensor that led to it, if any did.

    What raised stays quoted in the message.
    """
    tensors, derived = values_of(trace), derived_of(gradients)
    misfits = [name for name, value in derived.items() if value.shape != tensors[name].shape]
    events = events_of(gradients)
    used = _used_by_the_last(events)
    # Without a single read the gradients are carried in local variables, and any of them may be to blame.
    blamed = next((name for name in misfits if name in used or not used), None)
    if blamed is None:
        return
    at = f" at {error.location}" if error.location else ""
    error.message = (
        f"d.{blamed} has shape {tuple(derived[blamed].shape)} where its tensor has {tuple(tensors[blamed].shape)}; "
        f"then{at}: {error.message}"
    )
    error.args = (error.message,)
    error.location = events[finished_by(events)[blamed]].location


def _used_by_the_last(events: Sequence[Event]) -> set[str]:
    """The gradients that were read by the statement that did not get to its end, and those these were made of."""
    read: set[str] = set()
    made_of: dict[str, set[str]] = {}
    for event in events:
        if event.access is Access.READ:
            read.add(event.name)
        elif event.access is Access.WRITE:
            made_of[event.name] = made_of.get(event.name, set()) | read
            read = set()
    used, pending = set(read), list(read)
    while pending:
        further = made_of.get(pending.pop(), set()) - used
        used |= further
        pending += further
    return used
