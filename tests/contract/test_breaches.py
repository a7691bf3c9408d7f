"""Every breach of the contract is caught by its own rule and by no other, and its twin by none."""

from __future__ import annotations

import pytest

from contract.breaches import BREACHES, Breach
from gradverify import Report, verify
from gradverify.contract import rules

pytestmark = pytest.mark.usefixtures("one_thread")


def audited(breach: Breach, candidate: object, **arguments: object) -> Report:
    return verify(
        candidate,
        inputs=breach.inputs,
        reference=breach.reference,
        dtype=breach.dtype,
        **arguments,
    )


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.name)
def test_a_breach_is_caught_by_its_rule_alone(breach):
    """With what was seen, a remedy, and the line of the backward."""
    report = audited(breach, breach.candidate())
    assert [clause.rule for clause in report.broken_clauses] == [breach.rule], str(report)
    assert not report.passed
    clause = report.broken_clauses[0]
    assert clause.seen
    assert clause.remedy
    assert f"breaks the contract: {breach.rule}" in str(report).splitlines()[0]


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.name)
def test_its_twin_keeps_the_contract(breach):
    """And is right."""
    report = audited(breach, breach.twin())
    assert report.passed, str(report)


def test_every_rule_has_a_breach():
    """But for repeatability, which fails under strict alone."""
    assert {breach.rule for breach in BREACHES} == {rule.name for rule in rules()} - {"repeatability"}
