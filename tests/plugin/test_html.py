"""The page that a session writes."""

import re

import pytest

from plugin.project import DOUBLED, LINEAR

FIXTURE = """
import torch


def test_by_hand(gradverify):
    x = torch.randn(40, 30, requires_grad=True)
    (x**3).sum().backward()
    dx = 3 * x.detach() ** 2
    dx[4:8] = 0  # planted
    gradverify.cmp("x", dx, x)
"""


def names_in(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_every_report_of_a_session_is_on_its_page(project):
    """Cases and tests with the fixture, those that failed first, with their pictures and their source."""
    project.write(test_linear=LINEAR + DOUBLED, test_hand=FIXTURE)
    project.run("--gradverify-html=page.html").assert_outcomes(passed=1, failed=2)
    page = project.path.joinpath("page.html").read_text(encoding="utf-8")
    assert names_in(page) == ["test_by_hand[float32]", "Doubled[float32]", "Linear[float32]"]
    cards = page.split("<article")[1:]
    assert len(cards) == 2
    for card, planted in zip(cards, ("gradverify.cmp(&#34;x&#34;, dx, x)", "# planted"), strict=True):
        assert re.search(rf'<code class="marked">.*{re.escape(planted)}', card)
        assert "data:image/png" in card
    assert page.count('class="gv-graph"') == 2


@pytest.mark.parametrize("arguments", [("--gradverify-html=page.html",), ("--gradverify-html=page.html", "-n", "2")])
def test_it_is_written_once_whatever_the_number_of_processes(project, arguments):
    pytest.importorskip("xdist")
    project.write(test_linear=LINEAR + DOUBLED)
    project.run(*arguments, plugins=("xdist",))
    assert names_in(project.path.joinpath("page.html").read_text(encoding="utf-8")) == [
        "Doubled[float32]",
        "Linear[float32]",
    ]


def test_the_ini_file_can_ask_for_it(project):
    """Relative to the root of the project."""
    project.write(test_linear=LINEAR)
    project.ini("gradverify_html = page.html")
    project.run()
    assert "The case passed" in project.path.joinpath("page.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_ends_the_session_before_it_starts(project):
    project.write(test_linear=LINEAR)
    result = project.run("--gradverify-html=nowhere/page.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*nowhere/page.html cannot be written: there is no folder *"])


def test_a_session_without_a_page_gathers_no_details(project):
    """The twin: what only a page shows is neither computed nor written."""
    project.write(test_linear=LINEAR + DOUBLED)
    project.run("--gradverify-json=out.json")
    assert '"details"' not in project.path.joinpath("out.json").read_text(encoding="utf-8")
    project.run("--gradverify-json=out.json", "--gradverify-html=page.html")
    assert '"heat_map": {' in project.path.joinpath("out.json").read_text(encoding="utf-8")
