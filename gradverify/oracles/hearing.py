"""Every oracle on every gradient of a case: who agrees with the candidate, who with the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradverify.case import Case
from gradverify.errors import GradverifyError, UsageError, did_you_mean
from gradverify.inputs import Inputs
from gradverify.noise import spread
from gradverify.oracles.autograd import Autograd
from gradverify.oracles.complex_step import ComplexStep
from gradverify.oracles.directional import Directional
from gradverify.oracles.estimate import Estimate, Oracle, absent, compare_with, reason_of
from gradverify.oracles.exact import ExactFunctions
from gradverify.oracles.finite_difference import FiniteDifference
from gradverify.oracles.forward_mode import ForwardMode
from gradverify.oracles.hidden import HidingPlaces
from gradverify.oracles.problem import Problem
from gradverify.oracles.scalar import Scalar
from gradverify.oracles.testimony import Hearing
from gradverify.settings import AUTOGRAD, Settings
from gradverify.witness import Stance, Witness

# As the judgement has it: units of noise that are allowed, and the relative move that is no longer rounding.
_UNITS = 64.0
_UNSETTLED = 2.0**-20
# A contradiction that is so much larger than what rounding can do needs no second look.
_FAR = 1000.0

ORACLES: Mapping[str, type[Oracle]] = {
    oracle.name: oracle for oracle in (Autograd, FiniteDifference, ForwardMode, ComplexStep, Scalar)
}


@dataclass(frozen=True)
class Claim:
    """A gradient to be heard on.

    Attributes:
        candidate: the hand-derived gradient; reference: that of the first oracle; both float64 and of one shape.
        allowed: the largest difference of the two that rounding explains.
        zero: whether the gradient is known to be zero in exact arithmetic.
        unsettled: whether one ulp of the forward's values moves the reference by as much as they differ.
    """

    candidate: Tensor
    reference: Tensor
    allowed: float
    zero: bool = False
    unsettled: bool = False

    @property
    def differs(self) -> bool:
        """Whether candidate and reference differ by more than that, where the reference is finite."""
        difference = (self.candidate - self.reference).abs().nan_to_num(nan=torch.inf)
        return not float(difference.where(self.reference.isfinite(), 0).max()) <= self.allowed

    @property
    def lost(self) -> int:
        """How many elements of the candidate are not finite where the reference is."""
        return int((~self.candidate.isfinite() & self.reference.isfinite()).sum())

    @property
    def off(self) -> Tensor:
        """Where they do."""
        return ~((self.candidate - self.reference).abs() <= self.allowed) & self.reference.isfinite()


def find_oracle(name: str | Oracle) -> Oracle:
    """The oracle of that name, with its default options; one that is made already is itself.

    Raises:
        UsageError: if there is none.
    """
    if not isinstance(name, str):
        return name
    if name not in ORACLES:
        raise UsageError(f"there is no oracle {name!r}; {did_you_mean(name, ORACLES)}")
    return ORACLES[name]()


def witnesses_of(settings: Settings, reference: str = AUTOGRAD) -> tuple[Oracle, ...]:
    """The oracles that the settings name, but for the one that gives the reference, and autograd."""
    found = (find_oracle(one) for one in settings.oracles or ())
    return tuple(one for one in found if one.name not in (AUTOGRAD, reference))


def hear(
    case: Case,
    inputs: Inputs,
    cotangents: Mapping[str, Tensor],
    claims: Mapping[str, Claim],
    oracles: Sequence[Oracle],
) -> dict[str, tuple[Hearing, ...]]:
    """What each oracle says of each gradient.

    Args:
        case: what ran.
        inputs: on what.
        cotangents: of that run.
        claims: the gradients, by name.
        oracles: the witnesses; the one that gave the reference is not among them.
    """
    try:
        court = Court(case, inputs, cotangents)
    except GradverifyError as error:
        return {name: tuple(Hearing(absent(oracle.name, reason_of(error))) for oracle in oracles) for name in claims}
    return {name: tuple(court.hear(oracle, name, claim) for oracle in oracles) for name, claim in claims.items()}


class Court:
    """Where oracles are heard on the gradients of one run of a case."""

    def __init__(self, case: Case, inputs: Inputs, cotangents: Mapping[str, Tensor]) -> None:
        """Run the forward once, in float64.

        Raises:
            GradverifyError: for whatever it does wrong there.
        """
        self._problem = Problem(case, inputs, cotangents)
        self._exact: Problem | None = None
        self._notes: tuple[str, ...] | None = None
        self._hidden: str | None = None
        self._moved: dict[str, float] = {}

    def refer(self, oracle: Oracle, names: Iterable[str]) -> dict[str, Estimate]:
        """The gradients that an oracle can be the reference for: known at every element, and not at a kink.

        None where the forward keeps from autograd what the oracle sees.
        """
        found = {} if self._hiding_places() else oracle.gradients(self._problem, names)
        return {name: estimate for name, estimate in found.items() if _is_whole(estimate)}

    def hear(self, oracle: Oracle, name: str, claim: Claim) -> Hearing:
        """What an oracle says of one gradient, and of the reference where the two differ."""
        witness = self._check(oracle, self._problem, name, claim.candidate, claim)
        if claim.zero and witness.stance is Stance.INCONCLUSIVE:
            witness = replace(witness, stance=Stance.AGREES, reason="zero, within its error bar")
        if not claim.differs:
            return Hearing(self._unless_hidden(witness))
        if witness.stance is Stance.AGREES and claim.lost:
            reason = f"of {claim.lost} elements that are not finite it says nothing"
            return Hearing(replace(witness, stance=Stance.INCONCLUSIVE, reason=reason))
        if witness.stance is Stance.DISAGREES:
            return self._hear_exactly(oracle, name, claim) or self._hear_outside(oracle, name, claim, witness)
        if witness.stance in (Stance.KINK, Stance.SUBGRADIENT):
            return Hearing(self._look_at_kinks(oracle, name, claim, witness))
        if witness.stance is not Stance.AGREES:
            return Hearing(witness)
        against = self._check(oracle, self._problem, name, claim.reference, claim)
        return Hearing(witness, self._unless_hidden(against))

    def _check(self, oracle: Oracle, problem: Problem, name: str, gradient: Tensor, claim: Claim) -> Witness:
        """Hold a gradient against an oracle; a contradiction is looked at again, with all that rounding can do."""
        witness = oracle.check(problem, name, gradient, allowed=claim.allowed)
        if witness.stance is not Stance.DISAGREES:
            return witness
        rounding = self._rounding(name, claim.reference)
        far = witness.index is not None and abs(witness.claimed - witness.measured) > _FAR * rounding
        if far or not rounding > claim.allowed:
            return witness
        return oracle.check(problem, name, gradient, allowed=rounding)

    def _hear_outside(self, oracle: Oracle, name: str, claim: Claim, witness: Witness) -> Hearing:
        """Where rounding cannot tell the two apart, one who measures slopes can, and not one who knows a convention."""
        if not (claim.unsettled and isinstance(oracle, FiniteDifference)):
            return Hearing(witness)
        return Hearing(witness, self._check(oracle, self._problem, name, claim.reference, claim))

    def _look_at_kinks(self, oracle: Oracle, name: str, claim: Claim, witness: Witness) -> Witness:
        """Look at the elements that differ, which all have to lie at kinks for these to be an explanation."""
        if not isinstance(oracle, Directional):
            return witness
        estimate = oracle.measure_at(self._problem, name, claim.off, claim.allowed)
        if estimate is None:
            return witness
        if claim.candidate.numel() > oracle.elements:
            witness = compare_with(estimate, oracle.name, claim.candidate, claim.allowed)
        smooth = claim.off if estimate.jump is None else claim.off & (estimate.jump == 0)
        if witness.stance is not Stance.SUBGRADIENT or not smooth.any():
            return witness
        reason = "it fits the kinks, but differs from the reference elsewhere too, by less than can be measured"
        return replace(witness, stance=Stance.INCONCLUSIVE, reason=reason)

    def _rounding(self, name: str, reference: Tensor) -> float:
        """How far rounding moves a gradient, over draws of noise on the forward too, away from kinks."""
        if name not in self._moved:
            problem = self._problem
            moved = spread(problem.case, problem.inputs, torch.float64, problem.cotangents, {name: reference})[name]
            scale = reference.where(reference.isfinite(), 0).abs().max()
            settled = moved.where(moved <= _UNSETTLED * scale, 0)
            self._moved[name] = _UNITS * float(settled.max())
        return self._moved[name]

    def _unless_hidden(self, witness: Witness) -> Witness:
        """A witness against autograd does not count where the forward keeps from autograd what the witness sees."""
        if witness.stance is not Stance.DISAGREES or not self._hiding_places():
            return witness
        reason = f"it differentiates through what the forward hides from autograd at {self._hiding_places()}"
        return absent(witness.oracle, reason, witness.evaluations)

    def _hear_exactly(self, oracle: Oracle, name: str, claim: Claim) -> Hearing | None:
        """A second look, without torch's approximations, where there are any: does the candidate then have a point?"""
        if not self._approximations():
            return None
        if self._exact is None:
            self._exact = self._problem.exactly()
        witness = self._check(oracle, self._exact, name, claim.candidate, claim)
        if witness.stance is not Stance.AGREES:
            return None
        against = self._check(oracle, self._exact, name, claim.reference, claim)
        return Hearing(witness, against, note="; ".join(self._approximations()))

    def _approximations(self) -> tuple[str, ...]:
        if self._notes is None:
            with ExactFunctions() as mode:
                self._problem.run()
            self._notes = tuple(sorted(mode.notes))
        return self._notes

    def _hiding_places(self) -> str:
        if self._hidden is None:
            with HidingPlaces() as mode:
                self._problem.run()
            self._hidden = ", ".join(map(str, mode.found))
        return self._hidden


def _is_whole(estimate: Estimate) -> bool:
    if estimate.gradient is None or estimate.jump is not None:
        return False
    error = torch.as_tensor(estimate.error)
    return bool(estimate.gradient.isfinite().all()) and bool(error.isfinite().all())
