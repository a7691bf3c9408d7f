"""What is counted in a block: how two tensors differ, how far apart they are, how many elements are large."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gradverify.block import Block, Locate, pieces
from gradverify.magnitude import (
    are_finite,
    count_nonzero,
    extremes,
    find,
    norm,
    read_if_few,
    row,
    scaled_norm,
    subtract,
    to_dtype,
)
from gradverify.spacing import BITS, EPS, largest_ulps, largest_unsigned, steps_between, unsigned

# The defaults of torch.allclose, whose meaning `approximate` has.
_RTOL, _ATOL = 1e-5, 1e-8

_WORK = {dtype: torch.promote_types(dtype, torch.float32) for dtype in BITS}

# The lower half of 64 bits.
_LOW = 2**32 - 1


class Differences:
    """What `compare` finds. Later blocks are spared the questions that earlier ones settled."""

    def __init__(self, candidate: torch.dtype, reference: torch.dtype) -> None:
        self.same_dtype = candidate == reference
        self.common = reference if self.same_dtype else torch.promote_types(candidate, reference)
        self.work = _WORK.get(self.common, torch.int64)
        self.maxdiff = 0.0
        self.index: tuple[int, ...] | None = None
        self.candidate = self.reference = math.nan
        self.ulps = self.differing = self.candidate_nonfinite = self.reference_nonfinite = 0
        self.error_norm = self.reference_norm = 0.0
        self.close = True

    def glance(self, block: Block) -> bool:
        """Vouches for finite numbers whose differences are finite too."""
        (candidate, reference), locate, out = block
        if self.work is torch.int64:
            return False
        wide = to_dtype(self.work, reference)
        references = read_if_few(wide)
        reference_norm = norm(references)
        if not reference_norm < math.inf:
            return False
        ulps = largest_ulps(candidate, reference, out) if self.same_dtype else -1
        maxdiff, where = 0.0, 0
        if ulps:
            difference = subtract(to_dtype(self.work, candidate), wide, out)
            differences = read_if_few(difference)
            error_norm = norm(differences)
            if not error_norm < math.inf:
                return False
            low, high = extremes(differences)
            maxdiff = max(abs(low), abs(high))
            if self._exceeds(maxdiff):
                where = find(high if high == maxdiff else low, differences)
            self.close = self.close and self._are_close(candidate, reference, difference, ulps)
            self.ulps = max(self.ulps, ulps)
            self.error_norm = math.hypot(self.error_norm, error_norm)
            self.differing += count_nonzero(differences)
        self.reference_norm = math.hypot(self.reference_norm, reference_norm)
        if self._exceeds(maxdiff):
            self.maxdiff, self.index = maxdiff, locate(where)
            self.candidate, self.reference = candidate[where].item(), float(references[where])
        return True

    def _are_close(self, candidate: Tensor, reference: Tensor, difference: Tensor, ulps: int) -> bool:
        """What `torch.allclose` says, asked only where half of its tolerance does not settle it."""
        if 0 <= ulps * EPS[self.common] <= _RTOL / 2:
            return True
        excess = torch.sub(difference.abs(), to_dtype(self.work, reference).abs(), alpha=_RTOL / 2)
        return excess.max().item() <= _ATOL / 2 or all(
            torch.allclose(to_dtype(self.common, left), to_dtype(self.common, right))
            for left, right in zip(pieces(candidate), pieces(reference), strict=True)
        )

    def _exceeds(self, maxdiff: float) -> bool:
        if self.index is None:
            return True
        return maxdiff > self.maxdiff or (math.isnan(maxdiff) and not math.isnan(self.maxdiff))

    def survey(self, *tensors: Tensor) -> Tensor:
        """Handles everything: nan, infinities, overflow, integers."""
        candidate, reference = (to_dtype(self.common, tensor) for tensor in tensors)
        candidate_finite, reference_finite = are_finite(candidate), are_finite(reference)
        finite = candidate_finite & reference_finite
        steps = steps_between(candidate, reference).where(finite, 0)
        difference = unsigned(steps)
        if self.work is not torch.int64:
            near = (to_dtype(self.work, candidate) - to_dtype(self.work, reference)).double()
            difference = near.where(near.isfinite(), candidate.double() - reference.double()).abs_()
            difference = difference.where(candidate != reference, 0.0)  # that of equal infinities is nan
        maxdiff, where = difference.max(0)
        ulps = largest_unsigned(steps)
        return row(
            maxdiff,
            where,
            candidate.take(where),
            reference.take(where),
            ulps >> 32 & _LOW,  # a float64 does not hold 64 bits
            ulps & _LOW,
            scaled_norm(difference.where(finite, 0.0)),
            scaled_norm(reference.double().where(finite, 0.0)),
            torch.count_nonzero(candidate != reference),
            torch.count_nonzero(~candidate.isclose(reference)),
            torch.count_nonzero(~candidate_finite),
            torch.count_nonzero(~reference_finite),
        )

    def add(self, numbers: Sequence[float], locate: Locate) -> None:
        """Takes the numbers in the order of `survey`."""
        maxdiff, where, candidate, reference, ulps_high, ulps_low, error_norm, reference_norm = numbers[:8]
        differing, distant, candidate_nonfinite, reference_nonfinite = map(int, numbers[8:])
        if self._exceeds(maxdiff):
            self.maxdiff, self.index = maxdiff, locate(int(where))
            self.candidate, self.reference = candidate, reference
        self.ulps = max(self.ulps, int(ulps_high) << 32 | int(ulps_low))
        self.error_norm = math.hypot(self.error_norm, error_norm)
        self.reference_norm = math.hypot(self.reference_norm, reference_norm)
        self.close = self.close and not distant
        self.differing += differing
        self.candidate_nonfinite += candidate_nonfinite
        self.reference_nonfinite += reference_nonfinite


class Errors:
    """What `distance` finds and, if it is to be located, `worst_element`."""

    def __init__(self, *, locate: bool) -> None:
        self._locate = locate
        self.error = -1.0  # as long as no reference is finite
        self.index: tuple[int, ...] | None = None
        self.candidate = self.reference = math.nan
        self.scale = self.error_norm = self.reference_norm = 0.0
        self.left_out = self.nonfinite = 0

    def glance(self, block: Block) -> bool:
        """Vouches for finite numbers."""
        candidate, reference = (to_dtype(torch.float64, tensor) for tensor in block.tensors)
        references = read_if_few(reference)
        differences = read_if_few(subtract(candidate, reference, block.out))
        reference_norm, error_norm = norm(references), norm(differences)
        if not error_norm + reference_norm < math.inf:
            return False
        low, high = extremes(differences)
        error, worst = max(abs(low), abs(high)), (0.0, math.nan, math.nan)
        if self._locate and error > self.error:
            where = find(high if high == error else low, differences)
            worst = (where, candidate[where].item(), float(references[where]))
        low, high = extremes(references)
        self.add((error, *worst, max(abs(low), abs(high)), error_norm, reference_norm, 0, 0), block.locate)
        return True

    def survey(self, *tensors: Tensor) -> Tensor:
        """Leaves out what is not finite in the reference."""
        candidate, reference = (to_dtype(torch.float64, tensor) for tensor in tensors)
        finite = are_finite(reference)
        difference = (candidate - reference).abs_().nan_to_num_(nan=math.inf, posinf=math.inf)
        error, where = difference.where(finite, -1.0).max(0)
        known = reference.where(finite, 0.0)
        return row(
            error,
            where,
            candidate.take(where),
            reference.take(where),
            known.abs().amax(),
            scaled_norm(difference.where(finite, 0.0)),
            scaled_norm(known),
            torch.count_nonzero(~finite),
            torch.count_nonzero(finite & ~are_finite(candidate)),
        )

    def add(self, numbers: Sequence[float], locate: Locate) -> None:
        """Takes the numbers in the order of `survey`."""
        error, where, candidate, reference, scale, error_norm, reference_norm, left_out, nonfinite = numbers
        if error > self.error:
            self.error, self.index = error, locate(int(where))
            self.candidate, self.reference = candidate, reference
        self.scale = max(self.scale, scale)
        self.error_norm = math.hypot(self.error_norm, error_norm)
        self.reference_norm = math.hypot(self.reference_norm, reference_norm)
        self.left_out += int(left_out)
        self.nonfinite += int(nonfinite)


class Counts:
    """What `count_above` finds."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.above = self.nonzero = 0

    def glance(self, block: Block) -> bool:
        """Vouches for finite numbers, at little cost where all exceed the threshold."""
        magnitude = torch.abs(to_dtype(torch.float64, block.tensors[0]), out=block.out)
        low, high = extremes(magnitude)
        if not high < math.inf:
            return False
        count = magnitude.numel()
        self.above += count if low > self._threshold else int((magnitude > self._threshold).sum().item())
        self.nonzero += count if low > 0 else count_nonzero(magnitude)
        return True

    def survey(self, *tensors: Tensor) -> Tensor:
        """Leaves out infinities and nan."""
        magnitude = to_dtype(torch.float64, tensors[0]).abs()
        magnitude = magnitude.where(magnitude < math.inf, 0.0)
        return row(torch.count_nonzero(magnitude > self._threshold), torch.count_nonzero(magnitude))

    def add(self, numbers: Sequence[float], locate: Locate) -> None:  # noqa: ARG002 - counts are nowhere
        """Takes the numbers in the order of `survey`."""
        self.above += int(numbers[0])
        self.nonzero += int(numbers[1])
