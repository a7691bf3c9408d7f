"""Reports as a page: failing first, every error with what is known of it, and small however many there are."""

import dataclasses
import math
import re

from samples import CRASHED, DETAILED, ENVIRONMENT, SHAPE, WRONG, noisy, report, row

from gradverify.graph import Edge, Graph, Kind, Node
from gradverify.render.html import render_html
from gradverify.render.json import read_json, render_json
from gradverify.report import Details
from gradverify.verdict import Origin, Verdict

INHERITED = dataclasses.replace(WRONG, name="late", origin=Origin.INHERITED, hints=("inherits the error of d.W",))


def text_of(page: str) -> str:
    """What a reader sees, tags left out."""
    body = page.partition("<body>")[2].partition("<script>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_the_headline_says_how_many_cases_failed():
    assert '<h1 class="bad">1 of 2 cases failed</h1>' in render_html([report(WRONG), report(row())], ENVIRONMENT)
    assert '<h1 class="good">All 2 cases passed</h1>' in render_html([report(row())] * 2, ENVIRONMENT)
    assert '<h1 class="good">The case passed</h1>' in render_html([report(row())], ENVIRONMENT)
    assert '<h1 class="good">Nothing ran</h1>' in render_html([], ENVIRONMENT)


def test_what_failed_comes_first():
    """Cases, and the rows of a table: introduced, unknown, inherited, right."""
    introduced = dataclasses.replace(WRONG, name="first", origin=Origin.INTRODUCED)
    failing = report(row("right"), INHERITED, WRONG, introduced, case="Failing")
    page = render_html([report(row(), case="Passing"), failing], ENVIRONMENT)
    assert page.index("Failing[float32]</h2>") < page.index("Passing[float32]</h2>")
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    names = [re.sub("<[^>]*>", "", name) for name in re.findall(r"<th scope=row[^>]*>(.*?)</th>", table)]
    assert names == ["first", "W", "late", "right"]


def test_failing_cases_are_open_and_passing_ones_are_not():
    page = render_html([report(WRONG), report(row())], ENVIRONMENT)
    assert page.count('<details class="case bad" open>') == 1
    assert page.count('<details class="case good">') == 1


def test_an_introduced_error_is_told_with_its_line_its_hint_and_its_pictures():
    page = render_html([report(DETAILED, row("b"))], ENVIRONMENT)
    card = page.partition("<article")[2].partition("</article>")[0]
    assert 'class="marked"' in card
    marked = re.findall(r'<code class="marked"><span class="number">(\d+)</span>', card)
    assert marked == ["87", "88", "89"]
    text = text_of(f"<body>{card}<script>")
    for part in ("agrees to 9 digits", "d.X = d.logits @ t.W.T", "cases/sample.py:87", "worst at [3, 0]"):
        assert part in text
    assert "Where the error is" in card
    assert "not finite" in card
    assert "Errors in ulp" in card
    assert card.count("data:image/png") == 2


def test_an_inherited_error_has_a_line_and_no_card():
    page = render_html([report(DETAILED, INHERITED)], ENVIRONMENT)
    assert page.count("<article") == 1
    assert "Inherited, and right once what comes before is: late" in page


def test_the_list_of_what_to_mend_leads_to_the_cards():
    page = render_html([report(DETAILED, SHAPE)], ENVIRONMENT)
    links = re.findall(r'<li><a href="#(e\d+)">', page)
    assert links == ["e1", "e2"]
    assert all(page.count(f'id="{link}"') == 1 for link in links)
    assert "agrees to 9 digits" in page.partition("<main>")[2].partition("</section>")[0]


def test_a_case_that_raised_shows_what_it_raised():
    text = text_of(render_html([CRASHED], ENVIRONMENT))
    assert "1 raised" in text
    assert "backward raised ValueError in the float32 pass: bad, at cases/sample.py:40" in text
    assert "ValueError: bad" in text


def test_a_report_without_details_is_shown_without_pictures():
    page = render_html([report(WRONG, SHAPE)], ENVIRONMENT)
    assert "data:image" not in page
    assert "t.X.T @ d.logits" in page


def test_a_page_from_a_saved_run_is_the_same_page():
    """Byte for byte."""
    reports = [report(DETAILED, row("b", details=Details(ulps=(9, 1)))), CRASHED]
    saved = read_json(render_json(reports, ENVIRONMENT))
    assert render_html(saved[1], saved[0]) == render_html(reports, ENVIRONMENT)


def test_a_name_cannot_break_the_page():
    """Nor turn its text around; the twin stands in test_page.py."""
    evil = row("<script>alert(1)</script>\u202e\n", verdict=Verdict.WRONG, passed=False)
    page = render_html([report(evil, case="</details><script>alert(2)</script>")], ENVIRONMENT)
    assert page.count("<script>") == 1
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\n" in page


def test_a_long_name_and_a_long_hint_are_cut():
    page = render_html([report(dataclasses.replace(DETAILED, name="n" * 500, hints=("h" * 5000,)))], ENVIRONMENT)
    assert "n" * 61 not in page.replace("n" * 500, "", 1)
    assert "h" * 601 not in page


def test_a_thousand_right_gradients_stay_below_a_megabyte():
    rows = [row(f"layer{number}.weight", details=Details(ulps=(50, 20, 7, 3, 1))) for number in range(1000)]
    assert len(render_html([report(*rows)], ENVIRONMENT)) < 1_000_000
    assert len(render_html([report(one) for one in rows], ENVIRONMENT)) < 1_500_000


def test_a_thousand_introduced_errors_stay_below_two_megabytes():
    """In one case, and in a case each: no picture compresses, and every gradient has its line."""
    rows = [noisy(number) for number in range(1000)]
    for reports in ([report(*rows)], [report(one) for one in rows]):
        page = render_html(reports, ENVIRONMENT)
        assert len(page.encode()) < 2_000_000
        assert page.count("<th scope=row") == 1000


def test_what_is_left_out_is_said():
    """The first sixty errors have a card, the others are named."""
    page = render_html([report(*map(noisy, range(65)))], ENVIRONMENT)
    assert page.count("<article") == 60
    assert "the table alone tells of encoder.layers.60.attention.weight, " in page
    assert "the table alone tells of" not in render_html([report(*map(noisy, range(60)))], ENVIRONMENT)


def node(number: int) -> Node:
    return Node(f"n{number}", Kind.TENSOR, f"tensor number {number}", shape=(10, 1))


def test_graphs_are_drawn_as_long_as_there_is_room():
    """Those of what failed first; what failed and has none says so."""
    graph = Graph(tuple(map(node, range(100))), tuple(Edge(f"n{i}", f"n{i + 1}") for i in range(99)))
    small = Graph((node(0), node(1)), (Edge("n0", "n1"),))
    reports = [report(DETAILED, graph=graph) for _ in range(5)]
    page = render_html([report(row(), graph=small), *reports], ENVIRONMENT)
    drawn = page.count("<svg xmlns")
    assert 1 < drawn < 6
    assert page.count("its graph is left out") == 6 - drawn
    assert len(page) < 500_000


def test_what_is_not_finite_sorts_as_the_largest():
    """In a form that a browser reads as a number."""
    page = render_html([report(row(accuracy=math.nan), row("b", accuracy=math.inf))], ENVIRONMENT)
    orders = re.findall(r'data-order="([^"]*)">(?:nan|inf)<', page)
    assert [float(order) for order in orders] == [1e308] * 2


def test_a_gradient_that_fails_under_strict_says_so():
    imprecise = row(verdict=Verdict.IMPRECISE, passed=False)
    assert "it fails because <code>strict</code> is set" in render_html([report(imprecise)], ENVIRONMENT)
