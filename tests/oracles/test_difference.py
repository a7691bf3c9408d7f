"""Difference schemes on functions whose derivatives are known: the error bar holds, and is sharp."""

from __future__ import annotations

import math
import random

import pytest

from gradverify.oracles.difference import CentralDifference, ForwardDifference, Richardson
from oracles.functions import SMOOTH, Known, differentiate

SCHEMES = (ForwardDifference(), CentralDifference(), Richardson())
EXPRESSION = {
    "a": (Known(lambda a: -(a**3) - a**0.5, lambda a: -3 * a**2 - 0.5 * a**-0.5, 1e-15), 2.0),
    "b": (Known(lambda b: math.sin(3 * b) + b**2.5, lambda b: 3 * math.cos(3 * b) + 2.5 * b**1.5, 2e-15), 3.0),
    "c": (Known(lambda c: -1 / c, lambda c: 1 / c**2, 6e-17), 4.0),
}


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: type(scheme).__name__)
@pytest.mark.parametrize("name", SMOOTH)
def test_the_error_bar_holds(scheme, name):
    """At points from a thousandth to a few, and no smooth function is taken to have a kink."""
    known = SMOOTH[name]
    generator = random.Random(0)
    for _ in range(50):
        x = generator.choice((-1, 1)) * 10 ** generator.uniform(-3, 0.4)
        slope, _ = differentiate(known, scheme, x, max(abs(x), generator.choice((0.1, 1.0))))
        assert abs(slope.value - known.derivative(x)) <= slope.error, x
        assert slope.jump == 0.0, x


@pytest.mark.parametrize(("scheme", "digits"), [*zip(SCHEMES, (6, 8, 10), strict=True)], ids=str)
def test_the_error_bar_is_sharp(scheme, digits):
    """Richardson's extrapolation gains digits over central differences, and these over forward ones."""
    slope, _ = differentiate(SMOOTH["sin"], scheme, 0.7)
    assert slope.error < 10**-digits


def test_the_step_can_be_chosen():
    """In the units of the variable, whatever its scale: the error of a forward difference is h f'' / 2."""
    known, x = EXPRESSION["c"]
    for scale in (1.0, 4.0):
        slope, _ = differentiate(known, ForwardDifference(step=1e-6), x, scale)
        assert abs(slope.value - known.derivative(x)) == pytest.approx(1e-6 / x**3, rel=0.02)


@pytest.mark.parametrize("name", EXPRESSION)
def test_richardson_on_the_expression(name):
    """Off by at most 1e-11 in each of its inputs."""
    known, x = EXPRESSION[name]
    slope, calls = differentiate(known, Richardson(), x, scale=x)
    assert abs(slope.value - known.derivative(x)) <= min(1e-11, slope.error)
    assert calls <= 10


def test_the_cost():
    """Two calls for a forward difference with its error bar, four for a central one, six where Richardson converges."""
    assert [differentiate(SMOOTH["cubic"], scheme, 0.5)[1] for scheme in SCHEMES] == [2, 4, 6]


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: type(scheme).__name__)
def test_without_a_finite_value_nothing_is_said(scheme):
    """The error bar is infinite."""
    slope, _ = differentiate(Known(lambda _: math.nan, lambda _: math.nan), scheme, 1.0)
    assert slope.error == math.inf


def test_without_the_noise_it_is_too_sure():
    """The planted mistake: a bar from two orders alone, on a function that loses its digits inside."""
    known = SMOOTH["digits lost"]
    blind = Known(known.function, known.derivative, 0.0)
    generator = random.Random(0)
    points = [generator.uniform(0.1, 1.0) for _ in range(200)]

    def outside(one):
        slopes = [differentiate(one, Richardson(), x)[0] for x in points]
        return sum(abs(slope.value - math.cos(x)) > slope.error for slope, x in zip(slopes, points, strict=True))

    assert outside(known) == 0
    assert outside(blind) > 20
