"""Numerical derivatives: the forward at neighbouring values, and nothing but the forward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.oracles.difference import Richardson, Scheme
from gradverify.oracles.directional import Directional
from gradverify.oracles.lines import Line, Probe, scale_of
from gradverify.oracles.problem import Problem
from gradverify.oracles.slope import UNIT, Sample, Slope, central

# Where the forward is sampled for its rounding errors, in units of a step so small that it is straight there: of
# irrational ratio, so that an error that repeats cannot pass for a straight line.
_NOISE_STEP = 2.0**-38
_NOISE_AT = (-(11.0**0.5), -1.0, 3.0**0.5, 26.0**0.5)
# How many roundings of the largest output a rise must come to for the forward to have moved: more than a move of
# everything by one ulp makes.
_VISIBLE = 8.0
# A line with a bend at the value fits by chance alone this much better than a straight one once in 4,000 times: it
# has one parameter more, and leaves two of five samples free.
_BEND = 64.0
# What is left over a straight line is a sample of a few errors; measured on 4,200 derivatives, four times the largest
# bounds the error of a rise but for two (functions that lose all their digits inside).
_NOISE_MARGIN = 4.0
# Random signs on the elements at kinks, besides all up and all down.
_SIGN_DRAWS = 3
# To see whether a kink stays, the others move further than the step that looks at it, twice, with random signs; that
# step is larger than the smallest that the kink was seen at, where rounding is nearly as large as the jump.
_SHIFTS = 2
_SHIFT = 64.0
_KINK_STEP = 8.0


@dataclass(frozen=True, kw_only=True)
class FiniteDifference(Directional):
    """Difference quotients in float64.

    Args:
        scheme: which, and with what step.
    """

    name: ClassVar[str] = "finite_difference"
    scheme: Scheme = field(default_factory=Richardson)

    @override
    def probe(self, problem: Problem, name: str, allowed: float) -> Probe:
        """Measure the rounding errors of the forward around the values of a tensor."""
        return _Differences(self.scheme, problem, name)


class _Differences(Probe):
    def __init__(self, scheme: Scheme, problem: Problem, name: str) -> None:
        self._scheme = scheme
        self._problem = problem
        self._name = name
        self._value = problem.values[name]
        self._noise = self._measure_noise()

    def slopes(self, lines: Sequence[Line]) -> list[Slope]:
        """All lines advance together, so that a device is asked for numbers once a level and not once a line."""
        measurements = [self._scheme.begin(self._noise, line.scale) for line in lines]
        while True:
            wanted = [measurement.wanted() for measurement in measurements]
            taken = iter(
                self._sample([(line, step) for line, steps in zip(lines, wanted, strict=True) for step in steps])
            )
            if not any(wanted):
                return [measurement.slope() for measurement in measurements]
            for measurement, steps in zip(measurements, wanted, strict=True):
                if steps:
                    measurement.add([next(taken) for _ in steps])

    def glance(self, line: Line, step: float) -> float:
        return central(*self._sample([(line, step), (line, -step)]))

    def is_joint(self, kinks: Sequence[tuple[Line, Slope]]) -> bool:
        """Kinks of their own add up along a line that crosses several; one that is shared counts once."""
        lines, slopes = [line for line, _ in kinks], [slope for _, slope in kinks]
        step = max(slope.step for slope in slopes)
        generator = torch.Generator().manual_seed(0)
        patterns = [[1] * len(lines)]
        patterns += (2 * torch.randint(0, 2, (_SIGN_DRAWS, len(lines)), generator=generator) - 1).tolist()
        smallest = min(slope.jump for slope in slopes)
        for signs in patterns:
            direction = torch.stack([sign * line.direction for sign, line in zip(signs, lines, strict=True)]).sum(0)
            line = Line(direction, lines[0].scale)
            samples = self._sample([(line, step), (line, step / 2), (line, -step), (line, -step / 2)])
            # The one-sided slopes, extrapolated to a step of 0.
            right = 2 * samples[1].slope - samples[0].slope
            left = 2 * samples[3].slope - samples[2].slope
            pairs = list(zip(signs, slopes, strict=True))
            expected_right = sum(slope.right if sign > 0 else -slope.left for sign, slope in pairs)
            expected_left = sum(slope.left if sign > 0 else -slope.right for sign, slope in pairs)
            slack = sum(slope.error for slope in slopes) + smallest / 4
            if not max(abs(right - expected_right), abs(left - expected_left)) <= slack:
                return True
        return False

    @override
    def is_alone(self, line: Line, slope: Slope) -> bool:
        """A kink of its own stays where it is when all other elements move; one that is shared moves away."""
        step = _KINK_STEP * slope.step
        generator = torch.Generator().manual_seed(0)
        others = line.direction == 0
        for _ in range(_SHIFTS):
            signs = torch.randint(0, 2, self._value.shape, generator=generator, dtype=torch.int8).to(self._value.device)
            shift = (_SHIFT * step * scale_of(self._value) * (2 * signs - 1)).to(self._value.dtype).where(others, 0)
            moved = [self._value + shift + at * line.direction for at in (0.0, step, -step)]
            here, above, below = torch.stack([self._problem.rise(self._name, one) for one in moved]).tolist()
            jump = abs((above - here) + (below - here)) / step
            if not abs(jump - slope.jump) <= slope.jump / 4:
                return False
        return True

    def _sample(self, wanted: Sequence[tuple[Line, float]], draws: Sequence[int] = ()) -> list[Sample]:
        """Run the forward at steps along lines, under a draw of noise each where there are any."""
        if not wanted:
            return []
        rises = []
        for number, (line, step) in enumerate(wanted):
            moved = self._value + step * line.direction
            rises.append(self._problem.rise(self._name, moved, draws[number] if draws else None))
        return [Sample(step, rise) for (_, step), rise in zip(wanted, torch.stack(rises).tolist(), strict=True)]

    def _measure_noise(self) -> float:
        """A bound on the rounding error of a rise.

        The forward is sampled at a few points, all else being moved by one ulp meanwhile; on so short a stretch it is
        a straight line but for rounding (in the spirit of Moré and Wild, "Estimating computational noise", 2011).
        """
        value = self._value
        lengths = value.abs().where(value.isfinite(), 0)
        line = Line(_alternating(lengths if bool((lengths != 0).any()) else torch.ones_like(value)), scale_of(value))
        largest = float(self._problem.terms(self._problem.outputs).abs().max())
        step = _NOISE_STEP
        for _ in range(4):
            samples = self._sample([(line, at * step) for at in _NOISE_AT], draws=range(len(_NOISE_AT)))
            if max(abs(sample.rise) for sample in samples) > _VISIBLE * UNIT * largest:
                break
            step *= 2.0**8  # nothing is seen to move: the forward may be coarser than float64 inside
        off = _off_a_straight_line([*samples, Sample(0.0, 0.0)])
        if off > _VISIBLE * UNIT * largest:
            bent = _off_a_bent_line([*samples, Sample(0.0, 0.0)])
            if bent < off / _BEND:  # what looks like noise is a kink at the value itself
                off = max(_VISIBLE * bent, UNIT * largest)
        noise = max(UNIT * largest, _NOISE_MARGIN * off)
        return noise if math.isfinite(noise) else math.inf


def _alternating(lengths: Tensor) -> Tensor:
    """Every other element with the other sign."""
    signs = torch.ones(lengths.numel(), dtype=lengths.dtype, device=lengths.device)
    signs[1::2] = -1
    return lengths * signs.view(lengths.shape)


def _off_a_straight_line(samples: Sequence[Sample]) -> float:
    """The largest distance from the straight line that fits best."""
    middle = sum(sample.step for sample in samples) / len(samples)
    mean = sum(sample.rise for sample in samples) / len(samples)
    spread = sum((sample.step - middle) ** 2 for sample in samples)
    slope = sum((sample.step - middle) * (sample.rise - mean) for sample in samples) / spread
    return max(abs(sample.rise - mean - slope * (sample.step - middle)) for sample in samples)


def _off_a_bent_line(samples: Sequence[Sample]) -> float:
    """The largest distance from the line that fits best and may have another slope on either side of a step of 0."""
    ones, rises = [], []
    for side in (-1, 0, 1):
        here = [sample for sample in samples if (sample.step > 0) - (sample.step < 0) == side]
        spread = sum(sample.step**2 for sample in here) or 1.0
        mean = sum(sample.step for sample in here) / spread
        slope = sum(sample.step * sample.rise for sample in here) / spread
        # What neither slope explains of the values, and of the height at 0, which is common to both sides.
        ones += [1.0 - sample.step * mean for sample in here]
        rises += [sample.rise - sample.step * slope for sample in here]
    height = sum(one * rise for one, rise in zip(ones, rises, strict=True)) / sum(one * one for one in ones)
    return max(abs(rise - height * one) for one, rise in zip(ones, rises, strict=True))
