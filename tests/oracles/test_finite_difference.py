"""The numerical oracle: small tensors element by element, large ones along random lines, wrong elements located."""

from __future__ import annotations

import pytest
import torch

import gallery
from gradverify.oracles.difference import CentralDifference, ForwardDifference, Richardson
from gradverify.oracles.finite_difference import FiniteDifference
from gradverify.witness import Stance
from oracles.samples import Kinks, KinksOutside, Parts, Sample, Tie, Waves, problem_of, wrong_at

ORACLE = FiniteDifference()


def reference(problem, name="x"):
    """The gradient by the hand-derived backward of the case, which is right."""
    from gradverify.evaluation import run_backward
    from gradverify.gradients import derived_of

    return derived_of(run_backward(problem.case, problem.run(), problem.cotangents))[name]


class Domain(Sample):
    """Logarithms of numbers from 1e-12 to 1."""

    def inputs(self, generator):
        return {"x": 10 ** torch.linspace(-12, 0, self.n)}

    def function(self, x):
        return torch.log(x)

    def slope(self, x):
        return 1 / x


class Mixed(Sample):
    """Numbers of unlike sizes, and an element that is infinite."""

    def inputs(self, generator):
        return {"x": torch.tensor([1e-8, 0.0, -1.0, 1e4, torch.inf])}

    def function(self, x):
        return torch.tanh(x) - torch.exp(-(x**2))

    def slope(self, x):
        return 1 - torch.tanh(x) ** 2 + (2 * x * torch.exp(-(x**2))).nan_to_num()


class Single(Sample):
    """Computed in float32 in the middle."""

    def function(self, x):
        return torch.sin(x.float()).double()


class Cancelling(Sample):
    """Loses ten digits in the middle."""

    def function(self, x):
        return (1e10 + torch.sin(x)) - 1e10


class Zero(Sample):
    """Does not depend on x."""

    def function(self, x):
        return 0 * x + 1

    def slope(self, x):
        return torch.zeros_like(x)


@pytest.mark.parametrize(
    ("scheme", "case"),
    [
        *[(Richardson(), case) for case in (Waves, Parts, Domain, Mixed, Single, Cancelling, Zero)],
        # Their steps are fixed beforehand, and leave the domain of a logarithm.
        *[(CentralDifference(), case) for case in (Waves, Parts, Mixed, Single, Cancelling, Zero)],
        *[(ForwardDifference(), case) for case in (Waves, Parts, Mixed, Single, Cancelling, Zero)],
    ],
    ids=lambda one: getattr(one, "__name__", type(one).__name__),
)
def test_every_element_lies_within_its_bar(scheme, case):
    """Whatever the forward loses inside, and wherever its domain ends."""
    oracle = FiniteDifference(scheme=scheme)
    problem = problem_of(case())
    for name in problem.values.keys() - set(problem.outputs):
        (estimate,) = oracle.gradients(problem, [name]).values()
        expected = reference(problem, name)
        known = estimate.error.isfinite()
        assert known.sum() >= len(expected) - 1
        assert ((estimate.gradient - expected).abs() <= estimate.error)[known].all(), name


def test_the_bar_is_sharp():
    """Ten digits of a smooth function of numbers around 1."""
    problem = problem_of(Waves())
    (estimate,) = ORACLE.gradients(problem, ["x"]).values()
    assert estimate.error.max() < 1e-10
    assert estimate.evaluations < 8 * 5 + 4
    assert estimate.jump is None


@pytest.mark.parametrize("case", [Waves, Parts])
def test_a_wrong_element_is_found(case):
    """By a millionth, in a tensor small enough to look at each element; and the right gradient agrees."""
    problem = problem_of(case())
    for name in problem.values.keys() - set(problem.outputs):
        right = reference(problem, name)
        assert ORACLE.check(problem, name, right).stance is Stance.AGREES
        witness = ORACLE.check(problem, name, wrong_at(right, 3, 1 + 1e-6))
        assert (witness.stance, witness.index) == (Stance.DISAGREES, (3,))
        assert witness.measured == pytest.approx(right[3].item(), rel=1e-8)


@pytest.mark.parametrize("flat", [0, 1, 12345, 39999])
def test_a_wrong_element_of_a_large_tensor_is_located(flat):
    """By halving, two forwards a time: 16 halvings of 40,000 elements, and two slopes with their bars."""
    problem = problem_of(Waves(n=40_000))
    right = reference(problem)
    witness = ORACLE.check(problem, "x", wrong_at(right, flat, 1.5))
    assert (witness.stance, witness.index) == (Stance.DISAGREES, (flat,))
    assert witness.claimed == pytest.approx(1.5 * right[flat].item())
    assert witness.measured == pytest.approx(right[flat].item(), abs=witness.error)
    assert witness.evaluations <= 4 + 6 + 2 * 16 + 6


def test_a_right_large_gradient_agrees():
    """Along a few lines, in a few forwards however many elements there are."""
    problem = problem_of(Waves(n=40_000))
    witness = ORACLE.check(problem, "x", reference(problem))
    assert witness.stance is Stance.AGREES
    assert witness.reason == "along 4 random lines through 40000 elements"
    assert witness.evaluations <= 4 + 4 * 8
    assert witness.error < 1e-6


@pytest.mark.parametrize(
    "plant", [lambda g: -g, lambda g: g * 1.01, lambda g: g.flip(0), torch.zeros_like, torch.ones_like]
)
def test_large_gradients_that_are_wrong_all_over(plant):
    """Are noticed, and some element that is wrong is named."""
    problem = problem_of(Waves(n=1000))
    right = reference(problem)
    witness = ORACLE.check(problem, "x", plant(right))
    assert witness.stance is Stance.DISAGREES
    at = witness.index[0]
    assert abs(plant(right)[at] - right[at]) > witness.error


def test_an_error_that_no_element_shows_alone():
    """Ten thousand small ones add up along a line; then the line is what is reported."""
    problem = problem_of(Parts(n=10_000))
    right = reference(problem)
    generator = torch.Generator().manual_seed(1)
    small = 3e-9 * torch.randn(right.shape, generator=generator, dtype=torch.float64)
    witness = ORACLE.check(problem, "x", right + small)
    if witness.stance is Stance.DISAGREES:
        assert witness.index is None or small[witness.index].abs() > witness.error
        assert "random line" in witness.reason or witness.index


def test_two_errors_that_cancel_on_one_line_show_on_another():
    """Equal and opposite, or equal: four lines of random signs leave a chance of one in sixteen, and repeat."""
    problem = problem_of(Waves(n=1000))
    right = reference(problem)
    for sign in (1, -1):
        changed = right.clone()
        changed[10] += 0.5
        changed[700] += 0.5 * sign
        witness = ORACLE.check(problem, "x", changed)
        assert witness.stance is Stance.DISAGREES
        assert witness.index in ((10,), (700,))


def test_the_domain_of_a_large_tensor():
    """Small positive numbers stay positive on every other line, and errors there are found."""
    problem = problem_of(Domain(n=200))
    right = reference(problem)
    assert ORACLE.check(problem, "x", right).stance is Stance.AGREES
    witness = ORACLE.check(problem, "x", wrong_at(right, 17, 1.5))
    assert (witness.stance, witness.index) == (Stance.DISAGREES, (17,))


def test_gradients_of_a_large_tensor_are_not_measured():
    """An element at a time would take too long; it says what to do instead."""
    (estimate,) = ORACLE.gradients(problem_of(Waves(n=65)), ["x"]).values()
    assert estimate.gradient is None
    assert estimate.reason == "x has 65 elements; finite_difference measures each of at most 64, and checks more"
    (estimate,) = FiniteDifference(elements=65).gradients(problem_of(Waves(n=65)), ["x"]).values()
    assert estimate.gradient is not None


def test_a_subgradient_is_recognised():
    """At kinks of their own, each element may lie between the slopes of both sides."""
    problem = problem_of(Kinks())
    witness = ORACLE.check(problem, "x", reference(problem))
    assert witness.stance is Stance.SUBGRADIENT
    assert witness.reason == "between the slopes of both sides, -4 and 0"
    other = reference(problem) * torch.tensor([1, 0, 1, 0.5, 1], dtype=torch.float64)
    assert ORACLE.check(problem, "x", other).stance is Stance.SUBGRADIENT


def test_what_lies_outside_of_both_sides_is_wrong():
    """The twin of the above."""
    problem = problem_of(KinksOutside())
    witness = ORACLE.check(problem, "x", reference(problem))
    assert (witness.stance, witness.index) == (Stance.DISAGREES, (1,))
    assert witness.reason == "outside the slopes of both sides, 0 and 2"


@pytest.mark.parametrize("share", [(1.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_shared_kink_leaves_it_open(share):
    """Which of two equal numbers is the maximum: each of the gradients fits its element, not all of them fit both."""
    problem = problem_of(Tie())
    candidate = torch.tensor([0.0, *share, 0.0], dtype=torch.float64)
    assert ORACLE.check(problem, "x", candidate).stance is Stance.KINK


def test_a_shared_kink_does_not_excuse_what_fits_no_side():
    """Twice the gradient is wrong."""
    problem = problem_of(Tie())
    assert ORACLE.check(problem, "x", torch.tensor([0.0, 2.0, 0, 0]).double()).stance is Stance.DISAGREES


def test_kinks_in_a_large_tensor():
    """Leave it open, unless an element that lies at none is wrong."""
    problem = problem_of(gallery.MaxPool())
    right = reference(problem)
    assert ORACLE.check(problem, "x", right).stance is Stance.KINK
    assert ORACLE.check(problem, "x", torch.zeros_like(right)).stance is Stance.DISAGREES


@pytest.mark.parametrize(
    "case", [case for case in gallery.RIGHT if case not in (gallery.LongSum, gallery.CausalAttention)]
)
def test_hard_right_cases_are_not_contradicted(case):
    """Ties, kinks, saturation and cancellation widen the bar or leave it open."""
    problem = problem_of(case())
    for name in problem.values.keys() - set(problem.outputs):
        witness = ORACLE.check(problem, name, reference(problem, name), allowed=1e-12)
        assert witness.stance is not Stance.DISAGREES, str(witness)


def test_a_forward_that_raises_nearby():
    """Does not stop the run: the oracle does not apply, and says why."""

    class Strict(Waves):
        def inputs(self, generator):
            return {"x": torch.arange(5.0)}

        def function(self, x):
            if (x != x.round()).any():
                raise ValueError("x must be whole numbers")
            return torch.sin(x)

    witness = ORACLE.check(problem_of(Strict()), "x", torch.zeros(5, dtype=torch.float64))
    assert witness.stance is Stance.ABSENT
    assert witness.reason.startswith("the forward raised ValueError: x must be whole numbers (")
    assert "test_finite_difference.py" in witness.reason
