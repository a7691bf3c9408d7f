"""Passes timed next to each other, round by round, so that a machine that slows down slows all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch.utils.benchmark import Timer

from gradverify.bench.contender import Contender
from gradverify.bench.stopwatch import Stopwatch

# A sample this long dwarfs what starting and stopping the clock costs, half a microsecond.
_SAMPLE = 2e-3
_MOST_REPEATS = 10_000
# Odd, so that a median is one of the samples. Nine pairs are the least that a bootstrap says something of.
_FEWEST_ROUNDS = 9
_MOST_ROUNDS = 101


class Phase(Enum):
    """What of a pass is timed."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


Seconds = dict[tuple[str, Phase], list[float]]


@dataclass(frozen=True)
class _Entry:
    """A timer, and how many times a sample repeats its statement."""

    contender: Contender
    phase: Phase
    timer: Timer
    repeats: int

    def sample(self) -> float:
        """Seconds for one run. Timer itself runs the statement a few times before."""
        with self.contender.entered():
            return float(self.timer.timeit(self.repeats).median)


def run_race(contenders: Sequence[Contender], device: torch.device, *, threads: int, seconds: float) -> Seconds:
    """The samples of every contender and phase; those with the same number were taken in the same round.

    Within a round the contenders follow each other, phase by phase; every other round in reversed order.

    Args:
        contenders: what is timed; each has run before.
        device: where they run.
        threads: of the CPU.
        seconds: how long to go on, if that allows for the fewest rounds.
    """
    entries = [[_entry(contender, phase, device, threads) for contender in contenders] for phase in Phase]
    started = time.perf_counter()
    _run_round(entries)  # what follows starts with warm caches, and this tells how long a round takes
    rounds = int(seconds / (time.perf_counter() - started))
    rounds = min(max(rounds, _FEWEST_ROUNDS), _MOST_ROUNDS)
    found: Seconds = {(one.contender.name, one.phase): [] for row in entries for one in row}
    for number in range(rounds + 1 - rounds % 2):
        for key, sample in _run_round([row[::-1] for row in entries] if number % 2 else entries).items():
            found[key].append(sample)
    return found


def _run_round(entries: Sequence[Sequence[_Entry]]) -> dict[tuple[str, Phase], float]:
    return {(one.contender.name, one.phase): one.sample() for row in entries for one in row}


def _entry(contender: Contender, phase: Phase, device: torch.device, threads: int) -> _Entry:
    stopwatch = Stopwatch(device)
    run = _statement(contender, phase, stopwatch)
    timer = Timer("run()", globals={"run": run}, timer=stopwatch, num_threads=threads)
    with contender.entered():
        single = float(timer.timeit(3).median)
    return _Entry(contender, phase, timer, min(max(math.ceil(_SAMPLE / single), 1), _MOST_REPEATS))


def _statement(contender: Contender, phase: Phase, stopwatch: Stopwatch) -> Callable[[], object]:
    forward, backward = contender.forward, contender.backward
    if phase is Phase.FORWARD:
        return forward

    if phase is Phase.BACKWARD:

        def run_backward() -> None:
            # On a graph of its own, as in use: what retains a graph frees nothing, and so takes another time.
            stopwatch.pause()
            state = forward()
            stopwatch.resume()
            backward(state)

        return run_backward

    def run_both() -> None:
        backward(forward())

    return run_both
