"""Benchmarks as a page: what was not timed first, passes next to each other."""

import re

from samples import ENVIRONMENT

from gradverify.render.html_timing import render_benchmarks_html
from gradverify.report import Failure
from gradverify.timing import Benchmark, Ratio, Ratios, Timing


def benchmark(samples: int, ratio: Ratio, **changes: object) -> Benchmark:
    """Two passes whose times grow with the size."""
    seconds = samples * 1e-6
    values: dict[str, object] = {
        "case": "Square",
        "dtype": "float32",
        "device": "cpu",
        "seed": 1,
        "sizes": {"samples": samples},
        "resized": ("samples",),
        "pairs": 50,
        "timings": (
            Timing("manual", seconds, seconds, 2 * seconds, 640, 1280),
            Timing("autograd", seconds, 2 * seconds, 3 * seconds, 2048, None, Ratios(ratio, ratio, ratio)),
        ),
    }
    return Benchmark(**{**values, **changes})  # type: ignore[arg-type]  # loosely typed on purpose


CLEAR, EVEN = Ratio(1.5, 1.4, 1.6), Ratio(1.05, 0.9, 1.2)
FAILURE = Failure("NotTimed", "it does not verify: d.x is wrong <b>", "square.py", 7)
REFUSED = benchmark(10, CLEAR, case="Wrong", timings=(), error=FAILURE)


def test_a_case_is_told_by_its_largest_size():
    """A ratio whose interval holds 1 is not sold as a difference."""
    page = render_benchmarks_html([benchmark(1000, CLEAR), benchmark(10, EVEN)], ENVIRONMENT)
    assert "autograd takes 1.50 times as long at samples=1000<" in page
    page = render_benchmarks_html([benchmark(10, CLEAR), benchmark(1000, EVEN)], ENVIRONMENT)
    assert "autograd takes 1.05 times as long, which may be chance at samples=1000<" in page


def test_every_pass_has_a_line_and_every_series_its_growth():
    page = render_benchmarks_html([benchmark(10, CLEAR), benchmark(1000, CLEAR)], ENVIRONMENT)
    assert page.count("<tr data-verdict=") == 4
    assert "1.40 to 1.60" in page
    assert "samples = 10, 1000" in page
    assert re.findall(r"<h1 class=\"(\w+)\">(.*?)</h1>", page) == [("good", "2 timed")]
    assert 'class="shares"' not in page


def test_what_was_not_timed_comes_first_with_its_reason():
    page = render_benchmarks_html([benchmark(10, CLEAR), REFUSED], ENVIRONMENT)
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Wrong[float32]", "Square[float32]"]
    assert "it does not verify: d.x is wrong &lt;b&gt;, at square.py:7" in page
    assert "1 timed, 1 not timed" in page


def test_nothing_timed_is_a_page_too():
    assert '<h1 class="good">0 timed</h1>' in render_benchmarks_html([], ENVIRONMENT)
