"""Two tensors of one shape, compared without a verdict: what differs, how far apart they are, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradverify.block import visit
from gradverify.errors import NotATensor, UsageError
from gradverify.report import Comparison
from gradverify.spacing import BITS
from gradverify.tally import Counts, Differences, Errors

_NAMES = {
    dtype: str(dtype).removeprefix("torch.")
    for dtype in (*BITS, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
}


@dataclass(frozen=True)
class Distance:
    """How far a candidate is from its reference, over the elements where the reference is finite.

    Attributes:
        error: the largest |candidate - reference|; inf where the candidate is not finite.
        scale: the largest |reference|.
        rms_error: the root mean square of candidate - reference; inf where `error` is.
        rms_scale: the root mean square of the reference.
        left_out: how many elements of the reference are not finite.
        nonfinite: how many elements of the candidate are not finite although the reference is.
    """

    error: float
    scale: float
    rms_error: float
    rms_scale: float
    left_out: int
    nonfinite: int


def compare(candidate: Tensor, reference: Tensor) -> Comparison:
    """What differs between two tensors, element by element, without a verdict.

    Nothing is broadcast: of tensors of different shapes, only that is said. Differences are taken in the
    promoted dtype (at least float32), and in float64 where they overflow it.

    Raises:
        NotATensor: one of the two is no tensor.
        UsageError: they are on different devices, or sparse, complex or of a dtype without arithmetic.
    """
    candidate, reference = _admit_both(candidate, reference)
    if candidate.shape != reference.shape:
        return _unmatched(candidate, reference)
    found = Differences(candidate.dtype, reference.dtype)
    visit(found, found.work, candidate, reference)
    return Comparison(
        shape=tuple(reference.shape),
        candidate_shape=tuple(candidate.shape),
        dtype=_NAMES[reference.dtype],
        candidate_dtype=_NAMES[candidate.dtype],
        numel=reference.numel(),
        exact=found.same_dtype and found.differing == 0,
        approximate=found.close,
        maxdiff=found.maxdiff,
        index=found.index,
        candidate=found.candidate,
        reference=found.reference,
        max_ulp=found.ulps if found.same_dtype else None,
        relative_error=_ratio(found.error_norm, found.reference_norm),
        differing=found.differing,
        candidate_nonfinite=found.candidate_nonfinite,
        reference_nonfinite=found.reference_nonfinite,
    )


def distance(candidate: Tensor, reference: Tensor) -> Distance:
    """How far a candidate is from its reference, in float64 whatever their dtypes.

    Raises as `compare` does, and UsageError where the shapes differ.
    """
    found = Errors(locate=False)
    visit(found, torch.float64, *_admit_alike(candidate, reference))
    root = math.sqrt(max(1, reference.numel() - found.left_out))
    return Distance(
        error=max(found.error, 0.0),
        scale=found.scale,
        rms_error=found.error_norm / root,
        rms_scale=found.reference_norm / root,
        left_out=found.left_out,
        nonfinite=found.nonfinite,
    )


def worst_element(candidate: Tensor, reference: Tensor) -> tuple[tuple[int, ...], float, float] | None:
    """Where the `error` of `distance` is: the index, the candidate's value there and the reference's.

    None where no element of the reference is finite. Raises as `distance` does.
    """
    found = Errors(locate=True)
    visit(found, torch.float64, *_admit_alike(candidate, reference))
    return None if found.index is None else (found.index, found.candidate, found.reference)


def count_above(reference: Tensor, threshold: float) -> tuple[int, int]:
    """How many finite elements exceed `threshold` >= 0 in magnitude, and how many are finite and not zero."""
    found = Counts(threshold)
    visit(found, torch.float64, _admit("reference", reference))
    return found.above, found.nonzero


def _ratio(error: float, scale: float) -> float:
    if scale == 0:
        return math.inf if error else 0.0
    return error / scale


def _unmatched(candidate: Tensor, reference: Tensor) -> Comparison:
    return Comparison(
        shape=tuple(reference.shape),
        candidate_shape=tuple(candidate.shape),
        dtype=_NAMES[reference.dtype],
        candidate_dtype=_NAMES[candidate.dtype],
        numel=reference.numel(),
        exact=False,
        approximate=False,
        maxdiff=math.nan,
        index=None,
        candidate=math.nan,
        reference=math.nan,
        max_ulp=None,
        relative_error=math.nan,
        differing=reference.numel(),
        candidate_nonfinite=0,
        reference_nonfinite=0,
    )


def _admit(role: str, tensor: object) -> Tensor:
    """A tensor without its graph, if it is of a kind that can be compared."""
    if not isinstance(tensor, Tensor):
        kind = "None" if tensor is None else f"a {type(tensor).__name__}"
        raise NotATensor(f"the {role} must be a tensor, not {kind}: make it one with torch.as_tensor")
    if tensor.layout is not torch.strided:
        raise UsageError(f"the {role} must be dense, but is {tensor.layout}: give its .to_dense()")
    if tensor.dtype not in _NAMES:
        remedy = "torch.view_as_real of both" if tensor.is_complex() else "both as float32 or int64"
        raise UsageError(f"the {role} is {tensor.dtype}, which is not compared: give {remedy}")
    if torch._is_zerotensor(tensor):
        return torch.zeros_like(tensor)  # autograd gives zeros without memory, which nothing can read
    return tensor.detach() if tensor.requires_grad else tensor


def _admit_both(candidate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    candidate, reference = _admit("candidate", candidate), _admit("reference", reference)
    if candidate.device != reference.device:
        raise UsageError(
            f"both must be on one device, but the candidate is on {candidate.device}, the reference on "
            f"{reference.device}: move one with .to(device)"
        )
    return candidate, reference


def _admit_alike(candidate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    candidate, reference = _admit_both(candidate, reference)
    if candidate.shape != reference.shape:
        raise UsageError(
            f"both must have one shape, but the candidate's is {tuple(candidate.shape)}, the reference's "
            f"{tuple(reference.shape)}: reshape one"
        )
    return candidate, reference
