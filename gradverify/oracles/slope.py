"""A derivative along a line, as it is measured: samples of a rise in, a slope with its error bar out. Floats only."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

# The unit roundoff of float64.
UNIT = 2.0**-53


class Sample(NamedTuple):
    """A step from the point, and how much the function rises over it; both signed."""

    step: float
    rise: float

    @property
    def slope(self) -> float:
        """The difference quotient on this side."""
        return self.rise / self.step


def central(above: Sample, below: Sample) -> float:
    """The difference quotient across the point, from a step up and a step down."""
    return (above.rise - below.rise) / (above.step - below.step)


@dataclass(frozen=True)
class Slope:
    """A derivative along a line.

    Attributes:
        value: the derivative; the mean of both sides at a kink, nan where nothing could be measured.
        error: its error bar, infinite where nothing could be measured.
        left, right: the derivatives on either side, each with the same error bar; equal unless at a kink.
        step: the smallest step that this rests on; a kink lies within that distance.
    """

    value: float
    error: float
    left: float
    right: float
    step: float

    @property
    def jump(self) -> float:
        """How far the two sides are apart; 0 where there is no kink."""
        return abs(self.right - self.left)


def smooth(value: float, error: float, step: float = 0.0) -> Slope:
    """The slope of a function that has one."""
    return Slope(value, error, value, value, step)


UNKNOWN = Slope(math.nan, math.inf, 0.0, 0.0, 0.0)


def rounded(value: float, error: float) -> Slope:
    """The slope that an oracle computes rather than measures, exact but for rounding."""
    return smooth(value, error) if math.isfinite(value) and math.isfinite(error) else UNKNOWN


class Measurement(ABC):
    """The steps of one derivative, taken some at a time."""

    @abstractmethod
    def wanted(self) -> tuple[float, ...]:
        """The next steps to take, as multiples of the scale; empty once the slope is known."""

    @abstractmethod
    def add(self, samples: Sequence[Sample]) -> None:
        """Take the samples at the wanted steps, in their order."""

    @abstractmethod
    def slope(self) -> Slope:
        """What the samples say."""
