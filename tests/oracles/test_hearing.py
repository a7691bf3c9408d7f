"""Every oracle on every gradient of a case: who sides with whom, and what that comes to."""

from __future__ import annotations

import pytest
import torch

import gallery
from gradverify.assessment import assess
from gradverify.errors import UsageError
from gradverify.measurement import run_pass
from gradverify.oracles.finite_difference import FiniteDifference
from gradverify.oracles.hearing import ORACLES, Claim, find_oracle, hear
from gradverify.oracles.testimony import Ruling, weigh_testimony
from gradverify.settings import DEFAULTS
from gradverify.witness import Stance
from oracles.samples import (
    Copied,
    Custom,
    Detached,
    Kinks,
    KinksOutside,
    Parts,
    Sample,
    Softplus,
    Tie,
    Waves,
    drawn,
)

WITNESSES = [find_oracle(name) for name in ORACLES if name != "autograd"]


def hearings_of(case, oracles=WITNESSES, seed=0):
    """What verifying a case puts to the oracles, and what they say."""
    inputs = drawn(case, seed)
    quick = run_pass(case, inputs, torch.float64, partial=False)
    judging = run_pass(
        case, inputs, torch.float64, partial=False, cotangents=quick.cotangents, noise_of=quick.candidates
    )
    evidence = assess(case, inputs, judging, judging, DEFAULTS).evidence
    claims = {
        name: Claim(judging.candidates[name], judging.reference[name], seen.derivation.allowed_first)
        for name, seen in evidence.items()
    }
    return claims, hear(case, inputs, judging.cotangents, claims, oracles)


def findings_of(case, oracles=WITNESSES, seed=0):
    claims, hearings = hearings_of(case, oracles, seed)
    return {name: weigh_testimony(heard, differs=claims[name].differs) for name, heard in hearings.items()}


def stances_of(case, name="x"):
    _, hearings = hearings_of(case)
    return {hearing.oracle: hearing.candidate.stance for hearing in hearings[name]}


class Rightly(Custom):
    """A large one."""

    n: int = 1000


class Halved(Waves):
    """Planted: an ordinary mistake."""

    def slope(self, x):
        return super().slope(x) / 2


class Passing(Softplus):
    """The gradient that torch's own approximation has."""

    def slope(self, x):
        return torch.ones_like(x)


class Shifted(Sample):
    """A maximum is subtracted that autograd does not see; it cancels, and every oracle finds the same gradient."""

    def function(self, x):
        shift = x.max().detach()
        return torch.exp(x - shift) / torch.exp(x - shift).sum() * torch.arange(self.n)

    def slope(self, x):
        p = torch.softmax(x, 0)
        w = torch.arange(self.n)
        return p * (w - (p * w).sum())


@pytest.mark.parametrize(
    ("case", "ruling"),
    [
        (Waves, Ruling.NONE),
        (Parts, Ruling.NONE),
        (Halved, Ruling.NONE),
        (Custom, Ruling.DISPUTED),
        (Rightly, Ruling.DISPUTED),
        (Copied, Ruling.REFUTED),
        (Softplus, Ruling.DISPUTED),
        (Passing, Ruling.NONE),
        (Kinks, Ruling.SUBGRADIENT),
        (KinksOutside, Ruling.NONE),
        (Tie, Ruling.INCONCLUSIVE),
        (Detached, Ruling.NONE),
        (Shifted, Ruling.NONE),
    ],
)
def test_what_the_witnesses_change(case, ruling):
    """Case by case, of the gradient of x; that of every other tensor stands."""
    findings = findings_of(case())
    assert findings.pop("x").ruling is ruling
    assert {finding.ruling for finding in findings.values()} <= {Ruling.NONE}


def test_a_custom_function_is_contradicted_by_every_witness():
    """Autograd stands alone, and the numbers are told."""
    _, hearings = hearings_of(Custom())
    siding = [hearing for hearing in hearings["x"] if hearing.sides_with_candidate]
    assert [hearing.oracle for hearing in siding] == ["finite_difference", "complex_step"]
    assert all(hearing.candidate.stance is Stance.ABSENT for hearing in hearings["x"] if hearing not in siding)
    hints = findings_of(Custom())["x"].hints
    assert hints[0] == "autograd stands alone: finite_difference and complex_step say what the candidate says"
    assert "by the reference" in hints[1]


def test_softplus_is_explained():
    """Every witness that applies sides with the exact formula, once torch's threshold is taken away."""
    _, hearings = hearings_of(Softplus())
    siding = [hearing for hearing in hearings["x"] if hearing.sides_with_candidate]
    assert [hearing.oracle for hearing in siding] == ["finite_difference", "forward_mode", "complex_step"]
    for hearing in siding:
        assert "where torch computes x beyond its threshold of 20" in hearing.note
    told, *_ = findings_of(Softplus())["x"].hints
    assert told.startswith("autograd stands alone: finite_difference, forward_mode and complex_step say what the")
    assert told.endswith("where torch computes x beyond its threshold of 20")


def test_a_wrong_gradient_of_softplus_stays_wrong():
    """The second look helps only who is right."""

    class Wrong(Softplus):
        def slope(self, x):
            return torch.sigmoid(x) ** 2

    assert findings_of(Wrong())["x"].ruling is Ruling.NONE
    assert set(stances_of(Wrong()).values()) == {Stance.DISAGREES, Stance.ABSENT}


def test_what_is_hidden_from_autograd():
    """Witnesses that see it do not apply; the others agree with what is meant."""
    _, hearings = hearings_of(Detached())
    numeric, tangent, step, _ = hearings["x"]
    assert tangent.candidate.stance is Stance.AGREES
    for hearing in (numeric, step):
        assert hearing.candidate.stance is Stance.ABSENT
        assert "differentiates through what the forward hides from autograd at" in hearing.candidate.reason
        assert "samples.py:" in hearing.candidate.reason


def test_what_is_hidden_does_not_excuse_a_mistake():
    """A candidate that neither autograd nor a witness confirms is contradicted by both."""

    class Wrong(Shifted):
        def slope(self, x):
            return 2 * super().slope(x)

    assert stances_of(Wrong())["finite_difference"] is Stance.DISAGREES
    assert set(stances_of(Shifted()).values()) == {Stance.AGREES, Stance.ABSENT}


@pytest.mark.parametrize("seed", range(3))
def test_a_sum_that_cancels_is_no_contradiction(seed):
    """Rounding makes most of it: a contradiction is looked at again with all that rounding can do."""
    findings = findings_of(gallery.CancellingBias(), seed=seed)
    assert {finding.ruling for finding in findings.values()} == {Ruling.NONE}


def test_a_forward_that_cannot_run_in_float64():
    """No oracle applies, and each says why."""

    class Narrow(Waves):
        def function(self, x):
            if x.dtype == torch.float64:
                raise TypeError("float32 only")
            return torch.sin(x)

    case = Narrow()
    inputs = drawn(case, dtype=torch.float32)
    ones = torch.ones(5, dtype=torch.float64)
    hearings = hear(case, inputs, {"loss": torch.ones(())}, {"x": Claim(ones, ones, 0.0)}, WITNESSES)["x"]
    assert [hearing.oracle for hearing in hearings] == [oracle.name for oracle in WITNESSES]
    for hearing in hearings:
        assert hearing.candidate.stance is Stance.ABSENT
        assert hearing.candidate.reason.startswith("the forward raised TypeError: float32 only")


def test_the_options_of_an_oracle_belong_to_it():
    """Here the largest tensor that is measured at each of its elements."""
    _, hearings = hearings_of(Waves(), [FiniteDifference(elements=4)])
    assert hearings["x"][0].candidate.reason == "along 4 random lines through 5 elements"


def test_oracles_are_found_by_name():
    """With the nearest one where there is none of that name."""
    assert [find_oracle(name).name for name in ORACLES] == [
        "autograd",
        "finite_difference",
        "forward_mode",
        "complex_step",
        "scalar",
    ]
    with pytest.raises(UsageError, match="there is no oracle 'finite_diference'; did you mean 'finite_difference'?"):
        find_oracle("finite_diference")


def test_whether_candidate_and_reference_differ():
    """By more than rounding, where the reference is finite."""
    reference = torch.tensor([1.0, torch.inf])
    assert not Claim(torch.tensor([1.0 + 1e-6, 3.0]), reference, 1e-5).differs
    assert Claim(torch.tensor([1.0 + 1e-4, torch.inf]), reference, 1e-5).differs
    assert Claim(torch.tensor([torch.nan, torch.inf]), reference, 1e-5).differs
