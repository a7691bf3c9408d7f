"""Benchmarks as one HTML file: a case each, its passes next to each other, and how they grow with its sizes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from textwrap import dedent

from gradverify.render import spelling
from gradverify.render.explanation import explain_failure
from gradverify.render.html import clip, place_of
from gradverify.render.page import Bars, Cell, Column, Fact, Line, Page, Section, Share, Table, Tone, render_page
from gradverify.render.summary import spell_environment
from gradverify.render.timing import label_of, sizes_of, spell_exponent
from gradverify.report import Environment
from gradverify.scaling import fit_scaling
from gradverify.timing import Benchmark, Timing

_COLUMNS = (
    Column("sizes", "text"),
    Column("pass", "text"),
    *map(Column, ("forward", "backward", "both")),
    Column("time", "text"),
    Column("ratio"),
    Column("95% interval", "text"),
    *map(Column, ("kept", "peak")),
)
_SCALING = (
    Column("growth with", "text"),
    Column("pass", "text"),
    *map(Column, ("forward", "backward", "both", "peak")),
)

_GLOSSARY = (
    ("forward, backward", "the median time of each phase; both: of one after the other, which the bar shows"),
    ("ratio", "the time of both phases in units of the first pass, pair by pair: the median, and its 95% interval"),
    ("kept", "what lies in memory between the two phases"),
    ("peak", "what a whole pass allocates at most"),
    ("growth", "the p of time, and of peak memory, growing as size^p"),
)

# Pixels of the longest bar, and of its height.
_LONGEST, _HEIGHT = 90, 10


def render_benchmarks_html(benchmarks: Sequence[Benchmark], environment: Environment) -> str:
    """The page of some benchmarks, those first that were not timed.

    Args:
        benchmarks: one for each case and set of sizes.
        environment: that they depend on.
    """
    groups: dict[str, list[Benchmark]] = {}
    for one in benchmarks:
        groups.setdefault(f"{label_of(one)}{' ' if one.error is not None else ''}", []).append(one)
    ordered = sorted(groups.values(), key=lambda group: all(one.passed for one in group))
    timed = sum(one.passed for one in benchmarks)
    refused = len(benchmarks) - timed
    passes = Counter(timing.name for one in benchmarks for timing in one.timings)
    threads = "thread each" if environment.threads == 1 else "threads each"
    headline = f"{timed} timed" + (f", {refused} not timed" if refused else "")
    return render_page(
        Page(
            title=f"gradverify bench: {headline}",
            headline=headline,
            tone=Tone.BAD if refused else Tone.GOOD,
            noun="passes",
            task="",
            facts=(
                Fact(str(sum(passes.values())), "passes"),
                Fact(str(environment.threads), threads),
            ),
            shares=tuple(Share(name, amount, Tone.FAINT) for name, amount in passes.items()),
            entries=(),
            sections=tuple(_section(group, benchmarks) for group in ordered),
            glossary=_GLOSSARY,
            closing=spell_environment(environment),
        )
    )


def _section(group: Sequence[Benchmark], benchmarks: Sequence[Benchmark]) -> Section:
    first = group[0]
    refused = [one for one in group if one.error is not None]
    stories = [_story(one, benchmarks) for one in refused]
    tables = [table for table in (_passes(group, benchmarks), _growth(group)) if table.lines]
    return Section(
        label=label_of(first),
        outcome="not timed" if refused else _outcome(group, benchmarks),
        tone=Tone.BAD if refused else Tone.GOOD,
        setting=" · ".join([spelling.one_line(first.device), f"seed {first.seed}"]) if first.device else "",
        story=stories[0] if stories else "",
        traceback=dedent(explain_failure(first.error)) if first.error is not None else "",
        notes=(*stories[1:], *(clip(note) for note in dict.fromkeys(note for one in group for note in one.notes))),
        tables=tuple(tables),
        is_open=True,
    )


def _outcome(group: Sequence[Benchmark], benchmarks: Sequence[Benchmark]) -> str:
    """What the largest sizes say, which is where time matters; a ratio that may be 1 is called so."""
    largest = max(group, key=lambda one: math.prod(one.sizes.values()))
    sizes = sizes_of(largest, benchmarks)
    told = []
    for timing in largest.timings:
        ratio = timing.ratios.both if timing.ratios is not None else None
        if ratio is None:
            continue
        even = "" if ratio.low > 1 or ratio.high < 1 else ", which may be chance"
        told.append(f"{timing.name} takes {ratio.value:.2f} times as long{even}")
    return "; ".join(told) + (f" at {sizes}" if sizes and told else "")


def _story(one: Benchmark, benchmarks: Sequence[Benchmark]) -> str:
    assert one.error is not None
    first = next(iter(spelling.lines(one.error.message)), one.error.kind)
    where = place_of(one.error.file, one.error.line)
    sizes = sizes_of(one, benchmarks)
    return clip(f"{f'{sizes}: ' if sizes else ''}{first}{f', at {where}' if where else ''}")


def _passes(group: Sequence[Benchmark], benchmarks: Sequence[Benchmark]) -> Table:
    longest = max((timing.both for one in group for timing in one.timings), default=0.0)
    lines = []
    for one in group:
        for timing in one.timings:
            cells = (Cell(sizes_of(one, benchmarks) or "as defined"), *_cells(timing, longest))
            lines.append(Line(cells, timing.name, passed=True))
    return Table(_COLUMNS, tuple(lines), f"Passes of {label_of(group[0])}")


def _cells(timing: Timing, longest: float) -> tuple[Cell, ...]:
    ratio = timing.ratios.both if timing.ratios is not None else None
    length = max(1, round(_LONGEST * timing.both / longest)) if longest else 1
    bar = Bars(f"M1 2h{length}v{_HEIGHT - 4}h-{length}z", _LONGEST + 2, _HEIGHT, spelling.interval(timing.both))
    return (
        Cell(timing.name),
        *(_number(value, spelling.interval) for value in (timing.forward, timing.backward, timing.both)),
        Cell("", order=timing.both, bars=bar),
        Cell("") if ratio is None else Cell(f"{ratio.value:.2f}", ratio.value),
        Cell("") if ratio is None else Cell(f"{ratio.low:.2f} to {ratio.high:.2f}", ratio.low),
        _number(timing.kept, spelling.memory),
        Cell("") if timing.peak is None else _number(timing.peak, spelling.memory),
    )


def _growth(group: Sequence[Benchmark]) -> Table:
    lines = []
    for one in fit_scaling(group):
        exponents = (one.forward, one.backward, one.both, one.peak)
        cells = (
            Cell(f"{spelling.one_line(one.size)} = {', '.join(map(spelling.count, one.values))}"),
            Cell(one.name),
            *(Cell("") if each is None else Cell(spell_exponent(each), each.value) for each in exponents),
        )
        lines.append(Line(cells, None, passed=True))
    return Table(_SCALING, tuple(lines), f"Growth of {label_of(group[0])}")


def _number(value: float, spell: Callable[[int], str] | Callable[[float], str]) -> Cell:
    return Cell(spell(value), value)  # type: ignore[arg-type]  # bytes are whole, and go to the one that takes such
