"""A backward often raises lines after the mistake: where a gradient of the wrong shape or dtype was used."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gradverify.errors import CaseRaised
from gradverify.gradients import Access, Event, Gradients, derived_of, events_of, finished_by
from gradverify.trace import Trace, values_of


def blame_misfit(error: CaseRaised, gradients: Gradients, trace: Trace) -> None:
    """Let an error of backward point at the first gradient, of those that led to it, that does not fit its tensor.

    What raised stays quoted in the message.
    """
    tensors, derived = values_of(trace), derived_of(gradients)
    misfits = {name: told for name, value in derived.items() if (told := _misfit(value, tensors[name])) is not None}
    events = events_of(gradients)
    used = _used_by_the_last(events)
    # Without a single read the gradients are carried in local variables, and any of them may be to blame.
    blamed = next((name for name in misfits if name in used or not used), None)
    if blamed is None:
        return
    at = f" at {error.location}" if error.location else ""
    error.message = f"d.{blamed} {misfits[blamed]}; then{at}: {error.message}"
    error.args = (error.message,)
    error.location = events[finished_by(events)[blamed]].location


def _misfit(gradient: Tensor, tensor: Tensor) -> str | None:
    """What does not fit about a gradient, in words."""
    if gradient.shape != tensor.shape:
        return f"has shape {tuple(gradient.shape)} where its tensor has {tuple(tensor.shape)}"
    if gradient.dtype != tensor.dtype:
        given, own = (str(one.dtype).removeprefix("torch.") for one in (gradient, tensor))
        return f"is {given} where its tensor is {own}"
    return None


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
