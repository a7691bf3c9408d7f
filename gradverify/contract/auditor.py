"""The audit: every rule of the contract tried on one candidate, a clause each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from torch import Tensor

from gradverify.candidate import Pair
from gradverify.contract.emptiness import EmptyBatch
from gradverify.contract.layout import CotangentLayout, InputLayout
from gradverify.contract.memory import NextCall, OwnMemory
from gradverify.contract.omission import MissingGradient, UnusedOutput
from gradverify.contract.precision import DoubleThroughout
from gradverify.contract.raw import RawDtype, RawShape
from gradverify.contract.repetition import Accumulation, CallsInBetween, FirstCall, Repeatability, RetainedGraph
from gradverify.contract.rule import Finding, Rule, broken, inapplicable
from gradverify.contract.second_order import DoubleBackward
from gradverify.contract.spoiling import CotangentUnchanged, InputsUnchanged, SavedUnchanged
from gradverify.contract.subject import Subject
from gradverify.contract.subset import Subsets
from gradverify.contract.ties import TiesAndZeros
from gradverify.errors import GradverifyError
from gradverify.location import Location
from gradverify.report import Clause
from gradverify.verdict import Observance


def rules(*, strict: bool = False) -> tuple[Rule, ...]:
    """Every rule, in the order of the report.

    Args:
        strict: gradients that are not repeated bit for bit fail.
    """
    return (
        CotangentLayout(),
        InputLayout(),
        EmptyBatch(),
        UnusedOutput(),
        CotangentUnchanged(),
        InputsUnchanged(),
        SavedUnchanged(),
        OwnMemory(),
        NextCall(),
        Subsets(),
        RawShape(),
        RawDtype(),
        MissingGradient(),
        FirstCall(),
        CallsInBetween(),
        RetainedGraph(),
        Accumulation(),
        Repeatability(strict=strict),
        DoubleBackward(),
        TiesAndZeros(),
        DoubleThroughout(),
    )


def audit(pair: Pair, first: Mapping[str, Tensor | None] | None = None, *, strict: bool = False) -> tuple[Clause, ...]:
    """Try every rule on a candidate that can be called and differentiated.

    Args:
        pair: the candidate, its reference and what both are given.
        first: the gradients of its very first call, where they are known.
        strict: gradients that are not repeated bit for bit fail.

    Raises:
        GradverifyError: from what the candidate raises in an ordinary run; what it raises in any other is a clause.
    """
    # A batch of size zero, say, makes torch warn; of inputs that the user never gave.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = Subject(pair, first)
        return tuple(_clause(rule, subject) for rule in rules(strict=strict))


def _clause(rule: Rule, subject: Subject) -> Clause:
    location = subject.where
    if not subject.differentiable:
        finding = inapplicable("no output of the candidate has a gradient")
    else:
        try:
            finding = rule.check(subject)
        except GradverifyError as error:
            finding, location = broken(error.message), error.location or subject.where
    return _told(rule, finding, location)


def _told(rule: Rule, finding: Finding, where: Location) -> Clause:
    fails = finding.observance is Observance.BROKEN
    is_shown = fails and where.line
    return Clause(
        rule=rule.name,
        observance=finding.observance,
        passed=not fails,
        seen=finding.seen,
        remedy=rule.remedy if finding.observance in (Observance.BROKEN, Observance.NOTED) else "",
        file=where.file if is_shown else None,
        line=where.line if is_shown else None,
    )
