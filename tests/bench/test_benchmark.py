"""bench: what is timed, what is refused, and what the numbers are of."""

from __future__ import annotations

import pytest
import torch

from gradverify.bench import benchmark
from gradverify.bench.benchmark import bench
from gradverify.configuration import configurations
from gradverify.errors import UsageError

from .samples import (
    Alone,
    Differentiating,
    KnownWrong,
    Raising,
    Recognising,
    Scaled,
    Spoilt,
    Squares,
    Unfinished,
    Wrong,
)


def run(case, **arguments):
    return bench(case, configurations(case)[0], seconds=0.0, **arguments)


def test_a_case_that_verifies_is_timed():
    """Both passes, each phase, and what they keep: x, values, and the loss by hand; x alone by autograd."""
    found = run(Squares(n=1000), threads=1)
    manual, autograd = found.timings
    assert found.passed
    assert (found.case, found.sizes, found.resized, found.threads) == ("Squares", {"n": 1000}, ("n",), 1)
    assert found.pairs >= 9
    assert (manual.name, autograd.name) == ("manual", "autograd")
    assert all(seconds > 0 for one in found.timings for seconds in (one.forward, one.backward, one.both))
    assert (manual.kept, autograd.kept) == (8004, 4000)
    assert 4000 <= autograd.peak < 16_100
    assert manual.ratios is None
    assert autograd.ratios.both.low <= autograd.ratios.both.value <= autograd.ratios.both.high


def test_a_candidate_is_timed_next_to_its_reference():
    found = run(Scaled())
    assert [one.name for one in found.timings] == ["candidate", "reference"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Wrong(), "it does not verify: d.x is wrong"),
        (Raising(), 'backward raised ValueError in the float32 pass at `raise ValueError("no luck")`: no luck'),
        (Unfinished(), "d.values is not derived yet, so that there is no whole pass to time"),
        (KnownWrong(), "d.x is known to be wrong, and a wrong pass may well be quick"),
        (Alone(), "there is no reference to time the candidate against: set `reference` on the case"),
        (Recognising(), "without autograd, and without recording t and d, backward gives another d.x"),
        (Differentiating(), "without autograd, forward or backward raised RuntimeError"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_is_not_sound_is_not_timed(case, message, monkeypatch):
    """And the reason is told."""
    monkeypatch.setattr(benchmark, "run_race", lambda *_, **__: pytest.fail("it was timed"))
    found = run(case)
    assert not found.passed
    assert found.timings == ()
    assert found.error.message.startswith(message)


def test_what_no_longer_verifies_after_it_was_timed_is_dropped():
    """As where a pass keeps something between its runs."""
    Spoilt.runs = []
    found = run(Spoilt())
    assert found.timings == ()
    assert found.error.message == "after it was timed it no longer verifies: d.x is wrong"


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    run(Squares(), threads=before + 1)
    assert torch.get_num_threads() == before


def test_threads_that_are_none_are_refused():
    with pytest.raises(UsageError, match="threads: expected 1 or more, got 0"):
        run(Squares(), threads=0)
