"""The numbers that sum up one flat block: norm, extremes and where they are, how many are not zero."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradverify.block import pieces

# Python's own functions take 1 us on a list of 100 numbers, a call of torch and reading its result 3 us.
_FEW = 256

Values = Tensor | list[float]


def read_if_few(values: Tensor) -> Values:
    """A short tensor as a list."""
    return values.tolist() if values.numel() <= _FEW else values


def extremes(values: Values) -> tuple[float, float]:
    """The smallest and the largest; nan of a tensor if any is."""
    if isinstance(values, list):
        return min(values), max(values)
    low, high = torch.aminmax(values)
    return low.item(), high.item()


def find(value: float, values: Values) -> int:
    """The first place of an extreme.

    Measured on 2^18 float32 elements: 80 us, where comparing all of them takes 600.

    Raises:
        ValueError: where no element has the value.
    """
    if isinstance(values, list):
        return values.index(value)
    start = 0
    for piece in pieces(values):
        if value in extremes(piece):
            return start + int((piece == value).nonzero()[0].item())
        start += piece.numel()
    raise ValueError(f"no element is {value!r}")


def norm(values: Values) -> float:
    """The Euclidean norm, by a dot product unless squares overflow, or underflow so far that it matters."""
    if isinstance(values, list):
        return math.hypot(*values)
    square = torch.dot(values, values).item()
    if 1000 * values.numel() * torch.finfo(values.dtype).tiny < square < math.inf:
        return math.sqrt(square)
    low, high = extremes(values)
    largest = max(abs(low), abs(high))
    if not 0 < largest < math.inf:
        return largest
    values = values / largest
    return largest * math.sqrt(torch.dot(values, values).item())


def row(*numbers: Tensor) -> Tensor:
    """Several numbers as one tensor of float64, to be read at once."""
    return torch.stack([number.double() for number in numbers])


def scaled_norm(values: Tensor) -> Tensor:
    """The Euclidean norm of float64 values, none of whose squares overflows or all underflow."""
    largest = values.abs().amax()
    largest = largest.where((largest > 0) & (largest < math.inf), 1.0)
    relative: Tensor = torch.linalg.vector_norm(values / largest)
    return relative * largest


def count_nonzero(values: Values) -> int:
    """How many finite values are not zero; a tensor's are overwritten.

    Measured on 2^18 float32 elements: 43 us, by `torch.count_nonzero` 1400. So few ones add up exactly.
    """
    if isinstance(values, list):
        return len(values) - values.count(0.0)
    return int(values.ne_(0).sum().item())


def are_finite(values: Tensor) -> Tensor:
    """Twice as fast as `isfinite`, and with less memory."""
    return values * 0 == 0


def to_dtype(dtype: torch.dtype, tensor: Tensor) -> Tensor:
    """The tensor, converted if need be: `to` takes 2 us to find nothing to do."""
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def subtract(candidate: Tensor, reference: Tensor, out: Tensor | None) -> Tensor:
    """The difference, in the memory of `out` where that is given."""
    return candidate - reference if out is None else torch.sub(candidate, reference, out=out)
