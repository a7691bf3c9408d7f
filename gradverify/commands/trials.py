"""Mutants tried in a process of its own, which is ended where one of them hangs, and started again after it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradverify.commands.execution import INTERNAL, foreign_code
from gradverify.errors import GradverifyError, UsageError
from gradverify.mutants import Mutant
from gradverify.report import Failure
from gradverify.study import Outcome, Study, Trial
from gradverify.supervision import Ended, Send, Silent, Worker, bounded_memory, peak_memory

if TYPE_CHECKING:
    from gradverify.commands.plan import Planned


@dataclass(frozen=True)
class Bounds:
    """How far a mutant may go before it is given up.

    The slowest mutant of the founding cases took 17 times as long as the unbroken case, which passes without
    replay and diagnosis, and a tenth more memory; a machine that others use can be ten times slower for a while.

    Attributes:
        seconds, runs: its time is `seconds` and that of so many runs of the unbroken case.
        memory: it may take so many times the memory that the process held at its peak before.
    """

    seconds: float = 10.0
    runs: float = 80.0
    memory: float = 4.0


@dataclass(frozen=True)
class _Opening:
    """What the process sends of a case first; the trials follow, one by one, and None ends them.

    A Failure, at any time, ends the case too.
    """

    file: str
    mutants: tuple[Mutant, ...]
    seconds: float


class Trials:
    """Studies the selected cases one after the other; used as a context, at whose end no process is left."""

    def __init__(self, targets: Sequence[str], expression: str, bounds: Bounds | None = None) -> None:
        """Remember what to load: the process finds the cases by itself, as `gradverify run` does."""
        self._selection = (tuple(targets), expression)
        self._bounds = bounds or Bounds()
        self._worker: Worker | None = None

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.stop()

    def study(self, number: int, planned: Sequence[Planned]) -> Study:
        """Try every mutant of the case with this number among those of `by_case`; they are studied in their order."""
        trials: list[Trial] = []
        opening: _Opening | None = None
        while opening is None or len(trials) < len(opening.mutants):
            before = len(trials)
            worker = self._worker or Worker(try_mutants, *self._selection, number, before, self._bounds)
            self._worker = worker
            try:
                first = worker.receive(None)
                if isinstance(first, Failure):
                    return _study(planned, opening, trials, first)
                assert isinstance(first, _Opening)
                opening = first
                while (message := worker.receive(opening.seconds)) is not None:
                    if isinstance(message, Failure):
                        return _study(planned, opening, trials, message)
                    assert isinstance(message, Trial)
                    trials.append(message)
            except (Silent, Ended) as end:
                self._worker = None
                if opening is None or len(trials) == len(opening.mutants):
                    failure = Failure("Crashed", "its process ended, without an error, while the unbroken case ran")
                    return _study(planned, opening, trials, failure)
                # A process that got on and ended is followed by a fresh one; if that gets nowhere, the mutant did it.
                if isinstance(end, Silent) or len(trials) == before:
                    trials.append(Trial(opening.mutants[len(trials)], Outcome.KILLED))
        return _study(planned, opening, trials)


def by_case(planned: Sequence[Planned]) -> list[tuple[Planned, ...]]:
    """The configurations of each case; together they are its check."""
    groups: dict[int, list[Planned]] = {}
    for one in planned:
        groups.setdefault(id(one.found), []).append(one)
    return [tuple(group) for group in groups.values()]


def try_mutants(send: Send, targets: Sequence[str], expression: str, number: int, skipped: int, bounds: Bounds) -> None:
    """What the process does: try the mutants of the selected cases from a number on, but skip some of the first."""
    from gradverify.commands.plan import plan
    from gradverify.loader import find

    with foreign_code():
        for one in by_case(plan(find(targets).found, expression))[number:]:
            try:
                _try_case(send, one, skipped, bounds)
            except GradverifyError as error:
                send(_failure(error))
            except Exception as error:
                message = f"gradverify itself failed with {type(error).__name__}: {error}; please report this"
                send(Failure(INTERNAL, message, traceback=traceback.format_exc().rstrip()))
            skipped = 0


def _try_case(send: Send, planned: Sequence[Planned], skipped: int, bounds: Bounds) -> None:
    from gradverify.commands.devices import check_device
    from gradverify.mutation import check_unharmed, prepare, try_edit

    subject = prepare(planned[0].found.case, [one.configuration for one in planned])
    mutants = tuple(edit.mutant for edit in subject.edits)
    send(_Opening(subject.source.file, mutants, bounds.seconds + bounds.runs * subject.seconds))
    with bounded_memory(int(bounds.memory * peak_memory())):
        for edit in subject.edits[skipped:]:
            trial = try_edit(subject, edit)
            send(trial)
            if trial.outcome is Outcome.RAISED:
                try:
                    check_device(planned[0].configuration.device)
                except UsageError:
                    # An index out of bounds, say, spoils a CUDA device for its process: all that follows would fail.
                    raise SystemExit from None
    check_unharmed(subject)
    send(None)


def _failure(error: GradverifyError) -> Failure:
    from gradverify.examination import failure_of

    return failure_of(error)


def _study(
    planned: Sequence[Planned], opening: _Opening | None, trials: Sequence[Trial], error: Failure | None = None
) -> Study:
    from gradverify.case import sizes_of

    case = planned[0].found.case
    configurations = [one.configuration for one in planned]
    return Study(
        case=type(case).__name__,
        sizes=sizes_of(case),
        dtypes=tuple(dict.fromkeys(one.dtype for one in configurations)),
        devices=tuple(dict.fromkeys(one.device for one in configurations)),
        seeds=tuple(dict.fromkeys(one.seed for one in configurations)),
        file=opening.file if opening else None,
        trials=tuple(trials),
        error=error,
    )
