"""The protocol that oracles keep, and how a candidate is held against what one of them says."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gradverify.errors import CaseRaised, GradverifyError
from gradverify.oracles.problem import Problem
from gradverify.witness import Stance, Witness

# A bar wider than a tenth of the gradient does not know its first digit.
_WIDEST = 0.1
# A kink counts as being at the value itself when no more than half of the value's digits lie between them.
_NEAR = 2.0**-26


@dataclass(frozen=True)
class Estimate:
    """What an oracle says a gradient is.

    Attributes:
        gradient: of the shape of its tensor; None where the oracle does not apply. At a kink, the mean of both sides.
        error: the error bar of each element, or one for all; infinite where the oracle cannot tell.
        jump: how far the derivatives on both sides of each element are apart; None where there is no kink.
        joint: whether several elements sit on one kink, so that what one of them may be hangs on the others.
        reach: within what distance the kinks lie, relative to the values.
        evaluations: how many times the forward ran for it.
        reason: why it does not apply, or cannot tell.
    """

    gradient: Tensor | None
    error: Tensor | float = 0.0
    jump: Tensor | None = None
    joint: bool = False
    reach: float = 0.0
    evaluations: int = 0
    reason: str = ""


class Oracle(Protocol):
    """Says what gradients should be."""

    @property
    def name(self) -> str:
        """The name that it is chosen by."""

    def gradients(self, problem: Problem, names: Iterable[str]) -> dict[str, Estimate]:
        """The gradient of L by each of the named tensors, with its error bar."""

    def check(self, problem: Problem, name: str, candidate: Tensor, *, allowed: float | None = None) -> Witness:
        """Hold a candidate against this oracle, at the least cost.

        Args:
            problem: what is differentiated.
            name: of the tensor whose gradient the candidate is.
            candidate: float64, of the shape of that tensor.
            allowed: how far each of its elements may be off through rounding alone; measured where it is not given.
        """


def allowed_or_measured(problem: Problem, name: str, allowed: float | None) -> float:
    """What rounding may do to a gradient: as it was given, or measured."""
    return problem.allowed_for(name) if allowed is None else allowed


def absent(oracle: str, reason: str, evaluations: int = 0) -> Witness:
    """An oracle that does not apply."""
    return Witness(oracle, Stance.ABSENT, evaluations=evaluations, reason=reason)


def reason_of(error: GradverifyError) -> str:
    """Why an oracle does not apply, in one line: what went wrong, and where."""
    text = error.message
    if isinstance(error, CaseRaised) and error.__cause__ is not None:
        text = f"the forward raised {type(error.__cause__).__name__}: {str(error.__cause__) or 'without a message'}"
    text = text.splitlines()[0].rstrip(".")
    return f"{text} ({error.location})" if error.location else text


def compare_with(estimate: Estimate, oracle: str, candidate: Tensor, allowed: float) -> Witness:
    """Hold a candidate against an estimate, element by element.

    An element agrees where it differs by no more than the error bar and what is allowed; at a kink it may lie
    anywhere between the derivatives of both sides.
    """
    if estimate.gradient is None:
        return absent(oracle, estimate.reason, estimate.evaluations)
    reference = estimate.gradient
    error = torch.as_tensor(estimate.error, dtype=reference.dtype, device=reference.device).expand_as(reference)
    jump = torch.zeros_like(reference) if estimate.jump is None else estimate.jump
    known = error.isfinite() & reference.isfinite()
    excess = (candidate - reference).abs() - jump / 2 - error - allowed
    # A candidate that is not finite where the oracle is exceeds everything.
    excess = excess.nan_to_num(nan=math.inf).where(known, -math.inf)
    width = error.where(known, 0)
    numbers = [known.sum(), reference.where(known, 0).abs().max(), width.max(), jump.max(), excess.max()]
    count, scale, widest, largest_jump, worst = torch.stack([one.double() for one in numbers]).tolist()
    say = _Speaker(oracle, estimate, candidate, width)
    if not count:
        return absent(oracle, estimate.reason or "nothing around these values is finite", estimate.evaluations)
    if worst > 0:
        at = int(excess.argmax())
        return say.at(Stance.DISAGREES, at, say.sides(at, "outside") if largest_jump > 0 else "")
    if largest_jump > 0:
        at = int(jump.argmax())
        if estimate.joint:
            return say.at(Stance.KINK, at, "several elements sit on one kink, and their gradients hang together")
        if estimate.reach > _NEAR:
            reason = f"a kink lies within {estimate.reach:.0e} of the value, relative to it; on which side is not seen"
            return say.at(Stance.KINK, at, reason)
        return say.at(Stance.SUBGRADIENT, at, say.sides(at, "between"))
    stance, reason = Stance.AGREES, ""
    if widest > _WIDEST * scale > 0:
        stance, reason = Stance.INCONCLUSIVE, f"its error bar is {widest / scale:.1g} of the gradient"
    elif count < reference.numel():
        reason = f"on {count:.0f} of {reference.numel()} elements"
    return Witness(oracle, stance, widest, estimate.evaluations, reason)


@dataclass(frozen=True)
class _Speaker:
    """Puts what is said of one element into words."""

    oracle: str
    estimate: Estimate
    candidate: Tensor
    width: Tensor

    def at(self, stance: Stance, flat: int, reason: str = "") -> Witness:
        reference = self.estimate.gradient
        assert reference is not None  # the caller has seen to that
        return Witness(
            self.oracle,
            stance,
            error=float(self.width.flatten()[flat]),
            evaluations=self.estimate.evaluations,
            reason=reason,
            index=index_of(reference, flat),
            claimed=float(self.candidate.flatten()[flat]),
            measured=float(reference.flatten()[flat]),
        )

    def sides(self, flat: int, where: str) -> str:
        """How the element lies to the slopes of both sides; nothing where it is not at a kink."""
        assert self.estimate.gradient is not None
        assert self.estimate.jump is not None
        middle = float(self.estimate.gradient.flatten()[flat])
        half = float(self.estimate.jump.flatten()[flat]) / 2
        return f"{where} the slopes of both sides, {middle - half:.6g} and {middle + half:.6g}" if half else ""


def index_of(tensor: Tensor, flat: int) -> tuple[int, ...]:
    """The index of an element that is given by its number in row-major order."""
    index: list[int] = []
    for size in reversed(tensor.shape):
        index.insert(0, flat % size)
        flat //= size
    return tuple(index)
