"""Numbers in, verdict out: each rule of the judgement, and a near miss of it."""

import dataclasses
import math

import pytest

from gradverify.judge import (
    PRECISIONS,
    Accuracy,
    Derivation,
    Doubt,
    Judgement,
    judge_accuracy,
    judge_derivation,
    judge_doubt,
    judge_zero,
)
from gradverify.verdict import Verdict

UNIT = 2.0**-53
SEEN = Derivation(error=0.0, scale=1.0, noise=UNIT, numel=100, largest=100, identical=False)
CALM = Doubt(noise=UNIT, settled_noise=UNIT, settled_error=0.0, unsettled=0, float32_error=None, fits_float32=False)


def seen(**changes):
    return dataclasses.replace(SEEN, **changes)


def doubt(**changes):
    return dataclasses.replace(CALM, **changes)


def test_the_allowed_difference_is_the_formula():
    """T(N) = K N + 2^-53 max(K, L / numel) |a|, with K = max(64, 2 sqrt(L))."""
    assert seen(largest=100).allowed(3.0) == 64 * 3.0 + UNIT * 64
    assert seen(largest=10**6).allowed(1.0) == 2000 + UNIT * 10**4
    assert seen(largest=10**6, numel=1, scale=5.0).allowed(0.0) == UNIT * 10**6 * 5.0


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (seen(identical=True), Verdict.EXACT),
        (seen(), Verdict.OK),
        (seen(error=127 * UNIT), Verdict.OK),
        (seen(error=129 * UNIT), None),
        (seen(error=math.nan), None),
        (seen(error=math.inf), None),
        (seen(scale=0.0, noise=0.0), Verdict.VACUOUS),
        (seen(scale=0.0, noise=0.0, error=1e-300), None),
        # A kink under a backward draw moves the gradient by its own size; that explains no more than 2^-20.
        (seen(noise=1.0, error=65 * 2.0**-20), None),
        (seen(noise=1.0, error=63 * 2.0**-20), Verdict.OK),
        # Noise that is nan explains no more either.
        (seen(noise=math.nan, error=1.0), None),
    ],
)
def test_the_first_look(evidence, verdict):
    """ok within the noise, vacuous where the reference is zero, and an alarm otherwise."""
    judgement = judge_derivation(evidence)
    assert (judgement and judgement.verdict) == verdict


@pytest.mark.parametrize(
    ("evidence", "further", "verdict"),
    [
        # The forward draws explain it, and no element is at a kink.
        (seen(error=1e-10), doubt(noise=1e-11), Verdict.OK),
        (seen(error=1e-10), doubt(noise=1e-13), Verdict.WRONG),
        # Some elements are at a kink and the difference lies only there.
        (seen(error=0.5), doubt(noise=1.0, unsettled=2), Verdict.INCONCLUSIVE),
        # There are kinks, but settled elements differ too.
        (seen(error=0.5), doubt(noise=1.0, unsettled=2, settled_error=1e-3), Verdict.WRONG),
        # There are kinks, and the difference is larger than they explain.
        (seen(error=200.0), doubt(noise=1.0, unsettled=2), Verdict.WRONG),
        # The difference is far smaller in float64 than in float32.
        (seen(error=1e-9), doubt(float32_error=1e-3), Verdict.IMPRECISE),
        (seen(error=1e-9), doubt(float32_error=1e-9), Verdict.WRONG),
        (seen(error=1e-9), doubt(float32_error=math.inf), Verdict.IMPRECISE),
        (seen(error=1e-3), doubt(float32_error=math.inf), Verdict.WRONG),
        # It computes in float32 inside.
        (seen(error=1e-8), doubt(fits_float32=True), Verdict.IMPRECISE),
        (seen(error=1e-3), doubt(fits_float32=True), Verdict.WRONG),
        # nan and infinite evidence never passes.
        (seen(error=math.inf), doubt(), Verdict.WRONG),
        (seen(error=math.nan), doubt(noise=math.nan), Verdict.WRONG),
    ],
)
def test_the_second_look(evidence, further, verdict):
    """Every rule that can answer an alarm, and what it does not answer."""
    assert judge_doubt(evidence, further, None).verdict == verdict


def test_float32_inside_does_not_excuse_an_inaccurate_gradient():
    """The rule asks for an accuracy that is still good enough at the working precision."""
    bad = Accuracy(candidate_error=1e-3, autograd_error=1e-7, scale=1.0, explained=0.0, unit=2.0**-24)
    assert judge_doubt(seen(error=1e-8), doubt(fits_float32=True), bad).verdict == Verdict.WRONG


def test_an_approximation_is_hinted_at():
    """Between 2^-26 and 2^-20 of the scale a rounded constant or an epsilon is likely; outside it is not said."""
    assert "7 digits" in judge_doubt(seen(error=1e-7), doubt(), None).hints[0]
    assert judge_doubt(seen(error=1e-3), doubt(), None).hints == ()
    assert judge_doubt(seen(error=1e-12), doubt(), None).hints == ()


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (seen(scale=1e-17, error=1e-17, noise=1e-18), Verdict.OK),
        (seen(scale=0.0, noise=0.0, identical=True), Verdict.EXACT),
        (seen(scale=1e-17, error=1e-3, noise=1e-18), Verdict.WRONG),
        (seen(scale=1.0, error=0.0, noise=1e-18), Verdict.WRONG),
        (seen(scale=1e-17, error=1e-17, noise=math.nan), Verdict.WRONG),
    ],
)
def test_an_expected_zero(evidence, verdict):
    """Both must be zero to rounding: the reference, or the setting is wrong, and the candidate."""
    assert judge_zero(evidence).verdict == verdict


PASSED = Judgement(Verdict.OK, 1e-13)


def accuracy(**changes):
    base = Accuracy(candidate_error=1e-7, autograd_error=1e-7, scale=1.0, explained=0.0, unit=2.0**-24)
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (accuracy(), Verdict.OK),
        (accuracy(candidate_error=3.9e-7), Verdict.OK),
        (accuracy(candidate_error=4.1e-7), Verdict.IMPRECISE),
        (accuracy(candidate_error=63e-7), Verdict.IMPRECISE),
        (accuracy(candidate_error=65e-7), Verdict.WRONG),
        (accuracy(candidate_error=65e-7, explained=66e-7), Verdict.IMPRECISE),
        (accuracy(candidate_error=math.inf), Verdict.WRONG),
        (accuracy(candidate_error=math.nan), Verdict.NONFINITE),
        (accuracy(scale=0.0), Verdict.OK),
        # Where autograd itself is not finite there is nothing to compare with.
        (accuracy(autograd_error=math.inf), Verdict.OK),
    ],
)
def test_the_working_precision(evidence, verdict):
    """4 times autograd's error is visible, 64 times fails unless rounding alone explains it."""
    assert judge_accuracy(PASSED, evidence, "float32").verdict == verdict


def test_accuracy_does_not_mend_a_failure():
    """A wrong derivation stays wrong however accurate it is."""
    wrong = Judgement(Verdict.WRONG, 1e-13)
    assert judge_accuracy(wrong, accuracy(), "float32") is wrong


def test_luck_has_a_floor():
    """Autograd's error counts for at least half an ulp of the scale, so that an exact autograd is no yardstick."""
    assert accuracy(autograd_error=0.0, candidate_error=2.0**-24).ratio == 1.0


def test_every_precision_has_its_unit_roundoff():
    """The unit roundoff is half the distance from 1 to the next number."""
    import torch

    for name, precision in PRECISIONS.items():
        assert precision.unit == torch.finfo(getattr(torch, name)).eps / 2
