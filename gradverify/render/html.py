"""Reports as one HTML file that people show each other: what to mend first, then every case."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from textwrap import dedent

from gradverify.location import shorten
from gradverify.render import spelling
from gradverify.render.clauses import explain_clauses, name_clauses, summarize_clauses
from gradverify.render.explanation import explain_failure, explain_witnesses, tell, witnesses_against
from gradverify.render.graph import render_svg
from gradverify.render.page import (
    Card,
    Cell,
    Column,
    Entry,
    Fact,
    Line,
    Page,
    Section,
    Share,
    SourceLine,
    Table,
    Tone,
    render_page,
)
from gradverify.render.picture import draw_bars, draw_heat_map, draw_histogram
from gradverify.render.summary import spell_environment
from gradverify.render.table import headline, label_of, setting_of
from gradverify.report import Context, Environment, Report, Row
from gradverify.verdict import Origin, Verdict

# Nobody reads more errors with their pictures than this, and the page would open slowly; the others have their lines.
_MOST_CARDS = 60
# Characters of all drawings together: those of the first cases, which are the ones that failed. The lines of the tables
# take from it, so that a thousand gradients leave a quarter.
_MOST_DRAWN, _ROOM_OF_A_LINE = 200_000, 150
# Fewer characters than this are no drawing of anything.
_LEAST_DRAWN = 3_000
# Nor a list of more than this.
MOST_ENTRIES = 30
# A case of so many cases is opened by itself if it failed.
MOST_OPEN = 12
# What is not finite sorts as this.
_LARGEST = 1e308
# Longer texts (a hint that quotes a table of numbers) are cut.
_LONGEST_TEXT = 600

_COLUMNS = (
    Column("gradient", "code"),
    Column("shape", "text"),
    Column("dtype", "text"),
    Column("verdict", "text"),
    Column("origin", "text"),
    *map(Column, ("max diff", "max ulp")),
    Column("ulps", "text"),
    *map(Column, ("accuracy", "resolution", "coverage", "nonfinite")),
    Column("witnesses", "text"),
    Column("line", "code"),
)

_GLOSSARY = (
    ("introduced", "this statement is wrong by itself: right upstream gradients do not mend it"),
    ("inherited", "this statement is right; what it was given was not"),
    ("max diff, max ulp", "the largest difference from autograd at the working precision"),
    ("ulps", "how many elements are off by 0, 1, 2 to 3, 4 to 7 ... units in the last place, 2^16 and more last"),
    ("accuracy", "the error, in units of that of autograd at the working precision: 1 is as accurate"),
    ("resolution", "the smallest relative error that would have been noticed"),
    ("witnesses", "what each further oracle says of the gradient"),
    ("coverage", "the share of the elements that are large enough for an error of their own size to be noticed"),
)

# Why a gradient fails whose verdict does not.
_STRICT = {Verdict.IMPRECISE: ("it fails because `strict` is set",)}

_TONES = {
    Verdict.EXACT: Tone.GOOD,
    Verdict.OK: Tone.GOOD,
    Verdict.IMPRECISE: Tone.DOUBTFUL,
    Verdict.KNOWN: Tone.DOUBTFUL,
    Verdict.GIVEN: Tone.FAINT,
}


def render_html(reports: Iterable[Report], environment: Environment, *, title: str = "gradverify") -> str:
    """The page of some reports: self-contained, readable without script and without network.

    Args:
        reports: what was found; those that failed come first.
        environment: that it depends on.
        title: of the browser's tab.
    """
    ordered = sorted(reports, key=lambda report: report.passed)
    rows = [row for report in ordered for row in report.rows]
    failed = [report for report in ordered if not report.passed]
    anchors = {id(row): f"e{number}" for number, row in enumerate(islice(_accused(ordered), _MOST_CARDS), 1)}
    drawings = _draw(ordered)
    return render_page(
        Page(
            title=f"{title}: {_count(failed, ordered)}",
            headline=_count(failed, ordered),
            tone=Tone.BAD if failed else Tone.GOOD,
            noun="gradients",
            task="What to mend",
            facts=_facts(ordered, rows),
            shares=_shares(rows),
            entries=_entries(ordered, anchors),
            sections=tuple(
                _section(report, anchors, drawings.get(number, ""), is_open=not report.passed and number < MOST_OPEN)
                for number, report in enumerate(ordered)
            ),
            glossary=_GLOSSARY,
            closing=spell_environment(environment),
        )
    )


def tone_of(row: Row) -> Tone:
    """The colour of a verdict: one that passes by itself can fail under a setting, and the other way round."""
    if not row.passed:
        return Tone.BAD
    return _TONES.get(row.verdict, Tone.DOUBTFUL)


def clip(text: str) -> str:
    """Foreign text on one line, cut where it is very long."""
    line = spelling.one_line(text)
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}…"


def place_of(file: str | None, line: int | None) -> str:
    """A file and a line as tools understand them."""
    if file is None:
        return ""
    return spelling.one_line(shorten(file)) + (f":{line}" if line else "")


def _accused(reports: Iterable[Report]) -> Iterator[Row]:
    """The rows that get a card: what failed, and did not inherit its error."""
    for report in reports:
        yield from (row for row in report.failed_rows if row.origin is not Origin.INHERITED)


def _count(failed: Sequence[Report], reports: Sequence[Report]) -> str:
    cases = spelling.several(len(reports), "case")
    if not reports:
        return "Nothing ran"
    if not failed:
        return f"{'The case' if len(reports) == 1 else f'All {cases}'} passed"
    return f"{len(failed)} of {cases} failed"


def _facts(reports: Sequence[Report], rows: Sequence[Row]) -> tuple[Fact, ...]:
    failed = [row for row in rows if not row.passed]
    introduced = sum(row.origin is not Origin.INHERITED for row in failed)
    errors = sum(report.error is not None for report in reports)
    facts = [Fact(str(len(rows)), "gradients")] if rows else []
    if failed:
        facts += [Fact(str(len(failed)), "failed", Tone.BAD), Fact(str(introduced), "to mend", Tone.BAD)]
        facts.append(Fact(str(len(failed) - introduced), "inherited"))
    if errors:
        facts.append(Fact(str(errors), "raised" if errors == 1 else "cases raised", Tone.BAD))
    return tuple(facts)


def _shares(rows: Sequence[Row]) -> tuple[Share, ...]:
    """How many rows have each verdict, the worst first."""
    amounts = Counter(row.verdict for row in rows)
    tones = {row.verdict: tone_of(row) for row in sorted(rows, key=lambda row: not row.passed)}
    order = [Tone.BAD, Tone.DOUBTFUL, Tone.FAINT, Tone.GOOD]
    shares = [Share(verdict.value, amounts[verdict], tones[verdict]) for verdict in Verdict if amounts[verdict]]
    return tuple(sorted(shares, key=lambda share: order.index(share.tone)))


def _entries(reports: Sequence[Report], anchors: dict[int, str]) -> tuple[Entry, ...]:
    entries = [
        Entry(
            place=place_of(row.file, row.line),
            whose=f"{label_of(report)} · {spelling.name(row.name)}",
            what=clip(row.hints[0]) if row.origin is Origin.INTRODUCED and row.hints else f"{row.verdict}: {tell(row)}",
            link=anchors[id(row)],
        )
        for report in reports
        for row in report.failed_rows
        if id(row) in anchors
    ]
    return tuple(entries[:MOST_ENTRIES])


def _draw(reports: Sequence[Report]) -> dict[int, str]:
    """The graphs, by the number of their report, as long as there is room."""
    drawings: dict[int, str] = {}
    room = _MOST_DRAWN - _ROOM_OF_A_LINE * sum(len(report.rows) for report in reports)
    for number, report in enumerate(reports):
        if report.graph is None or room < _LEAST_DRAWN:
            continue
        drawing = render_svg(report.graph, embedded=True)
        if len(drawing) <= room:
            drawings[number] = drawing
            room -= len(drawing)
    return drawings


def _section(report: Report, anchors: dict[int, str], drawing: str, *, is_open: bool) -> Section:
    label = label_of(report)
    inherited = [row for row in report.failed_rows if row.origin is Origin.INHERITED]
    notes = [clip(note) for note in report.notes]
    notes += [clip(line) for line in explain_witnesses(report.rows).splitlines()]
    if report.contract:
        broken = [line.strip() for text in explain_clauses(report.broken_clauses) for line in text.splitlines()]
        notes = [*map(clip, broken), clip(summarize_clauses(report.contract)), *notes]
    if inherited:
        notes.insert(0, f"Inherited, and right once what comes before is: {_names(inherited)}")
    left_out = [row for row in report.failed_rows if row.origin is not Origin.INHERITED and id(row) not in anchors]
    if left_out:
        notes.append(f"To keep this page small, the table alone tells of {_names(left_out)}")
    if report.graph is not None and not drawing and not report.passed:
        notes.append("To keep this page small, its graph is left out; `gradverify graph` draws it")
    rows = [*report.failed_rows, *(row for row in report.rows if row.passed)]
    return Section(
        label=label,
        outcome=_outcome(report),
        tone=Tone.GOOD if report.passed else Tone.BAD,
        setting=setting_of(report),
        story="" if report.rows else clip(headline(report).removeprefix(f"{label}: ")),
        traceback="" if report.error is None else dedent(explain_failure(report.error)),
        cards=tuple(_card(row, anchors[id(row)]) for row in rows if id(row) in anchors),
        notes=tuple(notes),
        tables=(_table(report, rows, anchors),) if rows else (),
        drawing=drawing,
        is_open=is_open,
    )


def _names(rows: Sequence[Row]) -> str:
    names = ", ".join(spelling.name(row.name) for row in rows[:MOST_ENTRIES])
    return names if len(rows) <= MOST_ENTRIES else f"{names} and {len(rows) - MOST_ENTRIES} more"


def _outcome(report: Report) -> str:
    if report.error is not None:
        return spelling.one_line(report.error.kind)
    failed, total = len(report.failed_rows), len(report.rows)
    if failed:
        return f"{failed} of {spelling.several(total, 'gradient')} failed"
    if report.broken_clauses:
        return name_clauses(report.broken_clauses)
    return f"{spelling.several(total, 'gradient')} passed ({report.derived} of {report.named} derived)"


def _card(row: Row, anchor: str) -> Card:
    details = row.details
    heat_map = histogram = None
    if details is not None:
        allowed = row.worst.allowed if row.worst else None
        heat_map = draw_heat_map(details.heat_map, len(row.shape), allowed) if details.heat_map else None
        histogram = draw_histogram(details.ulps) if details.ulps else None
    return Card(
        anchor=anchor,
        name=spelling.name(row.name),
        verdict=row.verdict.value,
        tone=Tone.BAD,
        sentence=row.verdict.sentence,
        place=place_of(row.file, row.line),
        source=_source(row, None if details is None else details.context),
        hints=tuple(clip(hint) for hint in (*row.hints, *_STRICT.get(row.verdict, ()), *witnesses_against(row))),
        facts=tuple(_evidence(row)),
        heat_map=heat_map,
        histogram=histogram,
    )


def _source(row: Row, context: Context | None) -> tuple[SourceLine, ...]:
    if context is not None:
        texts = ["".join(spelling.lines(line)) for line in context.lines]
        indent = min((len(text) - len(text.lstrip()) for text in texts if text.strip()), default=0)
        return tuple(
            SourceLine(number, text[indent:][:_LONGEST_TEXT], context.start <= number <= context.end)
            for number, text in zip(count(context.first), texts, strict=False)
        )
    if row.source is None:
        return ()
    lines = zip(count(row.line or 1), spelling.lines(row.source)[:12], strict=False)
    return tuple(SourceLine(number, text[:_LONGEST_TEXT], is_marked=True) for number, text in lines)


def _evidence(row: Row) -> Iterator[tuple[str, str]]:
    yield "shape", str(row.shape)
    comparison, worst = row.comparison, row.worst
    if comparison is not None and comparison.candidate_shape != comparison.shape:
        yield "candidate's", str(comparison.candidate_shape)
        return
    if worst is not None and worst.candidate != worst.reference:
        if worst.index:
            yield "worst at", str(list(worst.index))
        yield "candidate", repr(worst.candidate)
        yield "reference", repr(worst.reference)
        yield "off by", spelling.number(abs(worst.candidate - worst.reference))
        if worst.allowed is not None:
            yield "explained", f"{spelling.number(worst.allowed)} by rounding"
    if comparison is not None and comparison.numel > 1:
        yield "differing", f"{comparison.differing} of {spelling.several(comparison.numel, 'element')}"


def _table(report: Report, rows: Sequence[Row], anchors: dict[int, str]) -> Table:
    """The columns that say something, and a line a row."""
    one_file = len({row.file for row in report.rows if row.file}) == 1
    cells = [_cells(row, report, anchors.get(id(row)), one_file) for row in rows]
    shown = [place for place in range(len(_COLUMNS)) if any(line[place].text or line[place].bars for line in cells)]
    lines = tuple(
        Line(tuple(line[place] for place in shown), row.verdict.value, row.passed)
        for row, line in zip(rows, cells, strict=True)
    )
    return Table(tuple(_COLUMNS[place] for place in shown), lines, f"Gradients of {label_of(report)}")


def _cells(row: Row, report: Report, link: str | None, one_file: bool) -> tuple[Cell, ...]:
    name = spelling.name(row.name)
    comparison = row.comparison
    if comparison is not None and comparison.candidate_shape != comparison.shape:
        comparison = None
    line = "" if row.line is None else str(row.line) if one_file else place_of(row.file, row.line)
    ulps = row.details.ulps if row.details is not None else None
    return (
        Cell(name, link=link, title=clip(row.name) if name != spelling.one_line(row.name) else None),
        Cell(str(row.shape)),
        Cell("" if row.dtype == report.dtype else row.dtype),
        Cell(row.verdict.value, tone=tone_of(row)),
        Cell("" if row.origin is None else row.origin.value),
        _number(None if comparison is None else comparison.maxdiff, spelling.number),
        Cell("")
        if comparison is None or comparison.max_ulp is None
        else Cell(spelling.count(comparison.max_ulp), comparison.max_ulp),
        _bars(ulps),
        _number(row.accuracy, spelling.ratio),
        _number(row.resolution, spelling.number),
        _number(row.coverage, spelling.share),
        Cell(str(row.nonfinite) if row.nonfinite else ""),
        Cell(", ".join(f"{spelling.one_line(one.oracle)} {one.stance}" for one in row.witnesses)),
        Cell(line),
    )


def _bars(ulps: tuple[int, ...] | None) -> Cell:
    bars = draw_bars(ulps) if ulps else None
    assert bars is None or ulps is not None
    return Cell("") if bars is None or ulps is None else Cell("", order=1 - ulps[0] / sum(ulps), bars=bars)


def _number(value: float | None, spell: Callable[[float], str]) -> Cell:
    if value is None:
        return Cell("")
    return Cell(spell(value), order=value if math.isfinite(value) else _LARGEST)
