"""Dual numbers through the forward, for inputs and intermediates; where torch has none for an operation, it says so."""

from __future__ import annotations

import pytest
import torch

from gradverify.oracles.forward_mode import ForwardMode
from gradverify.witness import Stance
from oracles.samples import Custom, Kinks, Parts, Sample, Waves, problem_of, wrong_at
from oracles.test_finite_difference import reference

ORACLE = ForwardMode()


class Distances(Sample):
    """An operation without forward mode."""

    def function(self, x):
        return torch.cdist(x[:, None], x[None, :, None].sum(1))


class View(Sample):
    """An intermediate that is a view."""

    def forward(self, t):
        t.row = t.x[None]
        t.loss = (t.row**2).sum()
        return t.loss


@pytest.mark.parametrize("case", [Waves(), Parts(), Kinks(), Waves(n=1000), Parts(n=1000)], ids=repr)
def test_right_gradients_agree(case):
    """To rounding: a forward an element, or one a random line."""
    problem = problem_of(case)
    for name in problem.values.keys() - set(problem.outputs):
        expected = reference(problem, name)
        if isinstance(case, Kinks):
            expected = expected * (problem.values["x"] != 0) if name == "x" else expected
        witness = ORACLE.check(problem, name, expected)
        assert witness.stance is Stance.AGREES, str(witness)
        assert witness.evaluations == (len(expected) if len(expected) <= 64 else 4)
        assert witness.error < 1e-10


@pytest.mark.parametrize("n", [5, 1000])
def test_a_wrong_element_is_found(n):
    """By a part in 10^9, and named."""
    problem = problem_of(Parts(n=n))
    for name in ("x", "square"):
        right = reference(problem, name)
        witness = ORACLE.check(problem, name, wrong_at(right, 3, 1 + 1e-9))
        assert (witness.stance, witness.index) == (Stance.DISAGREES, (3,))


def test_an_output_is_its_own_gradient():
    """What is paired with the cotangent is the tangent itself."""
    problem = problem_of(Waves())
    assert ORACLE.check(problem, "loss", torch.ones(()).double()).stance is Stance.AGREES


def test_what_nothing_depends_on():
    """Has a gradient of zero."""

    class Aside(Waves):
        def forward(self, t):
            t.aside = t.x * 2
            return super().forward(t)

    problem = problem_of(Aside())
    assert ORACLE.check(problem, "aside", torch.zeros(5).double()).stance is Stance.AGREES
    assert ORACLE.check(problem, "aside", torch.ones(5).double()).stance is Stance.DISAGREES


@pytest.mark.parametrize(
    ("case", "name", "reason"),
    [
        (Distances, "x", "torch has no forward mode for _cdist_forward"),
        (Custom, "x", "the autograd.Function defines no jvp"),
        (View, "row", "row is a view of another tensor, which would share its tangent"),
    ],
)
def test_where_it_does_not_apply(case, name, reason):
    """It names the operation and the line."""
    problem = problem_of(case())
    witness = ORACLE.check(problem, name, torch.zeros_like(problem.values[name]))
    assert witness.stance is Stance.ABSENT
    assert witness.reason.startswith(reason)
    if case is not View:
        assert ".py:" in witness.reason


def test_the_values_do_not_change():
    """A tangent is attached to a tensor that stays as it is."""
    problem = problem_of(Parts())
    (estimate,) = ORACLE.gradients(problem, ["square"]).values()
    assert torch.allclose(estimate.gradient, reference(problem, "square"), rtol=1e-14, atol=1e-14)
