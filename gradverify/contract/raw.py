"""What a backward in Python returns, before the engine sums it to the shape of its input and casts it."""

from __future__ import annotations

from typing_extensions import override

from gradverify.contract.rule import Finding, Rule, broken, inapplicable, kept
from gradverify.contract.subject import Subject
from gradverify.contract.watch import RawGradient, watch
from gradverify.scope import dtype_name

_NONE = inapplicable("no backward here is written in Python")


class RawShape(Rule):
    """The gradient has the shape of its input.

    The engine sums over leading and broadcast dimensions without a word. Whoever calls the backward otherwise (a fused
    kernel, another framework) gets the raw one.
    """

    name = "raw shape"
    remedy = "sum the gradient to the shape of its input, as d.sum_to_size(x.shape) does"

    @override
    def check(self, subject: Subject) -> Finding:
        seen = watch(subject)
        if not seen.functions:
            return _NONE
        for one in seen.raw:
            if one.shape != one.wanted_shape:
                return broken(
                    f"{_which(one)} has the shape {one.shape}, its input {one.wanted_shape}: the engine sums it"
                )
        return kept(", ".join(dict.fromkeys(seen.functions)))


class RawDtype(Rule):
    """The gradient has the dtype of its input; the engine casts it without a word, and memory and time are lost."""

    name = "raw dtype"
    remedy = "cast the gradient to the dtype of its input, as .to(x.dtype) does"

    @override
    def check(self, subject: Subject) -> Finding:
        seen = watch(subject)
        if not seen.functions:
            return _NONE
        for one in seen.raw:
            if one.dtype != one.wanted_dtype:
                own, other = dtype_name(one.dtype), dtype_name(one.wanted_dtype)
                return broken(f"{_which(one)} is {own}, its input {other}: the engine casts it")
        return kept(", ".join(dict.fromkeys(seen.functions)))


def _which(one: RawGradient) -> str:
    return f"what the backward of {one.function} returns in place {one.place}"
