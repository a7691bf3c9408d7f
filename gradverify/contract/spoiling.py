"""What a backward must leave as it is: others read it after it."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from gradverify.contract.rule import Finding, Rule, broken, kept
from gradverify.contract.subject import Subject
from gradverify.contract.watch import watch


class CotangentUnchanged(Rule):
    """The engine gives one upstream gradient to several nodes, and to hooks."""

    name = "cotangent unchanged"
    remedy = "write to a new tensor: d.mul(...) for d.mul_(...), d.clone() before a kernel that works in place"

    @override
    def check(self, subject: Subject) -> Finding:
        return _judged(watch(subject).cotangents[:1])


class InputsUnchanged(Rule):
    """Inputs and parameters belong to the user."""

    name = "inputs unchanged"
    remedy = "write to a new tensor; an input belongs to its user, who reads it after the backward"

    @override
    def check(self, subject: Subject) -> Finding:
        return _judged(watch(subject).inputs)


class SavedUnchanged(Rule):
    """Saved tensors are read again by a second backward, under retain_graph."""

    name = "saved tensors unchanged"
    remedy = "write to a new tensor; a second backward of the same graph reads what was saved once more"

    @override
    def check(self, subject: Subject) -> Finding:
        return _judged(watch(subject).saved)


def _judged(changed: Sequence[str]) -> Finding:
    """What follows from the names of what the backward wrote on."""
    if changed:
        return broken(f"the backward writes on {', '.join(dict.fromkeys(changed))}")
    return kept("equal bit for bit after the backward")
