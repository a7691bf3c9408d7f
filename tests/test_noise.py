"""What rounding does to a gradient, measured: which values move, how far gradients move, and what stays."""

from __future__ import annotations

import pytest
import torch

import gallery
from gradverify import Case
from gradverify.evaluation import draw_cotangents, run_autograd, run_forward
from gradverify.inputs import draw_inputs
from gradverify.noise import backward_noise, run_noisy_forward, spread
from gradverify.trace import values_of

UNIT = 2.0**-53


def prepare(case, seed=0):
    inputs = draw_inputs(case, seed, torch.float32, torch.device("cpu"), frozenset())
    forward, saved = run_noisy_forward(case, inputs, torch.float64)
    cotangents = draw_cotangents(inputs, forward)
    return inputs, forward, saved, cotangents, run_autograd(case, forward, cotangents, retain_graph=True)


@pytest.mark.parametrize("case", [gallery.CausalAttention, gallery.Saturated, gallery.CancellingBias])
def test_backward_noise_is_a_few_roundings(case):
    """Every gradient moves, by a few units of its own scale and no more."""
    case = case()
    _, forward, saved, cotangents, reference = prepare(case)
    noise = backward_noise(case, forward, saved, cotangents, reference)
    outputs = set(forward.outputs)
    for name in set(reference) - outputs - {"b"}:
        scale = reference[name].abs().max().item()
        assert 0.1 * UNIT * scale < noise[name] < 300 * UNIT * scale, name


def test_a_sum_that_cancels_is_noisier_than_its_own_size():
    """The gradient of b is a sum of both signs: its noise belongs to the terms, not to the result."""
    case = gallery.CancellingBias()
    _, forward, saved, cotangents, reference = prepare(case)
    noise = backward_noise(case, forward, saved, cotangents, reference)
    assert noise["b"] > 100 * UNIT * reference["b"].abs().item()


def test_the_reference_is_left_alone():
    """After the draws the same backward gives the same gradients, bit for bit."""
    case = gallery.CausalAttention()
    _, forward, saved, cotangents, reference = prepare(case)
    backward_noise(case, forward, saved, cotangents, reference)
    again = run_autograd(case, forward, cotangents)
    assert all(torch.equal(again[name], reference[name]) for name in reference)


def test_a_tie_does_not_move_under_backward_noise():
    """The forward stays, and the maximum where it was: the noise of a max-pool is rounding only."""
    case = gallery.MaxPool()
    _, forward, saved, cotangents, reference = prepare(case)
    assert backward_noise(case, forward, saved, cotangents, reference)["x"] < 1e-14


def test_only_the_gradients_asked_for_are_measured():
    """What was not derived costs nothing."""
    case = gallery.CausalAttention()
    _, forward, saved, cotangents, reference = prepare(case)
    assert backward_noise(case, forward, saved, cotangents, {"q": reference["q"]}).keys() == {"q"}


def test_forward_noise_finds_a_kink():
    """One ulp decides between two numbers that are equal by chance: that element moves by its own size."""

    class Near(Case):
        def inputs(self, generator):
            return {"x": torch.tensor([1.25, 2.0, 3.0]), "y": torch.tensor([2.5, 9.0, 0.5])}

        def forward(self, t):
            t.z = torch.maximum(t.x * 3, t.y * 1.5)
            return t.z

        def backward(self, t, d):
            raise AssertionError("not called")

    case = Near()
    inputs, _, _, cotangents, reference = prepare(case)
    moved = spread(case, inputs, torch.float64, cotangents, {"x": reference["x"]})["x"]
    assert moved[0] > 0.1
    assert moved[1:].max() < 1e-13


def test_equal_values_stay_equal_under_forward_noise():
    """Exact ties are moved alike, so that an integer-valued maximum shows no kink."""
    case = gallery.RowMax()
    inputs, _, _, cotangents, reference = prepare(case)
    moved = spread(case, inputs, torch.float64, cotangents, {"x": reference["x"]})["x"]
    assert moved.max() < 1e-13


def test_elements_whose_reference_is_not_finite_do_not_move():
    """They are left out of the judgement."""

    class Root(Case):
        def inputs(self, generator):
            return {"x": torch.tensor([0.0, 1.0])}

        def forward(self, t):
            t.y = t.x.sqrt()
            return t.y

        def backward(self, t, d):
            raise AssertionError("not called")

    case = Root()
    inputs, _, _, cotangents, reference = prepare(case)
    moved = spread(case, inputs, torch.float64, cotangents, {"x": reference["x"]})["x"]
    assert moved[0] == 0.0
    assert 0 < moved[1] < 1e-14


def test_a_constant_of_the_users_that_is_recorded_does_not_move():
    """The draws change data in place, and only what the pass made itself."""
    table = torch.full((3,), 0.3, dtype=torch.float64)

    class Table(Case):
        def inputs(self, generator):
            return {"x": torch.randn(3, generator=generator)}

        def forward(self, t):
            t.table = table
            t.y = t.x * t.table
            return t.y

        def backward(self, t, d):
            raise AssertionError("not called")

    case = Table()
    inputs, _, _, cotangents, reference = prepare(case)
    spread(case, inputs, torch.float64, cotangents, {"x": reference["x"]})
    assert torch.equal(table, torch.full((3,), 0.3, dtype=torch.float64))


def test_moves_reach_locals():
    """A forward that assigns to t and computes on with the local is moved all the same."""

    class Local(Case):
        def inputs(self, generator):
            return {"x": torch.tensor([1.0])}

        def forward(self, t):
            h = t.x + 0.25
            t.h = h
            t.y = h * 2
            return t.y

        def backward(self, t, d):
            raise AssertionError("not called")

    from gradverify.ulp import move_

    inputs = draw_inputs(Local(), 0, torch.float32, torch.device("cpu"), frozenset())
    plain = values_of(run_forward(Local(), inputs, torch.float64).trace)
    moved = values_of(run_forward(Local(), inputs, torch.float64, on_assign=lambda _, one: move_(one, 0)).trace)
    assert plain["h"] != moved["h"]
    assert moved["y"] != 2.5
