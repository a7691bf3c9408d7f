"""Whether a forward computes the same again: an element that a mask drops at random has no derivative to compare."""

from __future__ import annotations

import torch
from torch import Tensor

from gradverify.case import Case
from gradverify.errors import NotDeterministic
from gradverify.evaluation import Forward, run_forward
from gradverify.inputs import Inputs
from gradverify.trace import assigned_at, values_of

# Two runs that drop each of a few elements at random agree by luck one time in 2^elements; twenty do not.
_MORE_RUNS = 20


def check_deterministic(case: Case, inputs: Inputs, forward: Forward) -> None:
    """Run the forward once more and compare every recorded tensor; several times where it drew random numbers.

    Raises:
        NotDeterministic: where two runs differ by more than rounding.
    """
    before = _random_states(inputs.device)
    _check_alike(case, forward, run_forward(case, inputs, forward.dtype, with_grad=False))
    if all(torch.equal(now, then) for now, then in zip(_random_states(inputs.device), before, strict=True)):
        return
    for _ in range(_MORE_RUNS):
        _check_alike(case, forward, run_forward(case, inputs, forward.dtype, with_grad=False))


def _random_states(device: torch.device) -> list[Tensor]:
    """The states of the global generators that a forward may draw from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def _check_alike(case: Case, forward: Forward, again: Forward) -> None:
    first, second = values_of(forward.trace), values_of(again.trace)
    for name in {**first, **second}:
        if name in first and name in second and _agree(second[name].detach(), first[name].detach()):
            continue
        error = NotDeterministic(
            f"two runs of forward on the same inputs gave different values of t.{name}: draw the randomness in "
            "`inputs` and pass it as a tensor",
            assigned_at(forward.trace, name) or assigned_at(again.trace, name),
        )
        error.case = type(case).__name__
        raise error


def _agree(value: Tensor, known: Tensor) -> bool:
    """Whether two runs gave the same value, up to rounding that differs between runs (atomic additions)."""
    if value.shape != known.shape or value.dtype != known.dtype:
        return False
    if torch.equal(value, known):
        return True
    if not value.is_floating_point():
        return False
    # Half of the digits: far above what the order of a sum changes, far below any draw of random numbers.
    tolerance = torch.finfo(value.dtype).eps ** 0.5
    scale = known[torch.isfinite(known)].abs().max() if torch.isfinite(known).any() else known.new_zeros(())
    return torch.allclose(value, known, rtol=0.0, atol=float(scale) * tolerance, equal_nan=True)
