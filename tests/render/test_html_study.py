"""Mutation studies as a page: what nobody noticed first."""

import re

from samples import ENVIRONMENT

from gradverify.mutants import Kind, Mutant
from gradverify.render.html_study import render_studies_html
from gradverify.report import Failure
from gradverify.study import Outcome, Study, Trial


def trial(outcome: Outcome, line: int = 3, kind: Kind = Kind.SIGN, **changes: object) -> Trial:
    mutant = Mutant(kind, line, line, "d.x = -d.y", "d.x = d.y")
    return Trial(mutant, outcome, **changes)  # type: ignore[arg-type]  # loosely typed on purpose


GOOD = Study(
    "Good", {"n": 3}, ("float32",), ("cpu",), (1,), "good.py", (trial(Outcome.CAUGHT, named=True, hint="a `-`"),)
)
WEAK = Study(
    "Weak",
    {"n": 3},
    ("float32", "bfloat16"),
    ("cpu",),
    (1, 2),
    "weak.py",
    (
        trial(Outcome.CAUGHT, 9),
        trial(Outcome.EQUIVALENT, 8),
        trial(Outcome.KILLED, 7),
        trial(Outcome.SURVIVED, 6, Kind.CONSTANT),
    ),
)
BROKEN = Study(
    "Broken", {}, file="broken.py", error=Failure("CaseRaised", "it raises <b>", "broken.py", 4, "Traceback")
)


def test_the_headline_counts_what_was_caught():
    assert '<h1 class="good">1 of 1 mutant caught</h1>' in render_studies_html([GOOD], ENVIRONMENT)
    page = render_studies_html([GOOD, WEAK, BROKEN], ENVIRONMENT)
    assert '<h1 class="bad">3 of 4 mutants caught</h1>' in page
    assert "<b>1</b> survived" in page
    assert "<b>1</b> not studied" in page


def test_what_survived_comes_first_and_is_shown_before_and_after():
    page = render_studies_html([GOOD, WEAK], ENVIRONMENT)
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Weak[float32,bfloat16]", "Good[float32]"]
    (card,) = page.split("<article")[1:]
    card = card.partition("</article>")[0]
    assert "weak.py:6" in card
    assert "d.x = -d.y" in card.partition('class="after"')[0]
    assert "d.x = d.y" in card.partition('class="after"')[2]
    assert '<li><a href="#m1">' in page
    mutants = page.split("<tbody>")[2].partition("</tbody>")[0]
    assert re.findall(r'<tr data-verdict="(\w+)"', mutants) == ["survived", "equivalent", "killed", "caught"]


def test_every_kind_has_a_line_that_the_filter_leaves_alone():
    kinds = render_studies_html([WEAK], ENVIRONMENT).split("<tbody>")[1].partition("</tbody>")[0]
    assert "data-verdict" not in kinds
    assert re.findall(r"<th scope=row[^>]*>(.*?)</th>", kinds) == ["sign", "constant"]


def test_a_case_that_could_not_be_studied_says_why():
    page = render_studies_html([BROKEN], ENVIRONMENT)
    assert "it raises &lt;b&gt;" in page
    assert "Traceback" in page
    assert '<details class="case bad" open>' in page


def test_a_deleted_statement_has_nothing_after_it():
    deleted = Trial(Mutant(Kind.DELETION, 3, 3, "d.x = 1", ""), Outcome.SURVIVED)
    page = render_studies_html([Study("One", {}, ("float32",), trials=(deleted,))], ENVIRONMENT)
    assert page.count("(deleted)") == 2


def test_nothing_studied_is_a_page_too():
    assert '<h1 class="good">0 of 0 mutants caught</h1>' in render_studies_html([], ENVIRONMENT)
