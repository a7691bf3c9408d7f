"""Benchmarks as a table of passes, as a table of how they grow, and as JSON; the README says what each name means."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from gradverify.location import shorten
from gradverify.render import spelling
from gradverify.render.color import Color, paint
from gradverify.render.summary import spell_environment
from gradverify.render.table import PLAIN, Style
from gradverify.report import Environment
from gradverify.scaling import Exponent, Scaling, fit_scaling
from gradverify.timing import Benchmark, Timing

# Raised when a document that was valid no longer is; a new key is no such change.
SCHEMA = 1

_HEADERS = ["case", "sizes", "pass", "forward", "backward", "both", "ratio", "kept", "peak"]
_ALIGNED = ["left"] * 3 + ["right"] * 3 + ["left"] + ["right"] * 2
_SCALING_HEADERS = ["case", "size", "pass", "forward", "backward", "both", "peak"]

_LEGEND = (
    "ratio: the time of both phases in units of the first pass; the median of {pairs}, and its 95% interval\n"
    "kept: what lies in memory between the phases; peak: what a whole pass allocates at most"
)


def render_benchmarks(benchmarks: Sequence[Benchmark], environment: Environment, *, style: Style = PLAIN) -> str:
    """The table of passes, why some cases are not in it, how times grow with sizes, and what they depended on."""
    paragraphs = []
    if benchmarks:
        paragraphs.append(_table(benchmarks, style))
    paragraphs += [_story(one, style) for one in benchmarks if one.error is not None]
    paragraphs += [f"note: {label_of(one)}: {spelling.one_line(note)}" for one in benchmarks for note in one.notes]
    scaling = fit_scaling(benchmarks)
    if scaling:
        paragraphs.append(_scaling_table(scaling, style) + "\n\nthe p of time, and of peak memory, growing as size^p")
    timed = [one for one in benchmarks if one.passed]
    if timed:
        paragraphs.append(_LEGEND.format(pairs=_pairs(timed)))
    refused = len(benchmarks) - len(timed)
    counted = f"{len(timed)} timed" + (f", {refused} not timed" if refused else "")
    closing = paint(counted, Color.BAD if refused else Color.GOOD, enabled=style.is_colored)
    return "\n\n".join([*paragraphs, f"{closing}\n{_faint(spell_environment(environment), style)}"]) + "\n"


def render_benchmarks_json(benchmarks: Sequence[Benchmark], environment: Environment) -> str:
    """The JSON document of some benchmarks: ASCII, indented; times in seconds, memory in bytes."""
    document = {
        "schema": SCHEMA,
        "environment": dataclasses.asdict(environment),
        "benchmarks": [{**dataclasses.asdict(one), "passed": one.passed} for one in benchmarks],
        "scaling": [dataclasses.asdict(one) for one in fit_scaling(benchmarks)],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _table(benchmarks: Sequence[Benchmark], style: Style) -> str:
    rows: list[list[str]] = []
    for one in benchmarks:
        opening = [label_of(one), sizes_of(one, benchmarks)]
        if one.error is not None:
            refused = paint("not timed", Color.BAD, enabled=style.is_colored)
            rows.append([*opening, refused, *[""] * (len(_HEADERS) - 3)])
        for number, timing in enumerate(one.timings):
            # Programs that read the table want every row whole; for the eye, one name a case is enough.
            named = opening if number == 0 or not style.is_for_the_eye else ["", ""]
            rows.append([*named, *_cells(timing)])
    shown = [place for place in range(len(_HEADERS)) if place < 3 or any(row[place] for row in rows)]
    if not any(row[1] for row in rows):
        shown.remove(1)
    return style.layout(
        [[row[place] for place in shown] for row in rows],
        [_HEADERS[place] for place in shown],
        [_ALIGNED[place] for place in shown],
    )


def _cells(timing: Timing) -> list[str]:
    ratio = timing.ratios and timing.ratios.both
    return [
        timing.name,
        spelling.interval(timing.forward),
        spelling.interval(timing.backward),
        spelling.interval(timing.both),
        f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "",
        spelling.memory(timing.kept),
        "" if timing.peak is None else spelling.memory(timing.peak),
    ]


def _story(one: Benchmark, style: Style) -> str:
    assert one.error is not None
    sizes = ", ".join(f"{name}={one.sizes[name]}" for name in one.resized)
    where = f", at {spelling.one_line(shorten(one.error.file))}" if one.error.file else ""
    line = f":{one.error.line}" if where and one.error.line else ""
    first, *rest = spelling.lines(one.error.message) or [one.error.kind]
    text = f"{label_of(one)}{f' ({sizes})' if sizes else ''}: not timed, {first}{where}{line}"
    told = [paint(text, Color.BAD, enabled=style.is_colored), *rest]
    return "\n".join([*told, *(spelling.lines(one.error.traceback) if one.error.traceback else [])])


def _scaling_table(scaling: Sequence[Scaling], style: Style) -> str:
    rows = []
    for one in scaling:
        values = ", ".join(map(spelling.count, one.values))
        rows.append(
            [
                f"{spelling.one_line(one.case)}[{one.dtype}]",
                f"{spelling.one_line(one.size)} = {values}",
                one.name,
                spell_exponent(one.forward),
                spell_exponent(one.backward),
                spell_exponent(one.both),
                "" if one.peak is None else spell_exponent(one.peak),
            ]
        )
    return style.layout(rows, _SCALING_HEADERS, ["left"] * 3 + ["right"] * 4)


def spell_exponent(one: Exponent) -> str:
    """An exponent with its standard error, where it has one."""
    return f"{one.value:.2f}" if one.error is None else f"{one.value:.2f} ± {one.error:.2f}"


def label_of(one: Benchmark) -> str:
    """The case, its dtype, and its device where that is not the CPU."""
    label = spelling.one_line(one.case) + (f"[{one.dtype}]" if one.dtype else "")
    return label if one.device in ("", "cpu") else f"{label} on {spelling.one_line(one.device)}"


def sizes_of(one: Benchmark, benchmarks: Sequence[Benchmark]) -> str:
    """The sizes that set it apart: from the defaults of the case, or from another benchmark of it."""
    alike = [other for other in benchmarks if other.case == one.case]
    names = {name for other in alike for name in other.resized}
    parts = [f"{name}={value}" for name, value in one.sizes.items() if name in names]
    parts += [f"seed {one.seed}"] if any(other.seed != one.seed for other in alike if other.dtype) else []
    return ", ".join(parts)


def _pairs(timed: Sequence[Benchmark]) -> str:
    low, high = min(one.pairs for one in timed), max(one.pairs for one in timed)
    return f"{low} pairs" if low == high else f"{low} to {high} pairs"


def _faint(text: str, style: Style) -> str:
    return paint(text, Color.FAINT, enabled=style.is_colored)
