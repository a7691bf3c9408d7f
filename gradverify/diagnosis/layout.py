"""Mistakes of shape and order: a dimension kept, lost, not summed or summed away; transposed, permuted, flipped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, permutations

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.comparison import distance
from gradverify.diagnosis.mistake import Mistake, fits, is_uniform, spell_dims
from gradverify.diagnosis.sample import broadcasts_to
from gradverify.diagnosis.subject import Subject

# Permutations of more dimensions than these are not tried: there are 24 of four, 120 of five.
_MOST_DIMS = 4


class KeptDimension(Mistake):
    """Right but for dimensions of length 1, as a reduction with `keepdim` leaves them."""

    @override
    def explain(self, subject: Subject) -> str | None:
        candidate, reference = subject.candidate, subject.reference
        if subject.has_shape or _long(candidate) != _long(reference):
            return None
        if not subject.agrees(candidate.reshape(reference.shape)):
            return None
        remedy = "drop `keepdim`" if candidate.dim() > reference.dim() else "keep the dimension (`keepdim=True`)"
        return (
            f"its values are right, but its shape is {tuple(candidate.shape)} where its tensor has "
            f"{tuple(reference.shape)}: {remedy}, or reshape it"
        )


class NotExpanded(Mistake):
    """Right, but of one element where its tensor has many alike."""

    @override
    def explain(self, subject: Subject) -> str | None:
        candidate, shape = subject.candidate, subject.reference.shape
        if (
            subject.has_shape
            or not broadcasts_to(candidate.shape, shape)
            or not subject.agrees(candidate.expand(shape))
        ):
            return None
        return f"its values are right, but it is not expanded from {tuple(candidate.shape)} to {tuple(shape)}"


class NotSummed(Mistake):
    """A dimension along which the forward broadcast or reduced the tensor is still there."""

    @override
    def explain(self, subject: Subject) -> str | None:
        candidate, reference = subject.candidate, subject.reference
        if candidate.numel() <= reference.numel():
            return None
        for dims in _subsets(candidate.dim()):
            kept = tuple(1 if dim in dims else size for dim, size in enumerate(candidate.shape))
            lost = tuple(size for dim, size in enumerate(candidate.shape) if dim not in dims)
            if tuple(reference.shape) not in (kept, lost):
                continue
            keepdim = tuple(reference.shape) == kept
            if subject.agrees(candidate.sum(dims, keepdim=keepdim)):
                return f"the sum over {spell_dims(dims)}{' (keepdim=True)' if keepdim else ''} is missing"
        return None


class SummedAway(Mistake):
    """A dimension that the tensor has was summed or averaged, and perhaps expanded again."""

    @override
    def explain(self, subject: Subject) -> str | None:
        reference = subject.reference
        if subject.candidate.numel() > reference.numel() or is_uniform(reference.flatten()):
            return None
        for dims in _subsets(reference.dim()):
            if any(reference.shape[dim] == 1 for dim in dims):
                continue
            total = reference.sum(dims, keepdim=True)
            count = reference.numel() // total.numel()
            for word, reduced in (("summed", total), ("averaged", total / count)):
                for shaped in (reduced.expand(reference.shape), reduced, reduced.squeeze(dims)):
                    if _is_near(subject, shaped, subject.allowed * count) and _varies(subject, total, count):
                        return f"it is {word} over {spell_dims(dims)}, where its tensor has an element for each index"
        return None


class Transposed(Mistake):
    """The right elements with their dimensions in another order."""

    @override
    def explain(self, subject: Subject) -> str | None:
        candidate, reference = subject.candidate, subject.reference
        if candidate.numel() != reference.numel() or reference.dim() > _MOST_DIMS:
            return None
        turned = {words: view for words, view in _turned(candidate) if view.shape == reference.shape}
        if subject.has_shape:
            turned.update(_reordered(candidate))
        for words, elements in subject.sample.of(turned).items():
            if fits(elements, subject.sample.reference, subject.allowed) and subject.agrees(turned[words]):
                return words
        return None


class Backwards(Mistake):
    """The right elements in the opposite order along a dimension, or one place off."""

    @override
    def explain(self, subject: Subject) -> str | None:
        candidate, index = subject.candidate, subject.sample.index
        if not subject.has_shape or not index:
            return None
        tried: list[tuple[str, Tensor]] = []
        for dim, size in enumerate(candidate.shape):
            opposite, next_one, last_one = size - 1 - index[dim], (index[dim] + 1) % size, (index[dim] - 1) % size
            for words, moved in (
                (f"it is backwards along dimension {dim}: a `flip({dim})` is missing or one too many", opposite),
                (f"it is one place off along dimension {dim}: every element is one index too late", next_one),
                (f"it is one place off along dimension {dim}: every element is one index too early", last_one),
            ):
                tried.append((words, candidate[(*index[:dim], moved, *index[dim + 1 :])]))
        elements = torch.stack([one for _, one in tried]).double().cpu()
        for number, (words, _) in enumerate(tried):
            if fits(elements[number], subject.sample.reference, subject.allowed):
                dim, how = divmod(number, 3)
                if subject.agrees(candidate.flip(dim) if how == 0 else candidate.roll(-1 if how == 1 else 1, dim)):
                    return words
        return None


def _turned(candidate: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The candidate with its dimensions in every other order."""
    for order in permutations(range(candidate.dim())):
        if list(order) == sorted(order):
            continue
        words = f"its dimensions are permuted: `.permute{order}` of it is right"
        if candidate.dim() == 2:
            words = "it is transposed: a `.T` is missing or one too many"
        yield words, candidate.permute(order)


def _reordered(candidate: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The candidate, if a reshape was mistaken for a transpose."""
    for order in permutations(range(candidate.dim())):
        if list(order) != sorted(order):
            shape = tuple(candidate.shape[dim] for dim in order)
            back = tuple(sorted(range(len(order)), key=order.__getitem__))
            yield (
                (
                    f"its elements are in the order of its transpose, because a reshape does not transpose: "
                    f"`.reshape{shape}.permute{back}` of it is right"
                ),
                candidate.reshape(shape).permute(back),
            )


def _is_near(subject: Subject, other: Tensor, allowed: float) -> bool:
    return other.shape == subject.candidate.shape and distance(subject.candidate, other).error <= allowed


def _varies(subject: Subject, total: Tensor, count: int) -> bool:
    """Whether a sum shows anything: not if it is zero, nor if the gradient is the same all along its dimensions."""
    if bool((total.abs() <= subject.allowed * count).all()):
        return False
    return not subject.agrees((total / count).expand(subject.reference.shape))


def _long(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape if size != 1]


def _subsets(count: int) -> Iterator[tuple[int, ...]]:
    """The sets of leading dimensions first, as broadcasting adds them."""
    return chain.from_iterable(combinations(range(count), length) for length in range(1, min(count, _MOST_DIMS) + 1))
