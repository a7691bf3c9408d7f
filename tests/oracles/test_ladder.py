"""The ladder of steps: when it stops, what it takes for a kink, and what it does not."""

from __future__ import annotations

import math

import pytest

from gradverify.oracles.difference import CentralDifference, Richardson
from oracles.functions import Known, differentiate

KINKS = {
    "relu": (lambda x: max(x, 0.0), 0.0, 1.0),
    "abs": (abs, -1.0, 1.0),
    "concave": (lambda x: -3 * max(x, 0.0) + x, 1.0, -2.0),
    "curved": (lambda x: x * x + abs(x) * math.exp(x), -1.0, 1.0),
    "small": (lambda x: math.sin(x) + 1e-3 * max(x, 0.0), 1.0, 1.001),
    "leaky": (lambda x: x if x > 0 else 0.01 * x, 0.01, 1.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_is_seen_with_both_slopes(name):
    """As an interval, with an error bar that holds, and the kink within a tiny distance."""
    function, left, right = KINKS[name]
    slope, _ = differentiate(Known(function, lambda _: math.nan, 1e-17), Richardson(), 0.0)
    assert slope.jump > 0
    assert abs(slope.left - left) <= slope.error < 1e-4
    assert abs(slope.right - right) <= slope.error
    assert slope.value == pytest.approx((left + right) / 2, abs=slope.error)
    assert slope.step < 1e-8


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_kink_nearby_is_none(distance, side):
    """The slope is that of the side where the point lies, and the error bar holds."""
    known = Known(lambda x: max(x, 0.0) + math.sin(x), lambda x: (x > 0) + math.cos(x))
    slope, _ = differentiate(known, Richardson(), side * distance)
    assert slope.jump == 0.0
    assert abs(slope.value - known.derivative(side * distance)) <= slope.error < 1e-4


def test_a_central_difference_takes_a_kink_for_a_slope():
    """The planted mistake: without one-sided slopes, the mean of both passes for the derivative."""
    slope, _ = differentiate(Known(lambda x: max(x, 0.0), lambda _: math.nan, 1e-17), CentralDifference(), 0.0)
    assert (slope.value, slope.jump) == (0.5, 0.0)


@pytest.mark.parametrize("sharpness", [1e1, 1e3, 1e5, 1e7])
def test_a_bend_is_no_kink_however_sharp(sharpness):
    """As long as the steps can become smaller than it."""
    known = Known(lambda x: math.sqrt(x * x + sharpness**-2), lambda x: x / math.sqrt(x * x + sharpness**-2), 1e-17)
    for x in (0.0, 0.3 / sharpness, -2 / sharpness):
        slope, _ = differentiate(known, Richardson(), x)
        assert slope.jump == 0.0
        assert abs(slope.value - known.derivative(x)) <= slope.error


def test_kinks_that_the_steps_cross_do_not_fool_it():
    """Sums of many rectified numbers, all of which move: the error bar holds, wider than for a smooth function."""
    import random

    generator = random.Random(0)
    outside = 0
    for count in (10, 100, 1000):
        for _ in range(20):
            terms = [(generator.gauss(0, 1), generator.choice((-1, 1)), generator.gauss(0, 1)) for _ in range(count)]

            def function(h, terms=terms):
                return math.fsum(weight * max(x + h * sign, 0.0) for x, sign, weight in terms)

            expected = math.fsum(weight * sign * (x > 0) for x, sign, weight in terms)
            slope, _ = differentiate(Known(function, lambda _: math.nan, 1e-14), Richardson(), 0.0)
            outside += abs(slope.value - expected) > slope.error
    assert outside == 0


def test_it_finds_a_domain_that_ends_nearby():
    """The logarithm of a millionth, at a scale of 1: steps that leave the domain are passed over."""
    known = Known(math.log, lambda x: 1 / x, 2e-15)
    slope, _ = differentiate(known, Richardson(), 1e-6)
    assert abs(slope.value - 1e6) <= slope.error < 1.0


def test_it_stops_when_rounding_takes_over():
    """More levels would cost calls and gain nothing."""
    noisy = Known(math.sin, math.cos, 1e-9)
    _, calls = differentiate(noisy, Richardson(), 0.7)
    assert calls == 6


def test_the_number_of_levels_is_the_most_it_takes():
    """A kink is then not told from a bend, and the error bar is as wide as what is open."""
    slope, calls = differentiate(Known(abs, lambda _: math.nan, 1e-17), Richardson(levels=4), 0.0)
    assert calls == 8
    assert slope.jump == 0.0
    assert slope.error >= 2.0
