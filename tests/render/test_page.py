"""The page stands by itself, and what foreign text it holds is text."""

import base64
import hashlib
import html
import re

import pytest
from markupsafe import Markup

from gradverify.render import page as module
from gradverify.render.page import (
    Card,
    Cell,
    Column,
    Entry,
    Fact,
    Line,
    Page,
    Section,
    Share,
    SourceLine,
    Table,
    Tone,
    address_of,
    mark_code,
    render_page,
)

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;{{ 7 * 7 }}{% raw %}"


def page_of(text: str) -> Page:
    """A page that has the text wherever a page can have one."""
    line = Line((Cell(text, title=text, link="e1"),), text, passed=False)
    table = Table((Column(text, "text"),), (line,), text)
    card = Card(
        anchor="e1",
        name=text,
        verdict=text,
        tone=Tone.BAD,
        sentence=text,
        place=text,
        source=(SourceLine(1, text, is_marked=True),),
        changes=(text, text),
        hints=(text,),
        facts=((text, text),),
    )
    section = Section(
        label=text,
        outcome=text,
        tone=Tone.BAD,
        setting=text,
        story=text,
        traceback=text,
        cards=(card,),
        notes=(text,),
        tables=(table,),
        is_open=True,
    )
    return Page(
        title=text,
        headline=text,
        tone=Tone.BAD,
        noun=text,
        task=text,
        facts=(Fact(text, text),),
        shares=(Share(text, 1, Tone.BAD),),
        entries=(Entry(text, text, text, "e1"),),
        sections=(section,),
        glossary=((text, text),),
        closing=text,
    )


def policy_of(text: str) -> str:
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    return html.unescape(policy)


def test_foreign_text_is_text_wherever_it_stands():
    """None of it becomes an element, an attribute or a template; the twin is a template that does not escape."""
    text = render_page(page_of(EVIL))
    assert text.count("<script>") == text.count("</script>") == 1
    assert "<img" not in text
    assert "onerror" in text
    unquoted = re.sub(r'"[^"]*"', '""', text.partition("<script>")[0])
    assert not re.search(r"<[a-z]+[^<>]* onerror", unquoted)
    assert "{{ 7 * 7 }}" in text
    assert text.count("alert(1)") >= 40


def test_a_template_that_does_not_escape_is_noticed(monkeypatch):
    """The twin."""
    templates = module._templates()
    templates.autoescape = False
    monkeypatch.setattr(module, "_templates", lambda: templates)
    text = render_page(page_of(EVIL))
    assert text.count("<script>") > 1


def test_the_policy_admits_the_style_and_the_script_of_the_page_and_nothing_else():
    """Their hashes are those of what the page holds, to the character."""
    text = render_page(page_of("x"))
    policy = policy_of(text)
    for kind in ("style", "script"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert set(re.findall(r"img-src ([^;]*)", policy)) == {"data:"}


def test_nothing_lies_outside_of_the_page():
    """No address but fragments of the page and data, no handler and no style in an attribute."""
    text = render_page(page_of("x"))
    addresses = re.findall(r'(?:src|href|action|data)="([^"]*)"', text)
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", text)
    assert not re.search(r"<[^>]* (on\w+|style)=", text)


def test_the_page_is_a_document_that_phones_can_show():
    text = render_page(page_of("x"))
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert '<meta name="color-scheme" content="light dark">' in text


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("plain", "plain"),
        ("`a` should be `b`", "<code>a</code> should be <code>b</code>"),
        ("`<b>` is <i>", "<code>&lt;b&gt;</code> is &lt;i&gt;"),
        ("an odd ` is no mark", "an odd ` is no mark"),
        ("", ""),
    ],
)
def test_what_stands_between_backticks_is_code(text, marked):
    found = mark_code(text)
    assert isinstance(found, Markup)
    assert found == marked


def test_an_address_holds_its_file():
    assert address_of("image/png", b"abc") == "data:image/png;base64,YWJj"


def test_text_that_has_no_bytes_can_be_written():
    """Such as half of a surrogate pair."""
    assert "\\ud800" in render_page(page_of("\ud800"))
