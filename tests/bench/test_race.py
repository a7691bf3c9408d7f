"""Passes that take turns: in pairs, in changing order, their phases apart and together."""

from __future__ import annotations

import torch

from gradverify.bench import race
from gradverify.bench.contender import Contender
from gradverify.bench.race import Phase, run_race

CPU = torch.device("cpu")


class Clock:
    """Time that passes only where a pass says so."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("gradverify.bench.stopwatch.time.perf_counter", lambda: self.now)

    def contender(self, name, forward, backward, log=None):
        def run_forward():
            self.now += forward
            if log is not None:
                log.append(name)
            return name

        def run_backward(state):
            assert state == name
            self.now += backward

        return Contender(name, run_forward, run_backward, with_grad=False)


def test_phases_are_told_apart(monkeypatch):
    """A backward does not pay for the forward that makes its graph."""
    clock = Clock(monkeypatch)
    found = run_race([clock.contender("a", 1.0, 2.0), clock.contender("b", 3.0, 5.0)], CPU, threads=1, seconds=0.0)
    medians = {key: sorted(samples)[len(samples) // 2] for key, samples in found.items()}
    assert medians == {
        ("a", Phase.FORWARD): 1.0,
        ("a", Phase.BACKWARD): 2.0,
        ("a", Phase.BOTH): 3.0,
        ("b", Phase.FORWARD): 3.0,
        ("b", Phase.BACKWARD): 5.0,
        ("b", Phase.BOTH): 8.0,
    }


def test_there_is_an_odd_number_of_rounds_and_enough_of_them(monkeypatch):
    """However little time there is."""
    clock = Clock(monkeypatch)
    found = run_race([clock.contender("a", 1.0, 2.0)], CPU, threads=1, seconds=0.0)
    assert {len(samples) for samples in found.values()} == {race._FEWEST_ROUNDS}
    assert race._FEWEST_ROUNDS % 2 == race._MOST_ROUNDS % 2 == 1


def test_the_order_changes_from_round_to_round(monkeypatch):
    """So that neither is always the one that comes to a cold cache."""
    clock, log = Clock(monkeypatch), []
    run_race([clock.contender("a", 1.0, 1.0, log), clock.contender("b", 1.0, 1.0, log)], CPU, threads=1, seconds=0.0)
    turns = "".join(name for name, before in zip(log, ["", *log[:-1]], strict=True) if name != before)
    assert "abab" in turns
    # Two rounds that meet at the same contender.
    assert len(turns) < 2 * 3 * (race._FEWEST_ROUNDS + 2)


def test_threads_are_pinned():
    seen = set()

    def forward():
        seen.add(torch.get_num_threads())

    before = torch.get_num_threads()
    run_race([Contender("a", forward, lambda _: None, with_grad=False)], CPU, threads=3, seconds=0.0)
    assert seen == {3}
    assert torch.get_num_threads() == before


def test_autograd_is_on_or_off_as_the_contender_says():
    seen = set()

    def contender(name, with_grad):
        return Contender(name, lambda: seen.add((name, torch.is_grad_enabled())), lambda _: None, with_grad)

    run_race([contender("manual", False), contender("autograd", True)], CPU, threads=1, seconds=0.0)
    assert seen == {("manual", False), ("autograd", True)}
