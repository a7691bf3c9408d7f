"""What may be left out: the upstream gradient of an output that nobody uses, and a gradient that is zero."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.comparison import distance
from gradverify.contract.rule import Finding, Rule, broken, inapplicable, kept
from gradverify.contract.subject import Subject, backward, copied, in_float64, of_gradients
from gradverify.errors import GradverifyError

# An output alone is a run of its own; more of them show nothing new.
_MOST_OUTPUTS = 4


class UnusedOutput(Rule):
    """Where an output is not used, its upstream gradient is None or zeros; the gradients are those of zeros."""

    name = "unused output"
    remedy = (
        "expect None for the upstream gradient of an output, or leave ctx.set_materialize_grads alone: then zeros come"
    )

    @override
    def check(self, subject: Subject) -> Finding:
        names = subject.differentiable
        if len(names) < 2:
            return inapplicable("there is one output with a gradient")
        for used in names[:_MOST_OUTPUTS]:
            zeros = {name: one if name == used else torch.zeros_like(one) for name, one in subject.cotangents.items()}
            expected = copied(backward(subject.call(), {name: one.clone() for name, one in zeros.items()}))
            called = subject.call()
            unused = ", ".join(name for name in names if name != used)
            try:
                found = backward(called, {used: subject.copies()[used]})
            except GradverifyError as error:
                return broken(f"where {unused} is not used, {error.message}")
            redraw = subject.noisy(subject.pair.arguments, zeros)
            text = subject.difference(of_gradients(found), of_gradients(expected), redraw)
            if text is not None:
                return broken(f"where {unused} is not used, {text}")
        return kept(", ".join(f"{name} alone" for name in names[:_MOST_OUTPUTS]))


class MissingGradient(Rule):
    """A gradient is None only where it is zero."""

    name = "missing gradient"
    remedy = "return the gradient, or list the input in `constants`"

    @override
    def check(self, subject: Subject) -> Finding:
        missing = [name for name, gradient in subject.gradients.items() if gradient is None]
        if not missing:
            return kept("every gradient is a tensor")
        if subject.pair.reference is None:
            return inapplicable(f"{', '.join(missing)} is None, and there is no reference to tell whether it is zero")
        called = in_float64(subject.pair.reference, subject.pair.arguments, subject.pair.outputs)
        known = called.gradients(subject.cotangents)
        lost = [name for name in missing if _is_nonzero(known[name])]
        if lost:
            return broken(f"the gradient of {', '.join(lost)} is None, that of the reference is not zero")
        return kept(f"{', '.join(missing)} is None, and zero in the reference too")


def _is_nonzero(gradient: Tensor | None) -> bool:
    return gradient is not None and distance(gradient, gradient).scale > 0.0
