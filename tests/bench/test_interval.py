"""The interval of a paired ratio: it holds the truth as often as it says, on a machine that slows down too."""

from __future__ import annotations

import random
import statistics

import pytest

from gradverify.bench.interval import paired_ratio


def draw(random, count, *, ratio, noise, busy):
    """Times of two passes, one `ratio` times as long as the other, on a machine that is busy for a while at times."""
    seconds, first = [], []
    load = 1.0
    for number in range(count):
        if number % 8 == 0:
            load = busy if random.random() < 0.3 else 1.0
        first.append(load * (1 + noise * random.random()))
        seconds.append(ratio * load * (1 + noise * random.random()))
    return seconds, first


def test_pairs_see_through_a_machine_that_slows_down():
    """The twin is the ratio of unpaired medians, one pass before the busy time and one within it."""
    first = [1.0] * 25 + [3.0] * 26
    seconds = [2.0 * one for one in first]
    assert paired_ratio(seconds, first).value == pytest.approx(2.0)
    unpaired = statistics.median(seconds[26:]) / statistics.median(first[:25])
    assert unpaired == pytest.approx(6.0)


def test_it_holds_the_truth_about_as_often_as_it_says():
    generator = random.Random(1)
    held = 0
    for _ in range(100):
        seconds, first = draw(generator, 51, ratio=1.9, noise=0.2, busy=3.0)
        found = paired_ratio(seconds, first)
        assert found.low <= found.value <= found.high
        held += found.low <= 1.9 <= found.high
    assert held >= 88


def test_more_noise_makes_it_wider():
    widths = []
    for noise in (0.02, 0.5):
        found = paired_ratio(*draw(random.Random(2), 51, ratio=1.9, noise=noise, busy=1.0))
        widths.append(found.high - found.low)
    assert widths[0] < widths[1] / 5


def test_the_same_pairs_give_the_same_interval():
    pairs = draw(random.Random(3), 21, ratio=1.1, noise=0.1, busy=2.0)
    assert paired_ratio(*pairs) == paired_ratio(*pairs)
