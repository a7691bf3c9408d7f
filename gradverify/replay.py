"""Which line introduced an error: the backward is run again with right upstream gradients.

Each assignment is judged alone. Once a gradient is finished, it is overwritten in place with the reference, so
that what is computed from it next, through `d` or through a local variable, starts from the right value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from gradverify.case import Case
from gradverify.errors import GradverifyError
from gradverify.evaluation import Forward, Tensors, run_backward
from gradverify.gradients import Access, Event, events_of, finished_by
from gradverify.location import caller_variables, raised_at
from gradverify.trace import values_of
from gradverify.verdict import Origin

# Whether a replayed gradient is off: its name, and its value from right upstream gradients.
IsOff = Callable[[str, Tensor], bool]


@dataclass(frozen=True)
class Finding:
    """What the replay says of one gradient.

    Attributes:
        origin: introduced by its own statement, inherited from an earlier one; None where it cannot be told.
        replayed: the gradient as its statement computes it from right upstream gradients; None where the
            replay did not get there.
        note: what else there is to say, a sentence.
        masked: right as a whole, but off by itself: it undoes an earlier error.
        variables: what the statement saw, by name; empty unless it introduced the error.
        steps: the gradient after each event, by number, that wrote or changed it, where there are several.
    """

    origin: Origin | None
    replayed: Tensor | None = None
    note: str | None = None
    masked: bool = False
    variables: Mapping[str, object] = field(default_factory=dict)
    steps: Sequence[tuple[int, Tensor]] = ()


@dataclass
class _Replay:
    """Follows the second run, mends each gradient as it is finished, and keeps a copy to judge."""

    first: Sequence[Event]
    reference: Mapping[str, Tensor]
    untouchable: set[int]
    is_off: IsOff
    copies: Tensors = field(default_factory=dict)
    variables: dict[str, dict[str, object]] = field(default_factory=dict)
    steps: dict[str, list[tuple[int, Tensor]]] = field(default_factory=dict)
    # Off, and still in the hands of locals that could not be mended: what follows cannot be told apart.
    unmended: list[str] = field(default_factory=list)
    ambiguous_since: dict[str, str] = field(default_factory=dict)
    diverged: Event | None = None
    raised: GradverifyError | None = None
    _finish: dict[str, int] = field(default_factory=dict)
    _mended: dict[str, Tensor] = field(default_factory=dict)
    _mended_at: dict[str, int] = field(default_factory=dict)
    _storages: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._finish = finished_by(self.first)
        self._read_later = {
            event.name: number for number, event in enumerate(self.first) if event.access is Access.READ
        }

    def __call__(self, number: int, event: Event, value: Tensor) -> Tensor | None:
        if self.diverged is not None:
            return None
        if number >= len(self.first) or _key(self.first[number]) != _key(event):
            self.diverged = event
            return None
        name = event.name
        if event.access is Access.READ:
            if name in self.copies and name not in self._mended:
                return self.reference[name].clone()
            return None
        if event.access is Access.WRITE:
            self._unmend(number, name, value)
        self._storages[name] = _storage(value)
        if number < self._finish[name] or name in self.steps:
            self.steps.setdefault(name, []).append((number, value.clone()))
        if number == self._finish[name]:
            self._finished(number, name, value)
        return None

    def _unmend(self, number: int, name: str, value: Tensor) -> None:
        """Give back what was mended between a change in place and the assignment of its result, `d.p = dh.mul_(x)`.

        The tensor is the new gradient now; the old one is read through `d`, as the reference.
        """
        for other, mended in list(self._mended.items()):
            events = self.first[self._mended_at[other] : number]
            if other != name and _storage(mended) == _storage(value) and _are_changes(events):
                mended.data.copy_(self.copies[other])
                del self._mended[other], self._storages[other]

    def _finished(self, number: int, name: str, value: Tensor) -> None:
        self.copies[name] = value.clone()
        off = self.is_off(name, value)
        if off:
            self.variables[name] = caller_variables()
        if self.unmended:
            self.ambiguous_since[name] = self.unmended[-1]
        if self._can_mend(name, value):
            self._mended_at[name] = number
            # Through `.data`, so that the version counter does not count this as a change of the user's.
            value.data.copy_(self.reference[name])
            self._mended[name] = value
        elif off and not self._is_read_after(name):
            self.unmended.append(name)

    def _can_mend(self, name: str, value: Tensor) -> bool:
        if value.shape != self.reference[name].shape or not _owns_storage(value):
            return False
        shared = {other for other, storage in self._storages.items() if storage == _storage(value) and other != name}
        # A tensor that is another gradient too: if that one is finished it holds its own reference already,
        # and if not, it is still to be added to.
        return not shared and _storage(value) not in self.untouchable

    def _is_read_after(self, name: str) -> bool:
        return self._read_later.get(name, -1) > self._finish[name]

    @property
    def why_unseen(self) -> str:
        """Why a gradient was not reached."""
        did = "did not assign it"
        if self.diverged is not None:
            did = f"took another path at {self.diverged.location}"
        elif self.raised is not None:
            cause = self.raised.__cause__
            where = raised_at(cause.__traceback__) if cause else self.raised.location
            did = f"raised at {where}" if where else "raised"
        return f"its origin is not known: given right gradients, the backward {did}"

    def restore(self) -> None:
        """Give the mended tensors their own values again: one of them may be the user's."""
        for name, value in self._mended.items():
            value.data.copy_(self.copies[name])


def replay(
    case: Case,
    forward: Forward,
    cotangents: Tensors,
    reference: Mapping[str, Tensor],
    first: Sequence[Event],
    wrong: Collection[str],
    is_off: IsOff,
) -> dict[str, Finding]:
    """Run the backward again and find for each wrong gradient whether its own statement is to blame.

    Args:
        case: the case.
        forward: a fresh forward, at the precision at which the errors were found.
        cotangents: the upstream gradients.
        reference: what every gradient should be.
        first: the events of the first run.
        wrong: the gradients that were wrong there.
        is_off: judges a replayed gradient.

    Returns:
        A finding for every wrong gradient, and for those that were right only by undoing an error.
    """
    untouchable = {_storage(value) for value in (*values_of(forward.trace).values(), *cotangents.values())}
    follower = _Replay(first, reference, untouchable, is_off)

    def given(name: str) -> Tensor:
        return reference[name].clone()

    try:
        events_of(run_backward(case, forward, cotangents, given, follower))
    except GradverifyError as error:
        # A shape that was wrong is right now, and what follows may not fit it: what was seen before counts.
        follower.raised = error
    finally:
        follower.restore()
    return _findings(follower, wrong)


def _findings(follower: _Replay, wrong: Collection[str]) -> dict[str, Finding]:
    findings: dict[str, Finding] = {}
    for name, copy in follower.copies.items():
        off = name in follower.variables
        if not off and name not in wrong:
            continue
        if not off:
            findings[name] = Finding(Origin.INHERITED, copy)
        elif name in follower.ambiguous_since:
            if name in wrong:
                note = f"its origin cannot be separated from the error in d.{follower.ambiguous_since[name]}"
                findings[name] = Finding(None, copy, note)
        elif name in wrong:
            steps = follower.steps.get(name, ())
            findings[name] = Finding(Origin.INTRODUCED, copy, variables=follower.variables[name], steps=steps)
        else:
            note = "masked by an earlier error: from right upstream gradients this statement gives a wrong one"
            findings[name] = Finding(Origin.INTRODUCED, copy, note, True, follower.variables[name])
    for name in wrong:
        if name not in findings:
            findings[name] = Finding(None, note=follower.why_unseen)
    _blame_someone(findings, wrong)
    return findings


def _blame_someone(findings: dict[str, Finding], wrong: Collection[str]) -> None:
    """Where something is wrong although every statement is right by itself, the first wrong gradient began it."""
    if any(finding.origin is not Origin.INHERITED for finding in findings.values()):
        return
    for name in wrong:
        note = "through shared storage or control flow: by itself its statement is right"
        findings[name] = Finding(Origin.INTRODUCED, findings[name].replayed, note)
        return


def _are_changes(events: Sequence[Event]) -> bool:
    return all(event.access is Access.CHANGE for event in events)


def _key(event: Event) -> tuple[Access, str, str, int]:
    return event.access, event.name, event.location.file, event.location.line


def _storage(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def _owns_storage(value: Tensor) -> bool:
    """Whether the tensor is all of its storage, each element once."""
    return value.untyped_storage().nbytes() == value.numel() * value.element_size() and all(
        stride != 0 or size == 1 for size, stride in zip(value.shape, value.stride(), strict=True)
    )
