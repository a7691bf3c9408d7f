"""What witnesses say, in one line, and what their word changes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from gradverify.oracles.testimony import Hearing, Ruling, weigh_testimony
from gradverify.witness import Stance, Witness

AGREES = Witness("finite_difference", Stance.AGREES, 1e-11, 10)
DISAGREES = Witness("finite_difference", Stance.DISAGREES, 2e-12, 10, index=(3, 7), claimed=0.5, measured=1.0)
SUBGRADIENT = Witness(
    "finite_difference", Stance.SUBGRADIENT, 1e-9, 30, "between the slopes of both sides, 0 and 1", (2,), 1.0, 0.5
)
KINK = Witness("finite_difference", Stance.KINK, 1e-9, 30, "several elements sit on one kink", (2,), 1.0, 0.5)
BLURRED = Witness("finite_difference", Stance.INCONCLUSIVE, 1.0, 10, "its error bar is 0.5 of the gradient")
ABSENT = Witness("complex_step", Stance.ABSENT, reason="relu is not known to be analytic (net.py:3)")
TANGENT = Witness("forward_mode", Stance.DISAGREES, 1e-15, 1, index=(2,), claimed=1.0, measured=0.0)

SENTENCES = {
    AGREES: "finite_difference agrees ± 1.0e-11",
    DISAGREES: "finite_difference disagrees at [3, 7]: 0.5 claimed, 1 ± 2.0e-12 measured",
    SUBGRADIENT: "finite_difference finds a kink at [2]: 1 claimed, 0.5 ± 1.0e-09 measured "
    "(between the slopes of both sides, 0 and 1)",
    KINK: "finite_difference finds kinks at [2]: 1 claimed, 0.5 ± 1.0e-09 measured (several elements sit on one kink)",
    BLURRED: "finite_difference cannot tell ± 1.0e+00 (its error bar is 0.5 of the gradient)",
    ABSENT: "complex_step does not apply: relu is not known to be analytic (net.py:3)",
    Witness("scalar", Stance.DISAGREES, 1e-15, 1, index=(), claimed=1.0, measured=0.0): (
        "scalar disagrees: 1 claimed, 0 ± 1.0e-15 measured"
    ),
}


@pytest.mark.parametrize("witness", SENTENCES, ids=lambda witness: str(witness.stance))
def test_a_witness_explains_itself(witness):
    """In one line."""
    assert str(witness) == SENTENCES[witness]


def test_a_hearing_explains_itself():
    """By what it says of the candidate, and with the numbers where it sides with it."""
    assert str(Hearing(AGREES)) == str(AGREES)
    siding = Hearing(AGREES, DISAGREES)
    assert siding.sides_with_candidate
    assert str(siding) == (
        "finite_difference sides with the candidate: 1 ± 2.0e-12 measured at [3, 7], 0.5 by the reference"
    )


@pytest.mark.parametrize(
    ("hearing", "sides"),
    [
        (Hearing(AGREES, DISAGREES), True),
        (Hearing(AGREES, AGREES), False),
        (Hearing(AGREES, None), False),
        (Hearing(AGREES, ABSENT), False),
        (Hearing(DISAGREES, None), False),
        (Hearing(BLURRED, DISAGREES), False),
        (Hearing(SUBGRADIENT, DISAGREES), False),
    ],
)
def test_who_sides_with_the_candidate(hearing, sides):
    """Who agrees with it and contradicts the reference; a bar that holds both takes no side."""
    assert hearing.sides_with_candidate is sides


@pytest.mark.parametrize(
    ("hearings", "differs", "ruling"),
    [
        ([], True, Ruling.NONE),
        ([Hearing(AGREES)], False, Ruling.NONE),
        ([Hearing(ABSENT)], True, Ruling.NONE),
        ([Hearing(DISAGREES)], True, Ruling.NONE),
        ([Hearing(AGREES, AGREES)], True, Ruling.NONE),
        ([Hearing(BLURRED)], True, Ruling.NONE),
        ([Hearing(AGREES, DISAGREES)], True, Ruling.DISPUTED),
        ([Hearing(ABSENT), Hearing(AGREES, DISAGREES)], True, Ruling.DISPUTED),
        ([Hearing(TANGENT), Hearing(AGREES, DISAGREES)], True, Ruling.DISPUTED),
        ([Hearing(DISAGREES)], False, Ruling.REFUTED),
        ([Hearing(AGREES), Hearing(TANGENT)], False, Ruling.REFUTED),
        ([Hearing(SUBGRADIENT)], True, Ruling.SUBGRADIENT),
        ([Hearing(SUBGRADIENT), Hearing(TANGENT)], True, Ruling.SUBGRADIENT),
        ([Hearing(KINK), Hearing(TANGENT)], True, Ruling.INCONCLUSIVE),
        ([Hearing(DISAGREES, AGREES)], True, Ruling.OUTSIDE),
        ([Hearing(DISAGREES, SUBGRADIENT), Hearing(TANGENT)], True, Ruling.OUTSIDE),
        ([Hearing(DISAGREES, DISAGREES)], True, Ruling.NONE),
        ([Hearing(DISAGREES, BLURRED)], True, Ruling.NONE),
        ([Hearing(SUBGRADIENT)], False, Ruling.NONE),
        ([Hearing(KINK)], False, Ruling.NONE),
    ],
)
def test_what_their_word_changes(hearings, differs, ruling):
    """Against the reference for the candidate: disputed. Against both: refuted. At a kink: a subgradient, or open."""
    assert weigh_testimony(hearings, differs=differs).ruling is ruling


def test_a_disputed_gradient_says_who_stands_alone():
    """Or that the oracles are divided."""
    other = Witness("complex_step", Stance.AGREES, 1e-13, 2)
    hearings = [Hearing(AGREES, DISAGREES), Hearing(other, DISAGREES)]
    hints = weigh_testimony(hearings, differs=True).hints
    assert hints[0] == "autograd stands alone: finite_difference and complex_step say what the candidate says"
    assert hints[1:] == tuple(map(str, hearings))
    assert weigh_testimony(hearings[:1], differs=True).hints[0] == (
        "autograd stands alone: finite_difference says what the candidate says"
    )
    assert weigh_testimony([*hearings, Hearing(TANGENT)], differs=True).hints[0] == (
        "the oracles are divided: autograd and forward_mode against the candidate, finite_difference and complex_step "
        "for it"
    )


def test_a_refuted_gradient_says_so():
    """With the numbers."""
    hints = weigh_testimony([Hearing(DISAGREES)], differs=False, reference="scalar").hints
    assert hints == ("finite_difference stands alone against the candidate and scalar", SENTENCES[DISAGREES])


def test_testimony_is_data():
    """It can be stored, and read without torch."""
    assert json.loads(json.dumps(asdict(Hearing(DISAGREES))))["candidate"]["stance"] == "disagrees"
    code = "import sys, gradverify.oracles.testimony; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
