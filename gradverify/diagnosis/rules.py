"""All rules, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable

from gradverify.diagnosis.accumulation import (
    Assigned,
    LostDuplicates,
    MissingContribution,
    MissingUse,
    WrongContribution,
)
from gradverify.diagnosis.edits import Effort
from gradverify.diagnosis.factors import MissingFactor, UpstreamIgnored, WrongAxis
from gradverify.diagnosis.identity import OtherTensor
from gradverify.diagnosis.jacobian import NormalisationMeans, SoftmaxSum
from gradverify.diagnosis.layout import Backwards, KeptDimension, NotExpanded, NotSummed, SummedAway, Transposed
from gradverify.diagnosis.mistake import Mistake
from gradverify.diagnosis.pattern import OnlyInPart, ReversedMask
from gradverify.diagnosis.repair import Repair
from gradverify.diagnosis.scale import Averaged, ConstantFactor, WrongSign, Zero
from gradverify.diagnosis.sharing import Overwritten, ReadTooEarly, SpoiltUpstream
from gradverify.diagnosis.subject import Subject

# What can be wrong with a whole gradient and with one of its contributions alike.
_OF_A_PART: tuple[Mistake, ...] = (
    Averaged(),
    ConstantFactor(),
    Transposed(),
    MissingFactor(),
    WrongAxis(),
    SoftmaxSum(),
)

# Where rounding explains larger errors than this, relative to the gradient, ideas agree with it by chance.
_SHARP = 2.0**-10

# The first that explains the error is believed. What the statement itself supports comes first, then what
# supposes the least.
RULES: tuple[Mistake, ...] = (
    Overwritten(),
    SpoiltUpstream(),
    ReadTooEarly(),
    Repair(Effort.TOKEN, Effort.SYMBOL),
    KeptDimension(),
    NotExpanded(),
    NotSummed(),
    WrongSign(),
    Averaged(),
    ConstantFactor(),
    Transposed(),
    Backwards(),
    Assigned(),
    MissingContribution(),
    LostDuplicates(),
    Repair(Effort.CALL),
    WrongContribution(UpstreamIgnored(), _OF_A_PART),
    UpstreamIgnored(),
    MissingFactor(),
    WrongAxis(),
    SoftmaxSum(),
    NormalisationMeans(),
    MissingUse(),
    ReversedMask(),
    Repair(Effort.FACTOR),
    Zero(),
    SummedAway(),
    OnlyInPart(),
    OtherTensor(),
)


def diagnose(subject: Subject, elsewhere: Callable[[], Subject | None] = lambda: None) -> str | None:
    """The mistake behind an introduced error, as a sentence; None where no rule explains it.

    Args:
        subject: the error.
        elsewhere: the same error on other inputs, where an explanation has to hold too; None where it does not show.
    """
    if not subject.allowed <= _SHARP * float(subject.reference.abs().nan_to_num(posinf=0.0).max()):
        return None
    for rule in RULES:
        sentence = rule.explain(subject)
        if sentence is not None and not isinstance(rule, OnlyInPart):  # which tells of these numbers alone
            sentence = _confirmed(rule, sentence, elsewhere())
        if sentence is not None:
            return sentence
    return None


def explain_part(subject: Subject) -> str | None:
    """What is wrong with one addend of a gradient, by the rules that need no more than its values."""
    rules = (WrongSign(), *_OF_A_PART)
    return next((sentence for rule in rules if (sentence := rule.explain(subject)) is not None), None)


def _confirmed(rule: Mistake, sentence: str, other: Subject | None) -> str | None:
    """The sentence, if the rule says so of other inputs too; of several formulas that fit, those that fit there."""
    if other is None or not other.allowed <= _SHARP * float(other.reference.abs().nan_to_num(posinf=0.0).max()):
        return sentence
    again = rule.explain(other)
    if again is None:
        return None
    return min((one for one in (sentence, again) if one in sentence and one in again), key=len, default=None)
