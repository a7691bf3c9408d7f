"""What oracles differentiate: a case as a function of one of its tensors, the others staying as they are."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import torch
from torch import Tensor

from gradverify.case import Case
from gradverify.errors import GradverifyError
from gradverify.evaluation import Forward, Tensors, draw_cotangents, run_autograd, run_forward
from gradverify.inputs import Inputs
from gradverify.noise import backward_noise, run_noisy_forward
from gradverify.oracles.exact import ExactFunctions
from gradverify.trace import OnAssign
from gradverify.ulp import move_

Found = TypeVar("Found")
# Puts something in the place of the tensor that was just assigned.
Assign = Callable[[Tensor], None]


class Problem:
    """L(v) = the sum over the outputs of <cotangent, output>, in float64, for every tensor v of a case.

    Attributes:
        case, inputs: what runs.
        cotangents: the upstream gradient of each output.
        values: every tensor with a gradient, by name, as the forward leaves it.
        unit: the unit roundoff of the coarsest of them.
        exact: whether functions that torch approximates are replaced by what they stand for.
        evaluations: how many times the forward has run.
    """

    def __init__(
        self, case: Case, inputs: Inputs, cotangents: Mapping[str, Tensor] | None = None, *, exact: bool = False
    ) -> None:
        """Run the forward once.

        Args:
            case: the case.
            inputs: from `draw_inputs`.
            cotangents: of an earlier pass, at any precision; those of `draw_cotangents` where there was none.
            exact: see `gradverify.oracles.exact`.

        Raises:
            GradverifyError: for whatever the forward does wrong, or if an output is not finite.
        """
        self.case = case
        self.inputs = inputs
        self.exact = exact
        self.evaluations = 0
        forward = self.run()
        given = draw_cotangents(inputs, forward) if cotangents is None else cotangents
        self.outputs: Tensors = {name: forward.trace[name].detach() for name in forward.outputs}
        for name, output in self.outputs.items():
            if not output.isfinite().all():
                raise GradverifyError(f"the output {name} is not finite, so that no derivative of it can be told")
        self.cotangents: Tensors = {name: given[name].to(value) for name, value in self.outputs.items()}
        differentiable = forward.differentiable
        self.values: Tensors = {name: value.detach() for name, value in differentiable.items()}
        # Of the coarsest tensor: a forward may compute in float32 inside.
        self.unit = max(torch.finfo(value.dtype).eps / 2 for value in self.values.values())
        self._largest = forward.largest
        self._found: dict[str, object] = {}
        self._views = {name for name, value in differentiable.items() if value._is_view()}

    def exactly(self) -> Problem:
        """The same problem, without torch's approximations."""
        return Problem(self.case, self.inputs, self.cotangents, exact=True)

    def is_view(self, name: str) -> bool:
        """Whether a tensor is a view of another one, so that changing it in place would change both."""
        return name in self._views

    def run(self, on_assign: OnAssign | None = None) -> Forward:
        """Run the forward in float64, and count it."""
        self.evaluations += 1
        with ExactFunctions() if self.exact else contextlib.nullcontext():
            return run_forward(
                self.case, self.inputs, torch.float64, on_assign=on_assign, guarded=self.evaluations == 1
            )

    def run_with(self, name: str, assign: Assign, others: OnAssign | None = None) -> Forward:
        """Run the forward with something done to its tensors as soon as they are assigned.

        Args:
            name: of a tensor.
            assign: what is done to that one.
            others: what is done to every other one.
        """

        def on_assign(assigned: str, tensor: Tensor) -> None:
            if assigned == name:
                assign(tensor)
            elif others is not None:
                others(assigned, tensor)

        return self.run(on_assign)

    def rise(self, name: str, value: Tensor, draw: int | None = None) -> Tensor:
        """How much L rises when a tensor takes another value; a number on the device.

        Args:
            name: of the tensor.
            value: what it becomes.
            draw: of a move of every other tensor by one ulp; None leaves them as they are.
        """

        def move_others(assigned: str, tensor: Tensor) -> None:
            if assigned in self.inputs.values or tensor.grad_fn is not None:
                move_(tensor, int(draw or 0))

        others = None if draw is None else move_others
        forward = self.run_with(name, lambda tensor: replace_data(tensor, value), others)
        changes = {output: forward.trace[output].detach() - old for output, old in self.outputs.items()}
        return self.terms(changes).sum()

    @property
    def rounding(self) -> float:
        """What rounding does to a sum in this case, relative to its terms: sqrt(L) units for L terms in plain order."""
        return self.unit * max(64.0, 2.0 * math.sqrt(float(self._largest)))

    def allowed_for(self, name: str) -> float:
        """How far rounding may take each element of a gradient: T(N) of the judgement, by its noise in autograd."""
        noise, scale = self.once("noise", self._measure_noise).get(name, (0.0, 0.0))
        return 64.0 * noise + self.rounding * scale

    def _measure_noise(self) -> dict[str, tuple[float, float]]:
        """The largest move of each gradient of autograd's over the backward draws, and its largest magnitude."""
        forward, saved = run_noisy_forward(self.case, self.inputs, torch.float64)
        try:
            reference = run_autograd(self.case, forward, self.cotangents, retain_graph=True)
        except GradverifyError:
            return {}  # a backward within the forward raises: what remains is what the oracles see themselves
        noise = backward_noise(self.case, forward, saved, self.cotangents, reference)
        return {name: (noise[name], float(gradient.abs().max())) for name, gradient in reference.items()}

    def once(self, what: str, find: Callable[[], Found]) -> Found:
        """What is found for all tensors at once, found the first time that it is asked for."""
        if what not in self._found:
            self._found[what] = find()
        return cast(Found, self._found[what])

    def terms(self, changes: Mapping[str, Tensor]) -> Tensor:
        """The terms of the sum over the outputs of <cotangent, change>, in one row; an output left out stays."""
        none = torch.zeros(1, dtype=torch.float64, device=self.inputs.device)
        products = [(self.cotangents[name] * change).double().flatten() for name, change in changes.items()]
        return torch.cat([none, *products])


def replace_data(tensor: Tensor, value: Tensor) -> None:
    """Give a tensor another value, and no other tensor, behind the back of autograd."""
    if tensor._is_view() or tensor.dtype != value.dtype:
        # It moves to memory of its own, so that the tensor it is a view of stays as it is; whoever holds this very
        # tensor, through `t` or through a local variable, sees the new value.
        tensor.data = value.clone()
    else:
        tensor.data.copy_(value)
