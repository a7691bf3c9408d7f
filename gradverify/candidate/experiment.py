"""The runs that a verdict on a candidate needs, made when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gradverify.candidate.callee import Callee
from gradverify.candidate.cotangent import Cotangent, draw_cotangents
from gradverify.candidate.noise import NoisyReference, as_numbers
from gradverify.candidate.pair import Pair
from gradverify.candidate.run import Run, run
from gradverify.candidate.widening import Conditions
from gradverify.comparison import distance
from gradverify.errors import CaseRaised, InvalidOutput
from gradverify.scope import dtype_name
from gradverify.signature import defined_at

# What a call shows: the gradients for one kind of upstream gradient, or its outputs.
Aspect = Cotangent | None
ASPECTS: tuple[Aspect, ...] = (None, *Cotangent)


@dataclass(frozen=True)
class Sample:
    """One gradient or output, from each run.

    Attributes:
        candidate, reference: at the working precision.
        exact: of the reference, in float64 on the same inputs.
        precise: of the candidate, in float64; None where it cannot run there.
    """

    candidate: Tensor
    reference: Tensor
    exact: Tensor
    precise: Tensor | None


class Experiment:
    """Every run of one pair.

    Attributes:
        pair: the candidate, its reference, and what both are given.
        candidate, reference: at the working precision.
        exact: the reference in float64.
        unjudged: why there is no candidate in float64; None where there is one.
        detailed: whether to gather what only a page shows.
    """

    def __init__(self, pair: Pair, reference: Callee, *, quick: bool = False, detailed: bool = False) -> None:
        """Run the reference at both precisions, and the candidate once.

        Args:
            pair: what is run.
            reference: that of the pair.
            quick: do without the candidate in float64.
            detailed: gather what only a page shows.

        Raises:
            GradverifyError: for whatever one of the two does wrong.
        """
        self.pair = pair
        self.detailed = detailed
        self.is_double = pair.dtype == torch.float64
        self._cotangents: dict[Cotangent, dict[str, Tensor]] = {}
        self._wide = pair.arguments.to(torch.float64)
        self.exact = NoisyReference(reference.to(torch.float64), self._wide, pair.outputs)
        self.reference = run(reference, pair.arguments.fresh(), pair.outputs)
        self.candidate = self.call_candidate()
        self._usual_scales: dict[str, float] = {}
        self._normal: dict[str, Tensor] | None = None
        self.unjudged = "it was not tried (quick)" if quick else None
        self._check_outputs()

    def call_candidate(self) -> Run:
        """Call the candidate once more, as its user does."""
        return run(self.pair.candidate, self.pair.arguments.fresh(), self.pair.outputs)

    @cached_property
    def largest(self) -> int:
        """The largest number of elements of any tensor that is known."""
        tensors = [*self.pair.arguments.tensors.values(), *self.reference.outputs.values()]
        return max(tensor.numel() for tensor in tensors)

    def cotangents(self, kind: Cotangent) -> dict[str, Tensor]:
        """The upstream gradients, such as either can be given without rounding."""
        if kind not in self._cotangents:
            drawn = draw_cotangents(kind, self.reference.differentiable, self.pair.cotangent_seed)
            self._cotangents[kind] = {
                name: one.to(self.candidate.outputs[name].dtype).to(one.dtype) for name, one in drawn.items()
            }
        return self._cotangents[kind]

    def magnitude(self, aspect: Aspect) -> float:
        """The largest element of the upstream gradients; 1 for outputs, which have none."""
        return 1.0 if aspect is None else max(distance(one, one).scale for one in self.cotangents(aspect).values())

    def usual_scale(self, name: str) -> float:
        """The largest element of a gradient for normal upstream gradients, per unit of these."""
        if not self._usual_scales:
            kind = Cotangent.NORMAL
            self._usual_scales = {
                name: distance(one, one).scale / self.magnitude(kind) for name, one in self.exact_values(kind).items()
            }
        return self._usual_scales[name]

    def samples(self, aspect: Aspect, *, precise: bool) -> dict[str, Sample]:
        """Every gradient for a kind of upstream gradient, or every output, from each run.

        Args:
            aspect: which of them.
            precise: whether the candidate runs in float64 too, if it can.
        """
        candidate = self.candidate_values(aspect)
        exact = self.exact_values(aspect)
        if self.is_double:
            reference = exact if aspect else self.values(self.exact.run, aspect)
            return {
                name: Sample(candidate[name], reference[name], one, as_numbers(candidate[name]))
                for name, one in exact.items()
            }
        reference = self.values(self.reference, aspect)
        found = (self.precise_values(aspect) if precise else None) or {}
        return {name: Sample(candidate[name], reference[name], one, found.get(name)) for name, one in exact.items()}

    def candidate_values(self, aspect: Aspect) -> dict[str, Tensor]:
        """What the candidate gives at the working precision; each gradient is that of a call of its own.

        A kernel may reuse its buffers: whether a second backward of one call is right is another question.
        """
        if aspect is None:
            return self.values(self.candidate, aspect)
        if aspect is not Cotangent.NORMAL:
            return self.values(self.call_candidate(), aspect)
        if self._normal is None:
            self._normal = self.values(self.candidate, aspect)
        return self._normal

    def values(self, called: Run, aspect: Aspect) -> dict[str, Tensor]:
        """What a run gives of an aspect; a gradient that it does not give is zero."""
        if aspect is None:
            return {name: called.outputs[name].detach().clone() for name in self.exact.run.outputs}
        return called.filled_gradients(self.cotangents(aspect), retain_graph=called is self.reference)

    def exact_values(self, aspect: Aspect) -> dict[str, Tensor]:
        """What the reference gives in float64."""
        if aspect is None:
            return {name: as_numbers(output) for name, output in self.exact.run.outputs.items()}
        return self.exact.gradients(self.cotangents(aspect))

    def precise_values(self, aspect: Aspect, conditions: Conditions = Conditions.DOUBLE) -> dict[str, Tensor] | None:
        """What the candidate gives in float64; None where it cannot run there, which `unjudged` then explains."""
        if self.unjudged is not None:
            return None
        try:
            with self.pair.candidate.running("a copy of the candidate in float64"):
                candidate = self.pair.precise_candidate
            called = run(candidate, self._wide.fresh(), self.pair.outputs, conditions)
            reason = self._shortfall(called)
            if reason is None:
                return {name: as_numbers(value) for name, value in self.values(called, aspect).items()}
        except CaseRaised as error:
            reason = error.message
        if conditions is Conditions.DOUBLE:
            self.unjudged = reason
        return None

    def _shortfall(self, called: Run) -> str | None:
        """What shows that a run in float64 was none."""
        for name, exact in self.exact.run.outputs.items():
            output = called.outputs.get(name)
            if output is None or output.shape != exact.shape:
                return f"{name} comes out in another shape there"
            if exact.is_floating_point() and output.dtype != exact.dtype:
                return f"given float64, it returns {name} as {dtype_name(output.dtype)}"
        return None

    def _check_outputs(self) -> None:
        own, others = list(self.candidate.outputs), list(self.reference.outputs)
        if own != others:
            raise InvalidOutput(
                f"the candidate returned {_listed(own)}, the reference {_listed(others)}: say which to compare, as in "
                'outputs=("y", None), where None passes one over',
                defined_at(self.pair.candidate.function),
            )
        if not self.reference.differentiable:
            raise InvalidOutput(
                "no output of the reference has a gradient: it must compute with torch, without detach, no_grad or "
                ".item()",
                defined_at(self.reference.callee.function),
            )


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "no tensor"
