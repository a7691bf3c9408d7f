"""A case as a function of one of its tensors: the others stay as they are, whatever shares memory or a name."""

from __future__ import annotations

import pytest
import torch

import gallery
from gradverify.errors import GradverifyError
from gradverify.oracles.problem import Problem
from oracles.samples import Parts, Sample, Waves, drawn, problem_of


class Flattened(Sample):
    """A view of x and x itself both go on: the gradient of the view leaves out what x does alone."""

    def forward(self, t):
        t.flat = t.x.view(-1)
        t.loss = (t.flat * t.x.sum()).sum()
        return t.loss


class Local(Sample):
    """The tensor goes on through a local variable, and through a view of it."""

    def forward(self, t):
        y = t.x**2
        t.y = y
        t.loss = (y * y.view(-1)).sum()
        return t.loss


class TwoNames(Sample):
    """One tensor under two names: the second is a use of the first, as its gradient has it."""

    def forward(self, t):
        t.y = t.x * 2
        t.half = t.y.sum()
        t.z = t.y
        t.loss = t.half + (t.z**2).sum()
        return t.loss


class Expanded(Sample):
    """Many elements in the memory of one."""

    def forward(self, t):
        t.wide = t.x.expand(3, self.n)
        t.loss = (t.wide * torch.arange(1.0, 4.0)[:, None]).sum()
        return t.loss


class Transposed(Sample):
    """A view that is not contiguous."""

    def forward(self, t):
        t.square = t.x.outer(t.x)
        t.turned = t.square.T
        t.loss = (t.turned * torch.arange(self.n)).sum()
        return t.loss


class Infinite(Sample):
    """An output of which one element is infinite."""

    def forward(self, t):
        t.y = t.x / (torch.arange(self.n) > 0)
        return t.y


def rise_of(problem, name, flat, by=1e-3):
    value = problem.values[name].clone(memory_format=torch.contiguous_format)
    value.view(-1)[flat] += by
    return problem.rise(name, value).item() / by


@pytest.mark.parametrize(
    ("case", "name", "flat", "expected"),
    [
        (Flattened, "flat", 1, lambda x: x.sum()),
        (Flattened, "x", 1, lambda x: 2 * x.sum() + 1e-3),
        (Local, "y", 1, lambda x: 2 * x[1] ** 2 + 1e-3),
        (TwoNames, "y", 1, lambda x: 1 + 4 * x[1] + 1e-3),
        (TwoNames, "z", 1, lambda x: 4 * x[1] + 1e-3),
        (Expanded, "wide", 7, lambda _: 2.0),
        (Expanded, "x", 1, lambda _: 6.0),
        (Transposed, "turned", 7, lambda _: 2.0),
    ],
)
def test_one_tensor_alone_is_changed(case, name, flat, expected):
    """As its gradient means it: not what it is a view of, but whatever is computed from it."""
    problem = problem_of(case())
    assert rise_of(problem, name, flat) == pytest.approx(float(expected(problem.values["x"])), rel=1e-9)


def test_all_outputs_count_with_their_cotangents():
    """L is the sum of their inner products."""
    problem = problem_of(Parts())
    x = problem.values["x"]
    moved = x + 0.125
    changes = [(moved**2 - x**2) @ problem.cotangents["first"], (-(moved**2)).exp().sum() - (-(x**2)).exp().sum()]
    assert problem.cotangents["second"] == 1.0
    assert problem.rise("x", moved).item() == pytest.approx(float(sum(changes)), rel=1e-12)


def test_the_inputs_are_left_alone():
    """Every run starts from them."""
    problem = problem_of(Waves())
    before = problem.inputs.values["x"].clone()
    assert problem.rise("x", torch.zeros(5, dtype=torch.float64)).item() != 0.0
    assert torch.equal(problem.inputs.values["x"], before)
    assert problem.rise("x", problem.values["x"]).item() == 0.0


def test_an_output_that_is_not_finite():
    """Has no derivative to be told, and that is said before anything is measured."""
    with pytest.raises(GradverifyError, match="the output y is not finite"):
        problem_of(Infinite())


def test_a_draw_moves_everything_else():
    """By about a unit in the last place, so that what rounding does to the forward shows."""
    problem = problem_of(Waves(n=100))
    x = problem.values["x"]
    rises = {problem.rise("x", x, draw).item() for draw in range(4)}
    assert len(rises) > 1
    assert max(map(abs, rises)) < 1e-12


def test_runs_are_counted():
    """The first one, that shows the values, among them."""
    problem = problem_of(Waves())
    assert problem.evaluations == 1
    problem.rise("x", problem.values["x"])
    assert problem.evaluations == 2


def test_what_is_found_once_is_not_looked_for_again():
    """An oracle that gives all gradients at once runs once."""
    problem = problem_of(Waves())
    assert [problem.once("autograd", lambda: problem.run().outputs) for _ in range(3)] == [("loss",)] * 3
    assert problem.evaluations == 2


def test_what_rounding_may_do_is_measured():
    """A few units of a gradient's own size, and more of a sum of both signs; runs of the noise are counted apart."""
    problem = problem_of(Waves())
    assert 64 * 2.0**-53 < problem.allowed_for("x") < 1e-12
    assert problem.evaluations == 1
    cancelling = problem_of(gallery.CancellingBias())
    assert cancelling.allowed_for("b") > 1e-9 * cancelling.run().trace["b"].new_tensor(1e-5)


def test_cotangents_come_from_an_earlier_pass():
    """At whatever precision it ran."""
    inputs = drawn(Parts(), dtype=torch.float32)
    given = {"first": torch.full((5,), 2.0), "second": torch.tensor(3.0)}
    problem = Problem(Parts(), inputs, given)
    assert problem.cotangents["first"].dtype == torch.float64
    assert problem.cotangents["second"].item() == 3.0


def test_the_roundoff_is_that_of_the_coarsest_tensor():
    """A forward that computes in float32 inside cannot be seen more sharply."""

    class Coarse(Sample):
        def forward(self, t):
            t.y = t.x.float()
            t.loss = t.y.double().sum()
            return t.loss

    assert problem_of(Waves()).unit == 2.0**-53
    assert problem_of(Coarse()).unit == 2.0**-24
