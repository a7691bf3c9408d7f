"""Whether the gradients are right to begin with: else further comparisons with the reference have nothing to add."""

from __future__ import annotations

from torch import Tensor

from gradverify.candidate import run
from gradverify.contract.rule import Finding, inapplicable
from gradverify.contract.subject import Subject, backward, in_float64, nudge, nudged, of_gradients
from gradverify.contract.yardstick import Values, difference_from_exact

ALREADY_WRONG = inapplicable("the gradients differ from the reference's to begin with")


def already_wrong(subject: Subject) -> Finding | None:
    """A finding where the ordinary gradients are not the reference's, which their rows tell; None where they are.

    Raises:
        GradverifyError: from what the reference raises.
    """
    return subject.once("already wrong", lambda: ALREADY_WRONG if _differs(subject) else None)


def _differs(subject: Subject) -> bool:
    pair, reference = subject.pair, subject.pair.reference
    assert reference is not None  # asked only where there is one

    def own(draw: int | None = None) -> Values:
        arguments = pair.arguments if draw is None else nudged(pair.arguments, draw)
        called = run(reference, arguments.fresh(), pair.outputs)
        given = {name: one.to(called.outputs[name].dtype) for name, one in subject.copies().items()}
        moved = given if draw is None else {name: nudge(one, draw) for name, one in given.items()}
        return of_gradients(backward(called, moved))

    called = in_float64(reference, pair.arguments, pair.outputs)
    exact: dict[str, Tensor | None] = dict(called.gradients(subject.cotangents))
    known = {name: one for name, one in exact.items() if subject.gradients[name] is not None}
    found = of_gradients(subject.gradients)
    return difference_from_exact(found, own, of_gradients(known), pair.precision.unit, own) is not None
