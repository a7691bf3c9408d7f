"""A candidate without a reference: its own forward, differentiated numerically, says what its gradients should be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gradverify.candidate.cotangent import Cotangent, draw_cotangents
from gradverify.candidate.forward import inputs_of
from gradverify.candidate.pair import Pair
from gradverify.candidate.run import backward_of, run
from gradverify.candidate.widening import Conditions
from gradverify.comparison import distance
from gradverify.errors import CaseRaised, UsageError
from gradverify.judge import LEAST_UNITS, PRECISIONS
from gradverify.oracles.estimate import Oracle
from gradverify.oracles.finite_difference import FiniteDifference
from gradverify.oracles.hearing import witnesses_of
from gradverify.oracles.problem import Problem
from gradverify.oracles.testimony import Hearing, Ruling, weigh_testimony
from gradverify.report import Row, Worst
from gradverify.scope import dtype_name
from gradverify.settings import Settings
from gradverify.verdict import Verdict
from gradverify.witness import Stance, Witness

NOTE = (
    "there is no reference: the gradients in float64 were held against finite differences of the candidate's own "
    "forward; whether that is right, and how accurate the candidate is in {dtype}, was not judged"
)

_VERDICTS = {
    Stance.AGREES: Verdict.OK,
    Stance.SUBGRADIENT: Verdict.OK,
    Stance.DISAGREES: Verdict.WRONG,
    Stance.KINK: Verdict.INCONCLUSIVE,
    Stance.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    Stance.ABSENT: Verdict.INCONCLUSIVE,
}


def judge_standalone(pair: Pair, settings: Settings) -> list[Row]:
    """A row for each gradient of a candidate that has no reference.

    Args:
        pair: the candidate and its arguments.
        settings: name the witnesses that are heard besides.

    Raises:
        UsageError: if the candidate does not run in float64, where numerical derivatives have digits.
    """
    try:
        arguments = pair.arguments.to(torch.float64).fresh()
        called = run(pair.precise_candidate, arguments, pair.outputs, Conditions.WIDENED)
        coarse = [name for name, output in called.differentiable.items() if output.dtype != torch.float64]
        reason = f"given float64, it returns {', '.join(coarse)} in less" if coarse else None
    except CaseRaised as error:
        reason = error.message
    if reason is not None:
        raise UsageError(
            "there is no reference, and numerical derivatives need the candidate in float64, where it does not run: "
            f"{reason}; pass reference=..., the same in plain torch"
        )
    inputs = inputs_of(pair, called)
    cotangents = draw_cotangents(Cotangent.NORMAL, called.differentiable, pair.cotangent_seed)
    problem = Problem(inputs.case, inputs, cotangents)
    where = backward_of(called)
    gradients = called.gradients(cotangents)
    oracles = [FiniteDifference(), *witnesses_of(settings, FiniteDifference.name)]
    rows = []
    for name, leaf in pair.arguments.leaves.items():
        row = Row(
            name=name,
            shape=tuple(leaf.shape),
            dtype=dtype_name(leaf.dtype),
            verdict=Verdict.MISSING,
            passed=False,
            file=where.file if where.line else None,
            line=where.line or None,
        )
        gradient = gradients[name]
        rows.append(
            _judged(row, torch.zeros_like(called.leaves[name]) if gradient is None else gradient, problem, oracles)
        )
    return rows


def _judged(row: Row, gradient: Tensor, problem: Problem, oracles: Sequence[Oracle]) -> Row:
    scale = distance(gradient, gradient).scale
    allowed = LEAST_UNITS * PRECISIONS["float64"].unit * scale
    witness, *others = [oracle.check(problem, row.name, gradient, allowed=allowed) for oracle in oracles]
    verdict = _VERDICTS[witness.stance]
    if verdict is Verdict.OK and scale == 0.0:
        verdict = Verdict.VACUOUS
    hints = () if verdict is Verdict.OK and witness.stance is Stance.AGREES else (str(witness),)
    finding = weigh_testimony([Hearing(one) for one in others], differs=verdict.fails, reference=witness.oracle)
    if finding.ruling is Ruling.REFUTED:
        verdict, hints = Verdict.DISPUTED, (*finding.hints, *hints)
    return dataclasses.replace(
        row,
        verdict=verdict,
        witnesses=(witness, *others) if others else (),
        hints=hints,
        resolution=witness.error / scale if scale and math.isfinite(witness.error) else None,
        worst=_worst(witness),
    )


def _worst(witness: Witness) -> Worst | None:
    if witness.stance is not Stance.DISAGREES or witness.index is None:
        return None
    return Worst(witness.index, witness.claimed, witness.measured, allowed=witness.error)
