"""Benchmarks in words: a row a pass, why some cases have none, how times grow, and the same as JSON."""

from __future__ import annotations

import json

import pytest
from samples import ENVIRONMENT

from gradverify.render.table import FORMATS, Style
from gradverify.render.timing import render_benchmarks, render_benchmarks_json
from gradverify.report import Failure
from gradverify.timing import Benchmark, Ratio, Ratios, Timing

RATIO = Ratio(1.9, 1.85, 1.97)
TIMINGS = (
    Timing("manual", 12.34e-6, 3.4e-5, 4.6e-5, 2048, 3 * 2**20),
    Timing("autograd", 2e-5, 6.66e-4, 1.234, 640, 99, Ratios(RATIO, RATIO, RATIO)),
)


def benchmark(case="Squares", resized=(), error=None, timings=TIMINGS, notes=(), pairs=51, **sizes):
    timings = () if error else timings
    return Benchmark(case, "float32", "cpu", 0, sizes or {"n": 10}, resized, 1, pairs, timings, notes, error)


def rows_of(text):
    return [line.split("  ") for line in text.splitlines()]


def test_a_row_a_pass():
    """Times in three digits, the ratio with its interval, and memory."""
    lines = render_benchmarks([benchmark()], ENVIRONMENT).splitlines()
    assert lines[0].split() == ["case", "pass", "forward", "backward", "both", "ratio", "kept", "peak"]
    assert " ".join(lines[2].split()) == "Squares[float32] manual 12.3 µs 34.0 µs 46.0 µs 2.00 KiB 3.00 MiB"
    assert " ".join(lines[3].split()) == "autograd 20.0 µs 666 µs 1.23 s 1.90 [1.85, 1.97] 640 B 99 B"


def test_sizes_that_differ_are_shown():
    """Also at a value that is the default, where another benchmark of the case has another."""
    text = render_benchmarks([benchmark(n=10, m=1), benchmark(n=20, m=1, resized=("n",))], ENVIRONMENT)
    assert "Squares[float32]  n=10 " in text
    assert "Squares[float32]  n=20 " in text
    assert "m=1" not in text


def test_a_case_that_was_not_timed_says_so_in_its_row_and_why_below():
    """With its line; what a user's code raised keeps its traceback."""
    wrong = benchmark("Wrong", error=Failure("NotTimed", "it does not verify: d.x is wrong", "cases/a.py", 7))
    raised = benchmark("Raised", error=Failure("CaseRaised", "backward raised", traceback="Traceback:\n  no luck"))
    text = render_benchmarks([benchmark(), wrong, raised], ENVIRONMENT)
    assert "Wrong[float32]    not timed" in text
    assert "Wrong[float32]: not timed, it does not verify: d.x is wrong, at cases/a.py:7\n" in text
    assert "Raised[float32]: not timed, backward raised\nTraceback:\n  no luck\n" in text
    assert "\n1 timed, 2 not timed\n" in text


def test_what_was_not_timed_alone_has_no_empty_columns():
    failure = Failure("ImportError", "no module")
    text = render_benchmarks([Benchmark("a.py", "", "", 0, {}, error=failure)], ENVIRONMENT)
    assert text.splitlines()[0].split() == ["case", "pass"]
    assert "a.py: not timed, no module" in text
    assert "ratio:" not in text


def test_how_times_grow():
    """The fitted exponent of every phase, where a size has several values."""
    slower = tuple(
        Timing(one.name, 10 * one.forward, 100 * one.backward, one.both, one.kept, one.peak, one.ratios)
        for one in TIMINGS
    )
    text = render_benchmarks([benchmark(n=10), benchmark(n=100, resized=("n",), timings=slower)], ENVIRONMENT)
    (line,) = (line for line in text.splitlines() if line.startswith("Squares[float32]  n = 10, 100  manual"))
    assert line.split()[-4:] == ["1.00", "2.00", "0.00", "0.00"]
    assert "size^p" in text
    assert "size^p" not in render_benchmarks([benchmark(n=10)], ENVIRONMENT)


def test_notes_and_what_the_numbers_depend_on_are_told():
    text = render_benchmarks([benchmark(notes=("each run starts from a copy",))], ENVIRONMENT)
    assert "note: Squares[float32]: each run starts from a copy\n" in text
    assert "the median of 51 pairs, and its 95% interval" in text
    assert text.splitlines()[-1].endswith("2 threads")


def test_programs_are_given_every_row_whole():
    """For the eye a case is named once."""
    lines = render_benchmarks([benchmark()], ENVIRONMENT, style=Style("tsv")).splitlines()
    assert [line.split("\t")[0].strip() for line in lines[1:3]] == ["Squares[float32]"] * 2


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_bears_it(format):
    assert "autograd" in render_benchmarks([benchmark()], ENVIRONMENT, style=Style(format))


def test_foreign_text_cannot_break_the_layout():
    text = render_benchmarks([benchmark("A\x1b[31m\nB", notes=("one\ntwo",))], ENVIRONMENT)
    assert "\x1b" not in text
    assert "A\\x1b[31m\\nB[float32]" in text


def test_json_holds_every_number():
    """In seconds and bytes, with the exponents."""
    document = json.loads(render_benchmarks_json([benchmark(n=10), benchmark(n=100)], ENVIRONMENT))
    assert set(document) == {"schema", "environment", "benchmarks", "scaling"}
    first = document["benchmarks"][0]
    assert set(first) == {
        *("case", "dtype", "device", "seed", "sizes", "resized", "threads", "pairs", "timings", "notes", "error"),
        "passed",
    }
    assert first["timings"][1]["ratios"]["both"] == {"value": 1.9, "low": 1.85, "high": 1.97}
    assert first["timings"][0]["ratios"] is None
    assert document["scaling"][0]["both"] == {"value": 0.0, "error": None}
