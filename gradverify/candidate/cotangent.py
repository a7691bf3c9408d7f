"""Upstream gradients that no backward can take for ones: a few kinds, each of which shows what others hide."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gradverify.word import Word

# Beyond a ratio of 2^20 the small ones are below what float32 resolves beside the large ones.
_WIDEST = 20


class Cotangent(Word):
    """A kind of upstream gradient; a string, so that it prints as its value.

    NORMAL is judged first, and shows most. ONE_HOT shows what leaks into places that the output does not depend on,
    ALTERNATING what is right only for sums that do not cancel, WIDE what overflows or is lost beside larger numbers.
    """

    NORMAL = "normal"
    ONE_HOT = "one-hot"
    ALTERNATING = "alternating"
    WIDE = "wide"


def draw_cotangents(kind: Cotangent, outputs: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """An upstream gradient for each output, of its shape, dtype and device.

    Args:
        kind: what they look like.
        outputs: the differentiable outputs by name.
        seed: of the numbers, which are drawn on the CPU whatever the device.
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: _draw(kind, output, generator).to(output.detach()) for name, output in outputs.items()}


def _draw(kind: Cotangent, output: Tensor, generator: torch.Generator) -> Tensor:
    shape, count = output.shape, output.numel()
    if kind is Cotangent.NORMAL:
        return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
    if kind is Cotangent.ONE_HOT:
        place = int(torch.randint(max(count, 1), (), generator=generator, device="cpu"))
        return (torch.arange(count, device="cpu") == place).float().view(shape)
    # Along every dimension: signs that are the same all along one are no upstream gradient of a norm over it.
    places = torch.zeros(shape, dtype=torch.int64, device="cpu")
    for dim, length in enumerate(shape):
        places += torch.arange(length, device="cpu").view(-1, *[1] * (len(shape) - dim - 1))
    signs = (1.0 - 2.0 * (places % 2)).view(-1)
    if kind is Cotangent.ALTERNATING:
        return signs.view(shape)
    # The half of the exponents of the dtype: products and sums of a few hundred still fit, in float16 too.
    widest = min(_WIDEST, int(math.log2(torch.finfo(output.dtype).max)) // 2)
    exponents = torch.rand(count, generator=generator, dtype=torch.float32, device="cpu") * 2 * widest - widest
    return (torch.exp2(exponents) * signs).view(shape)
