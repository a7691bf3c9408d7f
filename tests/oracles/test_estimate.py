"""A candidate against an estimate, element by element: the bar, what rounding allows, and both sides of a kink."""

from __future__ import annotations

import math

import pytest
import torch

from gradverify.oracles.estimate import Estimate, compare_with, index_of
from gradverify.witness import Stance


def tensor(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


GRADIENT = tensor(1.0, -2.0, 0.5)
BAR = tensor(1e-9, 1e-8, 1e-7)
# At the second element the slopes of both sides are -3 and -1.
KINKED = Estimate(GRADIENT, BAR, tensor(0.0, 2.0, 0.0), reach=1e-12)


def stance(estimate, candidate, allowed=0.0):
    return compare_with(estimate, "it", candidate, allowed).stance


@pytest.mark.parametrize(
    ("off", "allowed", "expected"),
    [
        ((0.0, 0.0, 0.0), 0.0, Stance.AGREES),
        ((0.9e-9, -0.9e-8, 0.9e-7), 0.0, Stance.AGREES),
        ((1.1e-9, 0.0, 0.0), 0.0, Stance.DISAGREES),
        ((1.1e-9, 0.0, 0.0), 1e-9, Stance.AGREES),
        ((0.0, 0.0, math.nan), 0.0, Stance.DISAGREES),
        ((0.0, math.inf, 0.0), 0.0, Stance.DISAGREES),
    ],
)
def test_within_the_bar_or_not(off, allowed, expected):
    """Each element has its own bar, and what rounding allows besides; nothing that is not finite agrees."""
    assert stance(Estimate(GRADIENT, BAR), GRADIENT + tensor(*off), allowed) is expected


def test_the_element_is_named():
    """That which exceeds its bar by most, with both values."""
    witness = compare_with(Estimate(GRADIENT, BAR), "it", tensor(1.1, -2.0, 0.0), 0.0)
    assert (witness.index, witness.claimed, witness.measured, witness.error) == ((2,), 0.0, 0.5, 1e-7)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (-1.0, Stance.SUBGRADIENT),
        (-3.0, Stance.SUBGRADIENT),
        (-2.0, Stance.SUBGRADIENT),
        (-3.1, Stance.DISAGREES),
        (-0.9, Stance.DISAGREES),
    ],
)
def test_at_a_kink(second, expected):
    """Anything between the slopes of both sides, and nothing else."""
    witness = compare_with(KINKED, "it", tensor(1.0, second, 0.5), 0.0)
    assert witness.stance is expected
    assert witness.index == (1,)
    assert "the slopes of both sides, -3 and -1" in witness.reason


def test_a_kink_does_not_excuse_the_other_elements():
    """They are held to their bars."""
    witness = compare_with(KINKED, "it", tensor(1.5, -1.0, 0.5), 0.0)
    assert (witness.stance, witness.index) == (Stance.DISAGREES, (0,))
    assert witness.reason == ""


@pytest.mark.parametrize(
    ("estimate", "reason"),
    [
        (Estimate(GRADIENT, BAR, KINKED.jump, joint=True), "several elements sit on one kink"),
        (Estimate(GRADIENT, BAR, KINKED.jump, reach=1e-3), "a kink lies within 1e-03 of the value"),
    ],
)
def test_kinks_that_leave_it_open(estimate, reason):
    """Shared by several elements, or not seen to be exactly here; what is outside both sides is wrong all the same."""
    witness = compare_with(estimate, "it", tensor(1.0, -1.0, 0.5), 0.0)
    assert witness.stance is Stance.KINK
    assert reason in witness.reason
    assert stance(estimate, tensor(1.0, 7.0, 0.5)) is Stance.DISAGREES


def test_a_bar_that_is_too_wide_decides_nothing():
    """A tenth of the gradient and more; what lies outside even so is wrong."""
    wide = Estimate(GRADIENT, 0.5)
    assert stance(wide, GRADIENT) is Stance.INCONCLUSIVE
    assert stance(wide, -GRADIENT) is Stance.DISAGREES
    assert stance(Estimate(torch.zeros(3).double(), 1e-9), torch.zeros(3).double()) is Stance.AGREES


def test_elements_without_a_finite_bar_are_left_out():
    """And counted; without any other, the oracle does not apply."""
    estimate = Estimate(GRADIENT, tensor(math.inf, 1e-8, 1e-7))
    witness = compare_with(estimate, "it", tensor(9.0, -2.0, 0.5), 0.0)
    assert (witness.stance, witness.reason) == (Stance.AGREES, "on 2 of 3 elements")
    assert stance(Estimate(GRADIENT, math.inf), GRADIENT) is Stance.ABSENT


def test_an_oracle_that_does_not_apply():
    """Says why."""
    witness = compare_with(Estimate(None, evaluations=3, reason="it is a view"), "it", GRADIENT, 0.0)
    assert (witness.stance, witness.reason, witness.evaluations) == (Stance.ABSENT, "it is a view", 3)


@pytest.mark.parametrize(("shape", "flat", "index"), [((), 0, ()), ((4,), 3, (3,)), ((2, 3, 4), 17, (1, 1, 1))])
def test_the_index_of_an_element(shape, flat, index):
    """In row-major order."""
    assert index_of(torch.empty(shape), flat) == index
