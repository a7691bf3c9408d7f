"""What changed between two runs, in words: the first line is the story, and a comment is never too long."""

from __future__ import annotations

import dataclasses
import json

import pytest
from samples import CRASHED, ENVIRONMENT, SHAPE, WRONG, report, row

from gradverify.changes import find_changes
from gradverify.render.changes import render_changes, render_changes_json, render_changes_markdown
from gradverify.render.comment import LIMIT
from gradverify.render.table import Style
from gradverify.verdict import Origin, Verdict

INTRODUCED = dataclasses.replace(WRONG, origin=Origin.INTRODUCED, hints=("a minus is missing: `d.W` is `-d.W`",))
INHERITED = dataclasses.replace(WRONG, name="X", origin=Origin.INHERITED, hints=("inherits the error of d.W",))
LATER = dataclasses.replace(ENVIRONMENT, torch="2.14.0", devices={"cuda": "H100"})


def text_of(old, new, *, environment=ENVIRONMENT, **changes):
    return render_changes(find_changes(old, new), ENVIRONMENT, environment, **changes)


def markdown_of(old, new, **changes):
    return render_changes_markdown(find_changes(old, new), ENVIRONMENT, ENVIRONMENT, **changes)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ([report(row())], [report(row())], "nothing changed in 1 report"),
        ([], [], "nothing changed in 0 reports"),
        ([report(SHAPE)], [report(row("b"))], "no regression: 1 fixed"),
        ([report(row())], [report(row(), case="Other")], "no regression: 1 new, 1 removed"),
        (
            [report(row("X"), row("W"))],
            [report(INHERITED, INTRODUCED)],  # what was introduced is told, though it comes later
            "2 regressions; first: Sample[float32] W: exact -> wrong (introduced) ✗, at cases/sample.py:87: a minus is "
            "missing: `d.W` is `-d.W`",
        ),
        (
            [report(row("b"))],
            [report(SHAPE)],
            "1 regression; first: Sample[float32] b: exact -> shape ✗, at cases/sample.py:88: has shape (1, 1), its "
            "tensor (1,)",
        ),
        (
            [report(row(accuracy=0.5))],
            [report(row(accuracy=63.2))],
            "1 regression; first: Sample[float32] W: accuracy 0.5 -> 63.2, at cases/sample.py:12",
        ),
        (
            [report(row())],
            [CRASHED],
            "1 regression; first: Sample[float32]: backward raised ValueError in the float32 pass: bad, at "
            "cases/sample.py:40",
        ),
        (
            [],
            [report(WRONG)],
            "1 regression; first: Sample[float32]: 1 of 1 gradient wrong; first: W (wrong) is off by 1.1e-10 where "
            "rounding explains 2.5e-16, at cases/sample.py:87",
        ),
    ],
)
def test_the_first_line_is_the_whole_story(old, new, line):
    assert text_of(old, new).splitlines()[0] == line
    assert markdown_of(old, new).startswith("## gradverify: " + line.split("[")[0])


def test_what_fails_anew_is_explained_and_what_failed_before_is_not():
    text = text_of([report(SHAPE, row("W"))], [report(SHAPE, WRONG)])
    assert "W (wrong): differs from the reference" in text
    assert "b (shape)" not in text


def test_reports_that_came_or_went_are_a_line_each():
    lines = text_of([report(row())], [report(row(), case="Other")]).splitlines()
    assert lines[2].startswith("new: Other[float32]: 1 of 1 gradient right")
    assert lines[3] == "removed: Sample[float32] · samples=10 · cpu · seed 111111"


def test_the_last_line_counts_and_says_what_else_differs():
    lines = text_of([report(row())], [report(row())], environment=LATER).splitlines()
    assert lines[-2] == "nothing changed; 1 of 1 common report unchanged"
    assert lines[-1] == "torch 2.13.0 -> 2.14.0 · devices cpu: cpu -> cuda: H100"
    assert text_of([report(row())], [report(row())]).splitlines()[-1] == lines[-2]


def test_only_a_regression_is_red():
    assert text_of([], [report(WRONG)], style=Style(color=True)).startswith("\x1b[1;31m1 regression")
    assert text_of([], [report(row())], style=Style(color=True)).startswith("\x1b[32mno regression")
    assert "\x1b" not in text_of([], [report(WRONG)])


@pytest.mark.parametrize("name", ["a|b", "<script>alert(1)</script>", "two\nlines", "`", "\ud800"])
def test_no_name_breaks_the_layout(name):
    old, new = [report(row(name), case=name)], [report(dataclasses.replace(WRONG, name=name), case=name)]
    assert len(text_of(old, new).splitlines()) == len(text_of([report(row())], [report(WRONG)]).splitlines())
    table = [line for line in markdown_of(old, new).splitlines() if line.startswith("| `")]
    assert len(table) == 1
    assert "<script" not in markdown_of(old, new).split("\n\n")[0]


@pytest.mark.parametrize(("cases", "rows"), [(1, 2000), (50, 40), (2000, 1)])
def test_a_comment_is_never_too_long(cases, rows):
    names = [f"h{number}" for number in range(rows)]
    old = [report(*map(row, names), case=f"Net{number}") for number in range(cases)]
    wrong = [dataclasses.replace(WRONG, name=name) for name in names]
    new = [report(*wrong, case=f"Net{number}") for number in range(cases)]
    text = markdown_of(old, new)
    assert len(text) <= LIMIT
    assert "Net0[float32]" in text
    assert ("more reports that changed: a comment has no room for them" in text) is (cases == 2000)


def test_the_document_for_programs():
    """Every key that the README documents; numbers that are not finite are strings."""
    old, new = [report(row("W", accuracy=1.0))], [report(row("W", accuracy=float("inf"))), report(WRONG, case="New")]
    document = json.loads(render_changes_json(find_changes(old, new), ENVIRONMENT, LATER), parse_constant=pytest.fail)
    assert document["schema"] == 1
    assert document["regressed"] is True
    assert (document["old"]["torch"], document["new"]["torch"]) == ("2.13.0", "2.14.0")
    counts = {"regressed": 2, "changed": 0, "fixed": 0, "improved": 0, "new": 0, "removed": 0}
    assert (document["counts"], document["common"], document["unchanged"]) == (counts, 1, 0)
    second, first = document["changes"]
    assert {name: first[name] for name in ("case", "dtype", "device", "seed", "sizes")} == {
        "case": "Sample",
        "dtype": "float32",
        "device": "cpu",
        "seed": 111111,
        "sizes": {"samples": 10},
    }
    assert (first["change"], first["old"]["passed"], first["new"]["passed"]) == ("regressed", True, True)
    (changed,) = first["rows"]
    assert (changed["name"], changed["change"]) == ("W", "regressed")
    assert (changed["old"]["accuracy"], changed["new"]["accuracy"]) == (1.0, "inf")
    assert changed["new"]["verdict"] == Verdict.EXACT
    assert (second["old"], second["new"]["passed"], second["rows"]) == (None, False, [])
