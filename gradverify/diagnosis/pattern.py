"""Where an error is: the rows, the columns, the diagonal, the elements at which a forward value is negative."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.comparison import distance
from gradverify.diagnosis.mistake import Mistake
from gradverify.diagnosis.subject import Subject
from gradverify.judge import APPROXIMATE

# Among so many elements the sign of a tensor that has nothing to do with an error divides the right from the
# wrong ones with a probability of 2^-24; a trace of 100 tensors still leaves 10^-5.
_ENOUGH_SIGNS = 24
# The tensor itself, and those computed from it, are what a gradient is masked by.
_FEW_SIGNS = 2
# Three digits are more than mistakes of other kinds leave right by luck.
_THREE_DIGITS = 2.0**-10
# More places than these are not listed one by one.
_MOST_LISTED = 4


@dataclass(frozen=True)
class Error:
    """Where a candidate of the right shape is off.

    Attributes:
        wrong: the elements that differ by more than is allowed.
        count: how many these are; right: how many others are not zero.
        relative: the largest difference, relative to the largest element of the reference.
    """

    wrong: Tensor
    count: int
    right: int
    relative: float


@dataclass(frozen=True)
class Pattern:
    """A simple region that holds a whole error.

    Attributes:
        words: such as "in the last 4 columns".
        is_telling: whether the region is a small part of the tensor and wrong nearly everywhere, so that it says
            what is wrong, and not only where.
    """

    words: str
    is_telling: bool


class OnlyInPart(Mistake):
    """Right but for some rows, columns, a diagonal, or where a forward value is negative."""

    @override
    def explain(self, subject: Subject) -> str | None:
        if not subject.has_shape or subject.reference.numel() < 2:
            return None
        error = find_error(subject)
        pattern = find_pattern(subject, error)
        if pattern is None or not pattern.is_telling:
            return None
        is_zero, should_be_zero = _is_zero(subject.candidate, error), _is_zero(subject.reference, error)
        what = ", where it is zero" if is_zero else ", where it should be zero" if should_be_zero else ""
        return f"it is right except {pattern.words}{what}"


class ReversedMask(Mistake):
    """The gradient passes exactly where it should be stopped."""

    @override
    def explain(self, subject: Subject) -> str | None:
        if not subject.has_shape or not _exclude_each_other(subject.candidate, subject.reference):
            return None
        for share in subject.contributions:
            upstream, passed = subject.references[share.through], subject.candidate + subject.reference
            if upstream.shape == passed.shape and distance(passed, upstream).error <= subject.allowed:
                return (
                    f"it passes d.{share.through} exactly where it should be stopped, and stops it elsewhere: "
                    "the comparison is the wrong way round"
                )
        return None


def describe_error(subject: Subject) -> str:
    """How an error that no rule explains is distributed, and no more."""
    if not subject.has_shape:
        return f"its shape is {tuple(subject.candidate.shape)}, its tensor's {tuple(subject.reference.shape)}"
    error = find_error(subject)
    total = subject.reference.numel()
    pattern = find_pattern(subject, error)
    place = f", {'all ' if error.count > 1 else ''}{pattern.words}" if pattern else ""
    differ = "element differs" if total == 1 else "elements differ"
    return f"{error.count} of {total} {differ}{place}; relative error {error.relative:.2g}{_agreement(error.relative)}"


def _agreement(relative: float) -> str:
    """What an error points to that leaves the leading digits right; within some bounds the judge tells it already."""
    if not 0 < relative < _THREE_DIGITS or APPROXIMATE[0] <= relative <= APPROXIMATE[1]:
        return ""
    return (
        f": it agrees to {int(-math.log10(relative))} digits, so look for a truncated constant, an epsilon or a "
        "threshold in one of the two; a witness tells in which (--oracle finite_difference)"
    )


def _exclude_each_other(one: Tensor, other: Tensor) -> bool:
    """Whether each is zero where the other is not, and neither is zero everywhere."""
    alive, others = one != 0, other != 0
    both, first, second = torch.stack([(alive & others).any(), alive.any(), others.any()]).tolist()
    return first and second and not both


def find_error(subject: Subject) -> Error:
    """The elements that are off; those where the reference is not finite are left out."""
    candidate, reference = subject.candidate, subject.reference
    finite = reference.isfinite()
    difference = (candidate - reference).abs_().nan_to_num_(nan=torch.inf)
    wrong = (difference > subject.allowed) & finite
    scale = reference.abs().masked_fill_(~finite, 0.0).max()
    largest = difference.masked_fill_(~finite, 0.0).max()
    counts = [(wrong.sum()).to(scale.dtype), (finite & ~wrong & (reference != 0)).sum().to(scale.dtype)]
    numbers = torch.stack([*counts, largest / scale]).tolist()
    return Error(wrong, int(numbers[0]), int(numbers[1]), numbers[2])


def find_pattern(subject: Subject, error: Error) -> Pattern | None:
    """The smallest simple region that holds the whole error; None where it is everywhere, or scattered."""
    near = dict.fromkeys((subject.name, *(share.through for share in subject.contributions)))
    others = [name for name in subject.values if name not in near]
    return (
        _sign(subject, error, near, least=_FEW_SIGNS if _is_masked(subject, error) else _ENOUGH_SIGNS // 2)
        or _places(error)
        or _diagonal(error)
        or _sign(subject, error, others, least=_ENOUGH_SIGNS)
    )


def _places(error: Error) -> Pattern | None:
    """The indices along each dimension that hold an error, unless all of them do."""
    count = error.wrong.dim()
    touched = [error.wrong.any(dim=[other for other in range(count) if other != dim]) for dim in range(count)]
    if count == 1:
        touched = [error.wrong]
    if not touched:
        return None
    found = torch.split(torch.cat(touched).cpu(), [one.numel() for one in touched])
    words, spans, held = [], [], 1
    for dim, one in enumerate(found):
        indices = one.nonzero().flatten().tolist()
        held *= len(indices)
        spans.append((indices[0], indices[-1], len(indices)))
        if not one.all():
            words.append(_spell_indices(indices, one.numel(), _dimension(dim, count)))
    if not words or None in words:
        return None
    # Some indices here and there could be any; and where the rest is zero anyway, it is not right by its formula.
    is_compact = all(last - first + 1 == count for first, last, count in spans)
    is_telling = is_compact and error.right >= error.count and 2 * error.count >= held
    return Pattern("in " + " of ".join(str(one) for one in reversed(words)), is_telling)


def _dimension(dim: int, count: int) -> tuple[str, str]:
    if count == 1:
        return "element", "elements"
    if count == 2:
        return ("row", "rows") if dim == 0 else ("column", "columns")
    return f"index of dimension {dim}", f"indices of dimension {dim}"


def _spell_indices(indices: list[int], size: int, words: tuple[str, str]) -> str | None:
    """Words for some of the indices of a dimension; None where they are many and scattered."""
    one, several = words
    first, last, count = indices[0], indices[-1], len(indices)
    if count == 1:
        if one.startswith("index"):
            return f"index {first}{one.removeprefix('index')}"
        return f"{one} {first}"
    if last - first + 1 == count:
        if last == size - 1:
            return f"the last {count} {several}"
        return f"the first {count} {several}" if first == 0 else f"{several} {first} to {last}"
    if count <= _MOST_LISTED:
        return f"{several} {', '.join(map(str, indices))}"
    return None


def _diagonal(error: Error) -> Pattern | None:
    """Whether the error keeps to the diagonal of the last two dimensions, or to one side of it."""
    wrong = error.wrong
    if wrong.dim() < 2 or min(wrong.shape[-2:]) < 3:
        return None
    rows = torch.arange(wrong.shape[-2], device=wrong.device)[:, None]
    columns = torch.arange(wrong.shape[-1], device=wrong.device)
    sides = {
        "on the diagonal": rows == columns,
        "above the diagonal": rows < columns,
        "below the diagonal": rows > columns,
        "on and above the diagonal": rows <= columns,
        "on and below the diagonal": rows >= columns,
        "off the diagonal": rows != columns,
    }
    counts = torch.stack([torch.stack([(wrong & ~side).sum(), side.expand_as(wrong).sum()]) for side in sides.values()])
    for words, (outside, held) in zip(sides, counts.tolist(), strict=True):
        if outside == 0:
            return Pattern(words, error.right > 2 and 10 * error.count >= 9 * held)
    return None


def _is_masked(subject: Subject, error: Error) -> bool:
    """Whether something is let through that should be stopped, or the other way round."""
    return _is_zero(subject.candidate, error) or _is_zero(subject.reference, error)


def _is_zero(tensor: Tensor, error: Error) -> bool:
    return bool((tensor.nan_to_num(1.0)[error.wrong] == 0).all())


def _sign(subject: Subject, error: Error, names: Iterable[str], *, least: int) -> Pattern | None:
    """The forward tensor by whose sign the wrong elements, at least so many, part from as many right ones."""
    alive = (subject.candidate != 0) | (subject.reference != 0)
    if min(error.count, error.right) < least:
        return None
    tried = [(words, ((region & alive) != error.wrong).any()) for words, region in _regions(subject, names)]
    misplaced = torch.stack([one for _, one in tried]).tolist() if tried else []
    for (words, _), elsewhere in zip(tried, misplaced, strict=True):
        if not elsewhere:
            return Pattern(f"where {words}", is_telling=True)
    return None


def _regions(subject: Subject, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
    """The elements where a forward tensor is negative, positive, or zero."""
    for name in names:
        value = subject.values[name]
        if value.shape != subject.reference.shape:
            continue
        if value.dtype == torch.bool:
            yield f"t.{name} is False", ~value
            yield f"t.{name} is True", value
            continue
        yield f"t.{name} <= 0", value <= 0
        yield f"t.{name} > 0", value > 0
        yield f"t.{name} < 0", value < 0
        yield f"t.{name} >= 0", value >= 0
        yield f"t.{name} == 0", value == 0
