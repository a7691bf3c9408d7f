"""What a user reads, kept whole: every letter of a report, of its Markdown, and of what changed.

The texts are in `snapshots`; tests/snapshot.py says how to write them again.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from samples import CRASHED, ENVIRONMENT, SHAPE, WRONG, comparison, report, row

from gradverify.changes import find_changes
from gradverify.render.changes import render_changes, render_changes_json, render_changes_markdown
from gradverify.render.comment import render_comment
from gradverify.render.summary import Outcome, Shown, render_outcome, render_totals
from gradverify.render.table import Style
from gradverify.verdict import Origin, Verdict
from snapshot import compare_with

FOLDER = Path(__file__).parent / "snapshots"

INTRODUCED = dataclasses.replace(
    WRONG, origin=Origin.INTRODUCED, hints=("a minus is missing: `d.logits` should be `-d.logits`",)
)
INHERITED = dataclasses.replace(WRONG, name="X", origin=Origin.INHERITED, hints=("inherits the error of d.W",))
LARGE = comparison(exact=False, maxdiff=2.12e-8, max_ulp=3, differing=4, relative_error=1e-8)

RIGHT = report(
    row("diff"),
    row("<b>|`odd`*", verdict=Verdict.OK, comparison=LARGE, accuracy=0.875),
    row("b", verdict=Verdict.IMPRECISE, accuracy=12.5, coverage=0.125),
    case="Right",
    notes=("judged in float32 alone",),
)
FAILED = report(row("logits"), INHERITED, INTRODUCED, SHAPE, case="Failed")
LONG = report(*(row(f"h{number}") for number in range(14)), dataclasses.replace(WRONG, name="h14"), case="Long")
RUN = (RIGHT, FAILED, LONG, CRASHED)

# The run before: what failed was right, and one case was another.
BEFORE = (
    report(*RIGHT.rows[:2], row("b", accuracy=1.0), case="Right"),
    report(row("logits"), row("X"), row("W"), SHAPE, case="Failed"),
    dataclasses.replace(LONG, case="Gone"),
    CRASHED,
)
CHANGES = find_changes(BEFORE, RUN)
LATER = dataclasses.replace(ENVIRONMENT, torch="2.14.0")


def as_tables(format):
    style = Style(format)
    outcomes = [Outcome(one, 0.25) for one in RUN]
    shown = [render_outcome(one, Shown.AUTO, len(outcomes), style=style) for one in outcomes]
    return "".join([*shown, render_totals(outcomes, Shown.AUTO, ENVIRONMENT, style=style)])


TEXTS = {
    "run.txt": lambda: as_tables("simple"),
    "run.github.txt": lambda: as_tables("github"),
    "run.md": lambda: render_comment([Outcome(one, 0.25) for one in RUN], ENVIRONMENT),
    "diff.txt": lambda: render_changes(CHANGES, ENVIRONMENT, LATER),
    "diff.md": lambda: render_changes_markdown(CHANGES, ENVIRONMENT, LATER),
    "diff.json": lambda: render_changes_json(CHANGES, ENVIRONMENT, LATER),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_one_that_was_kept(name):
    compare_with(FOLDER / name, TEXTS[name]())


def test_every_file_that_was_kept_is_compared():
    assert {file.name for file in FOLDER.iterdir()} == set(TEXTS)


def test_another_text_fails(tmp_path, monkeypatch):
    """The twin: by a letter, or where the file is missing; and the message says how to write it again."""
    monkeypatch.delenv("RENEW", raising=False)
    with pytest.raises(AssertionError, match="there is no .*: RENEW=1 pytest tests writes it"):
        compare_with(tmp_path / "a.txt", "a\n")
    (tmp_path / "a.txt").write_text("a\n", encoding="utf-8")
    compare_with(tmp_path / "a.txt", "a\n")
    with pytest.raises(AssertionError, match=r"a.txt differs; RENEW=1 pytest tests writes it again"):
        compare_with(tmp_path / "a.txt", "a")
