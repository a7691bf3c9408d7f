"""Foreign text in Markdown: what GitHub's reader makes of it is the text itself, and nothing else."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradverify.render.escaping import block, cell, code, folded, plain, prose
from gradverify.render.markdown import table
from gradverify.render.spelling import name, one_line

markdown_it = pytest.importorskip("markdown_it", reason="rich brings the reader of Markdown")
READER = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

HOSTILE = [
    "<script>alert(1)</script>",
    "<!-- hidden",
    "</details>",
    "a|b",
    "a\\|b",
    "a\\",
    "|",
    "`",
    "``",
    "`a``b`",
    "a`|`b",
    "*bold* _it_ __x__ ~~no~~",
    "[text](https://example.com)",
    "![text](https://example.com/x.png)",
    "[text][1]",
    "[^1]",
    "&lt;b&gt; &amp;",
    "h_1_2",
    "x" * 200,
    "データ",
    "\ud800",
    "two\nlines",
    " padded ",
    "",
]


def shown(text: str) -> str:
    """The text that a browser shows of some Markdown; comments and elements of ours that show nothing are gone."""
    rendered = READER.render(text)
    assert "<script" not in rendered
    return html.unescape(re.sub(r"<!-- -->|</?(p|code|td|h1|strong|span)( [^>]*)?>", "", rendered).strip())


def cells_of(markdown: str) -> list[str]:
    """What a browser shows in the cells of the last row of a table."""
    rendered = READER.render(markdown)
    assert rendered.count("<table>") == 1
    cells = re.findall(r"<td>(.*?)</td>", rendered.split("<tr>")[-1], re.DOTALL)
    return [html.unescape(re.sub(r"<!-- -->|</?(code|span)>", "", one)) for one in cells]


def unquoted(text: str) -> str:
    """Backticks in pairs quote code in prose, where they are not shown, nor is space at the ends of code."""
    return text.replace("`", "").replace(" ", "")


def check_row(text: str) -> None:
    """A name as code, the same in prose, and a cell after it."""
    row = [cell(code(text)), cell(prose(one_line(text))), "end"]
    first, second, last = cells_of(table([["a", "b", "c"], ["---"] * 3, row]))
    assert (first, last) == (name(text), "end")
    assert unquoted(second) == unquoted(one_line(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_shown_as_it_is_in_a_cell(text):
    """As code, and in prose; the cell after it stays where it is."""
    check_row(text)


@given(st.text(st.sampled_from("|`\\*_[]()<>&~#@$!:^ a1\u00e9"), min_size=1, max_size=12))
def test_whatever_the_name_its_cell_holds_it_whole(text):
    """No combination of marks ends the cell, opens an element, or loses a character of the name."""
    check_row(text)


def test_the_reader_is_one_that_would_notice():
    """The twin: unescaped, the same names end cells and open elements."""
    assert cells_of(table([["a", "b"], ["---"] * 2, ["x|y", "end"]])) == ["x", "y"]
    assert "<script>" in READER.render("<script>alert(1)</script>")
    assert "<em>" in READER.render("_it_")
    assert "<a " in READER.render("[text](https://example.com)")


def test_code_that_a_sentence_quotes_stays_code():
    """A hint keeps its pieces of code, and what stands beside them is escaped."""
    assert prose("`d.x` should be `-d.x`, not *x*") == r"`d.x` should be `-d.x`, not \*x\*"
    assert prose("a lone ` is none") == r"a lone \` is none"


def test_words_stay_readable():
    """What is no markup needs no backslash."""
    assert prose("new_probs[float32]: (10, 1) at cases/a_b.py:3") == "new_probs[float32]: (10, 1) at cases/a_b.py:3"


@pytest.mark.parametrize("text", ["@someone", "#123", "see @a/b and #4"])
@pytest.mark.parametrize("escape", [prose, plain])
def test_nobody_is_notified_and_no_issue_is_linked(escape, text):
    assert not re.search(r"[@#]\w", escape(text))
    assert shown(escape(text)) == text


def test_a_fence_is_longer_than_any_inside_it():
    assert block("x = 1\n```\n````") == "`````text\nx = 1\n```\n````\n`````"
    assert READER.render(block("```\n<b>")) == '<pre><code class="language-text">```\n&lt;b&gt;\n</code></pre>\n'


def test_what_is_folded_is_read_as_markdown_and_its_summary_is_not():
    rendered = READER.render(folded("<b>*x*", "*y*"))
    assert rendered == "<details><summary>&lt;b&gt;*x*</summary>\n<p><em>y</em></p>\n</details>"
