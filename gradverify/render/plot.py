"""Time and memory against size, drawn with matplotlib, which is imported only here."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from gradverify.errors import UsageError
from gradverify.render import spelling
from gradverify.scaling import Series, series_of
from gradverify.timing import Benchmark

FORMATS = ("pdf", "png", "svg")


def check_plot(file: str) -> None:
    """Find out before the work that its result could not be drawn.

    Raises:
        UsageError: if matplotlib is missing, or the ending of the file names no format.
    """
    if _format_of(file) not in FORMATS:
        raise UsageError(f"--plot {file}: the name ends in .{', .'.join(FORMATS[:-1])} or .{FORMATS[-1]}")
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'gradverify[plots]'")


def render_plot(benchmarks: Sequence[Benchmark], file: str) -> bytes:
    """The picture, in the format that the ending of the file names: a row of two panels a case and size.

    Raises:
        UsageError: if no size of a case was timed at several values.
    """
    drawn = series_of(benchmarks)
    if not drawn:
        raise UsageError("--plot: nothing was timed at several values of a size")
    # Not pyplot, which looks for a display and keeps every figure.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.4 * len(drawn)), layout="constrained")
    for (left, right), series in zip(figure.subplots(len(drawn), 2, squeeze=False), drawn, strict=True):
        _draw_times(left, series)
        _draw_memory(right, series)
        for axes in (left, right):
            axes.set(xscale="log", yscale="log", xlabel=series.size)
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small")
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format=_format_of(file), dpi=150)
        return buffer.getvalue()


def _draw_times(axes: Any, series: Series) -> None:
    for name, timings in series.passes.items():
        (line,) = axes.plot(series.values, [one.both for one in timings], "o-", label=name)
        forward = [one.forward for one in timings]
        axes.plot(series.values, forward, ":", color=line.get_color(), label=f"{name}, forward")
    axes.set(title=_title(series), ylabel="seconds")


def _draw_memory(axes: Any, series: Series) -> None:
    for name, timings in series.passes.items():
        (line,) = axes.plot(series.values, [one.kept for one in timings], ":", label=f"{name}, kept")
        if all(one.peak is not None for one in timings):
            axes.plot(series.values, [one.peak for one in timings], "o-", color=line.get_color(), label=f"{name}, peak")
    axes.set(title="memory", ylabel="bytes")


def _title(series: Series) -> str:
    first = series.points[0]
    # matplotlib reads mathematics between dollar signs.
    name = spelling.one_line(first.case).replace("$", r"\$")
    return f"{name}[{first.dtype}] on {first.device}"


def _format_of(file: str) -> str:
    return os.path.splitext(file)[1].lstrip(".").lower()
