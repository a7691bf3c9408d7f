"""Functions of one variable with their derivatives, and a difference scheme let loose on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gradverify.oracles.difference import Scheme
from gradverify.oracles.slope import Sample, Slope


@dataclass(frozen=True)
class Known:
    """A function, its derivative, and a bound on what rounding does to the function."""

    function: Callable[[float], float]
    derivative: Callable[[float], float]
    noise: float = 2e-16


SMOOTH = {
    "sin": Known(math.sin, math.cos),
    "fast sin": Known(lambda x: math.sin(20 * x), lambda x: 20 * math.cos(20 * x), 4e-15),
    "exp": Known(math.exp, math.exp, 2e-14),
    "steep exp": Known(lambda x: math.exp(5 * x), lambda x: 5 * math.exp(5 * x), 1e-7),
    "cubic": Known(lambda x: x**3 - 2 * x, lambda x: 3 * x**2 - 2, 1e-13),
    "linear": Known(lambda x: 3 * x, lambda _: 3.0, 1e-14),
    "constant": Known(lambda _: 4.0, lambda _: 0.0, 1e-15),
    "Runge": Known(lambda x: 1 / (1 + 25 * x * x), lambda x: -50 * x / (1 + 25 * x * x) ** 2),
    "tanh": Known(lambda x: math.tanh(3 * x), lambda x: 3 / math.cosh(3 * x) ** 2),
    "bend": Known(lambda x: math.sqrt(x * x + 1e-4), lambda x: x / math.sqrt(x * x + 1e-4), 1e-15),
    "sharp bend": Known(lambda x: math.sqrt(x * x + 1e-10), lambda x: x / math.sqrt(x * x + 1e-10), 1e-15),
    "softplus": Known(lambda x: math.log1p(math.exp(10 * x)), lambda x: 10 / (1 + math.exp(-10 * x)), 1e-14),
    "step": Known(lambda x: math.atan(1000 * x), lambda x: 1000 / (1 + 1e6 * x * x), 1e-15),
    "narrow hill": Known(lambda x: math.exp(-50 * x * x), lambda x: -100 * x * math.exp(-50 * x * x)),
    "small": Known(lambda x: 5e-7 * x * x, lambda x: 1e-6 * x, 1e-21),
    "large": Known(lambda x: 1e10 * x * x, lambda x: 2e10 * x, 1e-5),
    "digits lost": Known(lambda x: (1e6 + math.sin(x)) - 1e6, math.cos, 2.4e-10),
}


def differentiate(known: Known, scheme: Scheme, x: float, scale: float = 1.0) -> tuple[Slope, int]:
    """The slope in the units of x, and how often the function was called for it."""
    here = known.function(x)
    measurement = scheme.begin(known.noise, scale)
    calls = 0
    while steps := measurement.wanted():
        calls += len(steps)
        measurement.add([Sample(step, _rise(known.function, x + step * scale, here)) for step in steps])
    slope = measurement.slope()
    return Slope(*(number / scale for number in (slope.value, slope.error, slope.left, slope.right)), slope.step), calls


def _rise(function: Callable[[float], float], x: float, here: float) -> float:
    try:
        return function(x) - here
    except ValueError:
        return math.nan
