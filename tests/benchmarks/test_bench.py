"""What timing costs the times: `gradverify bench` against torch's Timer, and against itself a second time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.benchmark import Timer

from gradverify.bench.benchmark import bench, draw_contest
from gradverify.bench.interval import paired_ratio
from gradverify.bench.race import Phase, _entry
from gradverify.configuration import configurations
from gradverify.evaluation import draw_cotangents, run_backward, run_forward
from gradverify.importer import load_file
from gradverify.inputs import draw_inputs
from gradverify.loader import cases_of

CASES = Path(__file__).parents[2] / "cases"
CPU = torch.device("cpu")
# As many pairs as bring the interval below a hundredth on a machine that is not busy.
PAIRS = 201


def linear_regression():
    (case,) = cases_of(load_file(CASES / "linear_regression.py"))
    return case


def race(own, other):
    """The ratio of two samplers, taken in turns."""
    seconds, first = [], []
    for number in range(PAIRS):
        for sample, found in ((own, seconds), (other, first))[:: -1 if number % 2 else 1]:
            found.append(sample())
    return paired_ratio(seconds, first)


def timed(statement, repeats, **names):
    timer = Timer(statement, globals=names)

    def sample():
        with torch.no_grad():
            return timer.timeit(repeats).median

    return sample


def written_out():
    """The statement of linear regression with local variables, as its author would time it."""
    case = linear_regression()
    inputs = draw_inputs(case, 111111, torch.float32, CPU, frozenset())
    X, y, W, b = (inputs.values[name] for name in "XyWb")
    dloss = torch.ones(1)

    def run():
        matmul = X @ W
        pred = matmul + b
        diff = y - pred
        diff2 = diff**2
        diff2.mean(0)
        ddiff2 = dloss.expand_as(diff2) / len(diff2)
        ddiff = 2 * diff * ddiff2
        dpred = -ddiff
        db = dpred.sum(0)
        dX = dpred @ W.T
        dW = X.T @ dpred
        return ddiff, db, dX, dW

    return run


def test_overhead(capsys):
    """Of the clock that can be paused, and of the names that stand in for t and d; the aim is less than 2%."""
    case = linear_regression()
    contest = draw_contest(case, configurations(case)[0])
    manual = contest.contenders[0]
    entry = _entry(manual, Phase.BOTH, CPU, 1)
    same = timed("backward(forward())", entry.repeats, forward=manual.forward, backward=manual.backward)
    locals_alone = timed("run()", entry.repeats, run=written_out())
    with capsys.disabled():
        print(f"\nbench / Timer, the same statement: {race(entry.sample, same)}", file=sys.stderr)
        print(f"bench / Timer, local variables: {race(entry.sample, locals_alone)}", file=sys.stderr)


@pytest.mark.parametrize("file", ["linear_regression.py", "logistic_bce.py", "l2_regularization.py"])
def test_the_same_pair_twice(capsys, file):
    """Each ratio, with the interval that the other should lie in."""
    (case,) = cases_of(load_file(CASES / file))
    one, other = (bench(case, configurations(case)[0]).timings[1].ratios.both for _ in range(2))
    agree = one.low <= other.high and other.low <= one.high
    with capsys.disabled():
        print(f"\n{file}: {one}, then {other}: {'they agree' if agree else 'they do not agree'}", file=sys.stderr)


def test_recording_does_not_count(capsys):
    """What the ratio would be if the hand-derived pass ran on Trace and Gradients."""
    case = linear_regression()
    inputs = draw_inputs(case, 111111, torch.float32, CPU, frozenset())
    cotangents = draw_cotangents(inputs, run_forward(case, inputs, torch.float32))
    manual = draw_contest(case, configurations(case)[0]).contenders[0]

    def recorded():
        run_backward(case, run_forward(case, inputs, torch.float32), cotangents)

    ratio = race(timed("with torch.enable_grad(): run()", 5, run=recorded), timed("run()", 50, run=manual.both))
    with capsys.disabled():
        print(f"\nrecorded / plain: {ratio}", file=sys.stderr)
