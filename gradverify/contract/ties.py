"""Ties and zeros, planted on purpose: where a function has a kink, a gradient lies between the slopes of both sides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.candidate import Arguments, Conditions, run
from gradverify.candidate.callee import Callee
from gradverify.candidate.noise import as_numbers
from gradverify.comparison import distance
from gradverify.contract.rule import Finding, Rule, broken, inapplicable, kept
from gradverify.contract.subject import Subject, backward, copied, in_float64, of_gradients
from gradverify.contract.truth import already_wrong
from gradverify.contract.yardstick import Values, difference_from_exact, explained
from gradverify.errors import GradverifyError
from gradverify.render.spelling import number

# Steps along a line, relative to the grid on which all values lie: no other kink is so near.
_STEP = 2.0**-16
# What two steps differ by is an estimate of the error of a slope, not a bound.
_MARGIN = 64.0
# Single elements that are looked at, those that differ most.
_MOST_ELEMENTS = 8
_SIGN_DRAWS = 3


class TiesAndZeros(Rule):
    """On inputs rounded to a grid, which has zeros and ties, the gradient is the reference's or a subgradient."""

    name = "ties and zeros"
    remedy = (
        "where elements tie, give the gradient to one of them or share it out; at a zero, give a finite slope between "
        "those of both sides"
    )

    @override
    def check(self, subject: Subject) -> Finding:
        subject = subject.smaller
        reference = subject.pair.reference
        if reference is None:
            return inapplicable("without a reference, the row of the gradient was judged at the inputs given")
        arguments = planted(subject.pair.arguments)
        if arguments is None:
            return inapplicable("no input can be rounded to a grid")
        try:
            wrong = already_wrong(subject)
            if wrong is not None:
                return wrong
            known = in_float64(reference, arguments, subject.pair.outputs)
        except GradverifyError:
            return inapplicable("the reference takes no rounded inputs")
        if not all(bool(as_numbers(one).isfinite().all()) for one in known.outputs.values()):
            return inapplicable("on rounded inputs the outputs of the reference are not finite")
        # All of one sign: a maximum stays convex, and the slopes of both sides bound its gradients.
        cotangents = {name: one.abs() for name, one in subject.cotangents.items()}
        # What is missing altogether has a rule of its own.
        exact = {name: one for name, one in known.gradients(cotangents).items() if subject.gradients[name] is not None}

        def own() -> Values:
            called = run(reference, arguments.fresh(), subject.pair.outputs)
            given = {name: one.to(called.outputs[name].dtype) for name, one in cotangents.items()}
            return of_gradients(backward(called, given))

        found = _found(subject, arguments, cotangents)
        unit = subject.pair.precision.unit
        text = difference_from_exact(of_gradients(found), own, of_gradients(exact), unit)
        if text is None:
            return kept("as the reference has it")
        allowed = explained(own(), of_gradients(exact), unit)
        for name, one in exact.items():
            other = found[name]
            if one is None or other is None or not bool((other.isfinite() | ~one.isfinite()).all()):
                return broken(text)
            line = _Lines(subject, reference, arguments, cotangents, name)
            beyond = line.beyond(one, other.double(), allowed[f"the gradient of {name}"])
            if beyond is not None:
                return broken(beyond)
        return kept("another subgradient than the reference's, between the slopes of both sides")


def _found(subject: Subject, arguments: Arguments, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """The gradients of the candidate, in float64 if it runs there: a tie is the same there, and rounding is none."""
    try:
        return copied(in_float64(subject.pair.candidate, arguments, subject.pair.outputs).gradients(cotangents))
    except GradverifyError:
        given = {name: one.clone() for name, one in cotangents.items()}
        return copied(backward(subject.call(arguments.fresh()), given))


def planted(arguments: Arguments) -> Arguments | None:
    """The arguments with every differentiated input rounded to a power of two near its root mean square."""
    chosen = {name for name in arguments.inputs if name in arguments.differentiated}
    grids = {name: _grid_of(arguments.inputs[name]) for name in chosen}
    if not any(grids.values()):
        return None

    def plant(name: str, value: Tensor) -> Tensor:
        grid = grids.get(name, 0.0)
        return (value / grid).round() * grid if grid else value

    return arguments.mapped(plant)


def _grid_of(tensor: Tensor) -> float:
    size = distance(tensor, tensor).rms_scale
    return 2.0 ** math.floor(math.log2(size)) if 0.0 < size < math.inf else 0.0


class _Lines:
    """The slopes of the reference on both sides, along lines on which candidate and reference differ."""

    def __init__(
        self, subject: Subject, reference: Callee, arguments: Arguments, cotangents: Mapping[str, Tensor], name: str
    ) -> None:
        self._subject = subject
        self._callee = reference.to(torch.float64)
        self._arguments = arguments.to(torch.float64)
        self._cotangents = cotangents
        self._name = name
        self._grid = _grid_of(self._arguments.leaves[name]) or 1.0

    def beyond(self, exact: Tensor, found: Tensor, allowed: float) -> str | None:
        """A line along which the candidate lies beyond both slopes, and the reference does not."""
        off = (found - exact).masked_fill(~exact.isfinite(), 0.0)
        if not float(off.abs().max()) > allowed:
            return None
        known = exact.nan_to_num()
        start = self._value(torch.zeros_like(known), 0.0)
        for what, direction in _directions(off, allowed):
            right, left, bar = self._slopes(start, direction)
            own, other = (float((one * direction).sum()) for one in (known + off, known))
            bar += allowed * float(direction.abs().sum())
            low, high = min(left, right) - bar, max(left, right) + bar
            if low <= other <= high and not (low <= own <= high):
                return (
                    f"the gradient of {self._name} along {what} is {number(own)}; the slopes of both sides are "
                    f"{number(left)} and {number(right)}"
                )
        return None

    def _slopes(self, start: float, direction: Tensor) -> tuple[float, float, float]:
        """The slopes on the right and on the left, and their error."""
        step = _STEP * self._grid
        coarse = [(self._value(direction, sign * 2 * step) - start) / (sign * 2 * step) for sign in (1, -1)]
        fine = [(self._value(direction, sign * step) - start) / (sign * step) for sign in (1, -1)]
        bar = _MARGIN * (2.0**-53 * abs(start) / step + max(abs(a - b) for a, b in zip(coarse, fine, strict=True)))
        return fine[0], fine[1], bar

    def _value(self, direction: Tensor, step: float) -> float:
        moved = self._arguments.mapped(lambda name, one: one + step * direction if name == self._name else one)
        called = run(self._callee, moved, self._subject.pair.outputs, Conditions.WIDENED)
        return float(
            sum((called.outputs[name].detach() * one.double()).sum() for name, one in self._cotangents.items())
        )


def _directions(off: Tensor, allowed: float) -> Iterator[tuple[str, Tensor]]:
    """Lines along which a difference shows: together ties stay ties, alone each element has slopes of its own."""
    differs = (off.abs() > allowed).to(off)
    yield "all elements at once", torch.ones_like(differs)
    yield "the elements that differ", differs
    count = min(_MOST_ELEMENTS, int(differs.sum()))
    for place in off.abs().flatten().topk(count).indices.tolist():
        one = torch.zeros_like(differs)
        one.view(-1)[place] = 1.0
        index = [int(number) for number in torch.unravel_index(torch.tensor(place), off.shape)]
        yield f"element {index}", one
    for seed in range(_SIGN_DRAWS):
        signs = torch.randint(0, 2, differs.shape, generator=torch.Generator().manual_seed(seed)).to(differs)
        yield "random signs", differs * (signs * 2 - 1)
