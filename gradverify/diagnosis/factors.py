"""Mistakes in the local derivative: a factor missing or one too many, the upstream gradient ignored or misplaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.diagnosis.mistake import Mistake, fits
from gradverify.diagnosis.subject import Subject

# How a function is written, and what it computes.
_Function = tuple[str, Callable[[Tensor], Tensor]]
# What local derivatives are made of, the simplest first. A reciprocal is the same factor, one too many.
_FUNCTIONS: tuple[_Function, ...] = (
    ("{x}", lambda x: x),
    ("(1 - {x})", lambda x: 1 - x),
    ("(1 + {x})", lambda x: 1 + x),
    ("{x}**2", torch.square),
    ("(1 - {x}**2)", lambda x: 1 - x * x),
    ("(1 + {x}**2)", lambda x: 1 + x * x),
    ("{x} * (1 - {x})", lambda x: x * (1 - x)),
    ("{x}**3", lambda x: x**3),
    ("sqrt({x})", torch.sqrt),
    ("exp({x})", torch.exp),
    ("log({x})", torch.log),
    ("sin({x})", torch.sin),
    ("cos({x})", torch.cos),
    ("sigmoid({x})", torch.sigmoid),
    ("tanh({x})", torch.tanh),
)
# What a derivative brings down in front: a sign, the 2 of a square, the half of a root.
_CONSTANTS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
# Of fewer different values a formula can be right by chance: one is taken by the constant, and a tensor of
# zeros and ones is its own square.
_LEAST_VALUES = 3


class MissingFactor(Mistake):
    """A tensor of the trace, or a simple function of one, is missing as a factor, or is one too many."""

    @override
    def explain(self, subject: Subject) -> str | None:
        factor = _find_factor(subject, "t.", _in_order(subject)) or _find_factor(
            subject, "", _locals(subject), _FUNCTIONS[:1]
        )
        if factor is None:
            return None
        if factor.is_missing:
            return f"the factor {factor.text} is missing"
        if subject.source is None or factor.tensor in subject.source:
            return f"the factor {factor.text} is one too many, or a division by it is missing"
        # It may still be there, written in another way.
        return f"a division by {factor.text} is missing, or that factor is one too many"


class UpstreamIgnored(Mistake):
    """The local derivative without the gradient that comes from above."""

    @override
    def explain(self, subject: Subject) -> str | None:
        unread = {name: one for name, one in _upstream(subject).items() if name not in subject.read_by_statement}
        factor = _find_factor(subject, "d.", unread, _FUNCTIONS[:1])
        if factor is not None and factor.is_missing:
            return f"the upstream gradient is ignored: {factor.text} is missing as a factor"
        summed = _summed_upstream(subject)
        if summed is None:
            return None
        return f"the upstream gradient d.{summed} is used as one number, its sum or mean; each element has its own"


class WrongAxis(Mistake):
    """A vector that was broadcast along one dimension is used along another of the same length."""

    @override
    def explain(self, subject: Subject) -> str | None:
        if not subject.has_shape or subject.reference.dim() < 2:
            return None
        laid = dict(_laid_out(subject))
        rights = subject.sample.of({words: right for words, (right, _) in laid.items()})
        wrongs = subject.sample.of({words: wrong for words, (_, wrong) in laid.items()})
        for words, (right, wrong) in laid.items():
            corrected = subject.sample.candidate * rights[words] / wrongs[words]
            if fits(corrected, subject.sample.reference, subject.allowed) and subject.agrees(
                subject.candidate * right / wrong
            ):
                return words
        return None


@dataclass(frozen=True)
class _Factor:
    """What relates the candidate to the reference.

    Attributes:
        is_missing: whether the candidate lacks it; otherwise it is one too many.
        tensor: of which it is made, such as "t.h".
        text: how it is written.
    """

    is_missing: bool
    tensor: str
    text: str


def _find_factor(
    subject: Subject, holder: str, tensors: Mapping[str, Tensor], functions: Sequence[_Function] = _FUNCTIONS
) -> _Factor | None:
    """The simplest factor that one of the tensors makes; None where none does."""
    floating = {name: one for name, one in tensors.items() if one.is_floating_point()}
    sampled = subject.sample.of(floating) if subject.has_shape else {}
    candidate, reference = subject.sample.candidate, subject.sample.reference
    constants = torch.tensor(_CONSTANTS, dtype=torch.float64)[:, None]
    for form, function in functions:
        for name, values in sampled.items():
            factor = function(values)
            # One row for each constant, as a factor that is missing and as one too many.
            rows = torch.stack([candidate * (constants * factor), candidate / (constants * factor)])
            fitting = ((rows - reference).abs() <= subject.allowed).all(2)
            if not bool(fitting.any()) or _count_distinct(factor[reference != 0.0]) < _LEAST_VALUES:
                continue
            for is_one_too_many, number in fitting.nonzero().tolist():
                whole = _CONSTANTS[number] * function(tensors[name])
                if subject.agrees(subject.candidate / whole if is_one_too_many else subject.candidate * whole):
                    text = _times(_CONSTANTS[number], form.format(x=f"{holder}{name}"))
                    return _Factor(not is_one_too_many, f"{holder}{name}", text)
    return None


def _times(constant: float, text: str) -> str:
    if constant == 1.0:
        return text
    return f"-{text}" if constant == -1.0 else f"{constant:g} * {text}"


def _count_distinct(values: Tensor) -> int:
    """How many values differ by more than rounding; nan is none."""
    ordered = values[values.isfinite()].sort().values
    if not ordered.numel():
        return 0
    return 1 + int((ordered.diff() > 1e-6 * ordered[1:].abs()).sum())


def _in_order(subject: Subject) -> dict[str, Tensor]:
    """The forward values, those first that the local derivative is most likely made of."""
    near = [subject.name, *(share.through for share in subject.contributions)]
    values = {name: subject.values[name] for name in (*near, *subject.values)}
    return {**values, **_laid_along(subject, values)}


def _laid_along(subject: Subject, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Vectors along the first dimension of a matrix, where broadcasting by itself would take the last."""
    shape = subject.reference.shape
    return {
        f"{name}[:, None]": one[:, None] for name, one in values.items() if len(shape) == 2 and one.shape == shape[:1]
    }


def _locals(subject: Subject) -> dict[str, Tensor]:
    """The local variables that the statement could have used as a factor."""
    variables = {name: one for name, one in subject.variables.items() if isinstance(one, Tensor) and one.dim()}
    return {name: one for name, one in variables.items() if one.device == subject.reference.device}


def _upstream(subject: Subject) -> dict[str, Tensor]:
    """The gradients that the chain rule multiplies with."""
    names = dict.fromkeys(share.through for share in subject.contributions)
    return {name: subject.references[name] for name in names if name != subject.name}


def _summed_upstream(subject: Subject) -> str | None:
    """The upstream gradient of which the candidate took the sum or the mean."""
    upstream = _upstream(subject) if subject.has_shape else {}
    for name, values in subject.sample.of(upstream).items():
        if _count_distinct(values[subject.sample.reference != 0.0]) < _LEAST_VALUES:
            continue
        gradient = upstream[name]
        for total in (gradient.sum(), gradient.mean()):
            sampled = subject.sample.candidate * values / total.item()
            if fits(sampled, subject.sample.reference, subject.allowed) and subject.agrees(
                subject.candidate * gradient / total
            ):
                return name
    return None


def _laid_out(subject: Subject) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Every vector along every two dimensions that have its length, the right one and the wrong one."""
    shape = subject.reference.shape
    vectors = [(f"the upstream gradient d.{name}", one) for name, one in _upstream(subject).items()]
    vectors += [(f"t.{name}", one) for name, one in subject.values.items() if one.is_floating_point()]
    for named, vector in vectors:
        count = vector.numel()
        if max(vector.shape, default=1) != count or count < _LEAST_VALUES:
            continue
        along = {
            dim: vector.reshape([count if one == dim else 1 for one in range(len(shape))])
            for dim, size in enumerate(shape)
            if size == count
        }
        for right, wrong in permutations(along, 2):
            words = f"{named} is used along dimension {wrong}, and belongs along dimension {right}"
            yield words, (along[right], along[wrong])
