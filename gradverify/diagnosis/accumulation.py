"""Mistakes in summing the contributions to a gradient: one is missing, doubled or wrong, or replaces the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.diagnosis.mistake import Mistake, fits
from gradverify.diagnosis.sample import broadcasts_to
from gradverify.diagnosis.subject import Contribution, Subject
from gradverify.gradients import Access

ASSIGNED = (
    "it is assigned where it should be added to: what d.{name} held before is lost; write `d.{name} = d.{name} + ...`"
)


class Assigned(Mistake):
    """A gradient that already held a contribution is assigned where it should be added to."""

    @override
    def explain(self, subject: Subject) -> str | None:
        written = sum(event.name == subject.name and event.access is Access.WRITE for event in subject.events)
        # The gradient of an output starts as its cotangent.
        if not subject.has_shape or not written or written + (subject.name in subject.outputs) < 2:
            return None
        if subject.name in subject.read_by_statement:
            return None
        shares = subject.contributions
        for share in shares if len(shares) > 1 else ():
            only, without = share.gradient, subject.reference - share.gradient
            if subject.is_candidate(only) or subject.is_candidate(without):
                return ASSIGNED.format(name=subject.name)
        return None


class MissingContribution(Mistake):
    """One of several contributions is missing, counted twice, or subtracted."""

    @override
    def explain(self, subject: Subject) -> str | None:
        whole = _expanded(subject)
        if whole is None:
            return None
        for share in subject.contributions:
            multiple = _multiple(whole, share)
            if multiple == 0 and share.through not in subject.read_by_statement:
                return f"the contribution through {share} is missing"
            if multiple == 2:
                return f"the contribution through {share} is counted twice"
            if multiple == -1:
                return f"the contribution through {share} has the wrong sign"
        return None


class MissingUse(Mistake):
    """A tensor is used several times on the way to the next one, and one of these uses is left out."""

    @override
    def explain(self, subject: Subject) -> str | None:
        whole = _expanded(subject)
        if whole is None:
            return None
        leads = [share.through for share in subject.contributions]
        for share in subject.contributions:
            if leads.count(share.through) > 1 and _multiple(whole, share) == 0:
                return f"the contribution through {share} is missing"
        return None


def _expanded(subject: Subject) -> Subject | None:
    """The subject with its candidate expanded, if there are several contributions and it can be."""
    shape = subject.reference.shape
    if not broadcasts_to(subject.candidate.shape, shape) or len(subject.contributions) < 2:
        return None
    return dataclasses.replace(subject, candidate=subject.candidate.expand(shape))


def _multiple(subject: Subject, share: Contribution) -> int | None:
    """How many times the contribution is in the candidate, if none of the others is to blame."""
    off = subject.sample.candidate - subject.sample.reference
    own = subject.sample.of({share.through: share.gradient})[share.through]
    if not bool((own.abs() > subject.allowed).any()):
        return None
    for multiple in (0, 2, -1):
        if fits(off, (multiple - 1) * own, subject.allowed) and subject.agrees(
            subject.candidate - (multiple - 1) * share.gradient
        ):
            return multiple
    return None


class LostDuplicates(Mistake):
    """Elements picked by an index are assigned, so that of those picked several times only the last one counts."""

    @override
    def explain(self, subject: Subject) -> str | None:
        reference = subject.reference
        indices = {name: one for name, one in subject.values.items() if one.dtype in (torch.int64, torch.int32)}
        if not subject.has_shape or not indices or not reference.dim():
            return None
        for share in subject.contributions:
            upstream = subject.references[share.through]
            for name, index in indices.items():
                for dim in _picked_along(reference.shape, index, upstream.shape):
                    picked = index.long().flatten()
                    given = upstream.flatten(dim, dim + index.dim() - 1)
                    nothing = torch.zeros_like(reference)
                    if not subject.agrees(nothing.index_add(dim, picked, given)):
                        continue
                    if any(
                        subject.is_candidate(nothing.index_copy(dim, ordered, values))
                        for ordered, values in ((picked, given), (picked.flip(0), given.flip(dim)))
                    ):
                        return (
                            f"what t.{name} picks several times is assigned where it should be added up: of its "
                            "gradients only one counts; use `index_add` or `index_put(..., accumulate=True)`"
                        )
        return None


class WrongContribution(Mistake):
    """One of several contributions is wrong in a way that other rules know."""

    def __init__(self, unread: Mistake, rules: Sequence[Mistake]) -> None:
        """`rules` explain what is wrong with a contribution, `unread` with one whose upstream gradient is not read."""
        self._unread = unread
        self._rules = rules

    @override
    def explain(self, subject: Subject) -> str | None:
        shares = subject.contributions if subject.has_shape else []
        read = subject.read_by_statement
        for share in shares if len(shares) > 1 else ():
            suspect = _alone(subject, share)
            for rule in (self._unread,) if read and share.through not in read else self._rules:
                if found := rule.explain(suspect):
                    return f"in the contribution through {share}: {found}"
        return None


def _picked_along(shape: torch.Size, index: Tensor, picked: torch.Size) -> list[int]:
    """The dimensions of a tensor along which picking by an index gives a tensor of the last shape.

    Not where the index leads out of it: labels may fit a dimension that they do not count, or say "ignore" by -100.
    """
    dims = [dim for dim in range(len(shape)) if (*shape[:dim], *index.shape, *shape[dim + 1 :]) == tuple(picked)]
    if not dims or not index.numel():
        return []
    low, high = (int(one) for one in index.aminmax())
    return [dim for dim in dims if low >= 0 and high < shape[dim]]


def _alone(subject: Subject, share: Contribution) -> Subject:
    """The contribution as the candidate has it, if all others are right."""
    return dataclasses.replace(
        subject,
        candidate=subject.candidate - (subject.reference - share.gradient),
        reference=share.gradient,
        find_contributions=lambda: [share],
    )
