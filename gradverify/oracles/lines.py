"""Lines through the values of a tensor, along which derivatives are measured: one an element, or random ones."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradverify.oracles.slope import Slope


@dataclass(frozen=True)
class Line:
    """A direction: a step of 1 moves the values by it.

    Attributes:
        direction: of the shape of the tensor.
        scale: the length of a typical element of it, in the units of the values.
        proportional: whether elements move in proportion to their size; otherwise all of them move alike.
    """

    direction: Tensor
    scale: float
    proportional: bool = False

    def part(self, low: int, high: int) -> Line:
        """The same direction for the elements from `low` to `high`, in row-major order; the others stay."""
        part = torch.zeros_like(self.direction).flatten()
        part[low:high] = self.direction.flatten()[low:high]
        return Line(part.view_as(self.direction), self.scale)


class Probe(ABC):
    """One tensor of a problem, ready to be measured along lines."""

    @abstractmethod
    def slopes(self, lines: Sequence[Line]) -> list[Slope]:
        """The derivative of L along each line, per step of 1."""

    @abstractmethod
    def glance(self, line: Line, step: float) -> float:
        """The derivative along a line at the least cost, without an error bar.

        Args:
            line: the line.
            step: one that served well on a line like it.
        """

    def is_joint(self, kinks: Sequence[tuple[Line, Slope]]) -> bool:
        """Whether kinks met along several lines are one and the same; taken to be, where it cannot be told."""
        return len(kinks) > 1

    def is_alone(self, line: Line, slope: Slope) -> bool:  # noqa: ARG002  # who measures no kinks does not look
        """Whether a kink met along the line of one element is that element's own; taken not to be, where not known."""
        return False


def summed(terms: Tensor, line: Line) -> Tensor:
    """Of the terms of a derivative along a line: their sum, the sum of their magnitudes, and the length of the line."""
    return torch.stack([terms.sum(), terms.abs().sum(), torch.linalg.vector_norm(line.direction.double())])


def scale_of(value: Tensor) -> float:
    """The root of the mean square of the finite elements; 1 where they are all zero."""
    finite = value.double().where(value.isfinite(), 0)
    largest = float(finite.abs().max())
    if largest == 0.0:
        return 1.0
    return largest * math.sqrt(float((finite / largest).square().mean()))


def element_lines(value: Tensor, numbers: Sequence[int] | None = None) -> list[Line]:
    """A line along each element, or some of them, as long as it or the tensor's scale, whichever is longer."""
    scale = scale_of(value)
    lengths = value.double().abs().clamp(min=scale).where(value.isfinite(), 0).flatten().tolist()
    chosen = range(value.numel()) if numbers is None else numbers
    return [element_line(value, number, lengths[number]) for number in chosen]


def element_line(value: Tensor, number: int, length: float) -> Line:
    """The line along one element, of a given length."""
    direction = torch.zeros_like(value).flatten()
    direction[number] = length
    return Line(direction.view_as(value), length or 1.0)


def random_lines(value: Tensor, count: int, seed: int, moving: Tensor) -> Iterator[Line]:
    """Lines along which every element of `moving` moves, up or down at random (Rademacher).

    By turns all elements move alike, and each in proportion to its size: the first sees every element equally well,
    the second keeps small positive numbers positive.
    """
    generator = torch.Generator().manual_seed(seed)
    scale = scale_of(value)
    for number in range(count):
        signs = torch.randint(0, 2, value.shape, generator=generator, dtype=torch.int8).to(value.device)
        lengths = torch.full_like(value, scale) if number % 2 == 0 else value.abs()
        yield Line((lengths * (2 * signs - 1)).where(moving, 0), scale, proportional=number % 2 == 1)
