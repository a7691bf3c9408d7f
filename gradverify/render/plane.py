"""Points, boxes and curves of a drawing; x points right and y down, as in SVG."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# From the id of one node to that of another.
Edges = Iterable[tuple[str, str]]


class Point(NamedTuple):
    """A place."""

    x: float
    y: float


class Size(NamedTuple):
    """What a box takes up."""

    width: float
    height: float


@dataclass(frozen=True)
class Path:
    """A curve of cubic Bézier pieces: its start, then three points a piece."""

    points: tuple[Point, ...]

    @property
    def middle(self) -> Point:
        """The point half-way along its middle piece, where a label goes."""
        piece = 3 * ((len(self.points) - 1) // 3 // 2)
        a, b, c, d = self.points[piece : piece + 4]
        return Point((a.x + 3 * b.x + 3 * c.x + d.x) / 8, (a.y + 3 * b.y + 3 * c.y + d.y) / 8)


@dataclass(frozen=True)
class Layout:
    """A drawing that fits in `size`: the centres of its boxes by id, and the curves between them."""

    size: Size
    centres: dict[str, Point]
    paths: dict[tuple[str, str], Path]
