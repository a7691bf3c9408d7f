"""How time and memory grow with a size: the exponent of a power law, fitted to benchmarks of one case."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradverify.timing import Benchmark, Timing


@dataclass(frozen=True)
class Exponent:
    """The p of size^p; `error` is its standard error, None where two points leave none to estimate."""

    value: float
    error: float | None = None


@dataclass(frozen=True)
class Scaling:
    """How one pass of a case grows with one of its sizes, the others held.

    Attributes:
        case, dtype, device, seed: what was timed.
        held: the other sizes.
        size: which one varies; values: its values.
        name: of the pass.
        forward, backward, both: exponents of its times; peak: that of its memory, None where there is nothing to fit.
    """

    case: str
    dtype: str
    device: str
    seed: int
    held: dict[str, int]
    size: str
    values: tuple[int, ...]
    name: str
    forward: Exponent
    backward: Exponent
    both: Exponent
    peak: Exponent | None


@dataclass(frozen=True)
class Series:
    """Benchmarks that differ in the value of one size alone, by that value."""

    size: str
    points: tuple[Benchmark, ...]

    @property
    def values(self) -> tuple[int, ...]:
        """The values of the size."""
        return tuple(one.sizes[self.size] for one in self.points)

    @property
    def held(self) -> dict[str, int]:
        """The other sizes."""
        return {name: value for name, value in self.points[0].sizes.items() if name != self.size}

    @property
    def passes(self) -> dict[str, tuple[Timing, ...]]:
        """Each pass that was timed at every value."""
        by_name = [{timing.name: timing for timing in one.timings} for one in self.points]
        return {name: tuple(one[name] for one in by_name) for name in by_name[0] if all(name in one for one in by_name)}


def series_of(benchmarks: Iterable[Benchmark]) -> list[Series]:
    """The series among some benchmarks; what was not timed is left out."""
    timed = [one for one in benchmarks if one.passed]
    groups: dict[tuple[object, ...], list[Benchmark]] = {}
    for one in timed:
        for size in one.sizes:
            held = tuple((name, value) for name, value in one.sizes.items() if name != size)
            groups.setdefault((one.case, one.dtype, one.device, one.seed, size, held), []).append(one)
    found = []
    for key, group in groups.items():
        size = str(key[4])
        points = {one.sizes[size]: one for one in group}
        if len(points) > 1:
            found.append(Series(size, tuple(points[value] for value in sorted(points))))
    return found


def fit_scaling(benchmarks: Iterable[Benchmark]) -> list[Scaling]:
    """The exponents of every pass in every series."""
    found = []
    for series in series_of(benchmarks):
        first = series.points[0]
        for name, timings in series.passes.items():
            peaks = [one.peak for one in timings]
            found.append(
                Scaling(
                    case=first.case,
                    dtype=first.dtype,
                    device=first.device,
                    seed=first.seed,
                    held=series.held,
                    size=series.size,
                    values=series.values,
                    name=name,
                    forward=fit_exponent(series.values, [one.forward for one in timings]),
                    backward=fit_exponent(series.values, [one.backward for one in timings]),
                    both=fit_exponent(series.values, [one.both for one in timings]),
                    # A pass may allocate nothing, or be where nothing counts it.
                    peak=fit_exponent(series.values, [peak for peak in peaks if peak]) if all(peaks) else None,
                )
            )
    return found


def fit_exponent(sizes: Sequence[float], amounts: Sequence[float]) -> Exponent:
    """The slope of the least-squares line through the logarithms; two sizes at least, all numbers positive."""
    xs, ys = [math.log(size) for size in sizes], [math.log(amount) for amount in amounts]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
    if len(xs) < 3:
        return Exponent(slope)
    left = sum((y - y_mean - slope * (x - x_mean)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Exponent(slope, math.sqrt(left / (len(xs) - 2) / spread))
