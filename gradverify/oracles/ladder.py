"""Richardson's extrapolation down a ladder of steps, each an eighth of the one before, and the kinks it meets.

L. F. Richardson, "The deferred approach to the limit", 1927; choosing among the levels by their estimated
error follows C. J. F. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from gradverify.oracles.slope import UNIT, UNKNOWN, Measurement, Sample, Slope, central, smooth

# A power of two, so that every step is exact.
_RATIO = 8.0
# Where the function is smooth, one level errs 64 times less than the level above. Less than a quarter of that, and
# the extrapolation means nothing: noise, or kinks that the steps cross, are what is seen.
_CONTRACTION = 16.0
# In theory the extrapolated value errs 4095 times less than the two values of order 4 differ; a 64th is counted on.
# Measured on 600 sums of rectified numbers, whose kinks the steps cross: with both precautions no derivative lies
# outside its bar, with the first alone one, with neither two. Smooth functions need neither (4,200 derivatives of 21).
_TRUST = 64.0
# A bar of nine digits ends the search.
_ENOUGH = 1e-9
# A smaller jump, relative to the slopes, is no kink but belongs to the error bar.
_LEAST_JUMP = 2.0**-20
# A jump that three windows see alike, while the step shrinks 64-fold, is a kink and no bend.
_LEAST_STEADY = 3


@dataclass(frozen=True)
class _Window:
    """What three neighbouring levels say.

    Attributes:
        value: the derivative, extrapolated; truncation and rounding: the two parts of its error bar.
        left, right: the derivatives on either side, extrapolated; side_error: their bar.
        jump: what remains of their difference at a step of 0, signed; jump_error: its bar.
        step: of the lowest level.
    """

    value: float
    truncation: float
    rounding: float
    left: float
    right: float
    side_error: float
    jump: float
    jump_error: float
    step: float

    @property
    def error(self) -> float:
        """The error bar of the value."""
        return self.truncation + self.rounding

    @property
    def kinked(self) -> bool:
        """Whether the two sides seem to have slopes of their own."""
        return abs(self.jump) > max(self.jump_error, _LEAST_JUMP * (abs(self.left) + abs(self.right)))


class Ladder(Measurement):
    """Central differences at ever smaller steps, until the error bar is small enough or grows again."""

    def __init__(self, first: float, levels: int, noise: float) -> None:
        """Start at step `first`; take at most `levels` steps; a rise is wrong by at most `noise` through rounding."""
        self._first = first
        self._levels = levels
        self._noise = noise
        self._above: list[Sample] = []
        self._below: list[Sample] = []
        self._windows: list[_Window] = []

    def wanted(self) -> tuple[float, ...]:
        """Three levels to begin with, one at a time from there on; a step up and a step down each."""
        taken = len(self._above)
        if taken and self._is_done():
            return ()
        steps = [self._first * _RATIO**-level for level in range(taken, taken + 1 if taken else 3)]
        return tuple(signed for step in steps for signed in (step, -step))

    def add(self, samples: Sequence[Sample]) -> None:
        """Take pairs of a step up and a step down."""
        for above, below in zip(samples[::2], samples[1::2], strict=True):
            self._above.append(above)
            self._below.append(below)
            if len(self._above) >= 3:
                window = self._look(slice(-3, None))
                if window is not None:
                    self._windows.append(window)

    def slope(self) -> Slope:
        """The value with the smallest error bar, or both sides of a kink."""
        if not self._windows:
            return UNKNOWN
        latest = self._windows[-1]
        windows = self._smooth_windows()
        steady = self._steady_windows()
        if len(steady) >= _LEAST_STEADY:
            best = min(steady, key=lambda window: window.side_error)
            return Slope((best.left + best.right) / 2, best.side_error, best.left, best.right, latest.step)
        if not windows:
            return smooth(latest.value, max(latest.error, abs(latest.jump)), latest.step)
        best = min(windows, key=lambda window: window.error)
        # Two windows that contradict each other were both too sure of themselves.
        gaps = [abs(window.value - best.value) - window.error for window in windows]
        return smooth(best.value, max(best.error, *gaps), best.step)

    def _is_done(self) -> bool:
        if len(self._above) >= self._levels:
            return True
        if not self._windows:
            return False
        latest = self._windows[-1]
        if latest.kinked:
            # One more level, and rounding would hide what is left of the jump.
            return _RATIO * 2 * self._noise / latest.step > abs(latest.jump) / 16
        # With every further level rounding weighs eight times as much.
        return latest.truncation <= latest.rounding or latest.error <= _ENOUGH * abs(latest.value)

    def _smooth_windows(self) -> list[_Window]:
        """The windows below the last that saw a kink: one that is near, but not here, is out of their reach."""
        kinked = [number for number, window in enumerate(self._windows) if window.kinked]
        return self._windows[kinked[-1] + 1 :] if kinked else self._windows

    def _steady_windows(self) -> list[_Window]:
        """The last windows, as far back as they saw the same jump; that of a sharp bend shrinks with the step."""
        jump = self._windows[-1].jump
        same = takewhile(lambda one: one.kinked and abs(one.jump - jump) <= abs(jump) / 4, reversed(self._windows))
        return list(same)

    def _look(self, levels: slice) -> _Window | None:
        above, below = self._above[levels], self._below[levels]
        pairs = list(zip(above, below, strict=True))
        slopes = [central(*pair) for pair in pairs]
        bends = [up.slope - down.slope for up, down in pairs]
        if not all(map(math.isfinite, (*slopes, *bends))):
            return None
        step = abs(above[-1].step)
        noise = 2 * self._noise / step
        order4 = _extrapolate(slopes, 2)
        (value,) = _extrapolate(order4, 4)
        coarse, fine = abs(slopes[1] - slopes[0]), abs(slopes[2] - slopes[1])
        converges = fine <= coarse / _CONTRACTION + noise
        truncation = abs(order4[1] - order4[0]) / _TRUST if converges else max(coarse, fine)
        rounding = noise + 4 * UNIT * abs(value)
        # The slopes of the two sides differ by h f'' + h^3 f'''' / 12 + ... where there is no kink.
        flat = _extrapolate(bends, 1)
        (jump,) = _extrapolate(flat, 3)
        jump_error = abs(flat[1] - flat[0]) / 4 + 4 * noise
        *_, left = _extrapolate([sample.slope for sample in below], 1)
        *_, right = _extrapolate([sample.slope for sample in above], 1)
        side_error = max(abs(left - below[-1].slope), abs(right - above[-1].slope)) + 2 * noise
        if jump_error < abs(jump) <= _LEAST_JUMP * (abs(left) + abs(right)):
            truncation += abs(jump)
        return _Window(value, truncation, rounding, left, right, side_error, jump, jump_error, step)


def _extrapolate(values: Sequence[float], order: int) -> list[float]:
    """The limits at a step of 0 of each two neighbours, whose error goes with a power of the step."""
    weight = _RATIO**order
    return [(weight * fine - coarse) / (weight - 1) for coarse, fine in pairwise(values)]
