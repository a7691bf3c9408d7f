"""In whose memory a gradient lies once it was returned: its receiver may write on it, and keeps it."""

from __future__ import annotations

from typing_extensions import override

from gradverify.contract.rule import Finding, Rule, broken, kept
from gradverify.contract.subject import Subject, backward
from gradverify.contract.watch import equal_bits, overlap, watch


class OwnMemory(Rule):
    """A gradient shares no memory with inputs, outputs or saved tensors.

    The engine keeps what a backward returns as `.grad`, without a copy where nobody else holds the very tensor (it does
    not look at the storage): `zero_grad`, clipping and accumulation then write on whatever lies beneath. An upstream
    gradient is no such thing. torch's own views, sums and additions hand it on, and what the engine adds up in place it
    first sees to own.
    """

    name = "own memory"
    remedy = "return a copy (.clone()), or compute the gradient into a new tensor"

    @override
    def check(self, subject: Subject) -> Finding:
        seen = watch(subject)
        if seen.shared:
            return broken(f"shares memory: {'; '.join(seen.shared)}")
        if seen.with_cotangent:
            names = ", ".join(dict.fromkeys(seen.with_cotangent))
            return kept(f"{names} shares that of the upstream gradient, as torch's own views do")
        return kept("every gradient lies in memory of its own")


class NextCall(Rule):
    """A gradient stays what it is when the candidate is called again."""

    name = "next call"
    remedy = "allocate the gradient in every backward: whatever writes on it later changes the `.grad` that it became"

    @override
    def check(self, subject: Subject) -> Finding:
        mine = {name: one.detach() for name, one in subject.again[1].items() if one is not None}
        before = {name: one.clone() for name, one in mine.items()}
        opposite = {name: -one for name, one in subject.copies().items()}
        later = backward(subject.call(), opposite)
        for name, one in mine.items():
            again = later[name]
            if not equal_bits(one, before[name]) or (again is not None and overlap(one, again)):
                return broken(f"the next call writes on the gradient of {name} that this one returned")
        return kept("gradients keep their values and their memory")
