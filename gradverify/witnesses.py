"""The further oracles of a run: what they say of each gradient, and what that changes of its verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gradverify.case import Case
from gradverify.comparison import worst_element
from gradverify.errors import GradverifyError
from gradverify.evaluation import Tensors
from gradverify.inputs import Inputs
from gradverify.oracles.estimate import Oracle, absent, reason_of
from gradverify.oracles.hearing import Claim, Court, find_oracle
from gradverify.oracles.testimony import Finding, Hearing, Ruling, weigh_testimony
from gradverify.report import Row, Worst
from gradverify.settings import AUTOGRAD, Settings
from gradverify.verdict import Verdict
from gradverify.witness import Stance, Witness

# Verdicts on a difference from the reference, which a witness may see in another light.
_DIFFERENT = frozenset({Verdict.WRONG, Verdict.INCONCLUSIVE})
# Verdicts on a gradient that is the reference's up to rounding.
_ALIKE = frozenset({Verdict.EXACT, Verdict.OK, Verdict.IMPRECISE, Verdict.VACUOUS})


class Witnesses:
    """The oracles of one run of a case, besides the one that gives the reference."""

    def __init__(self, case: Case, inputs: Inputs, cotangents: Tensors, settings: Settings) -> None:
        """Choose the oracles; nothing runs yet.

        Args:
            case: the case.
            inputs: that it runs on.
            cotangents: of the run.
            settings: name the oracles.
        """
        self._case, self._inputs, self._cotangents = case, inputs, cotangents
        self._oracles = tuple(find_oracle(one) for one in settings.oracles or ())
        self._zeros = settings.expected_zero or frozenset()

    def hear(
        self, rows: Mapping[str, Row], candidates: Tensors, references: Tensors, allowed: Mapping[str, float]
    ) -> dict[str, Row]:
        """The rows again, each with what the witnesses say of it, and the verdict that follows.

        Args:
            rows: by gradient, judged against autograd.
            candidates: the gradients under test, in float64.
            references: those of autograd.
            allowed: the largest difference that rounding explains, for each gradient to be heard on.
        """
        claims = {
            name: Claim(
                candidates[name].double(),
                references[name].double(),
                limit,
                zero=name in self._zeros,
                unsettled=rows[name].verdict is Verdict.INCONCLUSIVE,
            )
            for name, limit in allowed.items()
        }
        heard = dict(rows)
        try:
            court = Court(self._case, self._inputs, self._cotangents)
        except GradverifyError as error:
            silent = tuple(absent(one.name, reason_of(error)) for one in self._oracles if one.name != AUTOGRAD)
            return {
                name: dataclasses.replace(row, witnesses=silent if name in claims else ()) for name, row in rows.items()
            }
        first, *_ = self._oracles
        others = {} if first.name == AUTOGRAD else _claims_against(court, first, claims)
        for name, claim in claims.items():
            reference = first.name if name in others else AUTOGRAD
            if name in others:
                claim = others[name]
                heard[name] = _judged_again(heard[name], claim)
            hearings = [court.hear(one, name, claim) for one in self._oracles if one.name != reference]
            finding = weigh_testimony(hearings, differs=claim.differs, reference=reference)
            heard[name] = _ruled(heard[name], hearings, finding, claim.allowed)
        return heard


def _claims_against(court: Court, oracle: Oracle, claims: Mapping[str, Claim]) -> dict[str, Claim]:
    """The claims against another reference than autograd's, where that oracle knows the whole gradient."""
    return {
        name: dataclasses.replace(
            claims[name],
            reference=estimate.gradient,
            allowed=claims[name].allowed + float(torch.as_tensor(estimate.error).max()),
        )
        for name, estimate in court.refer(oracle, claims).items()
        if estimate.gradient is not None
    }


def _judged_again(row: Row, claim: Claim) -> Row:
    """The row as it is against another reference than autograd's."""
    if not claim.differs:
        return dataclasses.replace(row, verdict=Verdict.OK, worst=None, hints=()) if row.verdict in _DIFFERENT else row
    if row.verdict not in _ALIKE:
        return row
    return dataclasses.replace(
        row, verdict=Verdict.WRONG, worst=_worst(claim.candidate, claim.reference, claim.allowed)
    )


def _worst(candidate: Tensor, reference: Tensor, allowed: float) -> Worst | None:
    found = worst_element(candidate, reference)
    return None if found is None else Worst(*found, allowed=allowed)


def _undecided(hearing: Hearing) -> Witness:
    """A witness that agrees with two gradients which differ says nothing of either."""
    both = hearing.candidate, hearing.reference
    if any(one is None or one.stance is not Stance.AGREES for one in both):
        return hearing.candidate
    reason = "its error bar is wider than candidate and reference are apart"
    return dataclasses.replace(hearing.candidate, stance=Stance.INCONCLUSIVE, reason=reason)


def _ruled(row: Row, hearings: Sequence[Hearing], finding: Finding, allowed: float) -> Row:
    """The row with the word of the witnesses, and the verdict that it leads to."""
    agreed = row.verdict not in _DIFFERENT
    told_of = (hearing.candidate if agreed else _undecided(hearing) for hearing in hearings)
    row = dataclasses.replace(row, witnesses=tuple(told_of))
    ruling, told = finding.ruling, finding.hints
    if ruling is Ruling.DISPUTED and row.verdict in _DIFFERENT:
        return dataclasses.replace(row, verdict=Verdict.DISPUTED, hints=told)
    if ruling is Ruling.REFUTED:
        # A candidate that is wrong at the working precision only stays that.
        verdict = Verdict.DISPUTED if row.verdict in _ALIKE else row.verdict
        return dataclasses.replace(row, verdict=verdict, hints=(*told, *row.hints))
    if ruling is Ruling.SUBGRADIENT and row.verdict in _DIFFERENT:
        return dataclasses.replace(row, verdict=Verdict.SUBGRADIENT, hints=told)
    if ruling is Ruling.INCONCLUSIVE and row.verdict in _DIFFERENT:
        return dataclasses.replace(row, verdict=Verdict.INCONCLUSIVE, hints=told)
    if ruling is Ruling.OUTSIDE and row.verdict is Verdict.INCONCLUSIVE:
        worst = None if row.worst is None else dataclasses.replace(row.worst, allowed=allowed)
        return dataclasses.replace(row, verdict=Verdict.WRONG, hints=told, worst=worst)
    return row
