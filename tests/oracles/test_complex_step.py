"""The complex step: exact on analytic forwards, and never silent about one that is not."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from gradverify.oracles.analytic import AnalyticOnly, NotAnalytic
from gradverify.oracles.complex_step import ComplexStep
from gradverify.witness import Stance
from oracles.samples import Copied, Custom, Detached, Parts, Sample, Waves, problem_of, wrong_at
from oracles.test_finite_difference import reference

ORACLE = ComplexStep()

ANALYTIC = {
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "log of squares": lambda x: torch.log(x**2 + 1),
    "roots": lambda x: (x**2 + 0.5).sqrt() + (x**2 + 0.5).rsqrt(),
    "whole powers": lambda x: x**3 + x**-1 + x**1 + x**0,
    "other powers": lambda x: (x**2) ** 2.5,
    "quotient": lambda x: (x - 1) / (x**2 + 2),
    "matrix product": lambda x: torch.outer(x, x) @ torch.arange(5.0).double(),
    "linear": lambda x: functional.linear(x, torch.ones(2, 5), torch.ones(2)),
    "einsum": lambda x: torch.einsum("i,j->ij", x, x),
    "softmax": lambda x: torch.softmax(3 * x, 0) * torch.arange(5.0),
    "log_softmax": lambda x: functional.log_softmax(x, 0)[2],
    "logsumexp": lambda x: torch.logsumexp(x, 0),
    "softplus": functional.softplus,
    "silu": functional.silu,
    "mse_loss": lambda x: functional.mse_loss(x, torch.ones(5)),
    "reductions": lambda x: x.mean() + x.prod() + x.cumsum(0).sum(),
    "rearrangements": lambda x: torch.cat([x.flip(0), x[1:3], x[[0, 4, 4]], torch.stack([x, x]).T.reshape(-1)]),
    "masked": lambda x: x.masked_fill(torch.arange(5) > 2, 0.0) + torch.where(torch.arange(5) > 1, x, x**2),
    "in place": lambda x: (x * 1).mul_(x).add_(1),
    "determinant": lambda x: torch.linalg.det(torch.eye(5) + torch.outer(x, x)),
    "inverse": lambda x: torch.linalg.inv(torch.eye(5) * 3 + torch.outer(x, x)).sum(),
    "a new tensor": lambda x: torch.zeros_like(x) + torch.ones_like(x) * x,
}
NOT_ANALYTIC = {
    "relu": torch.relu,
    "abs": torch.abs,
    "max": torch.max,
    "maximum": lambda x: torch.maximum(x, -x),
    "clamp": lambda x: x.clamp(min=0),
    "a comparison": lambda x: x * (x > 0),
    "equality": lambda x: torch.where(x == 0, x, 2 * x),
    "a branch": lambda x: x if x[0] > 0 else -x,
    "norm": torch.linalg.vector_norm,
    "a sign": torch.sgn,
    "an angle": torch.angle,
    "rounding": lambda x: x.round(),
    "standard deviation": torch.std,
    "conjugate": lambda x: torch.conj(x).resolve_conj() * x,
    "dot with itself": lambda x: torch.vdot(x, x),
    "real part": torch.real,
    "a cast": lambda x: x.to(torch.int64).double() * x,
    "an item": lambda x: x * x.sum().item(),
    "sort": lambda x: x.sort().values,
    "gelu": functional.gelu,
    "a buffer of real numbers": lambda x: torch.zeros(5).copy_(x),
}


def sample(function):
    class Case(Sample):
        def forward(self, t):
            t.y = function(t.x)
            t.loss = t.y.sum()
            return t.loss

    return problem_of(Case())


def by_autograd(problem):
    from gradverify.evaluation import run_autograd

    return run_autograd(problem.case, problem.run(), problem.cotangents)["x"]


@pytest.mark.parametrize("name", ANALYTIC)
def test_analytic_functions(name):
    """To rounding, as autograd has them; functions that torch lacks for complex numbers are written out."""
    problem = sample(ANALYTIC[name])
    expected = by_autograd(problem)
    witness = ORACLE.check(problem, "x", expected)
    assert witness.stance is Stance.AGREES, str(witness)
    assert witness.error < 1e-10
    off = ORACLE.check(problem, "x", wrong_at(expected, 1, 1 + 1e-9) + 1e-9)
    assert off.stance is Stance.DISAGREES


@pytest.mark.parametrize("name", NOT_ANALYTIC)
def test_other_functions_are_refused(name):
    """By name and line, and never wrong in silence."""
    problem = sample(NOT_ANALYTIC[name])
    witness = ORACLE.check(problem, "x", by_autograd(problem))
    assert witness.stance is Stance.ABSENT, str(witness)
    assert "test_complex_step.py:" in witness.reason
    assert "analytic" in witness.reason or "writes into a real tensor" in witness.reason


def test_without_the_check_they_would_pass():
    """The planted mistake: |x| on complex numbers is real, and its derivative comes out as zero."""
    z = torch.complex(torch.ones(2).double(), torch.full((2,), 2.0**-100).double())
    assert not z.abs().is_complex()
    with AnalyticOnly(), pytest.raises(NotAnalytic, match="abs is not known to be analytic"):
        z.abs()
    with AnalyticOnly():
        assert torch.ones(2).abs().sum() == 2.0


def test_an_imaginary_part_that_gets_lost_shows():
    """High powers go through logarithms, where that of a negative base drowns: a second step tells another story."""
    problem = sample(lambda x: x**65)
    witness = ORACLE.check(problem, "x", by_autograd(problem))
    assert witness.stance is Stance.ABSENT
    assert witness.reason.startswith("steps of 2^-100 and 2^-80 give ")


@pytest.mark.parametrize("n", [5, 1000])
def test_intermediates_and_large_tensors(n):
    """Elements upstream of the tensor stay real, and may be anything."""

    class Upstream(Sample):
        def forward(self, t):
            t.y = torch.relu(t.x) + 1
            t.z = torch.log(t.y)
            t.loss = t.z.sum()
            return t.loss

    problem = problem_of(Upstream(n=n))
    right = 1 / problem.values["y"]
    assert ORACLE.check(problem, "y", right).stance is Stance.AGREES
    witness = ORACLE.check(problem, "y", wrong_at(right, 3, 1.5))
    assert (witness.stance, witness.index) == (Stance.DISAGREES, (3,))
    assert ORACLE.check(problem, "x", torch.zeros(n).double()).stance is Stance.ABSENT


def test_it_does_not_ask_autograd():
    """A custom Function's backward is not used: the right gradient agrees and the copied mistake does not."""
    problem = problem_of(Custom())
    assert ORACLE.check(problem, "x", reference(problem)).stance is Stance.AGREES
    assert ORACLE.check(problem, "x", reference(problem_of(Copied()))).stance is Stance.DISAGREES
    problem = problem_of(Detached())
    assert ORACLE.check(problem, "x", 2 * problem.values["x"]).stance is Stance.AGREES


def test_several_outputs():
    """All of them count."""
    problem = problem_of(Parts())
    assert ORACLE.check(problem, "x", reference(problem)).stance is Stance.AGREES
    assert ORACLE.check(problem, "square", reference(problem, "square")).stance is Stance.AGREES


def test_real_numbers_may_do_anything():
    """Only what depends on the tensor is held to the rules."""
    problem = sample(lambda x: x * torch.arange(5.0).max().abs() + (torch.arange(5) > 2).double())
    assert ORACLE.check(problem, "x", by_autograd(problem)).stance is Stance.AGREES
    assert ORACLE.check(problem_of(Waves()), "x", torch.zeros(5).double()).stance is Stance.DISAGREES
