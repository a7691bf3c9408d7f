"""Tensors of one shape cut into blocks, alike: no broadcasting, no copies of full size.

On the CPU a *glance* at a block takes its numbers from extrema and dot products, which stay in cache, and
vouches for almost every block. What it cannot vouch for (nan, infinities, overflow) is *surveyed* element by
element. A survey never waits for its own result, so accelerators only survey, and are read once at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Bytes of a block for each thread that works on it. Measured with 16 million float32 elements that differ by rounding:
# 80 ms at 2^19 bytes on one thread, 66 at 2^20, 72 at 2^21, 79 at 2^22; on two 17 at 2^21 and 2^22, 27 at 2^19, and 30
# at 2^23, where the blocks leave the cache.
_BLOCK_BYTES, _MOST_THREADS = 2**20, 4

# Elements surveyed at once. The CPU computes so few on one thread and in its cache: 50 ns each, against 90 with
# 2^17 of them. Accelerators take as many as fit in 16 MiB with all that is computed from them.
_PIECE = 2**15
_DEVICE_PIECE = 3 * 2**16

Locate = Callable[[int], tuple[int, ...]]


class Block(NamedTuple):
    """The same elements of all tensors, flat; how to find their index; room for as many results, or None."""

    tensors: Sequence[Tensor]
    locate: Locate
    out: Tensor | None


class Tally(Protocol):
    """What is added up over all blocks, and two ways to look at one."""

    def glance(self, block: Block) -> bool:
        """Add a block on the CPU, if extrema and dot products tell all of it."""

    def survey(self, *tensors: Tensor) -> Tensor:
        """The numbers of a piece of a block, whatever its elements, without waiting for them."""

    def add(self, numbers: Sequence[float], locate: Locate) -> None:
        """Add the numbers of a surveyed piece."""


def visit(tally: Tally, work: torch.dtype, *tensors: Tensor) -> None:
    """Show a tally all blocks, and on the CPU only those pieces that a glance does not settle."""
    glancing = _is_free_to_read(tensors[-1])
    surveyed: list[tuple[Tensor, Locate]] = []
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


def _blocks(work: torch.dtype, tensors: Sequence[Tensor]) -> Iterator[Block]:
    """Cut the tensors alike, along the memory of the last; a block is copied only where it is strided."""
    shape = tensors[-1].shape
    length = min(torch.get_num_threads(), _MOST_THREADS) * _BLOCK_BYTES // work.itemsize
    if shape.numel() <= length:
        if shape.numel():
            yield Block([_flat(tensor) for tensor in tensors], partial(_unravel, shape), None)
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
        yield Block([_flat(part) for part in parts], locate, out[: parts[-1].numel()])


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


def _shifted(locate: Locate, start: int, where: int) -> tuple[int, ...]:
    return locate(start + where)


def pieces(flat: Tensor) -> Iterator[Tensor]:
    """A block in pieces that stay in the cache of one core."""
    return (flat[start : start + _PIECE] for start in range(0, flat.numel(), _PIECE))
