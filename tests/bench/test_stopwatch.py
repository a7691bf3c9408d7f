"""The clock of the timer: it leaves out what happens while it is paused, and waits for devices other than the CPU."""

from __future__ import annotations

import pytest
import torch

from gradverify.bench import stopwatch
from gradverify.bench.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows what it is told to."""
    shown = {"now": 0.0}
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: shown["now"])
    return shown


def test_a_pause_does_not_count(clock):
    watch = Stopwatch(torch.device("cpu"))
    clock["now"] = 1.0
    start = watch()
    clock["now"] = 2.0
    watch.pause()
    clock["now"] = 12.0
    watch.resume()
    clock["now"] = 15.0
    assert watch() - start == 4.0


@pytest.mark.parametrize(("device", "waits"), [("cpu", 0), ("cuda:1", 1)])
def test_it_waits_for_the_device_at_every_reading(clock, monkeypatch, device, waits):
    waited = []
    monkeypatch.setattr(stopwatch, "synchronize", waited.append)
    watch = Stopwatch(torch.device(device))
    watch()
    watch.pause()
    watch.resume()
    assert waited == [torch.device(device)] * 3 * waits
