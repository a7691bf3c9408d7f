"""Functions of floats with their derivatives: each returns its value, then the derivative by each argument.

They follow Python's arithmetic rather than torch's: what has no value raises, where torch gives inf or nan.
"""

from __future__ import annotations

import math

_LARGEST = "the largest float, 1.8e308"


def divide(numerator: float, denominator: float) -> tuple[float, float, float]:
    """The quotient; ZeroDivisionError for a divisor of zero."""
    if denominator == 0:
        raise ZeroDivisionError(f"{numerator} / {denominator}: expected a divisor other than zero")
    quotient = numerator / denominator
    return quotient, 1.0 / denominator, -quotient / denominator


def power(base: float, exponent: float) -> tuple[float, float]:
    """The power, and its derivative by the base.

    Raises:
        ZeroDivisionError: for a negative power of zero.
        ValueError: for a power of a negative base that is no real number.
        OverflowError: where the power is no float.
    """
    if base == 0 and exponent < 0:
        raise ZeroDivisionError(f"{base} to the power {exponent}: expected a base other than zero")
    if base < 0 and math.isfinite(exponent) and exponent != math.floor(exponent):
        raise ValueError(
            f"{base} to the power {exponent} is no real number: expected a whole exponent, or a base that is not "
            "negative"
        )
    try:
        value = float(base**exponent)
    except OverflowError:
        raise OverflowError(f"{base} to the power {exponent} exceeds {_LARGEST}") from None
    try:
        return value, float(exponent * base ** (exponent - 1))
    except ZeroDivisionError:  # the base is 0 and the exponent less than 1: a root, or the constant 1
        return value, math.inf if exponent else 0.0
    except OverflowError:  # the power itself is a float, and this form reaches infinity with the right sign
        return value, value * exponent / base


def exponential(base: float, exponent: float) -> tuple[float, float]:
    """The power of a positive base, and its derivative by the exponent.

    Raises:
        ValueError: for a base that is not positive.
        OverflowError: where the power is no float.
    """
    if base <= 0:
        raise ValueError(
            f"{base} to the power of a Value, {exponent}: expected a positive base, because the derivative of b ** x "
            "is b ** x * log(b); write an int or a float for an exponent that is constant"
        )
    value, _ = power(base, exponent)
    return value, value * math.log(base)


def absolute(x: float) -> tuple[float, float]:
    """The absolute value. The derivative at 0 is taken as 0, as torch takes it."""
    return abs(x), math.copysign(1.0, x) if x else 0.0


def exp(x: float) -> tuple[float, float]:
    """The exponential; OverflowError where it is no float."""
    try:
        value = math.exp(x)
    except OverflowError:
        raise OverflowError(
            f"exp({x}) exceeds {_LARGEST}: subtract the largest exponent first, or use tanh or sigmoid, which do not "
            "overflow"
        ) from None
    return value, value


def log(x: float) -> tuple[float, float]:
    """The natural logarithm; ValueError for what is not positive."""
    if x <= 0:
        raise ValueError(
            f"log({x}): expected a positive number; where a probability underflows to zero, derive its logarithm "
            "from the logits"
        )
    return math.log(x), 1.0 / x


def sqrt(x: float) -> tuple[float, float]:
    """The square root; ValueError for a negative number. The derivative at 0 is infinite."""
    if x < 0:
        raise ValueError(f"sqrt({x}): expected a number that is not negative")
    value = math.sqrt(x)
    return value, 0.5 / value if value else math.inf


def sin(x: float) -> tuple[float, float]:
    """The sine of an angle in radians; ValueError where it is infinite."""
    _check_angle("sin", x)
    return math.sin(x), math.cos(x)


def cos(x: float) -> tuple[float, float]:
    """The cosine of an angle in radians; ValueError where it is infinite."""
    _check_angle("cos", x)
    return math.cos(x), -math.sin(x)


def tanh(x: float) -> tuple[float, float]:
    """The hyperbolic tangent, with a derivative that keeps its digits where 1 - tanh^2 cancels."""
    # 1 / cosh(x)^2 = 4 e^-2|x| / (1 + e^-2|x|)^2, where nothing overflows.
    decay = math.exp(-2.0 * abs(x))
    return math.tanh(x), 4.0 * decay / (1.0 + decay) ** 2


def sigmoid(x: float) -> tuple[float, float]:
    """1 / (1 + e^-x), through e^-|x|, which does not overflow."""
    decay = math.exp(-abs(x))
    larger = 1.0 / (1.0 + decay)
    smaller = decay * larger
    return (larger if x >= 0 else smaller), larger * smaller


def relu(x: float) -> tuple[float, float]:
    """The larger of x and 0. The derivative at 0 is taken as 0, as torch takes it."""
    # Written so that not-a-number, which is not <= 0, stays what it is.
    return (0.0, 0.0) if x <= 0 else (x, 1.0)


def _check_angle(function: str, x: float) -> None:
    if math.isinf(x):
        raise ValueError(f"{function}({x}): expected a finite angle")
