"""What a notebook shows: HTML that is well formed and small, runs nothing, and takes the colours of the page."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from samples import CRASHED, SHAPE, WRONG, comparison, report, row

from gradverify.render.table import headline
from gradverify.scalar import Value
from gradverify.verdict import Verdict

HOSTILE = "<script>alert(1)</script>\"'&</table>"


class Reader(HTMLParser):
    """The elements and the text of some HTML; every element has to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "\n".join(self.texts)


def value(label="loss", data=3.0):
    return Value(data, label=label) * Value(2.0, label="w") + 1.0


SHOWN = {
    "a report that passed": report(row("W"), row("b", verdict=Verdict.IMPRECISE), notes=("a note",)),
    "a report that failed": report(row("X"), WRONG, SHAPE),
    "an error": CRASHED,
    "nothing": report(),
    "hostile names": report(
        dataclasses.replace(WRONG, name=HOSTILE, source=HOSTILE, hints=(HOSTILE,)),
        case=HOSTILE,
        device=HOSTILE,
        sizes={HOSTILE: 1},
        notes=(HOSTILE,),
    ),
    "a hostile error": dataclasses.replace(CRASHED, error=dataclasses.replace(CRASHED.error, message=HOSTILE)),
    "an exact comparison": comparison(),
    "one that is off": comparison(exact=False, approximate=False, maxdiff=0.5, index=(3, 0), differing=2),
    "one of other shapes": comparison(candidate_shape=(1, 1), exact=False, index=None),
    "one of other dtypes": comparison(candidate_dtype="float64", exact=False, max_ulp=None),
    "a value": value(),
    "a hostile value": value(HOSTILE),
    "a value by hand": Value(1.0),
}


@pytest.mark.parametrize("what", SHOWN)
def test_it_is_plain_html(what):
    """Only elements that show text, no attribute but what lays them out, no colour for text, nothing from outside."""
    text = SHOWN[what]._repr_html_()
    read = Reader(text)
    assert set(read.seen) <= {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "pre"}
    assert {name for name, _ in read.attributes} <= {"style", "scope"}
    styles = " ".join(value or "" for name, value in read.attributes if name == "style")
    assert not re.search(r"(?<!-)\bcolor:(?!inherit)|url|position", styles)
    assert "http" not in text


def test_the_reader_of_these_tests_would_notice():
    """The twin."""
    assert "script" in Reader("<p><script>x</script></p>").seen
    with pytest.raises(AssertionError):
        Reader("<p><b></p>")


def test_a_report_says_what_its_text_says():
    """The first line, every gradient, what failed, and the notes."""
    given = SHOWN["a report that failed"]
    shown = Reader(given._repr_html_()).text
    assert shown.splitlines()[0] == headline(given)
    assert {"X", "W", "b", "wrong ✗", "shape ✗", "exact", "3.4e+10"} <= set(shown.splitlines())
    assert Verdict.WRONG.sentence in shown
    assert "note: a note" in Reader(SHOWN["a report that passed"]._repr_html_()).text


def test_verdicts_are_coloured():
    """Right ones otherwise than doubtful and wrong ones."""

    def backgrounds(one):
        return set(re.findall(r"background:(rgba\([^)]*\))", one._repr_html_()))

    good = backgrounds(report(row("W")))
    assert len(good) == 1
    assert len(backgrounds(report(row("W"), row("b", verdict=Verdict.IMPRECISE)))) == 2
    assert backgrounds(report(WRONG)).isdisjoint(good)
    assert backgrounds(comparison()) == good
    assert backgrounds(comparison(exact=False)).isdisjoint(good)


def test_of_very_many_gradients_those_that_failed_are_shown():
    given = report(*(row(f"h{number}") for number in range(1000)), WRONG)
    text = given._repr_html_()
    assert Reader(text).seen.count("tr") == 1 + 200
    assert "<td" in text.split("wrong ✗")[0]
    assert "801 more gradients are not shown" in text
    assert len(text) < 200_000
    assert "more gradients" not in report(*(row(f"h{number}") for number in range(200)))._repr_html_()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["exact", "True", "maxdiff", "0", "0 of 10 elements"]),
        ({"exact": False, "maxdiff": 0.5, "index": (3, 0)}, ["False", "0.5 at [3, 0]: candidate 0.5, reference 0.5"]),
        ({"candidate_shape": (1, 1), "exact": False}, ["(1, 1) is not (10, 1)"]),
        ({"candidate_dtype": "float64", "exact": False}, ["float64 is not float32"]),
        ({"candidate_nonfinite": 2}, ["candidate 2, reference 0"]),
        ({"max_ulp": 7}, ["max_ulp", "7"]),
    ],
)
def test_a_comparison_says_what_was_found(changes, words):
    shown = Reader(comparison(**changes)._repr_html_()).text.splitlines()
    assert set(words) <= set(shown)


def test_a_value_says_what_it_was_computed_from():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a * b
    c.label = "c"
    c.backward()
    assert Reader(c._repr_html_()).texts == [
        *("data", "grad"),
        *("c *", "-6.0", "1.0"),
        *("from", "data", "derivative"),
        *("a", "2.0", "-3.0"),
        *("b", "-3.0", "2.0"),
    ]
    assert Reader(Value(1.0)._repr_html_()).texts == ["data", "grad", "Value", "1.0", "0.0"]


def test_a_value_of_many_parents_stays_small():
    from gradverify.scalar.value import dot

    total = dot([Value(1.0)] * 100, [1.0] * 100, Value(0.0))
    assert "and 81 more" in total._repr_html_()


def test_a_value_needs_no_torch():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from gradverify.scalar import Value\n"
        "assert '<table' in (Value(1.0) + 2)._repr_html_()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
