"""How times grow: exponents of exact power laws, and which benchmarks belong to one series."""

from __future__ import annotations

import pytest

from gradverify.report import Failure
from gradverify.scaling import Exponent, fit_exponent, fit_scaling, series_of
from gradverify.timing import Benchmark, Timing


def point(seconds, *, peak=100, error=None, case="Squares", seed=0, **sizes):
    timing = Timing("manual", seconds, seconds**2, seconds, kept=8, peak=peak)
    return Benchmark(case, "float32", "cpu", seed, sizes, timings=() if error else (timing,), error=error)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, -0.5])
def test_a_power_law_gives_its_exponent(power):
    found = fit_exponent([10, 100, 1000], [3.0 * size**power for size in (10, 100, 1000)])
    assert found.value == pytest.approx(power, abs=1e-12)
    assert found.error == pytest.approx(0.0, abs=1e-12)


def test_two_points_leave_no_error_to_estimate():
    assert fit_exponent([1, 10], [1.0, 10.0]) == Exponent(pytest.approx(1.0), None)


def test_what_is_no_power_law_has_an_error():
    """The overhead of small sizes bends the line."""
    found = fit_exponent([10, 100, 1000], [1.0, 1.1, 10.0])
    assert 0.2 < found.error < found.value


def test_a_series_differs_in_one_size_alone():
    benchmarks = [point(1.0 * n * m, n=n, m=m) for n in (10, 100) for m in (1, 2)]
    found = {(one.size, tuple(one.held.items())): one.values for one in series_of(benchmarks)}
    assert found == {
        ("n", (("m", 1),)): (10, 100),
        ("n", (("m", 2),)): (10, 100),
        ("m", (("n", 10),)): (1, 2),
        ("m", (("n", 100),)): (1, 2),
    }


@pytest.mark.parametrize(
    "other",
    [point(10.0, case="Cubes", n=100), point(10.0, seed=1, n=100), point(10.0, error=Failure("A", "b"), n=100)],
)
def test_what_is_not_alike_or_was_not_timed_makes_no_series(other):
    assert series_of([point(1.0, n=10), other]) == []


def test_every_phase_and_the_peak_are_fitted():
    (found,) = fit_scaling([point(1.0 * n, peak=n**3, n=n) for n in (100, 10, 1000)])
    assert found.values == (10, 100, 1000)
    exponents = (found.forward, found.backward, found.both, found.peak)
    assert [one.value for one in exponents] == pytest.approx([1, 2, 1, 3])


@pytest.mark.parametrize("peak", [None, 0])
def test_memory_that_nothing_counts_is_not_fitted(peak):
    (found,) = fit_scaling([point(1.0 * n, peak=peak, n=n) for n in (10, 100)])
    assert found.peak is None
