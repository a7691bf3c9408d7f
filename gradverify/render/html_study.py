"""Mutation studies as one HTML file: what nobody noticed first, then every mutant of every case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from textwrap import dedent

from gradverify.mutants import Kind
from gradverify.render import spelling
from gradverify.render.explanation import explain_failure
from gradverify.render.html import MOST_ENTRIES, MOST_OPEN, clip, place_of
from gradverify.render.page import Card, Cell, Column, Entry, Fact, Line, Page, Section, Share, Table, Tone, render_page
from gradverify.render.study import headline
from gradverify.render.summary import spell_environment
from gradverify.report import Environment
from gradverify.study import Outcome, Study, Trial, tally

_COLUMNS = (
    Column("line"),
    Column("broken", "text"),
    Column("before", "code"),
    Column("after", "code"),
    Column("outcome", "text"),
    Column("line named", "text"),
    Column("mistake named", "code"),
)
_KINDS = (
    Column("broken", "text"),
    *map(Column, ("mutants", "caught", "equivalent", "survived", "line named", "mistake named")),
)

_GLOSSARY = (
    ("caught", "a verdict fails; raised: the backward raises; killed: it ran out of time or of memory"),
    ("equivalent", "passes, and gives the same gradients as the original"),
    ("survived", "passes, and gives others: the inputs of the case cannot tell them apart"),
    ("line named", "whether the report names the broken statement, and accuses no other"),
    ("mistake named", "what the report takes for the mistake"),
)

_TONES = {Outcome.SURVIVED: Tone.BAD, Outcome.EQUIVALENT: Tone.FAINT}
_ORDER = (Outcome.SURVIVED, Outcome.EQUIVALENT, Outcome.KILLED, Outcome.RAISED, Outcome.CAUGHT)

# About what the column for code holds, see `td.code` in page.css.
_WIDEST = 40

_REMEDY = "no gradient of the case tells these apart: choose inputs on which they differ"


def render_studies_html(studies: Iterable[Study], environment: Environment) -> str:
    """The page of some studies, those first in which something survived.

    Args:
        studies: a case each.
        environment: that they depend on.
    """
    ordered = sorted(studies, key=lambda study: study.passed)
    trials = tuple(trial for study in ordered for trial in study.trials)
    survivors = [(study, trial) for study in ordered for trial in study.survivors]
    anchors = {id(trial): f"m{number}" for number, (_, trial) in enumerate(survivors, 1)}
    counts = Counter(trial.outcome for trial in trials)
    total = tally(trials)
    failed = sum(study.error is not None for study in ordered)
    facts = [Fact(str(total.mutants), "mutants"), Fact(str(total.caught), "caught", Tone.GOOD)]
    facts += [Fact(str(total.survived), "survived", Tone.BAD)] if total.survived else []
    facts += [Fact(str(total.equivalent), "equivalent")] if total.equivalent else []
    facts += [Fact(str(failed), "not studied", Tone.BAD)] if failed else []
    story = f"{total.caught} of {spelling.several(total.mutants - total.equivalent, 'mutant')} caught"
    return render_page(
        Page(
            title=f"gradverify mutate: {story}",
            headline=story,
            tone=Tone.GOOD if all(study.passed for study in ordered) else Tone.BAD,
            noun="mutants",
            task="What was not noticed",
            facts=tuple(facts),
            shares=tuple(
                Share(outcome.value, counts[outcome], _TONES.get(outcome, Tone.GOOD))
                for outcome in _ORDER
                if counts[outcome]
            ),
            entries=tuple(
                Entry(
                    place=place_of(study.file, trial.mutant.line),
                    whose=spelling.one_line(study.case),
                    what=clip(f"{trial.mutant.kind}: {trial.mutant.before} became {trial.mutant.after or 'nothing'}"),
                    link=anchors[id(trial)],
                )
                for study, trial in survivors[:MOST_ENTRIES]
            ),
            sections=tuple(
                _section(study, anchors, is_open=not study.passed and number < MOST_OPEN)
                for number, study in enumerate(ordered)
            ),
            glossary=_GLOSSARY,
            closing=spell_environment(environment),
        )
    )


def _section(study: Study, anchors: dict[int, str], *, is_open: bool) -> Section:
    label, _, outcome = headline(study).partition(": ")
    trials = sorted(study.trials, key=lambda trial: (_ORDER.index(trial.outcome), trial.mutant.line))
    devices = ", ".join(study.devices)
    seeds = f"{'seed' if len(study.seeds) == 1 else 'seeds'} {', '.join(map(str, study.seeds))}" if study.seeds else ""
    sizes = ", ".join(f"{name}={value}" for name, value in study.sizes.items())
    return Section(
        label=label,
        outcome=clip(outcome) if study.error is None else spelling.one_line(study.error.kind),
        tone=Tone.GOOD if study.passed else Tone.BAD,
        setting=spelling.one_line(" · ".join(part for part in (sizes, devices, seeds) if part) or "-"),
        story="" if study.error is None else clip(outcome),
        traceback="" if study.error is None else dedent(explain_failure(study.error)),
        cards=tuple(_card(study, trial, anchors[id(trial)]) for trial in study.survivors),
        tables=(_kinds(study), _trials(label, trials, anchors)) if trials else (),
        is_open=is_open,
    )


def _card(study: Study, trial: Trial, anchor: str) -> Card:
    mutant = trial.mutant
    return Card(
        anchor=anchor,
        name=mutant.kind.value,
        verdict=trial.outcome.value,
        tone=Tone.BAD,
        sentence=_REMEDY,
        place=place_of(study.file, mutant.line),
        changes=(clip(mutant.before), clip(mutant.after) if mutant.after else "(deleted)"),
    )


def _kinds(study: Study) -> Table:
    groups = {kind.value: tuple(one for one in study.trials if one.mutant.kind is kind) for kind in Kind}
    lines = []
    for name, group in groups.items():
        if not group:
            continue
        counts = tally(group)
        amounts = (counts.mutants, counts.caught, counts.equivalent, counts.survived)
        cells = [Cell(name), *(Cell(str(amount), amount) if amount else Cell("") for amount in amounts)]
        cells += [_share(counts.named, counts.caught - counts.killed), _share(counts.hinted, counts.judged)]
        lines.append(Line(tuple(cells), None, passed=not counts.survived))
    return Table(_KINDS, tuple(lines), f"What was broken in {study.case}")


def _share(part: int, whole: int) -> Cell:
    return Cell(f"{part} of {whole}", part / whole) if whole else Cell("")


def _trials(label: str, trials: Sequence[Trial], anchors: dict[int, str]) -> Table:
    lines = []
    for trial in trials:
        mutant, outcome = trial.mutant, trial.outcome
        is_named = outcome.is_caught and outcome is not Outcome.KILLED
        cells = (
            Cell(str(mutant.line), mutant.line, link=anchors.get(id(trial))),
            Cell(mutant.kind.value),
            _code(mutant.before),
            _code(mutant.after or "(deleted)"),
            Cell(outcome.value, tone=_TONES.get(outcome, Tone.GOOD)),
            Cell(("yes" if trial.named else "no") if is_named else ""),
            _code(trial.hint or ""),
        )
        lines.append(Line(cells, outcome.value, passed=outcome is not Outcome.SURVIVED))
    return Table(_COLUMNS, tuple(lines), f"Mutants of {label}")


def _code(text: str) -> Cell:
    """A statement as a cell, which the page cuts to its width; the whole is shown on hovering."""
    line = clip(text) if text else ""
    return Cell(line, title=line if len(line) > _WIDEST else None)
