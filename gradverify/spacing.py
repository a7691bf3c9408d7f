"""How many representable numbers lie between two numbers: the distance in ulps, read off their bits."""

from __future__ import annotations

import torch
from torch import Tensor

from gradverify.block import pieces
from gradverify.magnitude import extremes, subtract

# The floating dtypes, each with the integer that has as many bits.
BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
}
EPS = {dtype: torch.finfo(dtype).eps for dtype in BITS}


def largest_ulps(candidate: Tensor, reference: Tensor, out: Tensor | None) -> int:
    """The largest distance in a block without nan in its reference; `out` is overwritten."""
    bits = BITS[reference.dtype]
    if out is not None:
        out = out.view(bits)[: reference.numel()]
    steps = subtract(candidate.view(bits), reference.view(bits), out)
    low, high = extremes(steps)
    ulps = int(max(abs(low), abs(high)))
    # The bits of infinity and nan, 1/eps of them, lie between those of finite numbers of unlike signs: a
    # smaller difference is between numbers of one sign, where it counts ulps.
    if ulps * EPS[reference.dtype] <= 1:
        return ulps
    pairs = zip(pieces(candidate), pieces(reference), strict=True)
    return max(int(largest_unsigned(steps_between(*pair)).item()) % 2**64 for pair in pairs)


def steps_between(candidate: Tensor, reference: Tensor) -> Tensor:
    """How many representable numbers apart the elements are: unsigned, in integers that may wrap."""
    left, right = _ordered(candidate), _ordered(reference)
    return torch.maximum(left, right).sub_(torch.minimum(left, right))


def _ordered(values: Tensor) -> Tensor:
    """Integers in the order of the values, neighbours one apart; 0.0 and -0.0 are both 0."""
    if values.dtype not in BITS:
        return values.long()
    bits = values.view(BITS[values.dtype])
    info = torch.iinfo(bits.dtype)
    sign = bits >> (info.bits - 1)  # -1 or 0
    return (sign & info.max).bitwise_xor_(bits).sub_(sign)


def largest_unsigned(steps: Tensor) -> Tensor:
    """The maximum of integers read as unsigned, as the bits of an int64."""
    info = torch.iinfo(steps.dtype)
    largest = (steps ^ info.min).amax() ^ info.min  # with the highest bit flipped the order is the signed one
    return largest.long() & (2**info.bits - 1 if info.bits < 64 else -1)


def unsigned(steps: Tensor) -> Tensor:
    """Unsigned steps of 64 bits as float64."""
    return steps.double() + (steps < 0) * 2.0**64
