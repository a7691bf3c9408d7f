"""Autograd as an oracle: all gradients from one backward, exact but for rounding."""

from __future__ import annotations

import pytest
import torch

from gradverify.oracles.autograd import Autograd
from gradverify.witness import Stance
from oracles.samples import Custom, Parts, Sample, problem_of, wrong_at
from oracles.test_finite_difference import reference

ORACLE = Autograd()


def test_all_gradients_come_from_one_run():
    """Inputs, intermediates and outputs."""
    problem = problem_of(Parts())
    before = problem.evaluations
    estimates = ORACLE.gradients(problem, problem.values)
    assert set(estimates) == {"x", "square", "first", "second"}
    assert torch.allclose(estimates["x"].gradient, reference(problem), rtol=1e-14)
    assert ORACLE.check(problem, "x", reference(problem)).stance is Stance.AGREES
    assert problem.evaluations - before == 1 + 2  # one for autograd, two for `reference`


@pytest.mark.parametrize("n", [5, 5000])
def test_a_wrong_element_is_found(n):
    """Whatever the size of the tensor."""
    problem = problem_of(Parts(n=n))
    witness = ORACLE.check(problem, "x", wrong_at(reference(problem), 3, 1 + 1e-12))
    assert (witness.stance, witness.index) == (Stance.DISAGREES, (3,))


def test_it_repeats_the_mistakes_of_a_custom_function():
    """Which is why there are others."""
    problem = problem_of(Custom())
    assert ORACLE.check(problem, "x", reference(problem)).stance is Stance.DISAGREES


def test_a_backward_that_raises():
    """The oracle does not apply, and says why."""

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x * 2

        @staticmethod
        def backward(_, __):
            raise RuntimeError("not today")

    class Case(Sample):
        def function(self, x):
            return Broken.apply(x)

    witness = ORACLE.check(problem_of(Case()), "x", torch.ones(5).double())
    assert witness.stance is Stance.ABSENT
    assert witness.reason.startswith("the forward raised RuntimeError: not today")
