"""A report as a table of its gradients, opened by a line that tells the whole story."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tabulate import tabulate, tabulate_formats

from gradverify.errors import UsageError, did_you_mean
from gradverify.location import shorten
from gradverify.render import escaping, spelling
from gradverify.render.clauses import HEADERS, clause_cells, explain_clauses, name_clauses, summarize_clauses
from gradverify.render.color import Color, paint
from gradverify.render.explanation import explain_failure, explain_rows, explain_witnesses, tell
from gradverify.report import Report, Row
from gradverify.verdict import Origin, Verdict

MARKDOWN = "markdown"
# The two html formats are left to a page of its own: one of them does not escape names.
FORMATS = (*(one for one in tabulate_formats if "html" not in one), MARKDOWN)

# How a bar inside a cell is spelt where bars separate cells. The formats made for the eye are not here.
_BARS = {
    "asciidoc": r"\|",
    "github": r"\|",
    "jira": r"\|",
    "mediawiki": "&#124;",
    "moinmoin": "&#124;",
    "orgtbl": r"\vert{}",
    "pipe": r"\|",
    "textile": "&#124;",
    "youtrack": r"\|",
}
_MARKUP = frozenset({*_BARS, MARKDOWN, "latex", "latex_raw", "latex_booktabs", "latex_longtable", "rst", "tsv"})

# Verdicts of gradients that were derived, and found right.
_RIGHT = frozenset({Verdict.EXACT, Verdict.OK, Verdict.IMPRECISE, Verdict.SUBGRADIENT})
# Verdicts that a row can pass with, and that are told beside the right ones.
_TOLD = (
    Verdict.IMPRECISE,
    Verdict.SUBGRADIENT,
    Verdict.KNOWN,
    Verdict.GIVEN,
    Verdict.MISSING,
    Verdict.VACUOUS,
    Verdict.INCONCLUSIVE,
)
# Verdicts that say what the gradient is; the other failing ones say what is not known of it.
_FAULTY = frozenset({Verdict.WRONG, Verdict.SHAPE, Verdict.DTYPE, Verdict.NONFINITE})


@dataclass(frozen=True)
class Style:
    """How a report is laid out.

    Attributes:
        format: one of FORMATS; "markdown" is GitHub's table with its cells escaped.
        color: whether verdicts are coloured; formats that other programs read never are.

    Raises:
        UsageError: for an unknown format.
    """

    format: str = "simple"
    color: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"unknown format {self.format!r}; {did_you_mean(self.format, FORMATS)}")

    @property
    def is_colored(self) -> bool:
        """Whether colours are wanted and the format bears them."""
        return self.color and self.format not in _MARKUP

    @property
    def is_for_the_eye(self) -> bool:
        """Whether people read the format, and not programs."""
        return self.format not in _MARKUP

    def layout(self, cells: list[list[str]], headers: list[str], aligned: list[str]) -> str:
        """A table of cells that are text already."""
        return tabulate(
            [[self._escape(cell) for cell in row] for row in cells],
            headers=headers,
            tablefmt="github" if self.format == MARKDOWN else self.format,
            colalign=aligned if cells else None,
            disable_numparse=True,
        )

    def _escape(self, cell: str) -> str:
        if self.format == MARKDOWN:
            return escaping.cell(escaping.prose(cell))
        return cell.replace("|", _BARS.get(self.format, "|"))


PLAIN = Style()


def render_table(report: Report, *, style: Style = PLAIN, seconds: float | None = None) -> str:
    """The headline, the table of gradients, and an explanation of each that failed.

    Args:
        report: what to show.
        style: the format of the table, and whether to colour.
        seconds: how long the case took, where that is known.
    """
    color = Color.GOOD if report.passed else Color.BAD
    opening = paint(headline(report, seconds=seconds), color, enabled=style.is_colored)
    paragraphs = [opening]
    if report.error is not None:
        paragraphs.append(explain_failure(report.error))
    if report.rows:
        grid = grid_of(report, style=style)
        paragraphs.append(style.layout(grid.rows, grid.headers, grid.aligned))
    if report.contract:
        paragraphs += _clauses(report, style)
    if not report.passed and report.dtype:
        paragraphs.append(setting_of(report, seconds=seconds))
    paragraphs += [f"note: {spelling.one_line(note)}" for note in report.notes]
    paragraphs.append(explain_witnesses(report.rows))
    paragraphs += [*explain_rows(report.failed_rows), *explain_clauses(report.broken_clauses)]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def headline(report: Report, *, seconds: float | None = None) -> str:
    """One line that tells the whole story: the case, how many of its gradients are right, the first that is not."""
    label = label_of(report)
    if report.error is not None:
        where = _place(report.error.file, report.error.line)
        first = next(iter(spelling.lines(report.error.message)), report.error.kind)
        return f"{label}: {first}{where}"
    failed, clauses = report.failed_rows, report.broken_clauses
    if failed:
        first_failed = failed[0]
        what = "wrong" if all(row.verdict in _FAULTY for row in failed) else "failed"
        if all(row.verdict is Verdict.DISPUTED for row in failed):
            what = Verdict.DISPUTED.value
        inherited = sum(row.origin is Origin.INHERITED for row in failed)
        rest = f", {inherited} of them inherited" if inherited else ""
        told = tell(first_failed)
        mistake = f": {spelling.one_line(first_failed.hints[0])}" if _names_mistake(first_failed, told) else ""
        return (
            f"{label}: {len(failed)} of {spelling.several(len(report.rows), 'gradient')} {what}{rest}; first: "
            f"{spelling.name(first_failed.name)} ({first_failed.verdict}) {told}"
            f"{_place(first_failed.file, first_failed.line)}{mistake}"
            + (f"; it also {name_clauses(clauses)}" if clauses else "")
        )
    if clauses:
        first_broken = clauses[0]
        amount = spelling.several(len(report.rows), "gradient")
        return (
            f"{label}: {amount} right, but the backward {name_clauses(clauses)}; first: "
            f"{spelling.one_line(first_broken.seen)}{_place(first_broken.file, first_broken.line)}"
        )
    return f"{label}: {_successes(report)} · {setting_of(report, seconds=seconds)}"


def _names_mistake(row: Row, told: str) -> bool:
    """Whether the first hint says what is wrong with the very code that gave the row, and is not told already.

    A candidate brings its backward whole: no statement of it can be accused, and none has inherited anything.
    """
    is_candidates = row.origin is None and row.source is None and row.verdict is Verdict.WRONG
    if not row.hints or not (row.origin is Origin.INTRODUCED or is_candidates):
        return False
    return spelling.one_line(row.hints[0]) not in told


def label_of(report: Report) -> str:
    """The case, the sizes that are not its defaults, and its dtype: "LinearRegression[samples=100-float32]"."""
    name = spelling.one_line(report.case)
    sizes = [f"{spelling.one_line(one)}={report.sizes[one]}" for one in report.resized if one in report.sizes]
    return f"{name}[{'-'.join([*sizes, report.dtype])}]" if report.dtype else name


def setting_of(report: Report, *, seconds: float | None = None) -> str:
    """At which sizes, where and on which inputs a case ran: "samples=10 · cpu · seed 111111"."""
    parts = [", ".join(f"{spelling.one_line(name)}={value}" for name, value in report.sizes.items())]
    if report.dtype:  # what did not import ran nowhere
        parts += [spelling.one_line(report.device), f"seed {report.seed}"]
        parts += [] if seconds is None else [spelling.duration(seconds)]
    return " · ".join(part for part in parts if part)


def _successes(report: Report) -> str:
    derived = f"{report.derived} of {spelling.several(report.named, 'named tensor')} derived"
    judged = [row for row in report.rows if row.verdict not in (Verdict.GIVEN, Verdict.MISSING)]
    if not judged:
        return f"nothing to judge yet ({derived})"
    right = sum(row.verdict in _RIGHT for row in judged)
    parts = [f"{right} of {spelling.several(len(judged), 'gradient')} right"]
    parts += [
        f"{amount} {verdict}" for verdict in _TOLD if (amount := sum(row.verdict is verdict for row in report.rows))
    ]
    return f"{', '.join(parts)} ({derived})"


def _place(file: str | None, line: int | None) -> str:
    if file is None:
        return ""
    return f", at {spelling.one_line(shorten(file))}" + (f":{line}" if line else "")


@dataclass(frozen=True)
class _Column:
    """A column: its cells are text, or None where there is nothing to say."""

    header: str
    cell: Callable[[Row], str | None]
    aligned: str = "right"


@dataclass(frozen=True)
class Grid:
    """The gradients of a report as text: a row each, and the columns in which at least one has something to say."""

    headers: list[str]
    aligned: list[str]
    rows: list[list[str]]


def grid_of(report: Report, *, style: Style = PLAIN) -> Grid:
    """The cells of the table of a report, not yet escaped for a format."""
    cells = {column: [column.cell(row) for row in report.rows] for column in _columns(report, style)}
    # A column in which no row has anything to say (accuracy of a quick run, say) only takes room.
    shown = {column: texts for column, texts in cells.items() if any(text is not None for text in texts)}
    return Grid(
        [column.header for column in shown],
        [column.aligned for column in shown],
        [[text or "" for text in row] for row in zip(*shown.values(), strict=True)],
    )


def _clauses(report: Report, style: Style) -> list[str]:
    cells = clause_cells(report.contract)
    table = [style.layout(cells, HEADERS, ["left"] * len(HEADERS))] if cells else []
    return [summarize_clauses(report.contract), *table]


def _columns(report: Report, style: Style) -> tuple[_Column, ...]:
    one_file = len({row.file for row in report.rows if row.file}) == 1

    def line(row: Row) -> str | None:
        if row.line is None:
            return None
        return str(row.line) if one_file else f"{spelling.one_line(shorten(row.file or ''))}:{row.line}"

    return (
        _Column("gradient", lambda row: spelling.name(row.name), "left"),
        _Column("shape", lambda row: str(row.shape), "left"),
        _Column("dtype", lambda row: None if row.dtype == report.dtype else row.dtype, "left"),
        _Column("verdict", lambda row: _verdict(row, style), "left"),
        _Column("origin", lambda row: None if row.origin is None else row.origin.value, "left"),
        _Column("max diff", _maxdiff),
        _Column("max ulp", _max_ulp),
        _Column("accuracy", lambda row: None if row.accuracy is None else spelling.ratio(row.accuracy)),
        _Column("resolution", lambda row: None if row.resolution is None else spelling.number(row.resolution)),
        _Column("coverage", lambda row: None if row.coverage is None else spelling.share(row.coverage)),
        _Column("nonfinite", _nonfinite),
        *_witness_columns(report),
        _Column("line", line),
    )


def _witness_columns(report: Report) -> list[_Column]:
    """A column for each witness that was heard."""
    names = dict.fromkeys(witness.oracle for row in report.rows for witness in row.witnesses)
    return [_Column(spelling.one_line(name), partial(_stance, name), "left") for name in names]


def _stance(oracle: str, row: Row) -> str | None:
    """What a witness says of a gradient, and its error bar; why it says nothing stands below the table."""
    for witness in row.witnesses:
        if witness.oracle == oracle:
            bar = "" if math.isnan(witness.error) or not witness.stance.is_measured else f" ±{witness.error:.0e}"
            return f"{witness.stance}{bar}"
    return "the reference" if row.witnesses else None


def _verdict(row: Row, style: Style) -> str:
    """The verdict, marked where the row fails: a setting can fail a row whose verdict alone would pass."""
    text = row.verdict.value if row.passed else f"{row.verdict} ✗"
    if not row.passed:
        color = Color.BAD
    else:
        color = Color.GOOD if row.verdict in (Verdict.EXACT, Verdict.OK) else Color.DOUBTFUL
    return paint(text, color, enabled=style.is_colored)


def _maxdiff(row: Row) -> str | None:
    comparison = row.comparison
    if comparison is None or comparison.candidate_shape != comparison.shape:
        return None
    return spelling.number(comparison.maxdiff)


def _max_ulp(row: Row) -> str | None:
    comparison = row.comparison
    if comparison is None or comparison.candidate_shape != comparison.shape or comparison.max_ulp is None:
        return None
    return spelling.count(comparison.max_ulp)


def _nonfinite(row: Row) -> str | None:
    """How many elements were left out because the reference is not finite; the candidate's where they differ."""
    comparison = row.comparison
    own, reference = (
        (comparison.candidate_nonfinite, comparison.reference_nonfinite) if comparison is not None else (0, 0)
    )
    left_out = max(row.nonfinite, reference)
    if own != reference:
        return f"{left_out}, candidate {own}"
    return str(left_out) if left_out else None
