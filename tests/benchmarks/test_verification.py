"""What verifying costs, against the script that people write today: autograd, the hand-derived pass, cmp."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import pytest
import torch

from gradverify import origin, verify
from gradverify.case import with_sizes
from gradverify.importer import load_file
from gradverify.inputs import draw_inputs
from gradverify.loader import cases_of
from gradverify.origin import find_origins

ROOT = Path(__file__).parent.parent.parent
ROWS = 10_000


def three_layer_net():
    (case,) = cases_of(load_file(ROOT / "cases" / "three_layer_net.py"))
    return with_sizes(case, {"samples": ROWS})


class Names(dict):
    """A namespace for the bare script: the case's own code, without any recording."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def bare_script(case):
    """Forward, backward, the hand-derived pass, and the classic cmp of every gradient, all in float32."""
    inputs = draw_inputs(case, 111111, torch.float32, torch.device("cpu"), frozenset())
    drawn = [(name, value) for name, value in inputs.values.items() if value is not None]

    def run():
        t = Names({name: value.clone().requires_grad_(name in inputs.differentiated) for name, value in drawn})
        loss = case.forward(t)
        output = next(name for name, value in reversed(t.items()) if value is loss)
        for value in t.values():
            if not value.is_leaf and value.requires_grad:
                value.retain_grad()
        loss.backward()
        d = Names({output: torch.ones_like(loss)})
        with torch.no_grad():
            case.backward(t, d)
            for name, gradient in d.items():
                if name != output:
                    torch.all(gradient == t[name].grad).item()
                    torch.allclose(gradient, t[name].grad)
                    (gradient - t[name].grad).abs().max().item()

    return run


RUNS = {
    "bare": lambda case: bare_script(case),
    "verify": lambda case: lambda: verify(case),
    "quick": lambda case: lambda: verify(case, quick=True),
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.benchmark(group="three-layer net, X of (10000, 10)")
def test_three_layer_net(benchmark, run):
    """Compare the medians of the group: verify takes at most 6 times the bare script, quick 1.5 times."""
    benchmark.pedantic(RUNS[run](three_layer_net()), rounds=7, warmup_rounds=1)


def test_finding_the_mistake(capsys, monkeypatch):
    """What replay and diagnosis add to a failing three-layer net; prints it in units of one passing verification."""
    case = three_layer_net()
    clean = type(case)

    class Wrong(clean):
        def backward(self, t, d):
            super().backward(t, d)
            d.h2_preact = -d.h2_preact

    spent = []

    def timed(*arguments):
        start = time.perf_counter()
        rows = find_origins(*arguments)
        spent.append(time.perf_counter() - start)
        return rows

    monkeypatch.setattr(origin, "find_origins", timed)
    passing = []
    for _ in range(4):
        start = time.perf_counter()
        assert verify(case).passed
        passing.append(time.perf_counter() - start)
        assert not verify(Wrong(samples=ROWS)).passed
    ratio = statistics.median(spent[1:]) / statistics.median(passing[1:])
    with capsys.disabled():
        print(f"\nreplay and diagnosis / one verification: {ratio:.2f}", file=sys.stderr)


def test_ratios(capsys):
    """The same, interleaved in one loop, so that a machine that slows down slows all three; prints the ratios."""
    runs = {name: make(three_layer_net()) for name, make in RUNS.items()}
    times = {name: [] for name in runs}
    for round in range(6):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if round:
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(one) for name, one in times.items()}
    with capsys.disabled():
        for name in ("verify", "quick"):
            print(f"\n{name} / bare script: {medians[name] / medians['bare']:.2f}", file=sys.stderr)


EVERY = [case for file in sorted((ROOT / "cases").glob("*.py")) for case in cases_of(load_file(file))]


@pytest.mark.parametrize("case", EVERY, ids=[type(case).__name__ for case in EVERY])
def test_every_case(capsys, case):
    """Verification of each founding case at its own sizes, in turns with the bare script; prints the ratio."""
    bare = bare_script(case)
    times = {"bare": [], "verify": []}
    for round in range(8):
        for name, run in (("bare", bare), ("verify", lambda: verify(case))):
            start = time.perf_counter()
            run()
            if round:
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(one) for name, one in times.items()}
    with capsys.disabled():
        told = f"{medians['verify'] * 1e3:.1f} ms, {medians['verify'] / medians['bare']:.1f} bare scripts"
        print(f"\n{type(case).__name__}: {told}", file=sys.stderr)


def test_a_suite_of_two_hundred_small_cases(capsys):
    """What a case takes where none is large, in time and in work of the processor; the aim is 25 ms."""
    small = [case for case in EVERY if type(case).__name__ not in ("ThreeLayerNet", "Training")]
    for case in small:
        verify(case)
    seconds, worked = [], []
    for number in range(200):
        start, work = time.perf_counter(), time.process_time()
        verify(small[number % len(small)], seed=number)
        seconds.append(time.perf_counter() - start)
        worked.append(time.process_time() - work)
    with capsys.disabled():
        for what, one in (("time", seconds), ("processor", worked)):
            told = f"mean {statistics.mean(one) * 1e3:.1f} ms, median {statistics.median(one) * 1e3:.1f} ms a case"
            print(f"\n200 small cases, {what}: {told}", file=sys.stderr)
