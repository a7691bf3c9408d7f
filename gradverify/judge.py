"""Numbers in, verdict out: the only place that judges. See "How it judges" in the README for the reasons.

Every comparison has the form `not (x <= limit)`, so that nan never passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradverify.verdict import Verdict

# A difference of a few roundings is no error: the least number of units of noise that is allowed.
LEAST_UNITS = 64.0
# An error that is this much smaller in float64 than in float32 vanishes with precision: it is rounding.
VANISHED = 2.0**-15
# float32 errors beyond this say nothing about precision.
LARGEST_ERROR = 2.0**-7
# Where the candidate is this many times less accurate than autograd at the working precision.
IMPRECISE_ACCURACY = 4.0
WORST_ACCURACY = 64.0
# Relative errors between these are those of a constant rounded to float32, or of an approximation.
APPROXIMATE = (2.0**-26, 2.0**-20)


@dataclass(frozen=True)
class Precision:
    """What of a floating format the judgement needs.

    Attributes:
        unit: the unit roundoff, 2^-53 for float64.
        unsettled: the relative size beyond which a move is no longer rounding but a kink, a tie or an
            ill-conditioned value. Between the roundoff and one; 2^-20 was measured for float64.
    """

    unit: float
    unsettled: float


PRECISIONS = {
    "float64": Precision(2.0**-53, 2.0**-20),
    "float32": Precision(2.0**-24, 2.0**-10),
    "float16": Precision(2.0**-11, 2.0**-4),
    "bfloat16": Precision(2.0**-8, 2.0**-3),
}


@dataclass(frozen=True)
class Derivation:
    """The first evidence, from the pass that judges the derivation.

    Attributes:
        error: the largest difference of candidate and reference.
        scale: the largest magnitude of the reference.
        noise: the largest move of the reference over the backward draws.
        numel: of the gradient; largest: of any recorded tensor.
        identical: whether candidate and reference are equal, bit for bit, at the working precision.
        precision: of the pass that judges.
    """

    error: float
    scale: float
    noise: float
    numel: int
    largest: int
    identical: bool
    precision: Precision = PRECISIONS["float64"]

    def allowed(self, noise: float) -> float:
        """The largest difference that this much noise explains, T(noise)."""
        sums = max(self.units, self.largest / max(1, self.numel))
        return self.units * noise + self.precision.unit * sums * self.scale

    @property
    def units(self) -> float:
        """How many units of noise are allowed: a sum of L terms in plain order makes sqrt(L) of them."""
        return max(LEAST_UNITS, 2.0 * math.sqrt(self.largest))

    @property
    def allowed_first(self) -> float:
        """What the backward draws alone explain; a kink met there explains no more than rounding can."""
        return self.allowed(min(self.noise, self.unsettled_beyond))

    @property
    def unsettled_beyond(self) -> float:
        """The move of an element that makes it unsettled."""
        return self.precision.unsettled * self.scale


@dataclass(frozen=True)
class Doubt:
    """The further evidence, gathered only after an alarm.

    Attributes:
        noise: the largest move over all draws, forward ones included.
        settled_noise: the same over the settled elements; settled_error: the largest difference there.
        unsettled: how many elements move by more than `Derivation.unsettled_beyond`.
        float32_error: the largest difference of candidate and reference in float32; inf where the
            candidate is not finite there, None where it cannot run in float32.
        fits_float32: every element of the candidate fits in float32, while the reference's do not.
    """

    noise: float
    settled_noise: float
    settled_error: float
    unsettled: int
    float32_error: float | None
    fits_float32: bool


@dataclass(frozen=True)
class Accuracy:
    """The evidence for the second question, whether the working precision is used well.

    Attributes:
        candidate_error: |m_w - a|, nan where the candidate is not finite but autograd is.
        autograd_error: |a_w - a|.
        scale: |a|.
        explained: the error that rounding at the working precision explains, by the noise of the gradient and
            the length of its sums.
        unit: the unit roundoff of the working precision.
    """

    candidate_error: float
    autograd_error: float
    scale: float
    explained: float
    unit: float

    @property
    def ratio(self) -> float | None:
        """Error over that of autograd, 1 is as accurate; None where the gradient is zero."""
        if self.scale == 0.0 or not math.isfinite(self.autograd_error):
            return None
        return self.candidate_error / self._yardstick

    @property
    def allowed(self) -> float:
        """The largest error that does not fail."""
        return max(WORST_ACCURACY * self._yardstick, self.explained)

    @property
    def _yardstick(self) -> float:
        return max(self.autograd_error, self.unit * self.scale)


@dataclass(frozen=True)
class Judgement:
    """A verdict, the largest difference that was allowed, and what else the user should know."""

    verdict: Verdict
    allowed: float
    hints: tuple[str, ...] = ()


def judge_derivation(seen: Derivation) -> Judgement | None:
    """The verdict from the first evidence, or None where it raises an alarm and more is needed."""
    allowed = seen.allowed_first
    if not (seen.error <= allowed):
        return None
    if seen.scale == 0.0:
        return Judgement(Verdict.VACUOUS, allowed)
    return Judgement(Verdict.EXACT if seen.identical else Verdict.OK, allowed)


def judge_doubt(seen: Derivation, doubt: Doubt, accuracy: Accuracy | None) -> Judgement:
    """The verdict after an alarm."""
    allowed = seen.allowed(doubt.noise)
    if seen.error <= allowed:
        if not doubt.unsettled:
            return Judgement(Verdict.OK, allowed)
        if doubt.settled_error <= seen.allowed(doubt.settled_noise):
            return Judgement(Verdict.INCONCLUSIVE, allowed, (_unsettled(seen, doubt),))
    allowed = seen.allowed_first
    if doubt.float32_error is not None and seen.error <= VANISHED * min(
        doubt.float32_error, LARGEST_ERROR * seen.scale
    ):
        sizes = f"{seen.error:.2g} in float64, {doubt.float32_error:.2g} in float32"
        hint = f"the difference vanishes with precision: {sizes}"
        return Judgement(Verdict.IMPRECISE, allowed, (hint,))
    ratio = accuracy.ratio if accuracy else None
    if doubt.fits_float32 and seen.error <= VANISHED * seen.scale and (ratio is None or ratio <= WORST_ACCURACY):
        hint = "every element fits in float32 although the pass is float64: the gradient is computed in float32 inside"
        return Judgement(Verdict.IMPRECISE, allowed, (hint,))
    return Judgement(Verdict.WRONG, allowed, _approximation(seen))


def judge_zero(seen: Derivation) -> Judgement:
    """The verdict on a gradient that `expected_zero` says is zero in exact arithmetic."""
    allowed = LEAST_UNITS * seen.noise
    if not (seen.scale <= allowed):
        hint = f"`expected_zero` lists it, but the reference is as large as {seen.scale:.2g}: it is not zero"
        return Judgement(Verdict.WRONG, allowed, (hint,))
    if not (seen.error <= allowed):
        hint = "`expected_zero` lists it, and the reference is zero to rounding; the candidate is not"
        return Judgement(Verdict.WRONG, allowed, (hint,))
    return Judgement(Verdict.EXACT if seen.identical else Verdict.OK, allowed)


def judge_accuracy(judgement: Judgement, accuracy: Accuracy, dtype: str) -> Judgement:
    """Lower a passing verdict where the working precision is used badly."""
    if judgement.verdict.fails:
        return judgement
    if math.isnan(accuracy.candidate_error):
        return Judgement(Verdict.NONFINITE, judgement.allowed, (f"only in {dtype}; in float64 it is right",))
    ratio = accuracy.ratio
    if ratio is None or ratio <= IMPRECISE_ACCURACY:
        return judgement
    hint = f"in {dtype} its error is {ratio:.3g} times that of autograd"
    # A ratio of two errors can be large by luck, where autograd's happens to be small on few elements, or
    # because autograd sums pairwise and the candidate in plain order (measured: 200 for a dot product of 10^6
    # float32 numbers). An error that rounding explains by itself is visible, and no reason to fail.
    if ratio > WORST_ACCURACY and not (accuracy.candidate_error <= accuracy.explained):
        hint += ": right in float64, it loses its digits here (cancellation, overflow, a sum in low precision)"
        return Judgement(Verdict.WRONG, judgement.allowed, (*judgement.hints, hint))
    return Judgement(Verdict.IMPRECISE, judgement.allowed, (*judgement.hints, hint))


def _unsettled(seen: Derivation, doubt: Doubt) -> str:
    return (
        f"{doubt.unsettled} of {seen.numel} elements are unsettled: a change of one ulp in the forward values moves "
        "the reference there as much as the candidate differs"
    )


def _approximation(seen: Derivation) -> tuple[str, ...]:
    low, high = APPROXIMATE
    if seen.scale > 0.0 and low <= seen.error / seen.scale <= high:
        digits = int(-math.log10(seen.error / seen.scale))
        return (
            f"agrees to {digits} digits: look for a constant or buffer rounded to float32, or an approximation in one "
            "of the two (a truncated constant, an epsilon, a threshold); a witness tells in which (--oracle "
            "finite_difference)",
        )
    return ()
