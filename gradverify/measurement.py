"""The evidence on every gradient of a case: what the passes at two precisions and their noise give."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gradverify.case import Case
from gradverify.comparison import Distance, compare, distance
from gradverify.determinism import check_deterministic
from gradverify.errors import GradverifyError
from gradverify.evaluation import Forward, Tensors, draw_cotangents, run_autograd, run_backward, run_forward
from gradverify.gradients import Gradients, derived_of
from gradverify.inputs import Inputs
from gradverify.judge import PRECISIONS, Accuracy, Derivation, Doubt
from gradverify.noise import backward_noise, run_noisy_forward, spread
from gradverify.report import Comparison
from gradverify.scope import dtype_name


@dataclass(frozen=True)
class Pass:
    """One precision: the gradients of autograd, those derived by hand, and what rounding does to the first.

    Attributes:
        forward: the forward that ran; its graph is gone.
        cotangents: the upstream gradients.
        reference: autograd's gradients; candidates: the hand-derived ones.
        gradients: the record of the hand-derived pass.
        noise: the largest move of each reference gradient over the backward draws; empty if none were made.
    """

    forward: Forward
    cotangents: Tensors
    reference: Tensors
    candidates: Tensors
    gradients: Gradients
    noise: dict[str, float] = field(default_factory=dict)

    @property
    def unit(self) -> float:
        """The unit roundoff of the pass."""
        return PRECISIONS[dtype_name(self.forward.dtype)].unit


def run_pass(
    case: Case,
    inputs: Inputs,
    dtype: torch.dtype,
    *,
    partial: bool,
    cotangents: Tensors | None = None,
    noise_of: Collection[str] | None = None,
) -> Pass:
    """Run a case once at a precision.

    Args:
        case: the case.
        inputs: from `draw_inputs`.
        dtype: the precision of the pass.
        partial: whether a gradient that is not derived may be read.
        cotangents: of an earlier pass; drawn, and the forward checked to be deterministic, where there was none.
        noise_of: the gradients whose noise is measured; None measures none.

    Raises:
        GradverifyError: for whatever the case does wrong.
    """
    measured = noise_of is not None
    if measured:
        forward, saved = run_noisy_forward(case, inputs, dtype)
    else:
        forward = run_forward(case, inputs, dtype)
    if cotangents is None:
        check_deterministic(case, inputs, forward)
        cotangents = draw_cotangents(inputs, forward)
    # Converted before anything moves: a move is one ulp of the precision of the pass.
    cotangents = {name: one.to(forward.trace[name].detach()) for name, one in cotangents.items()}
    reference = run_autograd(case, forward, cotangents, retain_graph=measured)
    noise: dict[str, float] = {}
    if noise_of is not None:
        watched = {name: reference[name] for name in noise_of if name in reference}
        noise = backward_noise(case, forward, saved, cotangents, watched)
    # The hand-derived pass comes last: it may change forward values in place, and the graph shares them.
    given = (lambda name: reference[name].clone()) if partial else None
    gradients = run_backward(case, forward, cotangents, given)
    return Pass(forward, cotangents, reference, derived_of(gradients), gradients, noise)


def rerun_with_noise(case: Case, inputs: Inputs, quick: Pass, names: Collection[str]) -> Pass:
    """The same pass, with the noise of some of its gradients."""
    forward, saved = run_noisy_forward(case, inputs, quick.forward.dtype)
    watched = {name: quick.reference[name] for name in names}
    return dataclasses.replace(quick, noise=backward_noise(case, forward, saved, quick.cotangents, watched))


@dataclass(frozen=True)
class Evidence:
    """What is known of one gradient before any doubt: the comparison people know, and the two questions."""

    comparison: Comparison
    distance: Distance
    derivation: Derivation
    accuracy: Accuracy | None


def weigh(name: str, working: Pass, judging: Pass) -> Evidence:
    """The first evidence on a gradient whose shape and dtype are right.

    Args:
        name: of the gradient.
        working: the pass at the working precision.
        judging: the float64 pass; the working one itself where there is no other.
    """
    comparison = compare(working.candidates[name], working.reference[name])
    candidate, reference = judging.candidates[name], judging.reference[name]
    seen = distance(candidate, reference)
    derivation = _derivation(name, judging, seen, comparison.exact)
    accuracy = None
    if working is not judging:
        autograd = distance(working.reference[name], reference)
        own = autograd if comparison.exact else distance(working.candidates[name], reference)
        spoilt = own.nonfinite > autograd.nonfinite
        accuracy = Accuracy(
            candidate_error=math.nan if spoilt else own.error,
            autograd_error=autograd.error,
            scale=seen.scale,
            explained=derivation.units * working.unit * (derivation.noise / judging.unit + seen.scale),
            unit=working.unit,
        )
    return Evidence(comparison, seen, derivation, accuracy)


def allowed_for(name: str, judging: Pass) -> float:
    """What rounding explains of a gradient whose candidate cannot be compared, having another shape."""
    reference = judging.reference[name]
    return _derivation(name, judging, distance(reference, reference), identical=True).allowed_first


def _derivation(name: str, judging: Pass, seen: Distance, identical: bool) -> Derivation:
    return Derivation(
        error=seen.error,
        scale=seen.scale,
        noise=judging.noise.get(name, 0.0),
        numel=judging.reference[name].numel(),
        largest=judging.forward.largest,
        identical=identical,
        precision=PRECISIONS[dtype_name(judging.forward.dtype)],
    )


class Doubts:
    """The further evidence on the gradients that raised an alarm, gathered once for all of them."""

    def __init__(self, case: Case, inputs: Inputs, working: Pass, judging: Pass, alarmed: Collection[str]) -> None:
        """Rerun the forward under noise, and in float32 where the working precision is another."""
        self._judging = judging
        references = {name: judging.reference[name] for name in alarmed}
        self._moved = spread(case, inputs, judging.forward.dtype, judging.cotangents, references)
        self._float32 = (
            self._run_float32(case, inputs, working) if working is not judging or _is_double(working) else None
        )

    @staticmethod
    def _run_float32(case: Case, inputs: Inputs, working: Pass) -> Pass | None:
        if working.forward.dtype == torch.float32:
            return working
        try:
            return run_pass(case, inputs, torch.float32, partial=True, cotangents=working.cotangents)
        except GradverifyError:
            return None  # a case that cannot run in float32 has no float32 error to compare with

    def of(self, name: str, derivation: Derivation) -> Doubt:
        """The evidence on one of the gradients."""
        candidate, reference = self._judging.candidates[name], self._judging.reference[name]
        return doubt_of(candidate, reference, self._moved[name], derivation, self._float32_error(name))

    def _float32_error(self, name: str) -> float | None:
        if self._float32 is None or name not in self._float32.candidates:
            return None
        candidate, reference = self._float32.candidates[name], self._float32.reference[name]
        return distance(candidate, reference).error if candidate.shape == reference.shape else None


def doubt_of(
    candidate: Tensor, reference: Tensor, moved: Tensor, derivation: Derivation, float32_error: float | None
) -> Doubt:
    """What an alarm over one gradient is answered with.

    Args:
        candidate: the gradient in float64.
        reference: that of the reference, of the same shape.
        moved: how far one ulp of the forward values moves each element of the reference.
        derivation: what raised the alarm.
        float32_error: the error of the candidate in float32, None where there is none.
    """
    unsettled = moved > derivation.unsettled_beyond
    differences = (candidate - reference).abs_().nan_to_num_(nan=torch.inf)
    differences.masked_fill_(unsettled | ~reference.isfinite(), 0.0)
    settled = moved.masked_fill(unsettled, 0.0)
    # One transfer from the device for all four.
    numbers = torch.stack([moved.max(), settled.max(), differences.max(), unsettled.sum().to(moved.dtype)]).tolist()
    return Doubt(
        noise=numbers[0],
        settled_noise=numbers[1],
        settled_error=numbers[2],
        unsettled=int(numbers[3]),
        float32_error=float32_error,
        fits_float32=_fits_float32(candidate) and not _fits_float32(reference),
    )


def _is_double(one: Pass) -> bool:
    return one.forward.dtype == torch.float64


def _fits_float32(tensor: Tensor) -> bool:
    return torch.equal(tensor.float().to(tensor.dtype), tensor)
