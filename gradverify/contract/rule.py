"""What a rule of the contract is, and what it finds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from gradverify.contract.subject import Subject
from gradverify.verdict import Observance


@dataclass(frozen=True)
class Finding:
    """How a candidate stands to a rule, and what was seen of it."""

    observance: Observance
    seen: str


class Rule(ABC):
    """One thing that a backward must do, or must not.

    Attributes:
        name: as the report calls it.
        remedy: how to mend a candidate that breaks it.
    """

    name: ClassVar[str]
    remedy: ClassVar[str]

    @abstractmethod
    def check(self, subject: Subject) -> Finding:
        """Try it.

        Raises:
            GradverifyError: from what the candidate raises where it must not.
        """


def kept(seen: str) -> Finding:
    """The rule is kept."""
    return Finding(Observance.KEPT, seen)


def broken(seen: str) -> Finding:
    """The rule is broken."""
    return Finding(Observance.BROKEN, seen)


def refused(seen: str) -> Finding:
    """The candidate says clearly that it does not do this."""
    return Finding(Observance.REFUSED, seen)


def inapplicable(seen: str) -> Finding:
    """There is nothing to try."""
    return Finding(Observance.INAPPLICABLE, seen)


def judged(difference: str | None, what: str) -> Finding:
    """Broken where there is a difference, else kept; `what` was tried."""
    return kept(what) if difference is None else broken(f"{what}: {difference}")
