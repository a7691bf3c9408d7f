"""Whether two runs of one candidate differ by more than rounding, such as another order of its sums, explains."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from gradverify.candidate.noise import as_numbers
from gradverify.comparison import distance, worst_element
from gradverify.errors import GradverifyError
from gradverify.judge import PRECISIONS, WORST_ACCURACY
from gradverify.render.spelling import number
from gradverify.scope import dtype_name

# What one run gives: outputs and gradients, each under what it is called in a sentence; None is a gradient of zero.
Values = Mapping[str, Tensor | None]

# The same once more, every value that goes in moved by about one ulp; the number says which way.
Redraw = Callable[[int], Values]

# Differences of a few roundings of the largest element need no further measurement.
_UNITS = 8.0
# Half of the draws keep ties, the other half break them.
DRAWS = 6
# A few draws find less than the largest effect of rounding; both sides of a comparison have errors of their own.
_MARGIN = 16.0
# How far the largest of a million rounding errors may lie above their median, on both sides of a comparison.
_OWN = 64.0


def difference(
    found: Values,
    expected: Values,
    redraw: Redraw | None = None,
    *,
    allowed: Mapping[str, float] | None = None,
    usual: Callable[[], Mapping[str, float]] = dict,
) -> str | None:
    """The first value that differs by more than rounding explains, as a sentence; None where none does.

    Equal values cost one pass, a few roundings another one. Only beyond that is the noise measured: an element that a
    move of one ulp throws about (a tie, a kink) says nothing, and the others are allowed a multiple of their moves.

    Args:
        found: the run under test.
        expected: the other; elements that are not finite in it are left out.
        redraw: the latter under noise.
        allowed: differences that are explained besides, by name.
        usual: the relative errors that the run has anyway, by name: some compute in less than the dtype of their
            inputs.
    """
    moves: list[Values] | None = None
    for name, known in expected.items():
        given = found.get(name)
        if known is None and given is None:
            continue
        if known is None or given is None:
            # One of the two has a shape and a dtype; the other is zero.
            known, given = (torch.zeros_like(given) if known is None else known), given  # type: ignore[arg-type]  # not both are None
            given = torch.zeros_like(known) if given is None else given
        if given.shape != known.shape:
            return f"{name} has the shape {tuple(given.shape)} in place of {tuple(known.shape)}"
        if torch.equal(given, known):
            continue
        own, other = as_numbers(given).to(known.device), as_numbers(known)
        seen = distance(own, other)
        limit = max((allowed or {}).get(name, 0.0), _UNITS * _unit_of(known) * seen.scale)
        if seen.error <= limit:
            continue
        limit = max(limit, _OWN * usual().get(name, 0.0) * seen.scale)
        if seen.error <= limit:
            continue
        if moves is None:
            moves = [] if redraw is None or not known.is_floating_point() else _draw(redraw)
        text = _beyond(name, own, other, limit, [one.get(name) for one in moves])
        if text is not None:
            return text
    return None


def difference_from_exact(
    found: Values, own: Callable[[], Values], exact: Values, unit: float, redraw: Redraw | None = None
) -> str | None:
    """The same of a candidate and its reference.

    Args:
        found: what the candidate gives at the working precision.
        own: what the reference gives there, whose error says what rounding explains; asked for where a few roundings
            do not explain a difference.
        exact: what the reference gives in float64.
        unit: the unit roundoff of the working precision.
        redraw: what the reference gives at the working precision under noise.
    """
    known = {name: _like(one, found.get(name)) for name, one in exact.items()}
    if difference(found, known) is None:
        return None
    return difference(found, known, redraw, allowed=explained(own(), exact, unit))


def explained(own: Values, exact: Values, unit: float) -> dict[str, float]:
    """What rounding explains: a multiple of the error that the reference has at the working precision."""
    allowed = {}
    for name, one in exact.items():
        if one is None or not one.is_floating_point():
            continue
        other = own[name]
        seen = distance(torch.zeros_like(one) if other is None else other, one)
        allowed[name] = WORST_ACCURACY * max(seen.error, unit * seen.scale)
    return allowed


def _like(exact: Tensor | None, found: Tensor | None) -> Tensor | None:
    """The exact value, in the dtype in which it is compared."""
    return exact if exact is None or found is None else exact.to(found.dtype)


def _unit_of(tensor: Tensor) -> float:
    return PRECISIONS[dtype_name(tensor.dtype)].unit if tensor.is_floating_point() else 0.0


def _draw(redraw: Redraw) -> list[Values]:
    moves: list[Values] = []
    with contextlib.suppress(GradverifyError):  # inputs that bear no move at all
        moves.extend(redraw(draw) for draw in range(DRAWS))
    return moves


def _beyond(name: str, given: Tensor, known: Tensor, limit: float, moved: list[Tensor | None]) -> str | None:
    """What differs by more than the moves of `known` explain."""
    spread = torch.zeros_like(known)
    for one in moved:
        if one is not None and one.shape == known.shape:
            torch.maximum(spread, (as_numbers(one) - known).abs_().nan_to_num_(nan=torch.inf), out=spread)
    finite = known.isfinite()
    scale = float(known.abs().masked_fill(~finite, 0.0).max())
    precision = PRECISIONS[dtype_name(known.dtype)]
    unsettled = spread > precision.unsettled * scale
    noise = float(spread.masked_fill(unsettled, 0.0).max())
    off = (given - known).abs_().nan_to_num_(nan=torch.inf).masked_fill_(unsettled | ~finite, 0.0)
    if float(off.max()) <= max(limit, _MARGIN * noise):
        return None
    # The element is looked for among those that say something.
    place = worst_element(torch.where(unsettled, known, given), known)
    if place is None:  # pragma: no cover  # then no element of the reference is finite, and nothing is off
        return None
    index, own, other = place
    where = f" at {list(index)}" if index else ""
    return f"{name} is {own:.6g} in place of {other:.6g}{where}, off by {number(abs(own - other))}"
