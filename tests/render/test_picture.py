"""Heat maps and histograms: what is large is seen, what rounding explains is not."""

import base64
import math
import re
import struct
import zlib
from itertools import pairwise

import pytest

from gradverify.render.picture import draw_bars, draw_heat_map, draw_histogram
from gradverify.report import HeatMap


def pixels_of(address: str) -> list[list[int]]:
    """The indices into the palette of a PNG, read as the format's specification has it."""
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, place = {}, 8
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        kind, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", content[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + length
    width, height, depth, color, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, color) == (4, 3)
    assert len(chunks[b"PLTE"]) // 3 == len(chunks[b"tRNS"]) <= 16
    lines = zlib.decompress(chunks[b"IDAT"])
    stride = (width + 1) // 2
    rows = []
    for number in range(height):
        line = lines[number * (stride + 1) : (number + 1) * (stride + 1)]
        assert line[0] == 0
        rows.append([half for byte in line[1:] for half in (byte >> 4, byte & 15)][:width])
    return rows


def heat_map(*rows: tuple[float, ...]) -> HeatMap:
    return HeatMap(1, (len(rows), len(rows[0])), (1, 1), rows)


def test_what_rounding_explains_is_clear_and_the_largest_error_is_not():
    drawn = draw_heat_map(heat_map((0.0, 1e-12, 1e-3), (0.05, 0.3, 1.0)), 2, 1e-11)
    (none, explained, low), (more, much, most) = pixels_of(drawn.picture.address)
    assert none == explained == 0 < low < more < much < most
    assert most == 13
    assert drawn.is_finite
    assert drawn.high == "1"
    assert drawn.low == "≤ 0.001"


def test_what_is_not_finite_has_a_colour_of_its_own():
    drawn = draw_heat_map(heat_map((0.0, math.inf), (1.0, math.nan)), 2, None)
    assert pixels_of(drawn.picture.address) == [[0, 14], [13, 14]]
    assert not drawn.is_finite


def test_equal_errors_are_all_the_largest():
    drawn = draw_heat_map(heat_map((2.0, 2.0, 0.0)), 1, 0.0)
    assert pixels_of(drawn.picture.address) == [[13, 13, 0]]


def test_a_map_with_nothing_to_see_is_not_drawn():
    """One element; or no error beyond what rounding explains."""
    assert draw_heat_map(heat_map((1.0,)), 0, 0.0) is None
    assert draw_heat_map(heat_map((1e-12, 0.0)), 1, 1e-11) is None
    assert draw_heat_map(heat_map((1e-12, math.inf)), 1, 1e-11) is not None


def test_a_picture_is_neither_a_dot_nor_a_wall():
    """Few cells are large, many are small; the longest side is at most 256 pixels."""
    assert draw_heat_map(heat_map((1.0, 0.0)), 1, None).picture.width == 56
    wide = draw_heat_map(HeatMap(0, (1, 640), (1, 10), (tuple([1.0] * 64),)), 1, None)
    assert (wide.picture.width, wide.picture.height) == (256, 4)


@pytest.mark.parametrize(
    ("found", "rank", "caption"),
    [
        (HeatMap(0, (1, 5), (1, 1), ((1.0,) * 5,)), 1, "5 across"),
        (HeatMap(1, (2, 2), (1, 1), ((1.0, 0.0),) * 2), 2, "2 down (dimension 0), 2 across (dimension 1)"),
        (
            HeatMap(2, (128, 960), (2, 15), ((1.0,) * 64,) * 64),
            4,
            "128 down (dimensions 0, 1), 960 across (dimensions 2, 3); "
            "each cell is the largest error of 2 × 15 elements",
        ),
    ],
)
def test_the_axes_are_named(found, rank, caption):
    assert draw_heat_map(found, rank, None).caption == caption


def heights_of(path: str) -> list[int]:
    return [int(height) for height in re.findall(r"v-(\d+)", path)]


def test_a_bar_for_each_size_that_occurs():
    bars = draw_bars((90, 5, 0, 1))
    assert heights_of(bars.path) == [14, 6, 2]
    assert bars.text == "90 of 96 elements equal; none more than 7 ulp off"


def test_the_largest_sizes_share_a_bar_in_a_table():
    """So that all small histograms have one scale; none of their elements is lost."""
    bars = draw_bars((1, *[0] * 40, 5, 5))
    assert len(heights_of(bars.path)) == 2
    assert bars.path.endswith(f"M{17 * 3 + 1} 14v-14")


@pytest.mark.parametrize(
    ("ulps", "text"),
    [
        ((4,), "4 of 4 elements equal"),
        ((4, 1), "4 of 5 elements equal; none more than 1 ulp off"),
        ((1, 1, 2, 1), "1 of 5 elements equal; half are at most 3 ulp off, all at most 7"),
        ((0, 0, 0, 9), "0 of 9 elements equal; half are 3 ulp off or more, none more than 7"),
    ],
)
def test_a_histogram_in_words(ulps, text):
    assert draw_histogram(ulps).text.startswith(f"{text};")


def test_one_element_is_no_distribution():
    assert draw_histogram((0, 1)) is None
    assert draw_histogram(()) is None
    assert draw_bars(()) is None
    assert draw_histogram((0, 2)) is not None


def test_labels_do_not_overlap():
    """However many sizes there are, each label has the room of five characters."""
    for length in range(1, 66):
        labels = draw_histogram((1,) * (length - 1) + (2,)).labels
        assert labels[0][1] == "0"
        places = [place for place, _ in labels]
        assert all(right - left >= 24 for left, right in pairwise(places))
