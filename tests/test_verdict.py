"""Verdicts: strings that carry the sentence a user reads, and whether they fail."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from gradverify.verdict import Origin, Verdict

FAILING = {"wrong", "shape", "dtype", "missing", "nonfinite", "vacuous", "inconclusive", "disputed"}
PASSING = {"exact", "ok", "imprecise", "subgradient", "known", "given"}


def test_which_verdicts_there_are_and_which_fail():
    """`imprecise` passes visibly; what could not be judged fails, so that nobody takes it for right."""
    assert {str(one) for one in Verdict if one.fails} == FAILING
    assert {str(one) for one in Verdict if not one.fails} == PASSING


@pytest.mark.parametrize("member", [*Verdict, *Origin])
def test_a_member_is_its_value(member):
    """Printed, formatted, serialised, compared, used as a key; on every Python alike."""
    value = member.value
    assert str(member) == f"{member}" == value
    assert f"{member:>14}" == f"{value:>14}"
    assert "%s" % member == value  # noqa: UP031  # how logging formats it
    assert json.dumps({member: [member]}) == json.dumps({value: [value]})
    assert member == value
    assert {value: 1}[member] == 1


@pytest.mark.parametrize("member", [*Verdict, *Origin])
@pytest.mark.parametrize("remade", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_member_stays_the_same_object(member, remade):
    """Copied, or sent by a worker of another process."""
    assert remade(member) is member
    assert type(member)(member.value) is member


def test_an_unknown_value_is_no_verdict():
    """A report of another version is not misread."""
    with pytest.raises(ValueError, match="fine"):
        Verdict("fine")


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_sentence(verdict):
    """It goes on from the name of a gradient: no capital, no full stop."""
    assert len(verdict.sentence) > 20
    assert verdict.sentence[0].islower()
    assert not verdict.sentence.endswith(".")


@pytest.mark.parametrize(
    ("verdict", "remedies"),
    [
        (Verdict.SHAPE, ["sum over", "keepdim"]),
        (Verdict.DTYPE, ["in the dtype of its tensor"]),
        (Verdict.MISSING, ["derive it", "`constants`", "`partial = True`"]),
        (Verdict.VACUOUS, ["choose inputs", "`expected_zero`"]),
        (Verdict.INCONCLUSIVE, ["choose inputs", "`expected_zero`"]),
    ],
)
def test_what_can_be_mended_says_how(verdict, remedies):
    """The sentence ends with what to do."""
    assert verdict.fails
    for remedy in remedies:
        assert remedy in verdict.sentence
