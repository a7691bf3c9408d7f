"""Each function against the complex step, which takes a derivative without subtracting, and at its edges."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradverify.scalar import functions

# Small enough that its square vanishes beside 1: the derivative has no truncation error at all.
STEP = 1e-30


def _complex_step(function: Callable[[complex], complex], x: float) -> float:
    return function(complex(x, STEP)).imag / STEP


ANALYTIC = {
    "exp": (functions.exp, cmath.exp, (-50.0, 50.0)),
    "log": (functions.log, cmath.log, (1e-6, 1e6)),
    "sqrt": (functions.sqrt, cmath.sqrt, (1e-6, 1e6)),
    "sin": (functions.sin, cmath.sin, (-10.0, 10.0)),
    "cos": (functions.cos, cmath.cos, (-10.0, 10.0)),
    "tanh": (functions.tanh, cmath.tanh, (-300.0, 300.0)),
    "sigmoid": (functions.sigmoid, lambda z: 1 / (1 + cmath.exp(-z)), (-30.0, 30.0)),
    "reciprocal": (lambda x: functions.divide(1.0, x)[::2], lambda z: 1 / z, (1e-6, 1e6)),
    "cube": (lambda x: functions.power(x, 3), lambda z: z * z * z, (-1e3, -1e-3)),
    "power of 2.5": (lambda x: functions.power(x, 2.5), lambda z: cmath.exp(2.5 * cmath.log(z)), (1e-3, 1e3)),
    "power of -2": (lambda x: functions.power(x, -2), lambda z: 1 / (z * z), (1e-3, 1e3)),
    "3 to the power": (lambda x: functions.exponential(3.0, x), lambda z: cmath.exp(z * math.log(3.0)), (-20.0, 20.0)),
}


def _disagreement(function: Callable[[float], tuple[float, float]], witness: Callable[[complex], complex], x: float):
    """The larger relative error of the value and of the derivative, in the scale of the larger of the two."""
    value, slope = function(x)
    expected_value, expected_slope = witness(complex(x)).real, _complex_step(witness, x)
    # sin and cos cross zero, where only an error relative to their size of 1 means something.
    scale = max(abs(expected_value), abs(expected_slope))
    return max(abs(value - expected_value), abs(slope - expected_slope)) / scale


@pytest.mark.parametrize("name", ANALYTIC)
def test_value_and_derivative_agree_with_the_complex_step(name):
    """Over the whole range that the textbook form of the function survives."""
    function, witness, (low, high) = ANALYTIC[name]

    @settings(derandomize=True, deadline=None, max_examples=100)
    @given(st.floats(low, high))
    def agree(x: float) -> None:
        assert _disagreement(function, witness, x) <= 1e-12

    agree()


@pytest.mark.parametrize("name", ANALYTIC)
def test_the_complex_step_notices_a_derivative_that_is_off_in_the_tenth_digit(name):
    """A planted bug for every function."""
    function, witness, _ = ANALYTIC[name]

    def planted(x: float) -> tuple[float, float]:
        value, slope = function(x)
        return value, slope * (1 + 1e-10)

    assert _disagreement(planted, witness, 0.7) > 1e-12


def _exact_tanh_slope(x: float) -> float:
    with localcontext() as context:
        context.prec = 60
        decay = (-2 * abs(Decimal(x))).exp()
        return float(4 * decay / (1 + decay) ** 2)


@pytest.mark.parametrize("x", [0.0, 1e-8, 0.5, 5.0, 10.0, 19.0, -19.0, 40.0, 300.0, -350.0])
def test_the_derivative_of_tanh_keeps_its_digits_far_out(x):
    """Against 60 decimal digits."""
    assert functions.tanh(x)[1] == pytest.approx(_exact_tanh_slope(x), rel=1e-13, abs=0.0)


def test_one_minus_the_square_of_tanh_would_lose_them():
    """A planted bug: the textbook form of the derivative, wrong in the ninth digit at 10."""
    assert 1 - math.tanh(10.0) ** 2 != pytest.approx(_exact_tanh_slope(10.0), rel=1e-9, abs=0.0)


@pytest.mark.parametrize("x", [355.0, 356.0, 710.0, 1e4, 1e308, math.inf])
def test_tanh_and_sigmoid_saturate_where_their_textbook_forms_overflow(x):
    """e^2x overflows from 355 on, e^x from 710 on."""
    assert functions.tanh(x)[0] == 1.0
    assert functions.tanh(-x)[0] == -1.0
    assert functions.sigmoid(x)[0] == 1.0
    assert functions.sigmoid(-x)[0] == pytest.approx(math.exp(-x), rel=1e-15, abs=0.0)
    assert functions.sigmoid(-x)[1] == functions.sigmoid(x)[1] == pytest.approx(math.exp(-x), rel=1e-15, abs=0.0)


AT_A_POINT = {
    "relu decides on the input, at a kink": (functions.relu, (0.0,), (0.0, 0.0)),
    "relu below it": (functions.relu, (-3.0,), (0.0, 0.0)),
    "relu above it": (functions.relu, (5e-324,), (5e-324, 1.0)),
    "the absolute value at its kink": (functions.absolute, (0.0,), (0.0, 0.0)),
    "the absolute value of a negative number": (functions.absolute, (-2.0,), (2.0, -1.0)),
    "a root at 0 is infinitely steep": (functions.sqrt, (0.0,), (0.0, math.inf)),
    "the power of a half too": (functions.power, (0.0, 0.5), (0.0, math.inf)),
    "the power of 1 at 0": (functions.power, (0.0, 1), (0.0, 1.0)),
    "the power of 2 at 0": (functions.power, (0.0, 2), (0.0, 0.0)),
    "the power of 0 is constant, at 0 too": (functions.power, (0.0, 0), (1.0, 0.0)),
    "the power of 0 of a tiny number": (functions.power, (1e-320, 0), (1.0, 0.0)),
    "a whole power of a negative number": (functions.power, (-2.0, 3.0), (-8.0, 12.0)),
    "a derivative beyond all floats": (functions.power, (-1e-200, -1), (-1e200, -math.inf)),
    "1 to any power is constant": (functions.exponential, (1.0, 7.0), (1.0, 0.0)),
}


@pytest.mark.parametrize("name", AT_A_POINT)
def test_values_at_the_edges(name):
    """Kinks, zeros and the ends of the range."""
    function, arguments, expected = AT_A_POINT[name]
    assert function(*arguments) == expected


@pytest.mark.parametrize(
    "function",
    [functions.relu, functions.tanh, functions.sigmoid, functions.exp, functions.log, functions.sqrt, functions.sin],
)
def test_not_a_number_stays_visible(function):
    """A comparison written the other way round would turn it into a zero."""
    assert math.isnan(function(math.nan)[0])


REFUSED = {
    "log of zero": (
        lambda: functions.log(0.0),
        ValueError,
        "log(0.0): expected a positive number; where a probability underflows to zero, derive its logarithm from the "
        "logits",
    ),
    "root of a negative number": (
        lambda: functions.sqrt(-1.0),
        ValueError,
        "sqrt(-1.0): expected a number that is not negative",
    ),
    "exp too large": (
        lambda: functions.exp(1000.0),
        OverflowError,
        "exp(1000.0) exceeds the largest float, 1.8e308: subtract the largest exponent first, or use tanh or sigmoid, "
        "which do not overflow",
    ),
    "division": (
        lambda: functions.divide(2.0, 0),
        ZeroDivisionError,
        "2.0 / 0: expected a divisor other than zero",
    ),
    "negative power of zero": (
        lambda: functions.power(0.0, -1),
        ZeroDivisionError,
        "0.0 to the power -1: expected a base other than zero",
    ),
    "complex power": (
        lambda: functions.power(-8.0, 1 / 3),
        ValueError,
        "-8.0 to the power 0.3333333333333333 is no real number: expected a whole exponent, or a base that is not "
        "negative",
    ),
    "power too large": (
        lambda: functions.power(1e200, 2),
        OverflowError,
        "1e+200 to the power 2 exceeds the largest float, 1.8e308",
    ),
    "exponential of a base that is not positive": (
        lambda: functions.exponential(-2, 3.0),
        ValueError,
        "-2 to the power of a Value, 3.0: expected a positive base, because the derivative of b ** x is b ** x * "
        "log(b); write an int or a float for an exponent that is constant",
    ),
    "sine of infinity": (lambda: functions.sin(math.inf), ValueError, "sin(inf): expected a finite angle"),
    "cosine of infinity": (lambda: functions.cos(-math.inf), ValueError, "cos(-inf): expected a finite angle"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_value_says_what_was_expected(name):
    """The whole message, since a user reads it."""
    attempt, kind, message = REFUSED[name]
    with pytest.raises(kind) as caught:
        attempt()
    assert str(caught.value) == message
