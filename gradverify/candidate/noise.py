"""What rounding alone does to what a reference computes: it is rerun with every value at hand moved by an ulp."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor

from gradverify.candidate.callee import Arguments, Callee
from gradverify.candidate.run import Run, run
from gradverify.candidate.widening import Conditions
from gradverify.comparison import distance
from gradverify.noise import BACKWARD_DRAWS, FORWARD_DRAWS, SavedTensors
from gradverify.ulp import move


class NoisyReference:
    """A reference in float64 whose backward and forward can be rerun under noise.

    Nothing of a reference is recorded by name. A backward draw therefore moves what autograd saved, the upstream
    gradient, and the gradient that reaches each node; a forward draw moves the inputs.

    Attributes:
        run: the reference, not moved.
    """

    def __init__(self, callee: Callee, arguments: Arguments, outputs: tuple[str | None, ...] | None) -> None:
        """Run the reference; `callee` and `arguments` are in float64."""
        self._callee = callee
        self._arguments = arguments
        self._outputs = outputs
        self._saved = SavedTensors()
        with self._saved:
            self.run = run(callee, arguments.fresh(), outputs, Conditions.WIDENED)

    def gradients(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradient of every leaf, zeros where the outputs do not depend on it."""
        return self.run.filled_gradients(cotangents, retain_graph=True)

    def backward_noise(self, cotangents: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> dict[str, float]:
        """The largest move of each gradient over the backward draws, on which nearly every branch stays as it was."""
        noise = dict.fromkeys(exact, 0.0)
        for draw in range(BACKWARD_DRAWS):
            moved = self._moved_backward(cotangents, draw)
            noise = {name: max(noise[name], distance(moved[name], exact[name]).error) for name in noise}
        return noise

    def forward_noise(self) -> dict[str, float]:
        """The largest move of each output, over as many forward draws."""
        noise = dict.fromkeys(self.run.outputs, 0.0)
        for draw in range(BACKWARD_DRAWS):
            moved = self._moved_forward(draw).outputs
            noise = {
                name: max(noise[name], distance(as_numbers(moved[name]), as_numbers(self.run.outputs[name])).error)
                for name in noise
            }
        return noise

    def spread(
        self, names: Collection[str], exact: Mapping[str, Tensor], cotangents: Mapping[str, Tensor] | None
    ) -> dict[str, Tensor]:
        """The largest move of each element over all draws, of gradients, or of outputs where there is no cotangent.

        An element that is not finite in the reference has moved by 0; one that became nan, by infinity.
        """
        spread = {name: torch.zeros_like(exact[name]) for name in names}

        def measure(moved: Mapping[str, Tensor]) -> None:
            for name, largest in spread.items():
                difference = (as_numbers(moved[name]) - exact[name]).abs_()
                difference.nan_to_num_(nan=torch.inf).masked_fill_(~exact[name].isfinite(), 0.0)
                torch.maximum(largest, difference, out=largest)

        if cotangents is not None:
            for draw in range(BACKWARD_DRAWS):
                measure(self._moved_backward(cotangents, draw))
        for draw in range(BACKWARD_DRAWS, BACKWARD_DRAWS + FORWARD_DRAWS):
            rerun = self._moved_forward(draw)
            measure(rerun.outputs if cotangents is None else rerun.filled_gradients(cotangents))
        return spread

    def _moved_forward(self, draw: int) -> Run:
        return run(self._callee, self._arguments.moved(draw).fresh(), self._outputs, Conditions.WIDENED)

    def _moved_backward(self, cotangents: Mapping[str, Tensor], draw: int) -> dict[str, Tensor]:
        self._saved.draw = draw
        try:
            with _moved_gradients(self.run, draw):
                # Converted before anything moves: a move is one ulp of float64.
                moved = {name: move(one.to(torch.float64), draw) for name, one in cotangents.items()}
                return self.run.filled_gradients(moved, retain_graph=True)
        finally:
            self._saved.draw = None


def as_numbers(value: Tensor) -> Tensor:
    """The values, integers and truth values in float64, so that they are measured like the others."""
    return value.detach() if value.is_floating_point() else value.to(torch.float64)


@contextlib.contextmanager
def _moved_gradients(run: Run, draw: int) -> Iterator[None]:
    """Move the gradient that reaches each node of the graph."""

    def hook(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return tuple(None if one is None else move(one, draw) for one in gradients)

    with contextlib.ExitStack() as stack:
        for node in run.nodes:
            # That of a leaf would only move the result once more.
            if not hasattr(node, "variable"):
                stack.enter_context(node.register_prehook(hook))
        yield
