"""A mutation study in words: one line that tells the story, a table of kinds, every survivor, and the same as JSON."""

from __future__ import annotations

import json

import pytest
from samples import ENVIRONMENT

from gradverify.mutants import Kind, Mutant
from gradverify.render.study import render_studies, render_study
from gradverify.render.table import Style
from gradverify.report import Failure
from gradverify.study import Outcome, Study, Trial

SIGN = Mutant(Kind.SIGN, 38, 38, "d.pre = d.res * (t.pre > 0)", "d.pre = -(d.res * (t.pre > 0))")
CONSTANT = Mutant(Kind.CONSTANT, 38, 38, SIGN.before, "d.pre = d.res * (t.pre > -1)")
DELETED = Mutant(Kind.DELETION, 38, 39, SIGN.before, "")

CAUGHT = Trial(SIGN, Outcome.CAUGHT, named=True, hint="its sign is wrong")
UNNAMED = Trial(CONSTANT, Outcome.CAUGHT)
RAISED = Trial(DELETED, Outcome.RAISED, named=True)
KILLED = Trial(CONSTANT, Outcome.KILLED)
EQUIVALENT = Trial(CONSTANT, Outcome.EQUIVALENT)
SURVIVED = Trial(CONSTANT, Outcome.SURVIVED)
LATE = Trial(CONSTANT, Outcome.CAUGHT, named=True, seed=2)


def study(*trials: Trial, error: Failure | None = None) -> Study:
    return Study("Relu", {"n": 5}, ("float32",), ("cpu",), (0, 1), "cases/relu.py", trials, error)


@pytest.mark.parametrize(
    ("trials", "headline"),
    [
        ([CAUGHT, UNNAMED], "Relu[float32]: 2 of 2 mutants caught"),
        ([CAUGHT], "Relu[float32]: 1 of 1 mutant caught"),
        ([CAUGHT, RAISED, RAISED], "Relu[float32]: 3 of 3 mutants caught (2 by raising)"),
        (
            [RAISED, KILLED, SURVIVED],
            "Relu[float32]: 2 of 3 mutants caught (1 by raising, 1 by running out of time or memory)",
        ),
        (
            [CAUGHT, LATE, EQUIVALENT],
            "Relu[float32]: 2 of 2 mutants caught, 1 of them at seeds beyond the case's own; 1 more give the same "
            "gradients",
        ),
        ([CAUGHT, EQUIVALENT], "Relu[float32]: 1 of 1 mutant caught; 1 more give the same gradients"),
    ],
)
def test_the_first_line_tells_the_story(trials, headline):
    """How many were caught of those that can be, and what else became of the rest."""
    assert render_study(study(*trials)).splitlines()[0] == headline


def test_a_row_a_kind_and_one_for_all():
    """Kinds that occur, in their order; nothing where there is nothing to count."""
    lines = render_study(study(CAUGHT, UNNAMED, RAISED, KILLED, EQUIVALENT, SURVIVED)).splitlines()[2:8]
    assert [line.split() for line in lines if not line.startswith("-")] == [
        ["broken", "mutants", "caught", "equivalent", "survived", "line", "named", "mistake", "named"],
        ["sign", "1", "1", "1", "of", "1", "1", "of", "1"],
        ["constant", "4", "2", "1", "1", "0", "of", "1", "0", "of", "1"],
        ["statement", "deleted", "1", "1", "1", "of", "1"],
        ["all", "6", "4", "1", "1", "2", "of", "3", "1", "of", "2"],
    ]


def test_every_survivor_is_shown_with_its_line_and_change():
    """Those that were caught are not."""
    deleted = Trial(DELETED, Outcome.SURVIVED)
    paragraphs = render_study(study(CAUGHT, SURVIVED, deleted)).split("\n\n")
    advice = "    no gradient of the case tells these apart: choose inputs on which they differ"
    assert paragraphs[2:] == [
        f"survived (constant), at cases/relu.py:38\n    {SIGN.before}\n    {CONSTANT.after}\n{advice}",
        f"survived (statement deleted), at cases/relu.py:38\n    {SIGN.before}\n    (deleted)\n{advice}\n",
    ]


def test_what_only_another_seed_shows_is_told():
    """It is caught, and the user hears that their own seeds would not have."""
    assert study(CAUGHT, LATE).passed
    assert render_study(study(CAUGHT, LATE)).split("\n\n")[2:] == [
        f"caught at seed 2 only (constant), at cases/relu.py:38\n    {SIGN.before}\n    {CONSTANT.after}\n"
        "    seed 0 and 1 cannot tell these apart: add 2 to `seeds`, or choose other inputs\n"
    ]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure("NotSound", "it does not verify"), "Relu[float32]: not studied, it does not verify\n"),
        (
            Failure("CaseRaised", "inputs raised", "cases/relu.py", 12),
            "Relu[float32]: not studied, inputs raised, at cases/relu.py:12\n",
        ),
        (
            Failure("InternalError", "gradverify failed", traceback="Traceback:\n  in prepare"),
            "Relu[float32]: not studied, gradverify failed\n\nTraceback:\n  in prepare\n",
        ),
    ],
)
def test_a_case_that_was_not_studied_says_why(failure, expected):
    """And where, as far as that is known."""
    assert render_study(study(error=failure)) == expected


def test_colour_tells_a_survivor_from_none():
    """In the first line alone, and only where it is wanted."""
    style = Style(color=True)
    assert render_study(study(CAUGHT), style=style).startswith("\x1b[32mRelu")
    assert render_study(study(SURVIVED), style=style).startswith("\x1b[1;31mRelu")
    assert "\x1b" not in render_study(study(SURVIVED))


def test_json_holds_the_trials_and_their_counts():
    """Flat, ASCII, and with the environment; a study without trials counts to zero."""
    failed = study(error=Failure("NotSound", "é"))
    text = render_studies([study(CAUGHT, SURVIVED), failed], ENVIRONMENT)
    assert text.isascii()
    document = json.loads(text)
    assert (document["schema"], document["environment"]["torch"]) == (1, "2.13.0")
    first, second = document["studies"]
    assert (first["case"], first["seeds"], first["file"]) == ("Relu", [0, 1], "cases/relu.py")
    assert (first["mutants"], first["caught"], first["survived"], first["passed"]) == (2, 1, 1, False)
    assert first["trials"][0] == {
        "kind": "sign",
        "line": 38,
        "last_line": 38,
        "before": SIGN.before,
        "after": SIGN.after,
        "outcome": "caught",
        "named": True,
        "hint": "its sign is wrong",
        "seed": None,
    }
    assert (second["mutants"], second["error"]["message"], second["passed"]) == (0, "é", False)
