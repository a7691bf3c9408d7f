"""Difference schemes: objects that choose the steps of a derivative and read its slope off the samples."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from gradverify.oracles.ladder import Ladder
from gradverify.oracles.slope import UNIT, UNKNOWN, Measurement, Sample, Slope, central, smooth


class Scheme(ABC):
    """How derivatives are measured."""

    @abstractmethod
    def begin(self, noise: float, scale: float) -> Measurement:
        """Start a measurement.

        Args:
            noise: a bound on the rounding error of a rise.
            scale: how long a step of 1 is, in the units of the variable.
        """


@dataclass(frozen=True)
class ForwardDifference(Scheme):
    """(f(x + h) - f(x)) / h, off by about h f'' / 2.

    Args:
        step: h, in the units of the variable; None takes 2^-26 of its scale, where truncation and rounding balance.
    """

    step: float | None = None

    def begin(self, noise: float, scale: float) -> Measurement:
        """Start a measurement."""
        return _OneSided(_in_units(self.step, scale, 2.0**-26), noise)


@dataclass(frozen=True)
class CentralDifference(Scheme):
    """(f(x + h) - f(x - h)) / 2h, off by about h^2 f''' / 6.

    Args:
        step: h, in the units of the variable; None takes 2^-17 of its scale, where truncation and rounding balance.
    """

    step: float | None = None

    def begin(self, noise: float, scale: float) -> Measurement:
        """Start a measurement."""
        return _TwoSided(_in_units(self.step, scale, 2.0**-17), noise)


@dataclass(frozen=True)
class Richardson(Scheme):
    """Central differences at h, h/8 and h/64, extrapolated to order 6; further steps while something is gained.

    It alone sees kinks: where the slopes of the two sides stay apart however small the step.

    Args:
        step: the first h, in the units of the variable; None takes 2^-7 of its scale. The smallest of the first
            three steps is then 2^-13, where rounding and the truncation of order 4 both come to about 1e-12.
        levels: at most how many steps; 14 reach from 2^-7 to 2^-46, where a rise has a few digits left.
    """

    step: float | None = None
    levels: int = 14

    def begin(self, noise: float, scale: float) -> Measurement:
        """Start a measurement."""
        return Ladder(_in_units(self.step, scale, 2.0**-7), self.levels, noise)


def _in_units(step: float | None, scale: float, default: float) -> float:
    return default if step is None else step / scale


class _Fixed(Measurement):
    """A measurement at steps that are known beforehand."""

    def __init__(self, steps: tuple[float, ...], noise: float) -> None:
        self._steps = steps
        self._noise = noise
        self._samples: tuple[Sample, ...] = ()

    def wanted(self) -> tuple[float, ...]:
        return () if self._samples else self._steps

    def add(self, samples: Sequence[Sample]) -> None:
        self._samples = tuple(samples)

    def _compare(self, fine: float, coarse: float) -> Slope:
        # The coarse one, at twice the step, errs about twice as much or four times: their difference is the fine one's
        # error, or three times that, and twice their difference bounds it.
        step = self._steps[0]
        error = 2 * abs(fine - coarse) + 2 * self._noise / step + 4 * UNIT * abs(fine)
        return smooth(fine, error, step) if math.isfinite(error) else UNKNOWN


class _OneSided(_Fixed):
    def __init__(self, step: float, noise: float) -> None:
        super().__init__((step, 2 * step), noise)

    def slope(self) -> Slope:
        fine, coarse = self._samples
        return self._compare(fine.slope, coarse.slope)


class _TwoSided(_Fixed):
    def __init__(self, step: float, noise: float) -> None:
        super().__init__((step, -step, 2 * step, -2 * step), noise)

    def slope(self) -> Slope:
        above, below, far_above, far_below = self._samples
        return self._compare(central(above, below), central(far_above, far_below))
