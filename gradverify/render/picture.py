"""Numbers as small pictures: a heat map as a PNG of a few colours, a histogram as the outline of its bars."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence

from gradverify.render import spelling
from gradverify.render.page import Bars, HeatScale, Histogram, Picture, address_of
from gradverify.report import HeatMap

# Red, green, blue and opacity: no error, then from small to large, then not finite. They get redder and more opaque, so
# that they can be told apart on white and on black.
_PALETTE = (
    (0, 0, 0, 0),
    *((244, 190, 80, 90), (244, 178, 66, 130), (243, 164, 55, 170), (241, 149, 47, 200), (238, 133, 43, 225)),
    *((233, 116, 43, 240), (226, 98, 48, 255), (217, 80, 54, 255), (205, 62, 61, 255), (190, 46, 70, 255)),
    *((178, 32, 80, 255), (168, 20, 88, 255), (160, 8, 96, 255)),
    (124, 77, 255, 255),
)
_LEVELS = len(_PALETTE) - 2
_NONFINITE = len(_PALETTE) - 1

# Errors this much smaller than the largest look alike: what is a thousandth of it is rarely the cause.
_RANGE = 1e-3

# Pixels: the longer side of a heat map, and the sides of a cell at most.
_LONGEST, _WIDEST_CELL = 256, 28

# Pixels of a histogram in a card, and of its bars at most; the height of one in a table.
_LARGE, _WIDEST_BAR = (300, 70), 24
_SMALL_HEIGHT = 14

# Sizes of errors that a histogram in a table tells apart: 0 to 2^16 ulps, and more.
_SMALL_BINS = 17


def draw_heat_map(heat_map: HeatMap, rank: int, allowed: float | None) -> HeatScale | None:
    """A heat map and its scale; None where there is one element, or nothing to see.

    Args:
        heat_map: of a gradient.
        rank: how many dimensions it has.
        allowed: the largest error that rounding explains, which counts as none.
    """
    cells = [cell for row in heat_map.cells for cell in row]
    finite = [cell for cell in cells if math.isfinite(cell)]
    high = max(finite, default=0.0)
    if math.prod(heat_map.extent) < 2 or not any(cell > (allowed or 0.0) for cell in cells):
        return None
    low = max(allowed or 0.0, high * _RANGE)
    levels = [[_level(cell, allowed or 0.0, low, high) for cell in row] for row in heat_map.cells]
    height, width = len(levels), len(levels[0])
    side = max(1, min(_WIDEST_CELL, _LONGEST // max(height, width)))
    off = sum(level > 0 for row in levels for level in row)
    text = f"heat map of {height} × {width} cells, {off} of them off"
    scale = Picture(address_of("image/png", _png([list(range(1, _LEVELS + 1))])), "from small to large", _LEVELS * 6, 9)
    return HeatScale(
        picture=Picture(address_of("image/png", _png(levels)), text, width * side, height * side),
        caption=_describe_axes(heat_map, rank),
        scale=scale,
        low=f"≤ {spelling.number(low)}",
        high=spelling.number(high),
        is_finite=len(finite) == len(cells),
    )


def draw_histogram(ulps: Sequence[int]) -> Histogram | None:
    """The histogram of a card; None of fewer than two elements."""
    if sum(ulps) < 2:
        return None
    width, height = _LARGE
    step = min(_WIDEST_BAR, width / len(ulps))
    boxes = (f"M{place * step:.1f} {height}v-{tall}h{step - 1:.1f}v{tall}z" for place, tall in _heights(ulps, height))
    bars = Bars("".join(boxes), math.ceil(len(ulps) * step), height, _summary(ulps))
    every = max(1, math.ceil(len(ulps) * 34 / width))
    labels = [
        (round((place + 0.5) * step, 1), _size(place)) for place in range(len(ulps)) if place < 2 or place % every == 0
    ]
    if every > 1:
        labels = [one for one in labels if one[1] != "1"]
    return Histogram(bars, tuple(labels), f"{bars.text}; the height of a bar grows with the logarithm of its count")


def draw_bars(ulps: Sequence[int]) -> Bars | None:
    """The histogram of a cell in a table; None without elements."""
    if not sum(ulps):
        return None
    shown = [*ulps[:_SMALL_BINS], *[0] * (_SMALL_BINS - len(ulps)), sum(ulps[_SMALL_BINS:])]
    # Strokes, which take half the characters of boxes: there may be a thousand such histograms.
    lines = (f"M{3 * place + 1} {_SMALL_HEIGHT}v-{tall}" for place, tall in _heights(shown, _SMALL_HEIGHT))
    return Bars("".join(lines), 3 * len(shown), _SMALL_HEIGHT, _summary(ulps))


def _heights(counts: Sequence[int], height: int) -> Iterator[tuple[int, int]]:
    """The place and the height of each bar: as the logarithm of its count, and never so low that it is not seen."""
    tallest = math.log1p(max(counts))
    for place, count in enumerate(counts):
        if count:
            yield place, max(2, round(height * math.log1p(count) / tallest))


def _summary(counts: Sequence[int]) -> str:
    """The share that is equal, and the sizes between which the middle one and the largest are."""
    total = sum(counts)
    reached, middle = 0, 0
    for middle, count in enumerate(counts):  # noqa: B007  # where it stops is what is asked for
        reached += count
        if 2 * reached >= total:
            break
    largest = max(place for place, count in enumerate(counts) if count)
    equal = f"{spelling.count(counts[0])} of {spelling.several(total, 'element')} equal"
    if largest == 0:
        return equal
    if middle == 0:
        return f"{equal}; none more than {_most(largest)} ulp off"
    if middle == largest:
        return f"{equal}; half are {_most(middle - 1)} ulp off or more, none more than {_most(largest)}"
    return f"{equal}; half are at most {_most(middle)} ulp off, all at most {_most(largest)}"


def _size(place: int) -> str:
    return str(place) if place < 2 else spelling.count(2 ** (place - 1)) if place < 8 else f"2^{place - 1}"


def _most(place: int) -> str:
    return spelling.count(2**place - 1)


def _level(cell: float, allowed: float, low: float, high: float) -> int:
    if not math.isfinite(cell):
        return _NONFINITE
    if cell <= allowed:
        return 0
    if high <= low:
        return _LEVELS
    place = math.log(max(cell, low) / low) / math.log(high / low)
    return 1 + round(place * (_LEVELS - 1))


def _describe_axes(heat_map: HeatMap, rank: int) -> str:
    (down, across), (height, width) = heat_map.extent, heat_map.tile
    cell = f"; each cell is the largest error of {height} × {width} elements" if height * width > 1 else ""
    if heat_map.split == 0:
        return f"{across} across{cell}"
    upper, lower = (_name_dimensions(one) for one in (range(heat_map.split), range(heat_map.split, rank)))
    return f"{down} down ({upper}), {across} across ({lower}){cell}"


def _name_dimensions(dimensions: range) -> str:
    return f"{'dimension' if len(dimensions) == 1 else 'dimensions'} {', '.join(map(str, dimensions))}"


def _png(levels: Sequence[Sequence[int]]) -> bytes:
    """A PNG of indices into the palette, four bits a pixel."""
    height, width = len(levels), len(levels[0])
    lines = bytearray()
    for row in levels:
        pairs = zip(row[::2], [*row[1::2], *[0] * (width % 2)], strict=True)
        lines += b"\0" + bytes(left << 4 | right for left, right in pairs)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(part for color in _PALETTE for part in color[:3])),
            _chunk(b"tRNS", bytes(color[3] for color in _PALETTE)),
            _chunk(b"IDAT", zlib.compress(bytes(lines), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
