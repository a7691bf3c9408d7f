"""The forward of a candidate or of its reference, as oracles take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.candidate.callee import Callee
from gradverify.candidate.pair import Pair
from gradverify.candidate.run import Run, name_values
from gradverify.candidate.widening import Conditions
from gradverify.case import Case
from gradverify.errors import UsageError
from gradverify.inputs import Inputs
from gradverify.trace import Trace


def inputs_of(pair: Pair, called: Run) -> Inputs:
    """The inputs of a pair, for a case that calls one of the two; its `case` is that case.

    Args:
        pair: says what is passed.
        called: a run in float64 of the one that is called, under the same conditions.
    """
    given: dict[str, Tensor | None] = {**pair.arguments.tensors}
    case = _Forward(pair, called.callee, called.conditions, tuple(called.differentiable))
    return Inputs(case, given, frozenset(pair.arguments.differentiated), pair.cotangent_seed, pair.device)


class _Forward(Case):
    def __init__(self, pair: Pair, callee: Callee, conditions: Conditions, outputs: tuple[str, ...]) -> None:
        """Call what is called with the arguments of a pair, and differentiate these of its outputs."""
        self.pair, self.callee, self.conditions, self.outputs = pair, callee, conditions, outputs

    @override
    def inputs(self, generator: torch.Generator) -> Mapping[str, Tensor | None]:
        return {**self.pair.arguments.tensors}

    @override
    def forward(self, t: Trace) -> tuple[Tensor, ...]:
        given = self.pair.arguments.mapped(lambda name, _: t[name])
        with self.callee.running(f"the {self.callee.role}"), self.conditions.entered():
            returned = self.callee.call(given)
        # Complex numbers and those of the scalar engine pass, which oracles put in the place of tensors.
        values = name_values(self.callee, returned, self.pair.outputs)
        for name in self.outputs:
            t[name] = values[name]
        return tuple(values[name] for name in self.outputs)

    @override
    def backward(self, t: object, d: object) -> NoReturn:
        raise UsageError("a candidate brings its own backward")
