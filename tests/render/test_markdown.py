"""A report as Markdown, and a run as a comment on a pull request: short, failing first, never too long."""

from __future__ import annotations

import dataclasses

import pytest
from samples import CRASHED, ENVIRONMENT, SHAPE, WRONG, report, row

from gradverify.render.comment import LIMIT, render_comment
from gradverify.render.markdown import render_markdown, sizes_of_section
from gradverify.render.summary import Outcome, Shown
from gradverify.verdict import Origin


def comment(*reports, **changes):
    return render_comment([Outcome(one, 0.25) for one in reports], ENVIRONMENT, **changes)


def test_a_failing_report_has_a_heading_a_table_and_the_rest_fenced():
    text = render_markdown(report(row("X"), dataclasses.replace(WRONG, source="d.W = x  # ```")))
    assert text.startswith("### Sample[float32]: 1 of 2 gradients wrong; first: W (wrong) is off by")
    assert "| `W` | (10, 1) | wrong ✗ | 3.4e+10 |" in text
    # The fence is longer than any that the quoted code holds.
    assert text.count("\n````text\n") == 1
    assert text.endswith("\n````")
    assert "<details>" not in text


def test_a_report_that_passed_is_folded_below_its_headline():
    text = render_markdown(report(row("X"), notes=("a *note*",)))
    assert text.startswith("<details><summary>Sample[float32]: 1 of 1 gradient right")
    assert "\n\n| gradient | shape |" in text
    assert "\n\nnote: a \\*note\\*\n\n</details>" in text


def test_a_long_table_shows_what_failed_and_folds_the_rest():
    rows = [row(f"h{number}") for number in range(30)]
    text = render_markdown(report(*rows, WRONG))
    shown, folded = text.split("<details><summary>all 31 gradients</summary>")
    assert shown.count("| `") == 1
    assert folded.count("| `") == 31


def test_of_many_failures_a_screen_is_shown_and_the_others_counted():
    rows = [dataclasses.replace(WRONG, name=f"h{number}") for number in range(30)]
    text = render_markdown(report(*rows))
    shown, folded = text.split("<details><summary>all 30 gradients</summary>")
    assert shown.count("| `") == 12
    assert "and 18 more that failed" in shown
    assert "<details><summary>what is known of each</summary>\n\n```text" in folded


def test_an_error_shows_its_traceback():
    text = render_markdown(CRASHED)
    assert text.startswith("### Sample[float32]: backward raised ValueError in the float32 pass: bad, at cases/sample")
    assert "```text\nsecond line\n    Traceback (most recent call last):" in text


def test_a_report_comes_in_lengths():
    """From everything to a line of a list."""
    lengths = [len(one) for one in sizes_of_section(report(*[row(f"h{i}") for i in range(30)], WRONG, SHAPE))]
    assert lengths == sorted(lengths, reverse=True)
    assert sizes_of_section(report(WRONG))[-1].startswith("- Sample[float32]: 1 of 1 gradient wrong")


def test_a_name_does_nothing():
    name = "<script>alert(1)</script>|`"
    text = comment(report(dataclasses.replace(WRONG, name=name)), report(row(name), case=name))
    outside = [line for line in text.splitlines() if "<script" in line and "`" not in line]
    # Inside the fence and inside code it is text; everywhere else it is escaped.
    assert all(line.startswith(("<script>alert(1)</script>|", "        d.")) for line in outside)
    assert "<summary>&lt;script&gt;alert(1)&lt;/script&gt;|`[float32]" in text


def test_what_failed_comes_first_and_what_passed_is_folded():
    text = comment(report(row(), case="Right"), report(WRONG), report(row(), case="Other"))
    assert text.startswith("## gradverify: 1 failed, 2 passed in 750 ms\n\n### Sample[float32]: ")
    assert text.index("### Sample") < text.index("<summary>2 passed</summary>") < text.index("Right")
    assert text.count("<details>") == text.count("</details>") == 3
    assert text.endswith("\n\n<sub>gradverify 0.1.0 · torch 2.13.0 · Python 3.11.7 · Linux · 2 threads</sub>\n")


def test_the_user_chooses_what_is_shown():
    reports = [*(report(row(), case=f"Right{number}") for number in range(11)), report(WRONG)]
    auto = comment(*reports)
    everything = comment(*reports, shown=Shown.ALL)
    failed = comment(*reports, shown=Shown.FAILED)
    none = comment(*reports, shown=Shown.NONE)
    assert ("\n- Right10[float32]" in auto, auto.count("| gradient |")) == (True, 1)
    assert everything.count("| gradient |") == 12
    assert ("Right" in failed, failed.count("| gradient |")) == (False, 1)
    assert none.splitlines()[0] == "## gradverify: 1 failed, 11 passed in 3.0 s"
    assert "Sample" not in none


def test_nothing_is_said_of_a_time_that_is_not_known():
    text = render_comment([Outcome(report(row()))], ENVIRONMENT)
    assert text.startswith("## gradverify: 1 passed\n")


@pytest.mark.parametrize(("cases", "rows"), [(1, 1000), (40, 40), (1000, 2)])
def test_a_comment_is_never_too_long(cases, rows):
    """What does not fit is told more shortly, and in the end counted; the failing reports come first."""
    wrong = [dataclasses.replace(WRONG, name=f"h{number}", origin=Origin.INTRODUCED) for number in range(rows)]
    reports = [report(*wrong, case=f"Wrong{number}") for number in range(cases)]
    reports += [report(*(row(f"h{number}") for number in range(rows)), case=f"Right{n}") for n in range(cases)]
    text = comment(*reports, shown=Shown.ALL)
    assert len(text) <= LIMIT < 65_536
    assert text.count("<details>") == text.count("</details>")
    assert "Wrong0[float32]" in text
    told = sum(f"Wrong{number}[float32]" in text for number in range(cases))
    assert told == cases or f"{cases - told} more reports that failed: a comment has no room for them" in text
    if cases == 1000:
        assert "more reports that passed: " in text


def test_a_short_comment_leaves_nothing_out():
    """The twin."""
    assert "no room" not in comment(report(WRONG), report(row()))


def test_every_table_is_read_as_one_wherever_it_is_folded():
    """And every headline as a heading or a summary, whatever the names."""
    markdown_it = pytest.importorskip("markdown_it", reason="rich brings the reader of Markdown")
    reader = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    rows = [row(name) for name in ("a|b", "<b>", "`", "*x*", "\\", "_", "\n") for _ in range(2)]
    right = report(*rows[:4], case="Right", notes=("a <b> note",))
    text = comment(right, right, report(*rows, WRONG, case="Long"), CRASHED)
    rendered = reader.render(text)
    assert rendered.count("<table>") == text.count("| gradient |") == 4
    assert rendered.count("<tr>") == sum(line.startswith("| ") for line in text.splitlines()) - 4
    assert rendered.count("<h3>") == 2
    assert rendered.count("<details>") == rendered.count("</details>") == 4
    assert not [one for one in ("<b>", "<em>", "| a", "||") if one in rendered.split("<pre>")[0]]
