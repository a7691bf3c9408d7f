"""A gradient added up by several statements: which of them adds what is no contribution."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from gradverify.comparison import distance
from gradverify.diagnosis.accumulation import ASSIGNED
from gradverify.diagnosis.rules import explain_part
from gradverify.diagnosis.subject import Contribution, Subject
from gradverify.location import Location, statement

# Sums of so many contributions are tried against what each statement adds: 2^4 of them.
_MOST_SHARES = 4


@dataclass(frozen=True)
class Addition:
    """The statement that is to blame, and what is wrong with what it adds."""

    location: Location
    sentence: str


def find_addition(subject: Subject, steps: Sequence[tuple[int, Tensor]]) -> Addition | None:
    """The only statement that does not add contributions, if it is not the last one; None where that is not clear.

    Args:
        subject: the whole error.
        steps: the gradient after each of the events, by number, that wrote it or changed it.
    """
    if len(steps) < 2 or subject.name in subject.outputs or not 1 < len(subject.contributions) <= _MOST_SHARES:
        return None
    left = list(subject.contributions)
    strays: list[tuple[int, Tensor]] = []
    for number, added in _increments(subject, steps):
        shares = _shares_of(subject, added, left)
        if shares is None:
            strays.append((number, added))
        left = [share for share in left if not any(share is one for one in shares or ())]
    if len(strays) != 1 or not left:
        return None
    number, added = strays[0]
    location = subject.events[number].location
    if location == subject.events[steps[-1][0]].location:
        return None
    part = dataclasses.replace(
        subject,
        candidate=added,
        reference=_total(left),
        source=statement(location),
        find_contributions=lambda: left,
    )
    held = next(value for one, value in steps if one == number)
    if _shares_of(subject, held, left) is not None:
        return Addition(location, ASSIGNED.format(name=subject.name))
    through, why = " and ".join(map(str, left)), explain_part(part)
    sentence = f"what is added here is not the contribution through {through}"
    return Addition(location, f"{sentence}: {why}" if why else sentence)


def _increments(subject: Subject, steps: Sequence[tuple[int, Tensor]]) -> list[tuple[int, Tensor]]:
    """What each event added; nothing, where an event only notes what another one did."""
    found: list[tuple[int, Tensor]] = []
    before = torch.zeros_like(subject.reference)
    for number, value in steps:
        if value.shape != subject.reference.shape:
            return []
        if distance(value, before).error > subject.allowed:
            found.append((number, value - before))
        before = value
    return found


def _shares_of(subject: Subject, added: Tensor, shares: Sequence[Contribution]) -> tuple[Contribution, ...] | None:
    """The fewest contributions that sum to what was added."""
    for count in range(1, len(shares) + 1):
        for some in combinations(shares, count):
            if distance(added, _total(some)).error <= subject.allowed:
                return some
    return None


def _total(shares: Sequence[Contribution]) -> Tensor:
    return torch.stack([share.gradient for share in shares]).sum(0)
