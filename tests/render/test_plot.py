"""Time and memory against size as a picture: what is drawn, and what is told where nothing can be."""

from __future__ import annotations

import importlib.util
import re

import pytest

from gradverify.errors import UsageError
from gradverify.render import plot
from gradverify.render.plot import check_plot, render_plot
from gradverify.timing import Benchmark, Timing


def benchmarks(case="Squares", peak=100):
    return [
        Benchmark(case, "float32", "cpu", 0, {"n": n}, timings=(Timing("manual", 1e-6, 2e-6, 3e-6 * n, 8 * n, peak),))
        for n in (10, 100)
    ]


@pytest.mark.parametrize(("file", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("A.SVG", b"<?xml")])
def test_the_ending_of_the_file_is_its_format(file, start):
    check_plot(file)
    assert render_plot(benchmarks(), file).startswith(start)


def test_every_pass_is_drawn_for_time_and_memory():
    """With the name of the size, and a legend; memory that nothing counts is left out."""
    text = re.sub(r"<!-- | -->", "|", render_plot(benchmarks(), "a.svg").decode())
    assert all(f"|{word}|" in text for word in ("manual", "manual, forward", "manual, kept", "manual, peak", "n"))
    assert "manual, peak" not in render_plot(benchmarks(peak=None), "a.svg").decode()


def test_a_name_is_no_mathematics():
    """matplotlib reads what stands between dollar signs."""
    assert render_plot(benchmarks(r"A$\foo$"), "a.png")


def test_one_size_is_nothing_to_draw():
    with pytest.raises(UsageError, match="nothing was timed at several values of a size"):
        render_plot(benchmarks()[:1], "a.png")


@pytest.mark.parametrize("file", ["a.gif", "a", "png", "a.png.txt"])
def test_another_ending_is_refused(file):
    with pytest.raises(UsageError, match=re.escape(f"--plot {file}: the name ends in .pdf, .png or .svg")):
        check_plot(file)


def test_a_missing_matplotlib_is_told_with_its_remedy(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(plot, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    with pytest.raises(UsageError, match=re.escape("--plot needs matplotlib: pip install 'gradverify[plots]'")):
        check_plot("a.png")
