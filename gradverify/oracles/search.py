"""Whether a large gradient is right, from a few random lines; and if it is not, at which element."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from gradverify.oracles.estimate import absent, index_of
from gradverify.oracles.lines import Line, Probe, element_line, random_lines, scale_of
from gradverify.oracles.slope import UNIT, Slope
from gradverify.witness import Stance, Witness


@dataclass
class _Lines:
    """What the lines said that did not disagree: their error bars, by element, and kinks."""

    even: list[float] = field(default_factory=list)
    proportional: list[float] = field(default_factory=list)
    kinked: int = 0

    @property
    def count(self) -> int:
        return len(self.even) + len(self.proportional)

    @property
    def error(self) -> float:
        """Where all elements move alike, each is seen as sharply as the others."""
        return min(self.even or self.proportional)


@dataclass(frozen=True)
class Search:
    """One check of a large gradient.

    Attributes:
        oracle: the name of who measures.
        probe: measures.
        value: of the tensor.
        candidate: the gradient.
        allowed: how far each of its elements may be off through rounding.
    """

    oracle: str
    probe: Probe
    value: Tensor
    candidate: Tensor
    allowed: float

    def run(self, *, directions: int, seed: int) -> Witness:
        """Measure along one random line after the other, until an element is found that disagrees."""
        moving = self.value.isfinite() & self.candidate.isfinite()
        lines = _Lines()
        at_kink: Witness | None = None
        unlocated: Witness | None = None
        for line in random_lines(self.value, directions, seed, moving):
            (slope,) = self.probe.slopes([line])
            if not math.isfinite(slope.error):
                continue
            claimed, slack = self._claim(line)
            if _beyond(claimed, slope) > slope.error + slack:
                witness = self._look_at(self._locate(line, slope, claimed), slope, claimed)
                if witness.stance is Stance.DISAGREES and (witness.index is not None or unlocated):
                    return witness
                if witness.index is None:
                    unlocated = witness  # what no element shows alone has to be seen twice
                else:
                    at_kink = witness
                    # Nothing is wrong with that element that its kink does not explain; without it others may show.
                    moving[witness.index] = False
                continue
            (lines.proportional if line.proportional else lines.even).append((slope.error + slack) / line.scale)
            lines.kinked += bool(slope.jump)
        return at_kink or self._sum_up(lines, moving)

    def _sum_up(self, lines: _Lines, moving: Tensor) -> Witness:
        if not lines.count:
            return absent(self.oracle, "nothing around these values is finite")
        if lines.kinked:
            reason = f"kinks on {lines.kinked} of {lines.count} lines, and too many elements to look at each"
            return Witness(self.oracle, Stance.KINK, lines.error, reason=reason)
        reason = f"along {lines.count} random lines through {int(moving.sum())} elements"
        if not lines.even:
            reason += ", which move in proportion to their size, and not at all where they are 0"
        return Witness(self.oracle, Stance.AGREES, lines.error, reason=reason)

    def _claim(self, line: Line) -> tuple[float, float]:
        """The derivative along a line by the candidate, and how far it may be off through rounding."""
        terms = self.candidate.where(line.direction != 0, 0) * line.direction
        numbers = [terms.sum(), terms.abs().sum(), torch.linalg.vector_norm(line.direction)]
        total, absolute, length = torch.stack(numbers).tolist()
        return total, self.allowed * length + 4 * UNIT * absolute

    def _locate(self, line: Line, slope: Slope, claimed: float) -> int:
        """Halve the elements again and again, keeping the half that differs more."""
        difference = claimed - slope.value
        low, high = 0, self.value.numel()
        while high - low > 1:
            middle = (low + high) // 2
            half = line.part(low, middle)
            found = self._claim(half)[0] - self.probe.glance(half, slope.step)
            if abs(found) >= abs(difference - found):
                high, difference = middle, found
            else:
                low, difference = middle, difference - found
        return low

    def _look_at(self, flat: int, slope: Slope, claimed: float) -> Witness:
        """Measure the element that was located by itself."""
        length = max(abs(float(self.value.flatten()[flat])), scale_of(self.value))
        (at,) = self.probe.slopes([element_line(self.value, flat, length)])
        claim = float(self.candidate.flatten()[flat])
        witness = Witness(
            self.oracle,
            Stance.DISAGREES,
            at.error / length,
            index=index_of(self.value, flat),
            claimed=claim,
            measured=at.value / length,
        )
        if math.isfinite(at.error) and _beyond(claim * length, at) > at.error + self.allowed * length:
            return witness
        if at.jump or slope.jump:
            reason = "there are kinks, and too many elements to look at each"
            return replace(witness, stance=Stance.KINK, reason=reason)
        return Witness(
            self.oracle,
            Stance.DISAGREES,
            slope.error,
            reason="the derivative along a random line; no element alone differs by enough to be seen",
            claimed=claimed,
            measured=slope.value,
        )


def _beyond(claimed: float, slope: Slope) -> float:
    """How far a derivative lies outside of what both sides allow."""
    return max(abs(claimed - slope.value) - slope.jump / 2, 0.0)
