"""Double backward: right, or refused with an error, but never silently wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.candidate import Arguments, Conditions, Run, run
from gradverify.candidate.callee import Callee
from gradverify.comparison import distance
from gradverify.contract.rule import Finding, Rule, broken, inapplicable, kept, refused
from gradverify.contract.subject import Subject, backward, copied, nudge, nudged
from gradverify.contract.truth import already_wrong
from gradverify.contract.yardstick import Redraw, Values, difference_from_exact
from gradverify.errors import CaseRaised, GradverifyError
from gradverify.judge import PRECISIONS
from gradverify.render.spelling import number

# The step of the numerical second derivative, relative to the values: the cube root of the unit roundoff, where the
# errors of a central difference and of rounding are alike.
_STEP = 2.0**-18
# What two steps differ by is an estimate of the error of a difference quotient, not a bound.
_MARGIN = 64.0
# What a kernel computes in float32 inside is precise enough to tell a second derivative from one that lacks a term.
_UNIT = PRECISIONS["float32"].unit
# Below this share of its terms a numerical second derivative says nothing.
_COARSEST = 2.0**-10


class DoubleBackward(Rule):
    """The gradient of a gradient, as penalties and second-order methods take it.

    A backward that reads what it computed in the forward, or calls a kernel, gives a gradient whose own graph lacks
    these paths, and nothing says so.
    """

    name = "double backward"
    remedy = (
        "decorate the backward with torch.autograd.function.once_differentiable, which refuses it; or save only inputs "
        "and outputs, and compute the gradient from them by operations that can be differentiated"
    )

    @override
    def check(self, subject: Subject) -> Finding:
        subject = subject.smaller
        try:
            found = _second(subject, subject.pair.candidate, subject.pair.arguments, Conditions.AS_CALLED)
        except CaseRaised as error:
            return refused(error.message)
        reference = subject.pair.reference
        if reference is not None:
            try:
                wrong = already_wrong(subject)
                if wrong is not None:
                    return wrong
                return self._against(subject, reference, found)
            except GradverifyError:
                pass  # the reference has none: kernels of torch too refuse it
        return _by_differences(subject)

    def _against(self, subject: Subject, reference: Callee, found: Values) -> Finding:
        pair = subject.pair
        wide = pair.arguments.to(torch.float64)
        exact = _second(subject, reference.to(torch.float64), wide, Conditions.WIDENED)

        def own() -> Values:
            return _second(subject, reference, pair.arguments, Conditions.AS_CALLED)

        coarse = pair.precision.unit > _UNIT
        precise = _precise(subject, wide) if coarse else None
        if precise is None:
            text = difference_from_exact(found, own, exact, pair.precision.unit, _noisy(subject, reference))
            # An alarm of float32 has to stand in float64.
            precise = _precise(subject, wide) if text is not None and not coarse else None
        if precise is not None:
            text = difference_from_exact(precise, lambda: exact, exact, _UNIT)
        if text is not None:
            return broken(f"{_detached(found)}{text}")
        return kept("as the reference has it")


def _precise(subject: Subject, wide: Arguments) -> Values | None:
    """The candidate in float64, if it runs there.

    A lower precision hides what a second derivative lacks, and a product of small factors has noise there that no few
    draws bound: one of 100 seeds of torch's own `prod` was accused in float32.
    """
    try:
        return _second(subject, subject.pair.precise_candidate, wide, Conditions.WIDENED)
    except GradverifyError:
        return None


def _second(
    subject: Subject, callee: Callee, arguments: Arguments, conditions: Conditions, draw: int | None = None
) -> dict[str, Tensor | None]:
    """The gradient of the sum of all gradients, each times a fixed direction, by every leaf and upstream gradient."""
    moved = arguments if draw is None else nudged(arguments, draw)
    called = run(callee, moved.fresh(), subject.pair.outputs, conditions)
    cotangents = _cotangents(subject, called, draw)
    gradients = backward(called, cotangents, create_graph=True)
    places = {name: place for place, name in enumerate(gradients)}
    graphs = {n: one for n, one in gradients.items() if one is not None and one.requires_grad}
    wanted = {
        **{f"the second derivative by {name}": one for name, one in called.leaves.items()},
        **{f"the derivative of the gradients by the upstream gradient of {n}": one for n, one in cotangents.items()},
    }
    if not graphs:
        return dict.fromkeys(wanted)
    # What refuses a double backward hangs its error on a leaf of its own, which only a full backward reaches.
    others = [leaf for leaf in _leaves_of(graphs.values()) if not any(leaf is one for one in wanted.values())]
    with callee.running(f"the {callee.role}'s double backward"), conditions.entered():
        found = torch.autograd.grad(
            [*graphs.values()],
            [*wanted.values(), *others],
            [_direction(one, places[name]) for name, one in graphs.items()],
            allow_unused=True,
        )
    return copied(dict(zip(wanted, found, strict=False)))


def _leaves_of(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The leaves of their graph."""
    nodes = dict.fromkeys(tensor.grad_fn for tensor in tensors)
    pending = [*nodes]
    while pending:
        for node, _ in getattr(pending.pop(), "next_functions", ()):
            if node is not None and node not in nodes:
                nodes[node] = None
                pending.append(node)
    return [node.variable for node in nodes if node is not None and hasattr(node, "variable")]


def _cotangents(subject: Subject, called: Run, draw: int | None = None) -> dict[str, Tensor]:
    given = {name: one.to(called.outputs[name].dtype, copy=True) for name, one in subject.copies().items()}
    moved = given if draw is None else {name: nudge(one, draw) for name, one in given.items()}
    return {name: one.requires_grad_() for name, one in moved.items() if called.outputs[name].requires_grad}


def _direction(tensor: Tensor, seed: int) -> Tensor:
    """Sixteenths from -1/2 to 1/2, the same in every precision."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(-8, 9, tensor.shape, generator=generator, dtype=torch.int8, device="cpu")
    return drawn.to(tensor.device, tensor.dtype) / 16


def _noisy(subject: Subject, reference: Callee) -> Redraw:
    return lambda draw: _second(subject, reference, subject.pair.arguments, Conditions.AS_CALLED, draw)


def _detached(found: Mapping[str, Tensor | None]) -> str:
    if any(one is not None for one in found.values()):
        return ""
    return "the gradients have no graph, so that whoever differentiates them takes them for constants: "


def _by_differences(subject: Subject) -> Finding:
    """Against difference quotients of the candidate's own gradients, in float64."""
    pair = subject.pair
    callee, wide = pair.precise_candidate, pair.arguments.to(torch.float64)
    try:
        claimed = _second(subject, callee, wide, Conditions.DOUBLE)
        directions = {
            name: _direction(leaf, 100 + n) * _length(leaf) for n, (name, leaf) in enumerate(wide.leaves.items())
        }
        start = _weighed(subject, callee, wide, {}, 0.0)
        coarse, fine = (
            (_weighed(subject, callee, wide, directions, step) - _weighed(subject, callee, wide, directions, -step))
            / (2 * step)
            for step in (2 * _STEP, _STEP)
        )
    except GradverifyError as error:
        return inapplicable(f"no reference has one, and the candidate is not to be had in float64: {error.message}")
    said = sum(
        float((one * directions[name]).sum())
        for name in directions
        if (one := claimed[f"the second derivative by {name}"]) is not None
    )
    bar = _MARGIN * (abs(coarse - fine) + 2.0**-53 / _STEP * abs(start))
    if not (bar <= _COARSEST * max(abs(fine), abs(start))):
        return inapplicable("no reference has one, and the gradients are too rough for difference quotients")
    if not (abs(said - fine) <= bar):
        return broken(f"{_detached(claimed)}along a line it is {number(said)}, by difference quotients {number(fine)}")
    return kept("as difference quotients of the gradients have it")


def _weighed(
    subject: Subject, callee: Callee, arguments: Arguments, directions: Mapping[str, Tensor], step: float
) -> float:
    """The sum of all gradients, each times a fixed direction, some way along a line."""
    moved = arguments.mapped(lambda name, value: value + step * directions[name] if name in directions else value)
    called = run(callee, moved.fresh(), subject.pair.outputs, Conditions.DOUBLE)
    given = {name: one.detach() for name, one in _cotangents(subject, called).items()}
    terms = [
        (one * _direction(one, place)).sum()
        for place, one in enumerate(backward(called, given).values())
        if one is not None
    ]
    return float(torch.stack(terms).sum()) if terms else 0.0


def _length(leaf: Tensor) -> float:
    scale = distance(leaf, leaf).rms_scale
    return scale or 1.0
