"""A mutation study as a table of what was broken, and as JSON; the README says what each name means."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from gradverify.location import shorten
from gradverify.mutants import Kind
from gradverify.render import spelling
from gradverify.render.color import Color, paint
from gradverify.render.table import PLAIN, Style
from gradverify.report import Environment
from gradverify.study import Study, Tally, Trial, tally

# Raised when a document that was valid no longer is; a new key is no such change.
SCHEMA = 1

_HEADERS = ["broken", "mutants", "caught", "equivalent", "survived", "line named", "mistake named"]


def render_study(study: Study, *, style: Style = PLAIN) -> str:
    """The headline, how many mutants of each kind ended how, and every one that survived."""
    color = Color.GOOD if study.passed else Color.BAD
    paragraphs = [paint(headline(study), color, enabled=style.is_colored)]
    if study.trials:
        paragraphs.append(_table(study.trials, style))
    paragraphs += [_shown(study, trial) for trial in (*study.late, *study.survivors)]
    if study.error is not None and study.error.traceback is not None:
        paragraphs.append("\n".join(spelling.lines(study.error.traceback)))
    return "\n\n".join(paragraphs) + "\n"


def render_studies(studies: Iterable[Study], environment: Environment) -> str:
    """The JSON document of some studies: ASCII, indented."""
    document = {
        "schema": SCHEMA,
        "environment": dataclasses.asdict(environment),
        "studies": [_plain(study) for study in studies],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def headline(study: Study) -> str:
    """One line that tells how many of a case's mutants were caught."""
    label = spelling.one_line(study.case) + (f"[{','.join(study.dtypes)}]" if study.dtypes else "")
    if study.error is not None:
        first = next(iter(spelling.lines(study.error.message)), study.error.kind)
        where = f", at {spelling.one_line(shorten(study.error.file))}" if study.error.file else ""
        line = f":{study.error.line}" if where and study.error.line else ""
        return f"{label}: not studied, {first}{where}{line}"
    total = tally(study.trials)
    breakable = total.mutants - total.equivalent
    notes = [
        f"{amount} {what}"
        for amount, what in ((total.raised, "by raising"), (total.killed, "by running out of time or memory"))
        if amount
    ]
    return (
        f"{label}: {total.caught} of {spelling.several(breakable, 'mutant')} caught"
        + (f" ({', '.join(notes)})" if notes else "")
        + (f", {len(study.late)} of them at seeds beyond the case's own" if study.late else "")
        + (f"; {total.equivalent} more give the same gradients" if total.equivalent else "")
    )


def _table(trials: tuple[Trial, ...], style: Style) -> str:
    groups = {kind.value: tuple(one for one in trials if one.mutant.kind is kind) for kind in Kind}
    rows = [[name, *_cells(tally(group))] for name, group in groups.items() if group]
    rows.append(["all", *_cells(tally(trials))])
    return style.layout(rows, _HEADERS, ["left"] + ["right"] * (len(_HEADERS) - 1))


def _cells(counts: Tally) -> list[str]:
    shown = (counts.mutants, counts.caught, counts.equivalent, counts.survived)
    return [
        *(str(amount) if amount else "" for amount in shown),
        _share(counts.named, counts.caught - counts.killed),
        _share(counts.hinted, counts.judged),
    ]


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" if whole else ""


def _shown(study: Study, trial: Trial) -> str:
    """A mutant that survived, or would have at the seeds of the case."""
    mutant = trial.mutant
    file = spelling.one_line(shorten(study.file or "<unknown>"))
    after = spelling.one_line(mutant.after) if mutant.after else "(deleted)"
    became, advice = "survived", "no gradient of the case tells these apart: choose inputs on which they differ"
    if trial.seed is not None:
        became = f"{trial.outcome} at seed {trial.seed} only"
        seeds = " and ".join(map(str, study.seeds))
        advice = f"seed {seeds} cannot tell these apart: add {trial.seed} to `seeds`, or choose other inputs"
    return (
        f"{became} ({mutant.kind}), at {file}:{mutant.line}\n"
        f"    {spelling.one_line(mutant.before)}\n    {after}\n"
        f"    {advice}"
    )


def _plain(study: Study) -> dict[str, object]:
    plain = dataclasses.asdict(study)
    trials = [{**one.pop("mutant"), **one} for one in plain.pop("trials")]
    return {**plain, "passed": study.passed, **dataclasses.asdict(tally(study.trials)), "trials": trials}
