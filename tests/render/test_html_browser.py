"""The page in a real Chromium: it asks for nothing, logs nothing, sorts, filters, and fits a phone."""

import dataclasses
import re

import pytest
from samples import CRASHED, DETAILED, ENVIRONMENT, SHAPE, WRONG, comparison, noisy, report, row

from browser import Browser, find_browser
from gradverify.cli import main
from gradverify.render.html import render_html
from gradverify.report import Details
from gradverify.verdict import Origin, Verdict

EVIL = "<script>alert(1)</script>"
PLANTED = f"""
import torch
from gradverify import Case

class Net(Case):
    def inputs(self, generator):
        return {{"x": torch.randn(30, 20, generator=generator), {EVIL!r}: torch.randn(20, 5, generator=generator)}}

    def forward(self, t):
        t["<img src=x onerror=alert(2)>"] = t.x @ t[{EVIL!r}]
        t.h = t["<img src=x onerror=alert(2)>"].tanh()
        t.loss = t.h.mean()
        return t.loss

    def backward(self, t, d):
        d.h = d.loss.expand_as(t.h) / t.h.numel()
        # </code></pre><script>alert(3)</script>
        d["<img src=x onerror=alert(2)>"] = d.h * (1 - t.h)
        d.x = d["<img src=x onerror=alert(2)>"] @ t[{EVIL!r}].T
        d[{EVIL!r}] = t.x.T @ d["<img src=x onerror=alert(2)>"]
"""
ROWS = (
    DETAILED,
    SHAPE,
    dataclasses.replace(WRONG, name="late", origin=Origin.INHERITED, accuracy=None),
    row("h10", accuracy=9.5, comparison=comparison(maxdiff=1e-7), verdict=Verdict.OK, details=Details(ulps=(5, 5))),
    row("h2", accuracy=10.25, comparison=comparison(maxdiff=2e-9), verdict=Verdict.OK, details=Details(ulps=(9, 1))),
    row("h1", accuracy=1.0, details=Details(ulps=(10,))),
)
REPORTS = (report(row("other", verdict=Verdict.IMPRECISE), case="Second"), report(*ROWS, case="First"), CRASHED)


@pytest.fixture(scope="module")
def browser():
    path = find_browser()
    if path is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    browser = Browser(path)
    yield browser
    browser.close()


@pytest.fixture
def page(browser, tmp_path):
    """A page of the sample reports, opened."""
    file = tmp_path / "report.html"
    file.write_text(render_html(REPORTS, ENVIRONMENT), encoding="utf-8")
    browser.open(file)
    yield browser
    assert_quiet(browser)


def assert_quiet(browser):
    assert browser.messages == []
    assert browser.dialogs == []
    asked = [address for address in browser.requests if not address.startswith("data:")]
    assert len(asked) == 1, asked  # the page itself
    assert asked[0].startswith("file://")


def column(page, header):
    """The cells of a column of the first table that are shown."""
    return page.run(
        f"""(() => {{
            const table = document.querySelector("table");
            const heads = Array.from(table.tHead.rows[0].cells, (head) => head.textContent);
            const rows = Array.from(table.tBodies[0].rows).filter((row) => row.offsetParent !== null);
            return rows.map((row) => row.cells[heads.indexOf({header!r})].textContent);
        }})()"""
    )


def press_head(page, header):
    page.run(
        f"Array.from(document.querySelectorAll('thead button')).find((one) => one.textContent === {header!r}).click()"
    )


def shown(page, selector):
    """The texts of the elements that are shown."""
    every = f"Array.from(document.querySelectorAll({selector!r}))"
    return page.run(f"{every}.filter((one) => one.checkVisibility()).map((one) => one.textContent)")


def type_query(page, text):
    page.run(f"query.value = {text!r}; query.dispatchEvent(new Event('input'))")


def test_the_page_of_a_suite_with_planted_bugs_is_quiet(browser, write, capsys):
    """No message, no request, no dialog, although names and source hold markup; open, folded, dark, without script."""
    write("cases/net.py", PLANTED)
    file = write("page.html", "")
    assert main(["run", "--html", str(file), "--report", "none"]) == 1
    assert capsys.readouterr().err == ""
    for options in ({}, {"scheme": "dark"}, {"script": False}, {"width": 400}):
        browser.open(file, **options)
        if options.get("script", True):
            browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert browser.run("document.title") == "gradverify: 1 of 1 case failed"
            assert browser.run("document.scripts.length") == 1
            assert browser.run("document.images.length") == 2
            assert browser.run("Array.from(document.images).every((one) => one.complete && one.naturalWidth > 0)")
            assert browser.run("document.querySelectorAll('.gv-graph').length") == 1
            assert EVIL in browser.run("document.querySelector('table').textContent")
            assert "alert(3)" in browser.run("document.querySelector('.source').textContent")
        assert_quiet(browser)


def test_a_page_that_breaks_the_rules_is_noticed(browser, tmp_path):
    """The twin: a script, an image and a dialog that the policy of a page does not cover."""
    file = tmp_path / "bad.html"
    file.write_text(
        "<img src='http://127.0.0.1:9/x.png'><script>alert(1); console.log('x'); fail()</script>", encoding="utf-8"
    )
    browser.open(file)
    assert browser.dialogs == ["1"]
    assert "http://127.0.0.1:9/x.png" in browser.requests
    assert any("console" in message for message in browser.messages)
    assert any("exception" in message for message in browser.messages)


def test_the_policy_stops_a_script_that_got_in(browser, tmp_path):
    """Even if a name were not escaped, it could not run, load or restyle anything."""
    text = render_html(REPORTS, ENVIRONMENT)
    hole = "<script>alert(1)</script><img src='http://127.0.0.1:9/x.png' onerror='alert(2)'><b style='color: red'>"
    file = tmp_path / "hole.html"
    file.write_text(text.replace("<main>", f"<main>{hole}"), encoding="utf-8")
    browser.open(file)
    assert browser.dialogs == []
    assert [one for one in browser.requests if one.startswith("http")] == []
    assert len([one for one in browser.messages if "Content Security Policy" in one]) >= 3


def test_a_press_sorts_another_reverses_a_third_restores(page):
    """Numbers as numbers, names as people count, cells without text last, the direction told to screen readers."""
    before = column(page, "gradient")
    assert before == ["W", "b", "late", "h10", "h2", "h1"]
    press_head(page, "gradient")
    assert column(page, "gradient") == ["b", "h1", "h2", "h10", "late", "W"]
    press_head(page, "accuracy")
    assert column(page, "accuracy") == ["1.0", "1.0", "9.5", "10.2", "", ""]
    assert page.run("document.querySelectorAll('[aria-sort=ascending]').length") == 1
    press_head(page, "accuracy")
    assert column(page, "accuracy") == ["10.2", "9.5", "1.0", "1.0", "", ""]
    assert page.run("document.querySelectorAll('[aria-sort=descending]').length") == 1
    press_head(page, "accuracy")
    assert column(page, "gradient") == before
    assert page.run("document.querySelectorAll('[aria-sort]').length") == 0


def test_numbers_sort_by_what_they_are_and_not_as_they_are_spelt(page):
    press_head(page, "max diff")
    assert column(page, "max diff") == ["0", "2.0e-09", "1.0e-07", "3.4e+10", "3.4e+10", ""]
    press_head(page, "ulps")
    assert column(page, "gradient")[:4] == ["h1", "h2", "h10", "W"]


def test_the_filter_shows_what_holds_every_word(page):
    """In the name, the verdict, the case or any cell; cases without a match are gone, and the count says how many."""
    assert shown(page, "#count") == ["7 gradients"]
    type_query(page, "H1")
    assert column(page, "gradient") == ["h10", "h1"]
    assert shown(page, "#count") == ["2 of 7 gradients"]
    assert shown(page, ".case h2") == ["First[float32]"]
    assert shown(page, ".card h3") == []
    type_query(page, "wrong inherited")
    assert column(page, "gradient") == ["late"]
    type_query(page, "imprecise")
    assert shown(page, ".case h2") == ["Second[float32]"]
    type_query(page, "ValueError")
    assert shown(page, ".case h2") == ["Sample[float32]"]
    type_query(page, "nowhere")
    assert shown(page, ".case h2") == []
    assert shown(page, "#nothing") == ["Nothing matches the filter."]
    type_query(page, "")
    assert len(shown(page, ".case h2")) == 3
    assert shown(page, "#nothing") == []


def test_verdicts_are_chosen_by_their_buttons(page):
    """Several add up; a second press takes one back."""
    press = "document.querySelector('.chip[data-verdict={}]').click()".format
    page.run(press("shape"))
    assert column(page, "verdict") == ["shape"]
    assert len(shown(page, ".card")) == 1
    page.run(press("ok"))
    assert column(page, "verdict") == ["shape", "ok", "ok"]
    type_query(page, "h2")
    assert column(page, "gradient") == ["h2"]
    type_query(page, "")
    page.run(press("shape"))
    page.run(press("ok"))
    assert len(column(page, "verdict")) == 6
    assert page.run("Array.from(document.querySelectorAll('.chip'), (one) => one.ariaPressed)") == ["false"] * 5


def test_cases_open_and_close(page):
    """One by its summary, all by the button; failing ones are open from the start."""
    is_open = "Array.from(document.querySelectorAll('.case'), (one) => one.open)"
    assert page.run(is_open) == [True, True, False]
    page.run("document.querySelectorAll('.case > summary')[2].click()")
    assert page.run(is_open) == [True] * 3
    page.run("new Promise((done) => setTimeout(done, 0))")
    assert shown(page, "#fold") == ["Close all"]
    page.run("fold.click()")
    assert page.run(is_open) == [False] * 3
    page.run("fold.click()")
    assert page.run(is_open) == [True] * 3


def test_an_entry_leads_to_its_card_even_when_that_is_hidden(page):
    type_query(page, "other")
    page.run("document.querySelector('.case').open = false")
    page.run("document.querySelector('.mend a').click()")
    page.run("new Promise((done) => setTimeout(done, 50))")
    assert page.run("document.activeElement.id") == "e1"
    assert page.run("document.querySelector('.case').open")
    assert page.run("query.value") == ""


def test_everything_is_reached_and_done_by_the_keyboard(page):
    """Tab goes through the filter to the heads of the table, Enter sorts, the focus is seen."""
    page.press("/", text="/")
    assert page.run("document.activeElement.id") == "query"
    page.press("x", text="x")
    assert page.run("query.value") == "x"
    page.press("Escape")
    assert shown(page, "#count") == ["7 gradients"]
    for _ in range(60):
        page.press("Tab")
        if page.run("document.activeElement.closest('thead') !== null"):
            break
    assert page.run("document.activeElement.textContent") == "gradient"
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Enter")
    assert column(page, "gradient")[0] == "b"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_fits_its_window(browser, tmp_path, width, scheme):
    """It does not scroll sideways, whatever the names; its tables do, inside of it."""
    rows = [dataclasses.replace(one, name="a_name_without_any_place_to_break_it" * 9) for one in ROWS]
    long = dataclasses.replace(CRASHED.error, message="x" * 300)
    file = tmp_path / "report.html"
    reports = [
        report(*rows, case="C" * 90, sizes={f"size{i}": 10**i for i in range(9)}),
        dataclasses.replace(CRASHED, error=long),
    ]
    file.write_text(render_html(reports, ENVIRONMENT), encoding="utf-8")
    browser.open(file, width=width, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run("document.querySelector('table').parentElement.scrollWidth") >= width / 2
    assert_quiet(browser)


def channels(color):
    return [float(part) / 255 for part in re.findall(r"[\d.]+", color)[:3]]


def luminance(color):
    """As WCAG 2 defines it."""
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(browser, tmp_path, scheme):
    """At least 4.5 to 1 between any text and what is behind it; the schemes are really two."""
    file = tmp_path / "report.html"
    file.write_text(render_html(REPORTS, ENVIRONMENT), encoding="utf-8")
    browser.open(file, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = browser.run(
        """(() => {
            const behind = (one) => {
                const color = getComputedStyle(one).backgroundColor;
                return color === "rgba(0, 0, 0, 0)" ? behind(one.parentElement) : color;
            };
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            const found = [];
            while (walker.nextNode()) {
                const one = walker.currentNode.parentElement;
                if (one.closest("svg, script") || !walker.currentNode.data.trim() || !one.checkVisibility()) continue;
                found.push([walker.currentNode.data.trim(), getComputedStyle(one).color, behind(one)]);
            }
            return found;
        })()"""
    )
    assert len(found) > 100
    for text, front, back in found:
        light, dark = sorted((luminance(front), luminance(back)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, front, back)
    page = luminance(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert page > 0.8 if scheme == "light" else page < 0.1


def test_without_script_it_is_read_all_the_same(browser, tmp_path):
    """No button that does nothing; cases open by themselves."""
    file = tmp_path / "report.html"
    file.write_text(render_html(REPORTS, ENVIRONMENT), encoding="utf-8")
    browser.open(file, script=False)
    tree = browser.accessible_names()
    assert "What to mend" in tree
    assert "First[float32]" in " ".join(tree)
    assert "Open all" not in tree
    assert not browser.messages


def test_a_thousand_gradients_open_and_filter(browser, tmp_path):
    """The largest page that there is: every line is there, and a filter finds one of them."""
    file = tmp_path / "report.html"
    file.write_text(render_html([report(*map(noisy, range(1000)))], ENVIRONMENT), encoding="utf-8")
    browser.open(file)
    assert shown(browser, "#count") == ["1000 gradients"]
    type_query(browser, "layers.777.")
    assert column(browser, "gradient") == ["encoder.layers.777.attention.weight"]
    type_query(browser, "")
    press_head(browser, "gradient")
    press_head(browser, "gradient")
    assert column(browser, "gradient")[0] == "encoder.layers.999.attention.weight"
    assert_quiet(browser)
