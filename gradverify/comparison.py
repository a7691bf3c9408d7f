"""Two tensors of one shape, compared block by block: no broadcasting, no temporaries of full size.

On the CPU a *glance* at a block takes its numbers from extrema and dot products, which stay in cache, and
vouches for almost every block. What it cannot vouch for (nan, infinities, overflow) is *surveyed* element by
element. A survey never waits for its own result, so accelerators only survey, and are read once at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gradverify.errors import NotATensor, UsageError
from gradverify.report import Comparison

# Bytes of a block. Measured on two cores with 16 million float32 elements that differ by rounding: 27 ms at
# 2^19 bytes, 20 at 2^20, 17 at 2^21 and 2^22, 30 at 2^23, where the blocks leave the cache.
_BLOCK_BYTES = 2**21

# Elements surveyed at once. The CPU computes so few on one thread and in its cache: 50 ns each, against 90 with
# 2^17 of them. Accelerators take as many as fit in 16 MiB with all that is computed from them.
_PIECE = 2**15
_DEVICE_PIECE = 3 * 2**16

# The defaults of torch.allclose, whose meaning `approximate` has.
_RTOL, _ATOL = 1e-5, 1e-8

# The floating dtypes, each with the integer that has as many bits.
_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
}
_WORK = {dtype: torch.promote_types(dtype, torch.float32) for dtype in _BITS}
_EPS = {dtype: torch.finfo(dtype).eps for dtype in _BITS}
_TINY = {dtype: torch.finfo(dtype).tiny for dtype in _BITS}
_NAMES = {
    dtype: str(dtype).removeprefix("torch.")
    for dtype in (*_BITS, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
}

# Python's own functions take 1 us on a list of 100 numbers, a call of torch and reading its result 3 us.
_FEW = 256

_LOW = 2**32 - 1

_Values = Tensor | list[float]


@dataclass(frozen=True)
class Distance:
    """How far a candidate is from its reference, over the elements where the reference is finite.

    Attributes:
        error: the largest |candidate - reference|; inf where the candidate is not finite.
        scale: the largest |reference|.
        rms_error: the root mean square of candidate - reference; inf where `error` is.
        rms_scale: the root mean square of the reference.
        left_out: how many elements of the reference are not finite.
        nonfinite: how many elements of the candidate are not finite although the reference is.
    """

    error: float
    scale: float
    rms_error: float
    rms_scale: float
    left_out: int
    nonfinite: int


def compare(candidate: Tensor, reference: Tensor) -> Comparison:
    """What differs between two tensors, element by element, without a verdict.

    Nothing is broadcast: of tensors of different shapes, only that is said. Differences are taken in the
    promoted dtype (at least float32), and in float64 where they overflow it.

    Raises:
        NotATensor: one of the two is no tensor.
        UsageError: they are on different devices, or sparse, complex or of a dtype without arithmetic.
    """
    candidate, reference = _admit_both(candidate, reference)
    if candidate.shape != reference.shape:
        return _unmatched(candidate, reference)
    found = _Differences(candidate.dtype, reference.dtype)
    _visit(found, found.work, candidate, reference)
    return Comparison(
        shape=tuple(reference.shape),
        candidate_shape=tuple(candidate.shape),
        dtype=_NAMES[reference.dtype],
        candidate_dtype=_NAMES[candidate.dtype],
        numel=reference.numel(),
        exact=found.same_dtype and found.differing == 0,
        approximate=found.close,
        maxdiff=found.maxdiff,
        index=found.index,
        candidate=found.candidate,
        reference=found.reference,
        max_ulp=found.ulps if found.same_dtype else None,
        relative_error=_ratio(found.error_norm, found.reference_norm),
        differing=found.differing,
        candidate_nonfinite=found.candidate_nonfinite,
        reference_nonfinite=found.reference_nonfinite,
    )


def distance(candidate: Tensor, reference: Tensor) -> Distance:
    """How far a candidate is from its reference, in float64 whatever their dtypes.

    Raises as `compare` does, and UsageError where the shapes differ.
    """
    found = _Errors(locate=False)
    _visit(found, torch.float64, *_admit_alike(candidate, reference))
    root = math.sqrt(max(1, reference.numel() - found.left_out))
    return Distance(
        error=max(found.error, 0.0),
        scale=found.scale,
        rms_error=found.error_norm / root,
        rms_scale=found.reference_norm / root,
        left_out=found.left_out,
        nonfinite=found.nonfinite,
    )


def worst_element(candidate: Tensor, reference: Tensor) -> tuple[tuple[int, ...], float, float] | None:
    """Where the `error` of `distance` is: the index, the candidate's value there and the reference's.

    None where no element of the reference is finite. Raises as `distance` does.
    """
    found = _Errors(locate=True)
    _visit(found, torch.float64, *_admit_alike(candidate, reference))
    return None if found.index is None else (found.index, found.candidate, found.reference)


def count_above(reference: Tensor, threshold: float) -> tuple[int, int]:
    """How many finite elements exceed `threshold` >= 0 in magnitude, and how many are finite and not zero."""
    found = _Counts(threshold)
    _visit(found, torch.float64, _admit("reference", reference))
    return found.above, found.nonzero


def ulps_apart(candidate: Tensor, reference: Tensor) -> Tensor:
    """How many units in the last place each element is off, as float64; both have one shape and one dtype."""
    return _unsigned(_steps(candidate, reference))


_Locate = Callable[[int], tuple[int, ...]]


class _Block(NamedTuple):
    """The same elements of all tensors, flat; how to find their index; room for as many results, or None."""

    tensors: Sequence[Tensor]
    locate: _Locate
    out: Tensor | None


class _Tally(Protocol):
    """What is added up over all blocks, and two ways to look at one."""

    def glance(self, block: _Block) -> bool:
        """Add a block on the CPU, if extrema and dot products tell all of it."""

    def survey(self, *tensors: Tensor) -> Tensor:
        """The numbers of a piece of a block, whatever its elements, without waiting for them."""

    def add(self, numbers: Sequence[float], locate: _Locate) -> None:
        """Add the numbers of a surveyed piece."""


def _visit(tally: _Tally, work: torch.dtype, *tensors: Tensor) -> None:
    """Show a tally all blocks, and on the CPU only those pieces that a glance does not settle."""
    glancing = _is_free_to_read(tensors[-1])
    surveyed: list[tuple[Tensor, _Locate]] = []
    for block in _blocks(work, tensors):
        if glancing and tally.glance(block):
            continue
        length = _PIECE if glancing else _DEVICE_PIECE
        for start in range(0, block.tensors[-1].numel(), length):
            numbers = tally.survey(*(tensor[start : start + length] for tensor in block.tensors))
            surveyed.append((numbers, partial(_shifted, block.locate, start)))
    if surveyed:
        rows = torch.stack([numbers for numbers, _ in surveyed]).tolist()
        for row, (_, locate) in zip(rows, surveyed, strict=True):
            tally.add(row, locate)


def _is_free_to_read(tensor: Tensor) -> bool:
    return tensor.is_cpu


def _blocks(work: torch.dtype, tensors: Sequence[Tensor]) -> Iterator[_Block]:
    """Cut the tensors alike, along the memory of the last; a block is copied only where it is strided."""
    shape, length = tensors[-1].shape, _BLOCK_BYTES // work.itemsize
    if shape.numel() <= length:
        if shape.numel():
            yield _Block([_flat(tensor) for tensor in tensors], partial(_unravel, shape), None)
        return
    order = sorted(range(len(shape)), key=tensors[-1].stride, reverse=True)
    tensors = [tensor.permute(order) for tensor in tensors]
    shape = tensors[-1].shape
    if all(tensor.is_contiguous() for tensor in tensors):
        tensors = [tensor.view(-1) for tensor in tensors]
    # Memory at hand spares the page faults of new temporaries; an accelerator leaves it untouched.
    out = torch.empty(length, dtype=work, device="cpu")
    for region in _regions(tensors[-1].shape, length):
        parts = [tensor[region] for tensor in tensors]
        locate = partial(_index, order, shape, region, parts[-1].shape)
        yield _Block([_flat(part) for part in parts], locate, out[: parts[-1].numel()])


def _flat(tensor: Tensor) -> Tensor:
    # The bits of a lazily negated tensor, such as the imaginary part of a conjugate, are not its values.
    return tensor.flatten().resolve_neg()


def _regions(shape: Sequence[int], length: int) -> Iterator[tuple[slice, ...]]:
    """Where to cut a shape, its last dimensions whole, so that no part has more than `length` elements."""
    extents: list[int] = []
    for size in reversed(shape):
        extents.insert(0, min(size, length))
        length //= extents[0]
    for corner in product(*(range(0, size, extent) for size, extent in zip(shape, extents, strict=True))):
        yield tuple(slice(start, start + extent) for start, extent in zip(corner, extents, strict=True))


def _unravel(shape: Sequence[int], where: int) -> tuple[int, ...]:
    index: list[int] = []
    for size in reversed(shape):
        where, step = divmod(where, size)
        index.insert(0, step)
    return tuple(index)


def _index(
    order: list[int], shape: Sequence[int], region: Sequence[slice], extents: Sequence[int], where: int
) -> tuple[int, ...]:
    """The index of one element of a part of tensors that were permuted, and made flat where that was possible."""
    position = [part.start + step for part, step in zip(region, _unravel(extents, where), strict=True)]
    if len(position) < len(shape):
        position = list(_unravel(shape, position[0]))
    return tuple(position[order.index(dimension)] for dimension in range(len(order)))


def _shifted(locate: _Locate, start: int, where: int) -> tuple[int, ...]:
    return locate(start + where)


class _Differences:
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

    def glance(self, block: _Block) -> bool:
        """Vouches for finite numbers whose differences are finite too."""
        (candidate, reference), locate, out = block
        if self.work is torch.int64:
            return False
        wide = _to(self.work, reference)
        references = _read_if_few(wide)
        reference_norm = _norm(references)
        if not reference_norm < math.inf:
            return False
        ulps = _largest_ulps(candidate, reference, out) if self.same_dtype else -1
        maxdiff, where = 0.0, 0
        if ulps:
            difference = _subtract(_to(self.work, candidate), wide, out)
            differences = _read_if_few(difference)
            error_norm = _norm(differences)
            if not error_norm < math.inf:
                return False
            low, high = _extremes(differences)
            maxdiff = max(abs(low), abs(high))
            if self._exceeds(maxdiff):
                where = _find(high if high == maxdiff else low, differences)
            self.close = self.close and self._are_close(candidate, reference, difference, ulps)
            self.ulps = max(self.ulps, ulps)
            self.error_norm = math.hypot(self.error_norm, error_norm)
            self.differing += _count_nonzero(differences)
        self.reference_norm = math.hypot(self.reference_norm, reference_norm)
        if self._exceeds(maxdiff):
            self.maxdiff, self.index = maxdiff, locate(where)
            self.candidate, self.reference = candidate[where].item(), float(references[where])
        return True

    def _are_close(self, candidate: Tensor, reference: Tensor, difference: Tensor, ulps: int) -> bool:
        """What `torch.allclose` says, asked only where half of its tolerance does not settle it."""
        if 0 <= ulps * _EPS[self.common] <= _RTOL / 2:
            return True
        excess = torch.sub(difference.abs(), _to(self.work, reference).abs(), alpha=_RTOL / 2)
        return excess.max().item() <= _ATOL / 2 or all(
            torch.allclose(_to(self.common, left), _to(self.common, right))
            for left, right in zip(_pieces(candidate), _pieces(reference), strict=True)
        )

    def _exceeds(self, maxdiff: float) -> bool:
        if self.index is None:
            return True
        return maxdiff > self.maxdiff or (math.isnan(maxdiff) and not math.isnan(self.maxdiff))

    def survey(self, *tensors: Tensor) -> Tensor:
        """Handles everything: nan, infinities, overflow, integers."""
        candidate, reference = (_to(self.common, tensor) for tensor in tensors)
        candidate_finite, reference_finite = _are_finite(candidate), _are_finite(reference)
        finite = candidate_finite & reference_finite
        steps = _steps(candidate, reference).where(finite, 0)
        difference = _unsigned(steps)
        if self.work is not torch.int64:
            near = (_to(self.work, candidate) - _to(self.work, reference)).double()
            difference = near.where(near.isfinite(), candidate.double() - reference.double()).abs_()
            difference = difference.where(candidate != reference, 0.0)  # that of equal infinities is nan
        maxdiff, where = difference.max(0)
        ulps = _largest_unsigned(steps)
        return _row(
            maxdiff,
            where,
            candidate.take(where),
            reference.take(where),
            ulps >> 32 & _LOW,  # a float64 does not hold 64 bits
            ulps & _LOW,
            _scaled_norm(difference.where(finite, 0.0)),
            _scaled_norm(reference.double().where(finite, 0.0)),
            torch.count_nonzero(candidate != reference),
            torch.count_nonzero(~candidate.isclose(reference)),
            torch.count_nonzero(~candidate_finite),
            torch.count_nonzero(~reference_finite),
        )

    def add(self, numbers: Sequence[float], locate: _Locate) -> None:
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


class _Errors:
    """What `distance` finds and, if it is to be located, `worst_element`."""

    def __init__(self, *, locate: bool) -> None:
        self._locate = locate
        self.error = -1.0  # as long as no reference is finite
        self.index: tuple[int, ...] | None = None
        self.candidate = self.reference = math.nan
        self.scale = self.error_norm = self.reference_norm = 0.0
        self.left_out = self.nonfinite = 0

    def glance(self, block: _Block) -> bool:
        """Vouches for finite numbers."""
        candidate, reference = (_to(torch.float64, tensor) for tensor in block.tensors)
        references = _read_if_few(reference)
        differences = _read_if_few(_subtract(candidate, reference, block.out))
        reference_norm, error_norm = _norm(references), _norm(differences)
        if not error_norm + reference_norm < math.inf:
            return False
        low, high = _extremes(differences)
        error, worst = max(abs(low), abs(high)), (0.0, math.nan, math.nan)
        if self._locate and error > self.error:
            where = _find(high if high == error else low, differences)
            worst = (where, candidate[where].item(), float(references[where]))
        low, high = _extremes(references)
        self.add((error, *worst, max(abs(low), abs(high)), error_norm, reference_norm, 0, 0), block.locate)
        return True

    def survey(self, *tensors: Tensor) -> Tensor:
        """Leaves out what is not finite in the reference."""
        candidate, reference = (_to(torch.float64, tensor) for tensor in tensors)
        finite = _are_finite(reference)
        difference = (candidate - reference).abs_().nan_to_num_(nan=math.inf, posinf=math.inf)
        error, where = difference.where(finite, -1.0).max(0)
        known = reference.where(finite, 0.0)
        return _row(
            error,
            where,
            candidate.take(where),
            reference.take(where),
            known.abs().amax(),
            _scaled_norm(difference.where(finite, 0.0)),
            _scaled_norm(known),
            torch.count_nonzero(~finite),
            torch.count_nonzero(finite & ~_are_finite(candidate)),
        )

    def add(self, numbers: Sequence[float], locate: _Locate) -> None:
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


class _Counts:
    """What `count_above` finds."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.above = self.nonzero = 0

    def glance(self, block: _Block) -> bool:
        """Vouches for finite numbers, at little cost where all exceed the threshold."""
        magnitude = torch.abs(_to(torch.float64, block.tensors[0]), out=block.out)
        low, high = _extremes(magnitude)
        if not high < math.inf:
            return False
        count = magnitude.numel()
        self.above += count if low > self._threshold else int((magnitude > self._threshold).sum().item())
        self.nonzero += count if low > 0 else _count_nonzero(magnitude)
        return True

    def survey(self, *tensors: Tensor) -> Tensor:
        """Leaves out infinities and nan."""
        magnitude = _to(torch.float64, tensors[0]).abs()
        magnitude = magnitude.where(magnitude < math.inf, 0.0)
        return _row(torch.count_nonzero(magnitude > self._threshold), torch.count_nonzero(magnitude))

    def add(self, numbers: Sequence[float], locate: _Locate) -> None:  # noqa: ARG002 - counts are nowhere
        """Takes the numbers in the order of `survey`."""
        self.above += int(numbers[0])
        self.nonzero += int(numbers[1])


def _largest_ulps(candidate: Tensor, reference: Tensor, out: Tensor | None) -> int:
    """The largest distance in a block without nan in its reference; `out` is overwritten."""
    bits = _BITS[reference.dtype]
    if out is not None:
        out = out.view(bits)[: reference.numel()]
    steps = _subtract(candidate.view(bits), reference.view(bits), out)
    low, high = _extremes(steps)
    ulps = int(max(abs(low), abs(high)))
    # The bits of infinity and nan, 1/eps of them, lie between those of finite numbers of unlike signs: a
    # smaller difference is between numbers of one sign, where it counts ulps.
    if ulps * _EPS[reference.dtype] <= 1:
        return ulps
    pieces = zip(_pieces(candidate), _pieces(reference), strict=True)
    return max(int(_largest_unsigned(_steps(*piece)).item()) % 2**64 for piece in pieces)


def _steps(candidate: Tensor, reference: Tensor) -> Tensor:
    """How many representable numbers apart the elements are: unsigned, in integers that may wrap."""
    left, right = _ordered(candidate), _ordered(reference)
    return torch.maximum(left, right).sub_(torch.minimum(left, right))


def _ordered(values: Tensor) -> Tensor:
    """Integers in the order of the values, neighbours one apart; 0.0 and -0.0 are both 0."""
    if values.dtype not in _BITS:
        return values.long()
    bits = values.view(_BITS[values.dtype])
    info = torch.iinfo(bits.dtype)
    sign = bits >> (info.bits - 1)  # -1 or 0
    return (sign & info.max).bitwise_xor_(bits).sub_(sign)


def _largest_unsigned(steps: Tensor) -> Tensor:
    """The maximum of integers read as unsigned, as the bits of an int64."""
    info = torch.iinfo(steps.dtype)
    largest = (steps ^ info.min).amax() ^ info.min  # with the highest bit flipped the order is the signed one
    return largest.long() & (2**info.bits - 1 if info.bits < 64 else -1)


def _are_finite(values: Tensor) -> Tensor:
    return values * 0 == 0  # twice as fast as isfinite, and with less memory


def _unsigned(steps: Tensor) -> Tensor:
    """Unsigned steps of 64 bits as float64."""
    return steps.double() + (steps < 0) * 2.0**64


def _read_if_few(values: Tensor) -> _Values:
    return values.tolist() if values.numel() <= _FEW else values


def _extremes(values: _Values) -> tuple[float, float]:
    """The smallest and the largest; nan of a tensor if any is."""
    if isinstance(values, list):
        return min(values), max(values)
    low, high = torch.aminmax(values)
    return low.item(), high.item()


def _find(value: float, values: _Values) -> int:
    """The first place of a value that is there."""
    if isinstance(values, list):
        return values.index(value)
    found = ((number, (piece == value).nonzero()) for number, piece in enumerate(_pieces(values)))
    return next(number * _PIECE + int(places[0].item()) for number, places in found if places.numel())


def _norm(values: _Values) -> float:
    """The Euclidean norm, by a dot product unless squares overflow, or underflow so far that it matters."""
    if isinstance(values, list):
        return math.hypot(*values)
    square = torch.dot(values, values).item()
    if 1000 * values.numel() * _TINY[values.dtype] < square < math.inf:
        return math.sqrt(square)
    low, high = _extremes(values)
    largest = max(abs(low), abs(high))
    if not 0 < largest < math.inf:
        return largest
    values = values / largest
    return largest * math.sqrt(torch.dot(values, values).item())


def _row(*numbers: Tensor) -> Tensor:
    return torch.stack([number.double() for number in numbers])


def _scaled_norm(values: Tensor) -> Tensor:
    """The Euclidean norm of float64 values, none of whose squares overflows or all underflow."""
    largest = values.abs().amax()
    largest = largest.where((largest > 0) & (largest < math.inf), 1.0)
    norm: Tensor = torch.linalg.vector_norm(values / largest)
    return norm * largest


def _count_nonzero(values: _Values) -> int:
    """How many finite values are not zero; a tensor's are overwritten.

    Measured on 2^17 float32 elements: sign and dot 30 us, `count_nonzero` 240. So few ones add up exactly.
    """
    if isinstance(values, list):
        return len(values) - values.count(0.0)
    signs = values.sign_()
    return int(torch.dot(signs, signs).item())


def _ratio(error: float, scale: float) -> float:
    if scale == 0:
        return math.inf if error else 0.0
    return error / scale


def _to(dtype: torch.dtype, tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == dtype else tensor.to(dtype)  # `to` takes 2 us to find nothing to do


def _subtract(candidate: Tensor, reference: Tensor, out: Tensor | None) -> Tensor:
    return candidate - reference if out is None else torch.sub(candidate, reference, out=out)


def _pieces(flat: Tensor) -> Iterator[Tensor]:
    return (flat[start : start + _PIECE] for start in range(0, flat.numel(), _PIECE))


def _unmatched(candidate: Tensor, reference: Tensor) -> Comparison:
    return Comparison(
        shape=tuple(reference.shape),
        candidate_shape=tuple(candidate.shape),
        dtype=_NAMES[reference.dtype],
        candidate_dtype=_NAMES[candidate.dtype],
        numel=reference.numel(),
        exact=False,
        approximate=False,
        maxdiff=math.nan,
        index=None,
        candidate=math.nan,
        reference=math.nan,
        max_ulp=None,
        relative_error=math.nan,
        differing=reference.numel(),
        candidate_nonfinite=0,
        reference_nonfinite=0,
    )


def _admit(role: str, tensor: object) -> Tensor:
    """A tensor without its graph, if it is of a kind that can be compared."""
    if not isinstance(tensor, Tensor):
        kind = "None" if tensor is None else f"a {type(tensor).__name__}"
        raise NotATensor(f"the {role} must be a tensor, not {kind}: make it one with torch.as_tensor")
    if tensor.layout is not torch.strided:
        raise UsageError(f"the {role} must be dense, but is {tensor.layout}: give its .to_dense()")
    if tensor.dtype not in _NAMES:
        remedy = "torch.view_as_real of both" if tensor.is_complex() else "both as float32 or int64"
        raise UsageError(f"the {role} is {tensor.dtype}, which is not compared: give {remedy}")
    if torch._is_zerotensor(tensor):
        return torch.zeros_like(tensor)  # autograd gives zeros without memory, which nothing can read
    return tensor.detach() if tensor.requires_grad else tensor


def _admit_both(candidate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    candidate, reference = _admit("candidate", candidate), _admit("reference", reference)
    if candidate.device != reference.device:
        raise UsageError(
            f"both must be on one device, but the candidate is on {candidate.device}, the reference on "
            f"{reference.device}: move one with .to(device)"
        )
    return candidate, reference


def _admit_alike(candidate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    candidate, reference = _admit_both(candidate, reference)
    if candidate.shape != reference.shape:
        raise UsageError(
            f"both must have one shape, but the candidate's is {tuple(candidate.shape)}, the reference's "
            f"{tuple(reference.shape)}: reshape one"
        )
    return candidate, reference
