"""Mistakes in functions whose outputs each depend on many inputs: parts of the Jacobian are left out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.diagnosis.mistake import Mistake, is_uniform, spell_dims
from gradverify.diagnosis.subject import Subject

# Of one or two elements a mean says too little.
_LEAST_LENGTH = 3
# As few as four rows of three say enough.
_LEAST_MIXED = 12


class SoftmaxSum(Mistake):
    """The sum in softmax's derivative, p * (g - sum(p * g)), is left out; likewise log_softmax, g - p * sum(g)."""

    @override
    def explain(self, subject: Subject) -> str | None:
        if not subject.has_shape:
            return None
        for dim in range(subject.reference.dim()):
            for words, probabilities in _probabilities(subject, dim):
                if not _are_mixed(probabilities):
                    continue
                remedy = f"subtract p * (...).sum({dim}, keepdim=True), where p is {words}"
                if subject.agrees(_projected(subject.candidate, probabilities, dim)):
                    what = (
                        "missing"
                        if _is_without_sum(subject, probabilities)
                        else "missing, or another than it should be"
                    )
                    return f"the sum in softmax's derivative is {what}: {remedy}"
                if subject.agrees(_projected(subject.candidate / (1 - probabilities), probabilities, dim)):
                    return (
                        f"only the diagonal of softmax's Jacobian is used, p * (1 - p): in place of (1 - p), {remedy}"
                    )
        return None


class NormalisationMeans(Mistake):
    """The mean or the variance of a normalisation is taken for a constant, although the input makes it."""

    @override
    def explain(self, subject: Subject) -> str | None:
        if not subject.has_shape:
            return None
        candidate, inputs = subject.candidate, subject.values[subject.name]
        for dims in _normalised(inputs.dim()):
            if inputs.numel() < _LEAST_LENGTH * inputs.mean(dims).numel():
                continue
            where = spell_dims(dims)
            centred = candidate - candidate.mean(dims, keepdim=True)
            if _says_something(subject, dims) and subject.agrees(centred):
                return f"the mean over {where} is taken for a constant: subtract the gradient's own mean over it"
            spread = inputs - inputs.mean(dims, keepdim=True)
            if _is_projection(subject, centred, spread, dims):
                return (
                    f"the mean and the variance over {where} are taken for constants: subtract the gradient's own "
                    "mean, and its projection on the normalised input"
                )
            if _is_projection(subject, candidate, inputs, dims):
                return (
                    f"the mean square over {where} is taken for a constant: subtract the gradient's projection on the "
                    "normalised input"
                )
        return None


def _is_without_sum(subject: Subject, probabilities: Tensor) -> bool:
    """Whether the candidate is p * g, or for log_softmax g, times a constant."""
    for share in subject.contributions:
        upstream = subject.references[share.through]
        if upstream.shape == subject.candidate.shape:
            for whole in (probabilities * upstream, upstream):
                ratio = (subject.candidate * whole).sum() / whole.square().sum()
                if subject.is_candidate(ratio * whole):
                    return True
    return False


def _are_mixed(probabilities: Tensor) -> bool:
    """Whether enough of them are neither zero nor one, where every formula gives nearly the same."""
    # Within 1% of either, p (1 - p) is too small for a formula to stand out.
    return int(((probabilities > 0.01) & (probabilities < 0.99)).sum()) >= _LEAST_MIXED


def _probabilities(subject: Subject, dim: int) -> Iterator[tuple[str, Tensor]]:
    """What may be the probabilities: the next tensors that sum to one, else the softmax of this one."""
    shape = subject.reference.shape
    for name in dict.fromkeys(share.through for share in subject.contributions):
        value = subject.values[name]
        if value.shape == shape and torch.allclose(value.sum(dim), value.new_ones(()), rtol=1e-9, atol=0.0):
            yield f"t.{name}", value
    yield f"t.{subject.name}.softmax({dim})", subject.values[subject.name].softmax(dim)


def _says_something(subject: Subject, dims: tuple[int, ...]) -> bool:
    """Whether the means over some dimensions differ: one constant, added by chance, is a mean too."""
    means = subject.candidate.mean(dims).flatten()
    if means.numel() > 1:
        return not is_uniform(means)
    return any(subject.is_candidate(subject.references[share.through]) for share in subject.contributions)


def _projected(gradient: Tensor, probabilities: Tensor, dim: int) -> Tensor:
    return gradient - probabilities * gradient.sum(dim, keepdim=True)


def _normalised(count: int) -> Iterator[tuple[int, ...]]:
    """Over what one normalises: the last dimensions, or all but the one of the channels."""
    dims = tuple(range(count))
    seen = [dims[-length:] for length in range(1, count + 1)]
    seen += [tuple(one for one in dims if one != channel) for channel in (1, 0, count - 1)]
    yield from dict.fromkeys(one for one in seen if one)


def _is_projection(subject: Subject, gradient: Tensor, direction: Tensor, dims: tuple[int, ...]) -> bool:
    """Whether subtracting direction * mean(gradient * direction) / (mean(direction^2) + epsilon) gives the reference.

    The epsilon is the one that fits the group of elements with the largest projection.
    """
    along = (gradient * direction).mean(dims, keepdim=True)
    square = direction.square().mean(dims, keepdim=True)
    missing = ((gradient - subject.reference) * direction).mean(dims, keepdim=True)
    largest = along.abs().argmax()
    scales = torch.stack([one.flatten()[largest] for one in (along, square, missing)]).tolist()
    if not all(scales):
        return False
    epsilon = scales[0] * scales[1] / scales[2] - scales[1]
    # At most what people add to a variance, and not below zero by more than rounding.
    if not -1e-9 * scales[1] <= epsilon <= 0.1:
        return False
    return subject.agrees(gradient - direction * (along / (square + epsilon)))
