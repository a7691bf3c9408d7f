"""Moving every element of a tensor by one unit in the last place, up or down."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

# The steps of a move stay in the cache. Measured on 3e6 doubles with two threads, ns an element: 11 with
# blocks of 2^13, 5.3 with 2^15, 2.3 with 2^17, 1.7 with 2^19. A device needs fewer, larger launches.
_CPU_BLOCK = 1 << 18
_DEVICE_BLOCK = 1 << 22

_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
}


# Half of the width, and the sign bit alone.
_BOUNDS = {integer: (torch.iinfo(integer).bits // 2, torch.iinfo(integer).min) for integer in _BITS.values()}


def move(tensor: Tensor, draw: int) -> Tensor:
    """A tensor whose every finite non-zero element is one ulp above or below; other dtypes come back as they are.

    The direction is a hash of all the element's bits, sign bit included, and of the draw: equal values move
    alike, so that ties stay ties. Zeros, infinities and nan stay, and so do subnormal numbers, whose ulp is
    below what a product with a small step can reach. The largest finite numbers move towards zero.
    """
    if tensor.dtype not in _BITS:
        return tensor
    if tensor.is_contiguous():  # as nearly every tensor is
        moved = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        _move_flat(tensor.view(-1), moved.view(-1), draw)
        return moved
    compact = _without_repeats(tensor)
    order = sorted(range(compact.dim()), key=compact.stride, reverse=True)
    source = compact.permute(order).contiguous()
    moved = torch.empty_like(source)
    _move_flat(source.view(-1), moved.view(-1), draw)
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return moved.permute(inverse).expand(tensor.shape)


def move_(tensor: Tensor, draw: int) -> None:
    """Move a tensor in place, behind the back of autograd: its version counter does not count this."""
    if tensor.dtype in _BITS:
        compact = _without_repeats(tensor.data)
        compact.copy_(move(compact, draw))


def _without_repeats(tensor: Tensor) -> Tensor:
    """The same tensor with every expanded dimension cut to one element."""
    for dim, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dim] > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _move_flat(source: Tensor, target: Tensor, draw: int) -> None:
    integer = _BITS[source.dtype]
    multiplier, step = _hash_of(source.dtype, draw)
    half, lowest = _BOUNDS[integer]
    block = _CPU_BLOCK if source.device.type == "cpu" else _DEVICE_BLOCK
    buffer = torch.empty(min(block, source.numel()), dtype=integer, device=source.device)
    for start in range(0, source.numel(), block):
        values = source[start : start + block]
        bits = values.view(integer)
        sign = buffer[: values.numel()]
        torch.bitwise_right_shift(bits, half, out=sign)
        sign.bitwise_xor_(bits).mul_(multiplier)
        # The top bit of the hash becomes the sign of the step: value + value * (± step) in one operation.
        sign.bitwise_and_(lowest).bitwise_or_(step)
        torch.addcmul(values, values, sign.view(source.dtype), out=target[start : start + block])


@lru_cache(maxsize=256)
def _hash_of(dtype: torch.dtype, draw: int) -> tuple[int, int]:
    """The multiplier of a draw's hash, and the bits of the relative step.

    The step is 3/4 of eps: x + x * 3/4 eps lies between 3/4 and 3/2 ulp from x, and rounds to its
    neighbour. The multiplier is the first of a fixed sequence with which infinities move outwards (so that
    they stay, where inwards would give inf - inf) and the largest finite numbers inwards.
    """
    integer = _BITS[dtype]
    width = _width(integer)
    info = torch.finfo(dtype)
    edges = torch.tensor([torch.inf, -torch.inf, info.max, info.min], dtype=dtype, device="cpu").view(integer)
    mixed = (edges >> width // 2) ^ edges
    outwards = torch.tensor([True, True, False, False], device="cpu")
    state = draw + 1
    while True:
        # The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        word = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
        word = (word ^ (word >> 31)) >> (64 - width) | 1
        multiplier = word - 2**width if word >= 2 ** (width - 1) else word
        if torch.equal(mixed * multiplier >= 0, outwards):
            break
    step = torch.tensor(0.75 * info.eps, dtype=dtype, device="cpu").view(integer).item()
    return multiplier, int(step)


def _width(integer: torch.dtype) -> int:
    return torch.iinfo(integer).bits
