"""What rounding alone does to each gradient: the pass is rerun with every value moved by one ulp.

This is Monte Carlo arithmetic (D. S. Parker, 1997) with moves of one fixed size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.hooks import RemovableHandle

from gradverify.case import Case
from gradverify.comparison import distance
from gradverify.evaluation import Forward, Tensors, run_autograd, run_forward
from gradverify.inputs import Inputs
from gradverify.ulp import move, move_

# Two, for every run pays for them: the largest of many elements is nearly the same in each.
BACKWARD_DRAWS = 2
# On an alarm alone. A tie goes either way with even chances, and sixteen draws miss it once in 65,536 times.
FORWARD_DRAWS = 16

Watch = Callable[[str, Tensor], None]


class SavedTensors(saved_tensors_hooks):
    """While `draw` is set, every tensor that autograd saved is moved as a backward unpacks it."""

    def __init__(self) -> None:
        """Tensors are unpacked as they were saved until `draw` is set."""
        self.draw: int | None = None
        super().__init__(_detach, self._unpack)

    def _unpack(self, saved: Tensor) -> Tensor:
        return saved if self.draw is None else move(saved, self.draw)


def run_noisy_forward(case: Case, inputs: Inputs, dtype: torch.dtype) -> tuple[Forward, SavedTensors]:
    """A forward whose backward can be rerun under noise."""
    saved = SavedTensors()
    with saved:
        forward = run_forward(case, inputs, dtype)
    return forward, saved


def backward_noise(
    case: Case, forward: Forward, saved: SavedTensors, cotangents: Tensors, reference: Mapping[str, Tensor]
) -> dict[str, float]:
    """The largest move of each reference gradient over the backward draws.

    The forward, and with it nearly every branch, stays as it was. Each moved gradient is compared as it
    appears and dropped, so that a draw holds no more memory than a backward.
    """
    noise = dict.fromkeys(reference, 0.0)

    def measure(name: str, gradient: Tensor) -> None:
        if name in reference:
            noise[name] = max(noise[name], distance(gradient, reference[name]).error)

    for draw in range(BACKWARD_DRAWS):
        _run_moved_backward(case, forward, saved, cotangents, draw, measure)
    return noise


def spread(
    case: Case, inputs: Inputs, dtype: torch.dtype, cotangents: Tensors, reference: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The largest move of each element of the reference gradients, over the backward and the forward draws.

    An element that is not finite in the reference has moved by 0; one that became nan, by infinity.
    """
    moved = {name: torch.zeros_like(gradient) for name, gradient in reference.items()}

    def measure(name: str, gradient: Tensor) -> None:
        if name in reference:
            difference = (gradient - reference[name]).abs_()
            difference.nan_to_num_(nan=torch.inf).masked_fill_(~reference[name].isfinite(), 0.0)
            torch.maximum(moved[name], difference, out=moved[name])

    forward, saved = run_noisy_forward(case, inputs, dtype)
    for draw in range(BACKWARD_DRAWS):
        _run_moved_backward(case, forward, saved, cotangents, draw, measure)
    del forward, saved
    for draw in range(BACKWARD_DRAWS, BACKWARD_DRAWS + FORWARD_DRAWS):
        rerun = run_forward(case, inputs, dtype, on_assign=_mover(draw, inputs))
        for name, gradient in run_autograd(case, rerun, cotangents).items():
            measure(name, gradient)
    return moved


def _mover(draw: int, inputs: Inputs) -> Watch:
    def move_assigned(name: str, tensor: Tensor) -> None:
        # Only what the pass made itself: a constant of the user's that is recorded stays as it is.
        if name in inputs.values or tensor.grad_fn is not None:
            move_(tensor, draw)

    return move_assigned


def _run_moved_backward(
    case: Case, forward: Forward, saved: SavedTensors, cotangents: Tensors, draw: int, watch: Watch
) -> None:
    saved.draw = draw
    try:
        with _moved_gradients(forward, draw, watch):
            moved = {name: move(one, draw) for name, one in cotangents.items()}
            run_autograd(case, forward, moved, retain_graph=True)
    finally:
        saved.draw = None


@contextlib.contextmanager
def _moved_gradients(forward: Forward, draw: int, watch: Watch) -> Iterator[None]:
    """Move the gradient of every recorded tensor as the backward reaches it, after `watch` has seen it."""
    names: dict[int, list[str]] = {}
    tensors = forward.differentiable
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)

    def hook_for(known_as: list[str]) -> Callable[[Tensor], Tensor]:
        def hook(gradient: Tensor) -> Tensor:
            for name in known_as:
                watch(name, gradient)
            return move(gradient, draw)

        return hook

    with contextlib.ExitStack() as stack:
        for known_as in names.values():
            handle: RemovableHandle = tensors[known_as[0]].register_hook(hook_for(known_as))  # type: ignore[no-untyped-call]  # torch leaves it untyped
            stack.enter_context(handle)
        yield


def _detach(saved: Tensor) -> Tensor:
    # Saving an output as it is would tie it to its own node in a cycle.
    return saved.detach()
