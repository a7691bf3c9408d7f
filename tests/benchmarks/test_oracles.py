"""The numerical oracle against torch.autograd.gradcheck, slow and fast: what each finds, and what it costs."""

from __future__ import annotations

import math
import statistics
import time

import pytest
import torch

from gradverify import Case
from gradverify.inputs import draw_inputs
from gradverify.measurement import run_pass
from gradverify.oracles.finite_difference import FiniteDifference
from gradverify.oracles.problem import Problem
from gradverify.witness import Stance


class Waves(Case):
    """L = sum(sin(x)^2) over n x n numbers."""

    __test__ = False

    n: int = 100

    def inputs(self, generator):
        return {"x": torch.randn(self.n, self.n, generator=generator)}

    def forward(self, t):
        t.y = torch.sin(t.x)
        t.loss = (t.y**2).sum()
        return t.loss

    def backward(self, t, d):
        d.y = 2 * t.y * d.loss
        d.x = d.y * torch.cos(t.x)


class HalfOff(Waves):
    """Planted: one element is half as large again."""

    n: int = 1000

    def backward(self, t, d):
        super().backward(t, d)
        d.x[123, 456] *= 1.5


class Small(Case):
    """Planted: L = sum(5e-7 x^2) with the sign of its gradient wrong."""

    __test__ = False

    n: int = 10

    def inputs(self, generator):
        return {"x": torch.randn(self.n, generator=generator)}

    def forward(self, t):
        t.loss = (5e-7 * t.x**2).sum()
        return t.loss

    def backward(self, t, d):
        d.x = -1e-6 * t.x * d.loss


class Names(dict):
    """A namespace for the bare forward, without any recording."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def as_function(case):
    """The case as what gradcheck takes, an autograd.Function, and the number of times its forward has run."""
    runs = []

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            runs.append(None)
            ctx.save_for_backward(x)
            return case.forward(Names(x=x))

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            t, d = Names(x=x), Names(loss=gradient)
            case.forward(t)
            case.backward(t, d)
            return d.x

    return Function.apply, runs


def prepare(case):
    """The candidate gradient of a case, and the problem that the oracle differentiates."""
    inputs = draw_inputs(case, 111111, torch.float64, torch.device("cpu"), frozenset())
    judging = run_pass(case, inputs, torch.float64, partial=False)
    return judging.candidates["x"], lambda: Problem(case, inputs, judging.cotangents)


def gradcheck(case, x, *, fast_mode):
    """Whether gradcheck passes the case, how often it ran the forward, and in how many seconds."""
    function, runs = as_function(case)
    start = time.perf_counter()
    passed = torch.autograd.gradcheck(
        function, (x.clone().requires_grad_(),), fast_mode=fast_mode, raise_exception=False
    )
    return passed, len(runs), time.perf_counter() - start


def check(case):
    """What the oracle says of the case, how often it ran the forward, and in how many seconds."""
    candidate, make = prepare(case)
    start = time.perf_counter()
    problem = make()
    witness = FiniteDifference().check(problem, "x", candidate)
    return witness, problem.evaluations, time.perf_counter() - start, problem.values["x"]


def test_one_of_a_million_elements_half_off(capsys):
    """Found, with its index, in fewer than 60 forwards; gradcheck's fast mode passes it."""
    witness, evaluations, seconds, x = check(HalfOff())
    passed, runs, fast_seconds = gradcheck(HalfOff(), x, fast_mode=True)
    with capsys.disabled():
        print(f"\nfinite_difference: {evaluations} forwards, {seconds:.2f} s: {witness}")
        print(f"gradcheck, fast mode: {runs} forwards, {fast_seconds:.2f} s: {'passed' if passed else 'failed'}")
    assert witness.stance is Stance.DISAGREES
    assert witness.index == (123, 456)
    assert evaluations < 60
    assert passed


def test_ten_thousand_inputs(capsys):
    """A right gradient is confirmed; slow gradcheck runs the forward twice for each of the inputs."""
    fastest, slowest = math.inf, None
    for _ in range(5):
        witness, evaluations, seconds, x = check(Waves())
        assert witness.stance is Stance.AGREES
        fastest = min(fastest, seconds)
    passed, runs, slowest = gradcheck(Waves(), x, fast_mode=False)
    with capsys.disabled():
        print(f"\nfinite_difference: {evaluations} forwards, {fastest * 1e3:.1f} ms: {witness}")
        print(f"gradcheck, slow mode: {runs} forwards, {slowest * 1e3:.0f} ms, {slowest / fastest:.0f} times as long")
    assert passed
    assert runs > 100 * evaluations


def test_a_small_gradient_of_the_wrong_sign(capsys):
    """Noticed; gradcheck passes it in either mode, because 1e-6 is below its tolerance."""
    witness, evaluations, _, x = check(Small())
    slow, fast = (gradcheck(Small(), x, fast_mode=mode)[0] for mode in (False, True))
    with capsys.disabled():
        print(f"\nfinite_difference: {evaluations} forwards: {witness}")
        print(f"gradcheck: slow mode {'passed' if slow else 'failed'}, fast mode {'passed' if fast else 'failed'}")
    assert witness.stance is Stance.DISAGREES
    assert slow
    assert fast


@pytest.mark.benchmark(group="a gradient of 10^4 elements, checked")
@pytest.mark.parametrize("way", ["finite_difference", "gradcheck, slow", "gradcheck, fast"])
def test_checking_ten_thousand_elements(benchmark, way):
    """Compare the medians of the group."""
    candidate, make = prepare(Waves())
    if way == "finite_difference":
        benchmark(lambda: FiniteDifference().check(make(), "x", candidate))
    else:
        x = make().values["x"]
        benchmark.pedantic(gradcheck, (Waves(), x), {"fast_mode": "fast" in way}, rounds=1)


# Slow gradcheck runs the forward twice for each input: beyond these it takes minutes, and then hours.
MOST_SLOW = 10**4


@pytest.mark.parametrize("side", [3, 10, 32, 100, 316, 1000])
def test_from_ten_inputs_to_a_million(capsys, side):
    """A right gradient, checked by each in turn: how often each runs the forward, and how long it takes."""
    case = Waves(n=side)
    witness, evaluations, _, x = check(case)  # warm
    times = {"finite_difference": [], "gradcheck, fast": []}
    for _ in range(3):
        times["finite_difference"].append(check(case)[2])
        passed, fast_runs, seconds = gradcheck(case, x, fast_mode=True)
        times["gradcheck, fast"].append(seconds)
    runs = {"finite_difference": evaluations, "gradcheck, fast": fast_runs}
    if side**2 <= MOST_SLOW:
        slow_passed, runs["gradcheck, slow"], seconds = gradcheck(case, x, fast_mode=False)
        times["gradcheck, slow"] = [seconds]
        assert slow_passed
    own = statistics.median(times["finite_difference"])
    with capsys.disabled():
        print(f"\n{side**2} inputs: {witness.stance.value}")
        for way, seconds in times.items():
            told = statistics.median(seconds)
            print(f"  {way}: {runs[way]} forwards, {told * 1e3:.1f} ms, ratio {told / own:.3g}")
    assert witness.stance is Stance.AGREES
    assert passed
