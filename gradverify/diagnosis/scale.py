"""Mistakes that scale the whole gradient: by zero, by minus one, by a constant, by one over a count."""

from __future__ import annotations

import math

from typing_extensions import override

from gradverify.diagnosis.constants import name_constant
from gradverify.diagnosis.mistake import Mistake, fits, is_uniform
from gradverify.diagnosis.sample import broadcasts_to
from gradverify.diagnosis.subject import Subject


class Zero(Mistake):
    """Nothing flows back, although something should."""

    @override
    def explain(self, subject: Subject) -> str | None:
        if not subject.has_shape or not bool((subject.candidate.abs() <= subject.allowed).all()):
            return None
        return "it is zero everywhere, as if nothing depended on its tensor"


class WrongSign(Mistake):
    """A minus sign too many, or one missing."""

    @override
    def explain(self, subject: Subject) -> str | None:
        if not subject.has_shape or not fits(-subject.sample.candidate, subject.sample.reference, subject.allowed):
            return None
        return "its sign is wrong" if subject.agrees(-subject.candidate) else None


class Averaged(Mistake):
    """A mean over the dimensions along which the forward broadcast the tensor, where there should be a sum."""

    @override
    def explain(self, subject: Subject) -> str | None:
        ratio = _ratio(subject)
        if ratio is None or not 0.0 < ratio < 0.75:  # one over a count of two or more
            return None
        for contribution in subject.contributions:
            used_in = subject.values[contribution.through].shape
            count = used_in.numel() // max(1, subject.reference.numel())
            # The ratio only proposes a count, far coarser than rounding; `agrees` decides.
            if count < 2 or not broadcasts_to(subject.reference.shape, used_in) or abs(ratio * count - 1) > 1e-6:
                continue
            if subject.agrees(subject.candidate * count):
                return (
                    f"it is averaged over the {count} elements to which the forward broadcast its tensor in "
                    f"`{contribution.through}`: they have to be summed"
                )
        return None


class ConstantFactor(Mistake):
    """A number that multiplies every element: the 1/N of a mean, the 2 of a square, n/(n - 1)."""

    @override
    def explain(self, subject: Subject) -> str | None:
        ratio = _ratio(subject)
        if ratio is None or ratio == 0.0:
            return None
        values = subject.sample.reference
        is_single = is_uniform(values[values != 0.0])
        # A number relates any two numbers: only of several different ones does it explain anything by itself.
        constant = None if is_single and ratio < 0 else name_constant(abs(ratio), subject, sizes_only=is_single)
        which = "it is" if subject.reference.numel() == 1 else "every element is"
        sign = math.copysign(1.0, ratio)
        if constant is not None and subject.agrees(subject.candidate * (sign / constant.value)):
            minus, where = "-" if ratio < 0 else "", f" ({constant.where})" if constant.where else ""
            return (
                f"{which} {minus}{constant.text} times what it should be{where}: a factor {minus}{constant.inverse} is "
                f"missing, or {minus}{constant.text} is one too many"
            )
        if is_single or not subject.agrees(subject.candidate / ratio):
            return None
        # Ten digits, so that a constant that is almost right shows.
        return f"{which} {ratio:.10g} times what it should be"


def _ratio(subject: Subject) -> float | None:
    """What the whole candidate is of the reference, if the sample says that it is one number."""
    if not subject.has_shape or subject.sample.reference.numel() == 0:
        return None
    candidate, reference = subject.sample.candidate, subject.sample.reference
    largest = int(reference.abs().argmax())
    if reference[largest] == 0.0:
        return None
    ratio = float(candidate[largest] / reference[largest])
    return ratio if ratio and fits(candidate / ratio, reference, subject.allowed) else None
