"""The contract of a backward in a report: one line where it is kept, else what was seen and the remedy."""

import dataclasses

from samples import ENVIRONMENT, WRONG, report, row

from gradverify.render.clauses import clause_cells, summarize_clauses
from gradverify.render.fragment import render_fragment
from gradverify.render.html import render_html
from gradverify.render.json import read_json, render_json
from gradverify.render.markdown import render_markdown
from gradverify.render.table import headline, render_table
from gradverify.report import Clause
from gradverify.verdict import Observance

KEPT = Clause("cotangent layout", Observance.KEPT, passed=True, seen="transposed")
IDLE = Clause("unused output", Observance.INAPPLICABLE, passed=True, seen="there is one output with a gradient")
REFUSED = Clause("double backward", Observance.REFUSED, passed=True, seen="raised RuntimeError: once")
NOTED = Clause("repeatability", Observance.NOTED, passed=True, seen="other bits", remedy="sum in a fixed order")
BROKEN = Clause(
    "raw shape", Observance.BROKEN, passed=False, seen="(5, 4), its input (4,)", remedy="sum", file="k.py", line=7
)
KEEPING = report(row(), contract=(KEPT, IDLE, REFUSED, NOTED))
BREAKING = report(row(), row("b"), contract=(KEPT, BROKEN, dataclasses.replace(BROKEN, rule="raw dtype")))


def test_a_contract_that_is_kept_takes_a_line():
    """And a row for each rule that there is something to say of."""
    assert summarize_clauses(KEEPING.contract) == "contract: 1 of 4 rules kept; unused output does not apply"
    assert clause_cells(KEEPING.contract) == [
        ["double backward", "refused", "raised RuntimeError: once"],
        ["repeatability", "noted", "other bits"],
    ]
    assert KEEPING.passed
    assert headline(KEEPING).startswith("Sample[float32]: 1 of 1 gradient right")


def test_a_broken_clause_fails_the_report_and_is_named_in_its_first_line():
    """With what the first of them saw, and where."""
    assert not BREAKING.passed
    assert [clause.rule for clause in BREAKING.broken_clauses] == ["raw shape", "raw dtype"]
    assert headline(BREAKING) == (
        "Sample[float32]: 2 gradients right, but the backward breaks the contract: raw shape, raw dtype; first: "
        "(5, 4), its input (4,), at k.py:7"
    )


def test_a_wrong_gradient_comes_first():
    """The clauses are named behind it."""
    line = headline(report(WRONG, contract=(BROKEN,)))
    assert line.startswith("Sample[float32]: 1 of 1 gradient wrong; first: W (wrong)")
    assert line.endswith("; it also breaks the contract: raw shape")


def test_the_remedy_is_told():
    """Below the table, in every format."""
    for text in (render_table(BREAKING), render_markdown(BREAKING), render_fragment(BREAKING)):
        assert "raw shape (contract): (5, 4), its input (4,)" in text
        assert "at k.py:7" in text
        assert "remedy: sum" in text
    assert "raw shape  broken ✗" in render_table(BREAKING)
    assert "| raw shape | broken ✗ |" in render_markdown(BREAKING)


def test_a_page_names_them_too():
    """In the summary of the section, and above its table."""
    page = render_html([BREAKING, KEEPING], ENVIRONMENT)
    assert "breaks the contract: raw shape, raw dtype" in page
    assert "remedy: sum" in page
    assert "contract: 1 of 4 rules kept; unused output does not apply" in page


def test_a_long_sight_is_cut_in_the_table_alone():
    """The paragraph has it whole."""
    long = dataclasses.replace(BROKEN, seen="x" * 300 + "\nsecond")
    text = render_table(report(row(), contract=(long,)))
    assert "x" * 99 + "…" in text
    assert "x" * 300 + "\\nsecond" in text


def test_json_holds_every_clause():
    """And gives it back."""
    assert read_json(render_json([BREAKING, KEEPING], ENVIRONMENT))[1] == [BREAKING, KEEPING]


def test_a_case_with_steps_has_no_contract():
    """Nor a line about one."""
    assert "contract" not in render_table(report(row()))
