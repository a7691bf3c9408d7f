"""What comparing costs, against the three calls of the classic `cmp`, `assert_close`, and one dot product of both.

The rivals run between the rounds of each benchmark, so that a machine that slows down slows all of them; ratios
of the medians are printed. Wanted of 1.6e7 float32 elements: the classic cmp takes 12 times as long, assert_close
8 times, and a dot product a fifth. Of 100 elements: at most 1.5 times the classic cmp.
"""

from __future__ import annotations

import statistics
import time
from contextlib import suppress
from functools import partial

import pytest
import torch

from gradverify.comparison import compare, count_above, distance


def classic(candidate, reference):
    return (
        torch.all(candidate == reference).item(),
        torch.allclose(candidate, reference),
        (candidate - reference).abs().max().item(),
    )


def assert_close(candidate, reference):
    with suppress(AssertionError):
        torch.testing.assert_close(candidate, reference)


def dot(candidate, reference):
    return torch.dot(candidate, reference).item()


def maxima(candidate, reference):
    """The two largest magnitudes that a distance holds, written out."""
    return (candidate - reference).abs().max().item(), reference.abs().max().item()


def draw(numel, off, dtype):
    """A reference and a candidate, each element of which is off by so much, relative to it."""
    generator = torch.Generator().manual_seed(111111)
    reference, noise = (torch.randn(numel, generator=generator, dtype=dtype) for _ in range(2))
    return reference * (1 + off * noise), reference


def race(benchmark, capsys, function, rivals, arguments, *, rounds, repeats=1):
    """Benchmark a function with its rivals in between, and print what they take in units of it."""

    def run(one):
        for _ in range(repeats):
            one(*arguments)

    times = {rival.__name__: [] for rival in rivals}

    def run_rivals():
        for rival in rivals:
            start = time.perf_counter()
            run(rival)
            times[rival.__name__].append(time.perf_counter() - start)

    benchmark.pedantic(partial(run, function), setup=run_rivals, rounds=rounds, warmup_rounds=1)
    own = benchmark.stats.stats.median
    ratios = {name: statistics.median(taken[1:]) / own for name, taken in times.items()}  # without the warm-up
    benchmark.extra_info.update(ratios)
    told = ", ".join(f"{name} {ratio:.3g}" for name, ratio in ratios.items())
    with capsys.disabled():
        print(f"\n{benchmark.name}: {own / repeats * 1e6:.0f} us; in units of it: {told}")


NATURES = {"equal": 0.0, "rounding": 1e-7}


@pytest.mark.parametrize("nature", NATURES)
def test_compare_many(benchmark, capsys, nature):
    pair = draw(16_000_000, NATURES[nature], torch.float32)
    race(benchmark, capsys, compare, (classic, assert_close, dot), pair, rounds=11)


@pytest.mark.parametrize("nature", NATURES)
def test_compare_few(benchmark, capsys, nature):
    pair = draw(100, NATURES[nature], torch.float32)
    race(benchmark, capsys, compare, (classic, assert_close), pair, rounds=101, repeats=50)


@pytest.mark.parametrize("candidate", [torch.float64, torch.float32])
def test_distance(benchmark, capsys, candidate):
    """Of a gradient of 3e6 float64 elements; verification takes about five."""
    values, reference = draw(3_000_000, 1e-15, torch.float64)
    race(benchmark, capsys, distance, (maxima,), (values.to(candidate), reference), rounds=21)


def test_count_above(benchmark, capsys):
    """Of a gradient none of whose elements is below what was allowed."""
    reference = draw(3_000_000, 0.0, torch.float64)[1] + 10

    def count(gradient):
        return count_above(gradient, 1e-12)

    def written_out(gradient):
        return (gradient.abs() > 1e-12).sum().item(), gradient.count_nonzero().item()

    race(benchmark, capsys, count, (written_out,), (reference,), rounds=21)
