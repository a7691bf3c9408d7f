"""The rules by which the word of witnesses counts against that of the reference. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gradverify.witness import Stance, Witness


@dataclass(frozen=True)
class Hearing:
    """What one oracle says of a candidate, and of the reference where the two differ.

    Attributes:
        candidate: what it says of the candidate.
        reference: of the reference; None where the two are the same up to rounding, or where nothing hangs on it.
        note: under what assumption it says so, where it makes one.
    """

    candidate: Witness
    reference: Witness | None = None
    note: str = ""

    @property
    def oracle(self) -> str:
        """The name of the oracle."""
        return self.candidate.oracle

    @property
    def sides_with_candidate(self) -> bool:
        """Whether it speaks for the candidate and against the reference."""
        against = self.reference is not None and self.reference.stance is Stance.DISAGREES
        return self.candidate.stance is Stance.AGREES and against

    @property
    def confirms_reference(self) -> bool:
        """Whether it contradicts the candidate and was asked about the reference, which it does not contradict."""
        fits = (Stance.AGREES, Stance.SUBGRADIENT, Stance.KINK)
        confirmed = self.reference is not None and self.reference.stance in fits
        return self.candidate.stance is Stance.DISAGREES and confirmed

    def __str__(self) -> str:
        if self.reference is None or not self.sides_with_candidate:
            return str(self.candidate)
        seen = self.reference
        where = f" at {list(seen.index)}" if seen.index else ""
        digits = _digits(seen.measured, seen.error)
        against = (
            f"{seen.measured:.{digits}g} ± {seen.error:.1e} measured{where}, {seen.claimed:.{digits}g} by the reference"
        )
        because = f" ({self.candidate.reason})" if self.candidate.reason else ""
        return f"{self.oracle} sides with the candidate: {against}" + because


class Ruling(Enum):
    """What the witnesses change of a verdict that was reached against the reference alone."""

    NONE = "none"
    DISPUTED = "disputed"  # a witness sides with the candidate against the reference
    REFUTED = "refuted"  # candidate and reference agree, and a witness contradicts both
    SUBGRADIENT = "subgradient"  # at a kink, and within what the function's two slopes allow
    INCONCLUSIVE = "inconclusive"  # at kinks, and no witness can tell whether the candidate fits them
    OUTSIDE = "outside"  # one who measures contradicts the candidate, and not the reference


@dataclass(frozen=True)
class Finding:
    """A ruling, and the sentences that explain it."""

    ruling: Ruling
    hints: tuple[str, ...] = ()


def weigh_testimony(hearings: Sequence[Hearing], *, differs: bool, reference: str = "autograd") -> Finding:
    """What the witnesses' word changes.

    Args:
        hearings: one an oracle.
        differs: whether candidate and reference differ by more than rounding explains.
        reference: the name of the oracle that gave the reference.
    """
    stances = [hearing.candidate.stance for hearing in hearings]
    if not differs:
        refuting = [hearing for hearing in hearings if hearing.candidate.stance is Stance.DISAGREES]
        if not refuting:
            return Finding(Ruling.NONE)
        return Finding(Ruling.REFUTED, (_who_contradicts(hearings, reference), *map(str, refuting)))
    siding = [hearing for hearing in hearings if hearing.sides_with_candidate]
    if siding:
        return Finding(Ruling.DISPUTED, (_who_stands_alone(hearings, reference), *map(str, siding)))
    # A measured kink outweighs a rule of differentiation, which can only repeat the convention it was given.
    if Stance.SUBGRADIENT in stances:
        return Finding(Ruling.SUBGRADIENT, _told(hearings, Stance.SUBGRADIENT))
    if Stance.KINK in stances:
        return Finding(Ruling.INCONCLUSIVE, _told(hearings, Stance.KINK))
    outside = [str(hearing) for hearing in hearings if hearing.confirms_reference]
    if outside:
        return Finding(Ruling.OUTSIDE, tuple(outside))
    return Finding(Ruling.NONE)


def _who_stands_alone(hearings: Sequence[Hearing], reference: str) -> str:
    against = [one.oracle for one in hearings if one.candidate.stance is Stance.DISAGREES]
    siding = [one.oracle for one in hearings if one.sides_with_candidate]
    if against:
        return (
            f"the oracles are divided: {_listed([reference, *against])} against the candidate, {_listed(siding)} for it"
        )
    say = "says" if len(siding) == 1 else "say"
    # Of the witnesses that assume something all assume the same, since it is the forward that brings it up.
    notes = dict.fromkeys(one.note for one in hearings if one.sides_with_candidate and one.note)
    return ", ".join([f"{reference} stands alone: {_listed(siding)} {say} what the candidate says", *notes])


def _who_contradicts(hearings: Sequence[Hearing], reference: str) -> str:
    against = [one.oracle for one in hearings if one.candidate.stance is Stance.DISAGREES]
    agreeing = [one.oracle for one in hearings if one.candidate.stance is Stance.AGREES]
    if len(against) == 1:
        return f"{against[0]} stands alone against {_listed(['the candidate', reference, *agreeing])}"
    return f"{_listed(against)} contradict {_listed(['the candidate', reference, *agreeing])}"


def _digits(value: float, error: float) -> int:
    """As many digits as are known, and one more; two numbers that an oracle tells apart look different."""
    if not (0 < error < abs(value)):
        return 6
    return min(16, max(6, math.ceil(math.log10(abs(value) / error)) + 1))


def _listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: "a", "a and b", "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _told(hearings: Sequence[Hearing], stance: Stance) -> tuple[str, ...]:
    return tuple(str(hearing) for hearing in hearings if hearing.candidate.stance is stance)
