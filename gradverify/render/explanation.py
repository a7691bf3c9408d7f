"""What went wrong with one gradient, or with a whole case, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gradverify.location import shorten
from gradverify.render import spelling
from gradverify.report import Failure, Row, Worst
from gradverify.verdict import Origin, Verdict
from gradverify.witness import Stance

# A statement is quoted to be recognised; one that holds a table of numbers would fill the screen.
_LONGEST_QUOTE = 8

_INDENT = "    "

# More names than this say no more.
_MOST_NAMES = 8
# What a witness says that its cell alone does not explain.
_DOUBTFUL = frozenset({Stance.SUBGRADIENT, Stance.KINK, Stance.INCONCLUSIVE})


def tell(row: Row) -> str:
    """What is wrong with a gradient that failed, as the rest of a sentence that starts with its name."""
    comparison, worst = row.comparison, row.worst
    if row.verdict is Verdict.SHAPE and comparison is not None:
        return f"has shape {comparison.candidate_shape}, its tensor {row.shape}"
    if row.verdict is Verdict.DTYPE and comparison is not None:
        return f"is {comparison.candidate_dtype}, its tensor {row.dtype}"
    if row.verdict is Verdict.MISSING:
        return "has no gradient"
    if row.verdict is Verdict.VACUOUS:
        nowhere = row.nonfinite and row.nonfinite == math.prod(row.shape)
        what = "is not finite anywhere in the reference" if nowhere else "is zero everywhere"
        return f"{what}, so that nothing was tried"
    if row.verdict is Verdict.DISPUTED and row.hints:
        return f"where {spelling.one_line(row.hints[0])}"
    if row.verdict is Verdict.NONFINITE:
        return "is not finite where the reference is"
    if row.verdict is Verdict.WRONG and worst is not None and not _is_allowed(worst):
        return f"is off by {spelling.number(_difference(worst))}{_explained(worst)}"
    if row.hints:
        return f"fails: {spelling.one_line(row.hints[0])}"
    return row.verdict.sentence.split(":")[0]


def explain_rows(failed: Iterable[Row]) -> list[str]:
    """A paragraph for every gradient that failed; those that only inherit an error share one."""
    paragraphs = []
    inherited: dict[str, list[str]] = {}
    for row in failed:
        if row.origin is Origin.INHERITED:
            inherited.setdefault(row.hints[-1] if row.hints else "", []).append(spelling.one_line(row.name))
        else:
            paragraphs.append(_explain(row))
    lines = [
        f"{', '.join(names)} (inherited)" + (f": {source}" if source else "") for source, names in inherited.items()
    ]
    return [*paragraphs, "\n".join(lines)] if lines else paragraphs


def explain_witnesses(rows: Iterable[Row]) -> str:
    """Why witnesses say nothing of some gradients, and what those found that met kinks; a line each."""
    silent: dict[tuple[str, str], list[str]] = {}
    lines = []
    for row in rows:
        name = spelling.one_line(row.name)
        for witness in row.witnesses:
            if witness.stance is Stance.ABSENT:
                silent.setdefault((witness.oracle, witness.reason), []).append(name)
            elif witness.stance in _DOUBTFUL and (row.passed or str(witness) not in row.hints):
                lines.append(f"{name}: {spelling.one_line(str(witness))}")
    absent = [
        f"{oracle} does not apply to {_some(names)}: {spelling.one_line(reason)}"
        for (oracle, reason), names in silent.items()
    ]
    return "\n".join([*absent, *lines])


def _some(names: list[str]) -> str:
    """Names, the first few where they are many."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"


def _explain(row: Row) -> str:
    """What the verdict means, where the gradient was assigned, what else is known of it."""
    parts = [f"{spelling.one_line(row.name)} ({row.verdict}): {row.verdict.sentence}"]
    if row.file is not None:
        parts.append(f"{_INDENT}at {spelling.one_line(shorten(row.file))}:{row.line}")
    if row.source is not None:
        parts += [f"{_INDENT * 2}{line}" for line in _shortened(spelling.lines(row.source))]
    if row.verdict is Verdict.IMPRECISE:
        parts.append(f"{_INDENT}it fails because `strict` is set")
    # Where float64 has nothing to complain about, its worst element is no clue.
    if row.worst is not None and (row.verdict is Verdict.INCONCLUSIVE or not _is_allowed(row.worst)):
        parts.append(f"{_INDENT}{_spell_worst(row.worst)}")
    parts += [f"{_INDENT}hint: {spelling.one_line(hint)}" for hint in row.hints]
    parts += [f"{_INDENT}witness: {spelling.one_line(told)}" for told in witnesses_against(row)]
    return "\n".join(parts)


def witnesses_against(row: Row) -> list[str]:
    """What the witnesses say who disagree with a gradient, as far as its hints do not say so."""
    return [str(one) for one in row.witnesses if one.stance is Stance.DISAGREES and str(one) not in row.hints]


def explain_failure(failure: Failure) -> str:
    """Why there are no rows: the rest of a message of several lines, and the user's own traceback."""
    parts = spelling.lines(failure.message)[1:]
    if failure.traceback is not None:
        parts += [f"{_INDENT}{line}" for line in spelling.lines(failure.traceback)]
    return "\n".join(parts)


def _spell_worst(worst: Worst) -> str:
    # In full: a candidate that is wrong in its tenth digit has to look different from its reference.
    values = f"candidate {worst.candidate!r}, reference {worst.reference!r}, "
    where = f"worst at {list(worst.index)}" if worst.index else "its only element"
    return f"{where}: {values}off by {spelling.number(_difference(worst))}{_explained(worst)}"


def _explained(worst: Worst) -> str:
    return "" if worst.allowed is None else f" where rounding explains {spelling.number(worst.allowed)}"


def _difference(worst: Worst) -> float:
    return abs(worst.candidate - worst.reference)


def _is_allowed(worst: Worst) -> bool:
    return worst.allowed is not None and _difference(worst) <= worst.allowed


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _LONGEST_QUOTE:
        return lines
    return [*lines[: _LONGEST_QUOTE - 1], f"... ({len(lines) - _LONGEST_QUOTE + 1} more lines)"]
