"""The same once more: a candidate keeps nothing from one call to the next, and a graph can be walked twice."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.candidate import Arguments
from gradverify.contract.rule import Finding, Rule, broken, inapplicable, judged, kept, refused
from gradverify.contract.subject import Subject, backward, copied, named, of_gradients
from gradverify.contract.watch import equal_bits, watch
from gradverify.contract.yardstick import Redraw, Values
from gradverify.errors import GradverifyError
from gradverify.verdict import Observance


class FirstCall(Rule):
    """Kernels tune themselves on their first call, and must clean up what their trials left behind."""

    name = "first call"
    remedy = (
        "clear what a first call leaves behind, such as sums that the trials of an autotuner added to (reset_to_zero)"
    )

    @override
    def check(self, subject: Subject) -> Finding:
        if subject.first is None:
            return inapplicable("the first call is not known")
        text = subject.difference(of_gradients(subject.first), of_gradients(subject.gradients))
        return judged(text, "the first call against the second")


class CallsInBetween(Rule):
    """Two calls, then their backwards: each finds what its own forward left."""

    name = "calls in between"
    remedy = "keep what the backward needs on ctx (save_for_backward), not on a class, a module or in a global"

    @override
    def check(self, subject: Subject) -> Finding:
        first = subject.call()
        # Where the values cannot be turned round, the forward may have come far enough before it raised.
        with contextlib.suppress(GradverifyError):
            subject.call(turned(subject.pair.arguments).fresh())
        found = backward(first, subject.copies())
        text = subject.difference(of_gradients(found), of_gradients(subject.gradients))
        return judged(text, "a call with other values between forward and backward")


class RetainedGraph(Rule):
    """Under retain_graph a second backward gives what the first gave."""

    name = "retain_graph"
    remedy = "leave what was saved as it is, and free nothing in the backward: a second backward reads it again"

    @override
    def check(self, subject: Subject) -> Finding:
        called = subject.call()
        first = copied(backward(called, subject.copies(), retain_graph=True))
        try:
            second = backward(called, subject.copies(), retain_graph=True)
        except GradverifyError as error:
            return refused(error.message)
        text = subject.difference(of_gradients(second), of_gradients(first))
        return judged(text, "a second backward of one graph")


class Accumulation(Rule):
    """`.grad` after two backwards is the sum of two gradients."""

    name = "accumulation"
    remedy = "return the gradient and leave `.grad` to the engine, which adds it up in place: return no shared memory"

    @override
    def check(self, subject: Subject) -> Finding:
        arguments = subject.pair.arguments.fresh()
        expected = dict(subject.gradients)
        for count, after in ((1, "one backward"), (2, "two backwards")):
            called = subject.call(arguments)
            with called.callee.running(f"the {called.callee.role}'s backward"):
                # Into these leaves alone: a parameter that the candidate holds itself belongs to the user.
                torch.autograd.backward(
                    [*called.differentiable.values()], [*subject.copies().values()], inputs=[*arguments.leaves.values()]
                )
            found: dict[str, Tensor | None] = {name: leaf.grad for name, leaf in arguments.leaves.items()}
            text = subject.difference(of_gradients(found), of_gradients(expected), _times(subject.redraw, count))
            if text is not None:
                return self._told(subject, f"after {after}, in .grad, {text}")
            expected = {name: None if one is None else one + one for name, one in expected.items()}
        return kept("a second backward adds to .grad")

    @staticmethod
    def _told(subject: Subject, text: str) -> Finding:
        seen = watch(subject)
        if not seen.functions and len(seen.with_cotangent) > 1:
            # As in x.view(-1) + y.view(-1): both views of one upstream gradient become a .grad (torch 2.13).
            return Finding(Observance.NOTED, f"{text}: torch's own views give two leaves one memory")
        return broken(text)


class Repeatability(Rule):
    """Two calls give the same bits; sums by atomic additions do not, which only `strict` objects to."""

    name = "repeatability"
    remedy = "sum in a fixed order: not by atomic additions, nor by whichever kernel was the fastest this time"

    def __init__(self, *, strict: bool = False) -> None:
        """`strict`: fail where the bits differ."""
        self._strict = strict

    @override
    def check(self, subject: Subject) -> Finding:
        outputs, gradients = subject.again
        found = named(outputs, gradients)
        for name, known in subject.values.items():
            again = found[name]
            if known is not None and again is not None and not equal_bits(known, again):
                return Finding(
                    Observance.BROKEN if self._strict else Observance.NOTED, f"two calls give {name} in other bits"
                )
        return kept("two calls are equal bit for bit")


def turned(arguments: Arguments) -> Arguments:
    """Other values of the same kind: each tensor that is differentiated from its end to its beginning."""
    return arguments.mapped(
        lambda name, value: value.flatten().flip(0).view(value.shape) if name in arguments.differentiated else value
    )


def _times(redraw: Redraw, count: int) -> Redraw:
    def multiplied(draw: int) -> Values:
        return {name: None if one is None else one * count for name, one in redraw(draw).items()}

    return multiplied
