"""The results of a mutation study, as data: what became of each mutant of a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gradverify.mutants import Mutant
from gradverify.report import Failure
from gradverify.word import Word


class Outcome(Word):
    """What became of a mutant."""

    CAUGHT = "caught"  # a verdict fails
    RAISED = "raised"  # its backward raises
    KILLED = "killed"  # it ran out of time or of memory, or took its process down
    EQUIVALENT = "equivalent"  # passes, and gives the same gradients as the original
    SURVIVED = "survived"  # passes, and gives others

    @property
    def is_caught(self) -> bool:
        """Whether the check noticed that something is broken."""
        return self in (Outcome.CAUGHT, Outcome.RAISED, Outcome.KILLED)


@dataclass(frozen=True)
class Trial:
    """A mutant and what became of it.

    Attributes:
        mutant: what was broken.
        outcome: what became of it.
        named: whether the report names the broken statement, or of a deleted one the gradient, and accuses no other.
        hint: the mistake that the report names there, None where it names none.
        seed: at which it was noticed first, where the seeds of the case show nothing; else None.
    """

    mutant: Mutant
    outcome: Outcome
    named: bool = False
    hint: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Study:
    """What breaking one case, one thing at a time, has shown.

    Attributes:
        case, sizes: what was broken; dtypes, devices, seeds: at which each mutant was verified.
        file: which holds the backward, None where unknown.
        trials: in the order of the source.
        error: why the case could not be studied, None where it could.
    """

    case: str
    sizes: dict[str, int]
    dtypes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    file: str | None = None
    trials: tuple[Trial, ...] = ()
    error: Failure | None = None

    @property
    def survivors(self) -> tuple[Trial, ...]:
        """The mutants that nothing noticed, although their gradients are others."""
        return tuple(trial for trial in self.trials if trial.outcome is Outcome.SURVIVED)

    @property
    def late(self) -> tuple[Trial, ...]:
        """The mutants that were noticed at a seed which is none of the case's."""
        return tuple(trial for trial in self.trials if trial.seed is not None)

    @property
    def passed(self) -> bool:
        """Whether the case could be studied and every mutant that is no equivalent was caught."""
        return self.error is None and not self.survivors


@dataclass(frozen=True)
class Tally:
    """How many trials ended how.

    Attributes:
        mutants: all of them; caught (of these raised and killed), equivalent and survived add up to it.
        named: of those caught, but not killed, how many times the report names the broken statement.
        hinted: of those that a verdict caught, how many times it names the mistake.
    """

    mutants: int
    caught: int
    raised: int
    killed: int
    equivalent: int
    survived: int
    named: int
    hinted: int

    @property
    def judged(self) -> int:
        """How many were caught by a verdict, so that there was a gradient to find a mistake in."""
        return self.caught - self.raised - self.killed


def tally(trials: tuple[Trial, ...]) -> Tally:
    """Count trials."""

    def count(holds: Callable[[Trial], bool]) -> int:
        return sum(holds(trial) for trial in trials)

    return Tally(
        mutants=len(trials),
        caught=count(lambda one: one.outcome.is_caught),
        raised=count(lambda one: one.outcome is Outcome.RAISED),
        killed=count(lambda one: one.outcome is Outcome.KILLED),
        equivalent=count(lambda one: one.outcome is Outcome.EQUIVALENT),
        survived=count(lambda one: one.outcome is Outcome.SURVIVED),
        named=count(lambda one: one.named),
        hinted=count(lambda one: one.hint is not None),
    )
