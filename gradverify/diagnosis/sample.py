"""A few dozen elements of a gradient, read once: on these an idea is tried before it is checked on all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

# Of the largest elements, the worst ones, and others spread over the whole: together enough that a wrong
# idea fits none of them by chance, and few enough to be read for every tensor of a trace.
_COUNT = 24


@dataclass(frozen=True)
class Sample:
    """Elements of a candidate and its reference, as float64 on the CPU.

    Attributes:
        shape: of the gradient.
        index: where they are, an index tensor a dimension, on the device of the gradient; an element may recur.
        candidate: their values in the candidate; reference: in the reference.
    """

    shape: torch.Size
    index: tuple[Tensor, ...]
    candidate: Tensor
    reference: Tensor

    def of(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same elements of other tensors, of those alone that broadcast to the shape of the gradient."""
        fitting = {name: one for name, one in tensors.items() if broadcasts_to(one.shape, self.shape)}
        if not fitting:
            return {}
        read = torch.stack([self.pick(one) for one in fitting.values()]).cpu()
        return dict(zip(fitting, read, strict=True))

    def pick(self, tensor: Tensor) -> Tensor:
        """The same elements of one tensor that broadcasts to the shape of the gradient, still on its device."""
        return _pick(tensor, self.index, self.reference.numel())


def take_sample(candidate: Tensor, reference: Tensor) -> Sample:
    """Where the reference is largest, where the candidate is worst, and others spread over the whole.

    Elements where the reference is not finite are left out; the shapes are the same.
    """
    count = reference.numel()
    wide = reference.double()
    infinite = ~wide.isfinite()
    size = wide.abs().masked_fill_(infinite, -1.0).flatten()
    error = (candidate.double() - wide).abs_().nan_to_num_(nan=torch.inf).masked_fill_(infinite, -1.0).flatten()
    few = min(count, _COUNT)
    spread = torch.arange(0, count, max(1, count // _COUNT), device=reference.device)
    where = torch.cat([size.topk(few).indices, error.topk(few).indices, spread])
    where = where[~infinite.flatten()[where]]
    index = tuple(torch.unravel_index(where, reference.shape)) if reference.dim() else ()
    both = torch.stack([_pick(one, index, where.numel()) for one in (candidate, reference)]).cpu()
    return Sample(reference.shape, index, both[0], both[1])


def broadcasts_to(shape: torch.Size, target: torch.Size) -> bool:
    """Whether a tensor of one shape can be multiplied with one of the other without enlarging it."""
    return len(shape) <= len(target) and all(
        one in (1, other) for one, other in zip(reversed(shape), reversed(target), strict=False)
    )


def _pick(tensor: Tensor, index: tuple[Tensor, ...], count: int) -> Tensor:
    """The elements of a tensor at the index of a larger shape to which it broadcasts."""
    trailing = index[len(index) - tensor.dim() :]
    own = tuple(torch.zeros_like(one) if size == 1 else one for one, size in zip(trailing, tensor.shape, strict=True))
    return (tensor[own] if own else tensor).double().expand(count)
