"""A candidate without a reference: its own forward, differentiated numerically, says what its gradients should be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.candidate.cotangent import Cotangent, draw_cotangents
from gradverify.candidate.pair import Pair
from gradverify.candidate.run import backward_of, run
from gradverify.candidate.widening import Conditions
from gradverify.case import Case
from gradverify.comparison import distance
from gradverify.errors import CaseRaised, UsageError
from gradverify.evaluation import Inputs
from gradverify.judge import LEAST_UNITS, PRECISIONS
from gradverify.oracles.finite_difference import FiniteDifference
from gradverify.oracles.problem import Problem
from gradverify.report import Row, Worst
from gradverify.scope import dtype_name
from gradverify.trace import Trace
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


class _Forward(Case):
    """The forward of a candidate, as oracles take it."""

    def __init__(self, pair: Pair) -> None:
        """Run the candidate of a pair in float64."""
        self.pair = pair

    @override
    def inputs(self, generator: torch.Generator) -> Mapping[str, Tensor | None]:
        return {**self.pair.arguments.tensors}

    @override
    def forward(self, t: Trace) -> tuple[Tensor, ...]:
        given = self.pair.arguments.mapped(lambda name, _: t[name])
        called = run(self.pair.precise_candidate, given, self.pair.outputs, Conditions.WIDENED)
        for name, output in called.differentiable.items():
            t[name] = output
        return tuple(called.differentiable.values())

    @override
    def backward(self, t: object, d: object) -> NoReturn:
        raise UsageError("a candidate brings its own backward")


def judge_standalone(pair: Pair) -> list[Row]:
    """A row for each gradient of a candidate that has no reference.

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
    given: dict[str, Tensor | None] = {**pair.arguments.tensors}
    differentiated = frozenset(pair.arguments.differentiated)
    inputs = Inputs(_Forward(pair), given, differentiated, pair.cotangent_seed, pair.device)
    cotangents = draw_cotangents(Cotangent.NORMAL, called.differentiable, pair.cotangent_seed)
    problem = Problem(inputs.case, inputs, cotangents)
    where = backward_of(called)
    gradients = called.gradients(cotangents)
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
        rows.append(_judged(row, torch.zeros_like(called.leaves[name]) if gradient is None else gradient, problem))
    return rows


def _judged(row: Row, gradient: Tensor, problem: Problem) -> Row:
    scale = distance(gradient, gradient).scale
    allowed = LEAST_UNITS * PRECISIONS["float64"].unit * scale
    witness = FiniteDifference().check(problem, row.name, gradient, allowed=allowed)
    verdict = _VERDICTS[witness.stance]
    if verdict is Verdict.OK and scale == 0.0:
        verdict = Verdict.VACUOUS
    hints = () if verdict is Verdict.OK and witness.stance is Stance.AGREES else (str(witness),)
    return dataclasses.replace(
        row,
        verdict=verdict,
        hints=hints,
        resolution=witness.error / scale if scale and math.isfinite(witness.error) else None,
        worst=_worst(witness),
    )


def _worst(witness: Witness) -> Worst | None:
    if witness.stance is not Stance.DISAGREES or witness.index is None:
        return None
    return Worst(witness.index, witness.claimed, witness.measured, allowed=witness.error)
