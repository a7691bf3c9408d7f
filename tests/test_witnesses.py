"""Witnesses in a whole run: what verifying a case or a candidate says where oracles agree, and where they do not."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.autograd import Function

from gradverify import Case, Verdict, check, verify
from gradverify.errors import GradientMismatch, UsageError
from gradverify.oracles.difference import CentralDifference
from gradverify.oracles.finite_difference import FiniteDifference
from gradverify.settings import ORACLES
from gradverify.witness import Stance
from oracles.samples import (
    Copied,
    Cube,
    Custom,
    Detached,
    Kinks,
    KinksOutside,
    Parts,
    Sample,
    Softplus,
    Tie,
    Waves,
)

ALL = [name for name in ORACLES if name != "autograd"]


class WrongMatmul(Function):
    """Its second gradient is off by a thousandth."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    def backward(ctx, gradient):
        a, b = ctx.saved_tensors
        return gradient @ b.T, a.T @ gradient * 1.001


class Matmul(Case):
    """A wrong matrix product in the forward; the gradients derived by hand are right."""

    __test__ = False
    n: int = 4

    def inputs(self, generator):
        return {
            "a": torch.randn(self.n, 3, generator=generator),
            "b": torch.randn(3, self.n, generator=generator),
        }

    def forward(self, t):
        t.y = WrongMatmul.apply(t.a, t.b)
        t.z = torch.tanh(t.y)
        return t.z

    def backward(self, t, d):
        d.y = d.z * (1 - t.z**2)
        d.a = d.y @ t.b.T
        d.b = t.a.T @ d.y


class WrongSoftmax(Function):
    """Only the diagonal of its Jacobian."""

    @staticmethod
    def forward(ctx, x):
        p = torch.softmax(x, -1)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx, gradient):
        (p,) = ctx.saved_tensors
        return p * gradient


class Softmax(Case):
    """A wrong normalisation between a matrix product and the loss."""

    __test__ = False
    n: int = 4

    def inputs(self, generator):
        return {"x": torch.randn(self.n, 5, generator=generator), "w": torch.randn(5, 5, generator=generator)}

    def forward(self, t):
        t.h = t.x @ t.w
        t.p = WrongSoftmax.apply(t.h)
        t.loss = (t.p**2).sum()
        return t.loss

    def backward(self, t, d):
        d.p = 2 * t.p * d.loss
        d.h = t.p * (d.p - (t.p * d.p).sum(-1, keepdim=True))
        d.x = d.h @ t.w.T
        d.w = t.x.T @ d.h


class SoftmaxCopied(Softmax):
    """Planted: the mistake of the Function, copied."""

    def backward(self, t, d):
        d.p = 2 * t.p * d.loss
        d.h = t.p * d.p
        d.x = d.h @ t.w.T
        d.w = t.x.T @ d.h


class SoftmaxDoubled(Softmax):
    """Planted: a mistake of its own besides."""

    def backward(self, t, d):
        super().backward(t, d)
        d.w = 2 * t.x.T @ d.h


class Normalised(Case):
    """The bias before a normalisation has no effect."""

    __test__ = False
    expected_zero = {"b"}

    def inputs(self, generator):
        return {
            "x": torch.randn(8, 3, generator=generator),
            "w": torch.randn(3, 2, generator=generator),
            "b": torch.randn(2, generator=generator),
        }

    def forward(self, t):
        t.h = t.x @ t.w + t.b
        t.centred = t.h - t.h.mean(0)
        t.y = t.centred / torch.sqrt((t.centred**2).mean(0) + 1e-5)
        return t.y

    def backward(self, t, d):
        scale = torch.rsqrt((t.centred**2).mean(0) + 1e-5)
        d.centred = scale * (d.y - t.centred * scale**2 * (d.y * t.centred).mean(0))
        d.h = d.centred - d.centred.mean(0)
        d.b = d.h.sum(0)
        d.x = d.h @ t.w.T
        d.w = t.x.T @ d.h


class NormalisedOff(Normalised):
    """Planted: a bias gradient that is not zero."""

    def backward(self, t, d):
        super().backward(t, d)
        d.b = d.h.sum(0) + 1e-3


class Absolute(Sample):
    """|x| with one element at the kink, where the candidate takes what `at_zero` says."""

    at_zero = 0.3

    def inputs(self, generator):
        return {"x": torch.tensor([1.0, 0.0, -2.0, 3.0])}

    def function(self, x):
        return x.abs()

    def slope(self, x):
        return torch.where(x == 0, self.at_zero, x.sign())


class LeftSlope(Absolute):
    at_zero = -1.0


class TooSteep(Absolute):
    """Planted: steeper than either side."""

    at_zero = 1.5


class AlsoOff(Absolute):
    """Planted: beside the kink an error that finite differences cannot see."""

    def slope(self, x):
        return super().slope(x) * (1 + 1e-11 * (x == 1))


class LargeRelu(Case):
    """Integers, so that many of 400 elements are at the kink, where the candidate takes the slope of the right side."""

    __test__ = False

    def inputs(self, generator):
        return {"x": torch.randint(-3, 4, (20, 20), generator=generator).float()}

    def forward(self, t):
        t.y = torch.relu(t.x)
        return t.y

    def backward(self, t, d):
        d.x = d.y * (t.x >= 0)


class LargeReluOff(LargeRelu):
    """Planted: one element."""

    def backward(self, t, d):
        d.x = d.y * (t.x >= 0)
        d.x[3, 4] += 0.1


class LargeTie(Case):
    """The largest of a row, where two are the same; both get the whole gradient, which no choice of one allows."""

    __test__ = False

    def inputs(self, generator):
        x = torch.randn(20, 20, generator=generator)
        x[3, 4] = x[3, 7] = 9.0
        return {"x": x}

    def forward(self, t):
        t.y = t.x.max(1).values
        return t.y

    def backward(self, t, d):
        d.x = d.y[:, None] * (t.x == t.y[:, None])


def verdicts(report):
    return {row.name: str(row.verdict) for row in report.rows}


RESULTS = [
    (Waves, {"y": "exact", "x": "exact"}),
    (Parts, {"square": "ok", "x": "ok"}),
    (Custom, {"y": "exact", "x": "disputed"}),
    (Copied, {"y": "exact", "x": "disputed"}),
    (Softplus, {"y": "exact", "x": "disputed"}),
    (Kinks, {"y": "exact", "x": "subgradient"}),
    (KinksOutside, {"y": "exact", "x": "wrong"}),
    (Tie, {"x": "inconclusive"}),
    (Matmul, {"y": "ok", "a": "ok", "b": "disputed"}),
    (Softmax, {"p": "exact", "h": "disputed", "x": "disputed", "w": "disputed"}),
    (SoftmaxCopied, {"p": "exact", "h": "disputed", "x": "disputed", "w": "disputed"}),
    (SoftmaxDoubled, {"p": "exact", "h": "disputed", "x": "disputed", "w": "wrong"}),
    (NormalisedOff, {"centred": "ok", "h": "ok", "b": "wrong", "x": "ok", "w": "ok"}),
    (Absolute, {"y": "exact", "x": "subgradient"}),
    (LeftSlope, {"y": "exact", "x": "subgradient"}),
    (TooSteep, {"y": "exact", "x": "wrong"}),
    (AlsoOff, {"y": "exact", "x": "wrong"}),
    (LargeRelu, {"x": "subgradient"}),
    (LargeReluOff, {"x": "wrong"}),
    (LargeTie, {"x": "inconclusive"}),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("case", "expected"), RESULTS, ids=lambda one: getattr(one, "__name__", None))
def test_what_a_run_with_all_witnesses_says(case, expected, dtype):
    """Wrong Functions in the forward, kinks, ties, ordinary mistakes; right ones raise no alarm."""
    report = verify(case, oracles=ALL, dtype=dtype)
    alike = {"ok": "exact"}  # which of the two depends on the machine and the precision
    assert {name: alike.get(one, one) for name, one in verdicts(report).items()} == {
        name: alike.get(one, one) for name, one in expected.items()
    }
    assert report.passed is all(one in ("exact", "ok", "subgradient") for one in expected.values())
    assert all([one.oracle for one in row.witnesses] == ALL for row in report.rows)


@pytest.mark.parametrize("seed", range(3))
def test_a_gradient_that_is_zero_in_exact_arithmetic(seed):
    """Every oracle that applies agrees with the rest that rounding leaves of it."""
    report = verify(Normalised, oracles=ALL, seed=seed)
    assert report.passed, str(report)
    stances = {witness.stance for row in report.rows for witness in row.witnesses}
    assert stances == {Stance.AGREES, Stance.ABSENT}


def test_the_first_line_says_who_stands_alone():
    """And the statement at which the dispute begins; the rows that follow from it inherit it."""
    first, *_ = text = str(verify(Softmax, oracles=ALL)).splitlines()
    assert first.startswith(
        "Softmax[float32]: 3 of 4 gradients disputed, 2 of them inherited; first: h (disputed) where autograd stands "
        "alone: finite_difference and complex_step say what the candidate says, at "
    )
    assert "x, w (inherited): inherits the dispute over d.h" in text
    assert any("finite_difference sides with the candidate: " in line for line in text)
    assert any(line.startswith("forward_mode does not apply to h, x, w: ") for line in text)


def test_the_first_line_explains_softplus():
    """By what torch computes in its place."""
    first = str(verify(Softplus, oracles=["finite_difference", "forward_mode"])).splitlines()[0]
    assert "x (disputed) where autograd stands alone: finite_difference and forward_mode say what the" in first
    assert "with softplus as log(1 + exp(x)) everywhere, where torch computes x beyond its threshold of 20" in first


def test_a_copied_mistake_is_contradicted():
    """By all who do not trust the Function; without them it passes, which is why they exist."""
    assert verify(SoftmaxCopied).passed
    report = verify(SoftmaxCopied, oracles=ALL)
    assert report["h"].hints[0] == "finite_difference and complex_step contradict the candidate and autograd"
    assert report["h"].origin is None
    alone = verify(SoftmaxCopied, oracles="complex_step")
    assert alone["h"].hints[0] == "complex_step stands alone against the candidate and autograd"


def test_an_ordinary_mistake_keeps_its_diagnosis():
    """Beside a dispute it does not cause."""
    report = verify(SoftmaxDoubled, oracles=ALL)
    assert "2" in report["w"].hints[0]
    assert "finite_difference disagrees at" in str(report)
    # The dispute comes first, and its first hint is told once.
    assert str(report).splitlines()[0].count("autograd stands alone") == 1


def test_what_a_subgradient_shows():
    """It passes, and the report has the two slopes."""
    report = verify(Absolute, oracles=["finite_difference"])
    assert report.passed
    text = str(report)
    assert "2 of 2 gradients right, 1 subgradient" in text.splitlines()[0]
    assert "x: finite_difference finds a kink at [1]: 0.3 claimed, " in text
    assert "(between the slopes of both sides, -1 and 1)" in text


@pytest.mark.parametrize("n", [4, 100])
def test_a_wrong_function_in_a_large_forward(n):
    """Along random lines as well as element by element."""
    report = verify(Matmul(n=n), oracles=["finite_difference"])
    assert verdicts(report)["b"] == "disputed"
    assert report["b"].witnesses[0].stance is Stance.AGREES


def test_another_oracle_as_the_reference():
    """The first gives it; autograd is then a witness, and the one that stands alone."""
    report = verify(Custom, oracles=["complex_step", "autograd"])
    assert verdicts(report) == {"y": "exact", "x": "disputed"}
    assert [one.oracle for one in report["x"].witnesses] == ["autograd"]
    assert report["x"].hints[0] == "autograd stands alone against the candidate and complex_step"
    copied = verify(Copied, oracles=["complex_step", "autograd"])
    assert copied["x"].hints[0] == "complex_step stands alone: autograd says what the candidate says"
    assert copied["x"].worst is not None
    assert verify(Waves, oracles=["finite_difference", "autograd"]).passed
    assert not verify(KinksOutside, oracles=["finite_difference", "autograd"]).passed


def test_a_reference_that_does_not_know_the_whole_gradient():
    """Autograd stays the reference of such a row, and the first oracle becomes a witness."""
    report = verify(Waves(n=100), oracles=["complex_step", "autograd"])
    assert [one.oracle for one in report["x"].witnesses] == ["complex_step"]
    detached = verify(Detached, oracles=["finite_difference", "autograd"])
    assert detached.passed, str(detached)
    assert detached["x"].witnesses[0].stance is Stance.ABSENT


def test_an_oracle_with_options_of_its_own():
    """In the place of its name."""
    report = verify(Waves, oracles=[FiniteDifference(scheme=CentralDifference(step=1e-6))])
    (witness,) = report["x"].witnesses
    assert witness.stance is Stance.AGREES
    assert 1e-11 < witness.error < 1e-6


@pytest.mark.parametrize(
    ("oracles", "message"),
    [
        ("finite_diference", "oracles: there is no oracle 'finite_diference'; did you mean 'finite_difference'?"),
        (["autograd", "oracle"], "oracles: there is no oracle 'oracle'; "),
        ([], "oracles: expected at least one, got none"),
        ([3], "oracles: expected the names of oracles, or oracles themselves, got 3"),
        ([FiniteDifference], "the class FiniteDifference, make one: FiniteDifference()"),
        ([FiniteDifference(), FiniteDifference(seed=1)], "two of them are called 'finite_difference'"),
    ],
)
def test_what_is_no_oracle(oracles, message):
    """Is refused before anything runs."""
    with pytest.raises(UsageError) as caught:
        verify(Waves, oracles=oracles)
    assert message in caught.value.message


def test_settings_of_a_case_and_of_the_call():
    """The call wins over the class."""

    class Own(Custom):
        oracles = "finite_difference"

    assert [one.oracle for one in verify(Own)["x"].witnesses] == ["finite_difference"]
    assert verify(Own)["x"].verdict is Verdict.DISPUTED
    assert verify(Own, oracles="autograd")["x"].witnesses == ()
    assert verify(Own, oracles="autograd")["x"].verdict is Verdict.WRONG
    with pytest.raises(GradientMismatch, match="autograd stands alone"):
        check(Own)


def test_a_quick_run_says_that_it_hears_no_witness():
    """They need float64."""
    report = verify(Waves, oracles=ALL, quick=True)
    assert report.notes[-1] == "quick: the witnesses were not heard, who need float64"
    assert report["x"].witnesses == ()
    assert not any("witness" in note for note in verify(Waves, quick=True).notes)


def test_a_known_dispute():
    """Is listed as any other failure."""

    class Known(Custom):
        known = {("x", "float32"): "issue 5"}

    report = verify(Known, oracles=ALL)
    assert report.passed
    assert report["x"].verdict is Verdict.KNOWN
    assert report["x"].hints[0] == "issue 5 (disputed)"


def test_a_forward_that_no_oracle_can_run():
    """No witness applies, each says why, and the verdict stands."""

    class Overflowing(Sample):
        def function(self, x):
            return torch.where(x > 0, torch.exp(1e4 * x), x)

        def slope(self, x):
            return torch.where(x > 0, 1e4 * torch.exp(1e4 * x), 1.0)

    report = verify(Overflowing, oracles=ALL)
    witnesses = report["x"].witnesses
    assert {one.stance for one in witnesses} == {Stance.ABSENT}
    assert all("not finite" in one.reason for one in witnesses)


def softplus(x, w):
    return torch.nn.functional.softplus(x @ w)


class SoftplusByHand(Function):
    """Its gradient is the exact one."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return softplus(x, w)

    @staticmethod
    def backward(ctx, gradient):
        x, w = ctx.saved_tensors
        gradient = gradient * torch.sigmoid(x @ w)
        return gradient @ w.T, x.T @ gradient


def arguments(scale):
    generator = torch.Generator().manual_seed(0)
    return [scale * torch.randn(4, 3, generator=generator), scale * torch.randn(3, 2, generator=generator)]


class TestCandidates:
    """A candidate with a backward of its own: witnesses differentiate its reference."""

    def test_a_right_one(self):
        """All who apply agree, on gradients and not on outputs."""
        report = verify(SoftplusByHand.apply, inputs=arguments(1.0), reference=softplus, oracles=ALL)
        assert report.passed, str(report)
        stances = [one.stance for one in report["x"].witnesses]
        assert stances == [Stance.AGREES, Stance.AGREES, Stance.AGREES, Stance.ABSENT]
        assert report["output"].witnesses == ()

    def test_a_reference_that_approximates(self):
        """Beyond the threshold the candidate is the right one."""
        report = verify(SoftplusByHand.apply, inputs=arguments(10.0), reference=softplus, oracles=ALL)
        assert {name: one for name, one in verdicts(report).items() if name != "output"} == {
            "x": "disputed",
            "w": "disputed",
        }
        assert "where torch computes x beyond its threshold of 20" in str(report).splitlines()[0]

    def test_a_reference_with_a_wrong_function(self):
        """Autograd through the reference stands alone."""
        report = verify(
            lambda x: 3 * x**3,
            inputs=[arguments(1.0)[0]],
            reference=lambda x: 3 * Cube.apply(x),
            oracles=["finite_difference", "complex_step"],
        )
        assert report["x"].hints[0] == (
            "autograd stands alone: finite_difference and complex_step say what the candidate says"
        )

    def test_a_wrong_one_stays_wrong(self):
        """All contradict it."""
        report = verify(Cube.apply, inputs=[arguments(1.0)[0]], reference=lambda x: x**3, oracles=ALL)
        assert report["x"].verdict is Verdict.WRONG
        assert {one.stance for one in report["x"].witnesses} == {Stance.DISAGREES, Stance.ABSENT}

    def test_without_a_reference(self):
        """Finite differences judge, and further witnesses are shown."""
        report = verify(Cube.apply, inputs=[arguments(1.0)[0]], oracles="complex_step")
        assert report["x"].verdict is Verdict.WRONG
        assert [(one.oracle, one.stance) for one in report["x"].witnesses] == [
            ("finite_difference", Stance.DISAGREES),
            ("complex_step", Stance.DISAGREES),
        ]
        assert verify(Cube.apply, inputs=[arguments(1.0)[0]])["x"].witnesses == ()


PROBE = """
import sys
from gradverify import Case, verify
import torch

class Square(Case):
    def inputs(self, generator):
        return {"x": torch.randn(4, generator=generator)}
    def forward(self, t):
        t.loss = (t.x**2).sum()
        return t.loss
    def backward(self, t, d):
        d.x = 2 * t.x * d.loss

assert verify(Square, oracles=sys.argv[1]).passed
print(*sorted(name for name in sys.modules if name.startswith(("gradverify.oracles", "gradverify.witnesses"))))
"""


@pytest.mark.parametrize(("oracle", "imported"), [("autograd", False), ("finite_difference", True)])
def test_a_run_that_asks_for_no_witness_imports_none(oracle, imported):
    """Nor pays anything for it."""
    done = subprocess.run([sys.executable, "-c", PROBE, oracle], capture_output=True, text=True, check=True)
    assert bool(done.stdout.strip()) is imported
