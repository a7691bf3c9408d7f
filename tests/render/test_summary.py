"""What is shown of each case, and of all of them at the end."""

import pytest
from samples import CRASHED, ENVIRONMENT, WRONG, report, row

from gradverify.render.summary import Outcome, Shown, render_outcome, render_totals
from gradverify.render.table import Style, headline, render_table

PASSED = Outcome(report(row("W")), 0.25)
FAILED = Outcome(report(WRONG), 0.5)
ERROR = Outcome(CRASHED, 0.0)


def table(outcome):
    """What `render_outcome` gives where it shows everything."""
    return render_table(outcome.report, seconds=outcome.seconds) + "\n\n"


def line(outcome):
    """The same where it shows a line."""
    return headline(outcome.report, seconds=outcome.seconds) + "\n"


@pytest.mark.parametrize(
    ("shown", "total", "of_passed", "of_failed"),
    [
        (Shown.ALL, 1000, table, table),
        (Shown.NONE, 1, None, None),
        (Shown.FAILED, 1, None, table),
        (Shown.AUTO, 10, table, table),
        (Shown.AUTO, 11, line, table),
    ],
)
def test_what_is_shown_of_a_case(shown, total, of_passed, of_failed):
    for outcome, expected in [(PASSED, of_passed), (FAILED, of_failed), (ERROR, of_failed)]:
        assert render_outcome(outcome, shown, total) == (expected(outcome) if expected else "")


@pytest.mark.parametrize(
    ("outcomes", "first"),
    [
        ([PASSED], "1 passed in 250 ms"),
        ([PASSED, FAILED, PASSED], "1 failed, 2 passed in 1.0 s"),
        ([ERROR, PASSED], "1 passed, 1 error in 250 ms"),
        ([ERROR, ERROR, FAILED], "1 failed, 2 errors in 500 ms"),
        ([], "nothing ran"),
    ],
)
def test_the_totals_count_every_case_once(outcomes, first):
    assert render_totals(outcomes, Shown.AUTO, ENVIRONMENT).splitlines()[0] == first


def test_the_totals_name_what_the_results_depend_on():
    last = render_totals([PASSED], Shown.AUTO, ENVIRONMENT).splitlines()[-1]
    assert last == "gradverify 0.1.0 · torch 2.13.0 · Python 3.11.7 · Linux · 2 threads"


def test_of_many_cases_the_slowest_five_are_named():
    outcomes = [Outcome(report(row(), case=f"Case{i}"), i / 1000) for i in range(11)]
    lines = render_totals(outcomes, Shown.AUTO, ENVIRONMENT).splitlines()
    assert lines[:6] == ["slowest:", *(f"  {i} ms  Case{i}[float32]" for i in (10, 9, 8, 7, 6))]


@pytest.mark.parametrize(("shown", "amount"), [(Shown.AUTO, 10), (Shown.ALL, 11), (Shown.NONE, 11)])
def test_of_few_cases_or_where_the_user_chose_no_slowest_are_named(shown, amount):
    assert "slowest" not in render_totals([PASSED] * amount, shown, ENVIRONMENT)


def test_the_totals_are_red_if_anything_failed():
    colored = Style(color=True)
    assert render_totals([PASSED], Shown.AUTO, ENVIRONMENT, style=colored).startswith("\x1b[32m1 passed")
    assert render_totals([FAILED], Shown.AUTO, ENVIRONMENT, style=colored).startswith("\x1b[1;31m1 failed")
