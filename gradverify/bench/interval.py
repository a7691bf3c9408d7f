"""How far a median of paired ratios can be trusted: an interval from a bootstrap over blocks of pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from gradverify.timing import Ratio

# A hundred of them lie beyond either end of a 95% interval, so that the share beyond is known to a tenth.
_RESAMPLES = 4000
# Any seed does; a fixed one gives the same interval for the same times.
_SEED = 111111


def paired_ratio(seconds: Sequence[float], first: Sequence[float]) -> Ratio:
    """The median of `seconds` over `first`, pair by pair, with its 95% interval.

    Pairs that follow each other are alike, as a machine is busy for a while and then is not. So whole blocks of them
    are drawn (H. R. Künsch, 1989), as long as the cube root of their number; single ones would give too small an
    interval.
    """
    ratios = torch.tensor([one / other for one, other in zip(seconds, first, strict=True)], dtype=torch.float64)
    count = len(ratios)
    length = math.ceil(count ** (1 / 3))
    generator = torch.Generator().manual_seed(_SEED)
    starts = torch.randint(count, (_RESAMPLES, math.ceil(count / length)), generator=generator, device="cpu")
    drawn = (starts[:, :, None] + torch.arange(length)) % count
    medians = ratios[drawn.flatten(1)[:, :count]].quantile(0.5, dim=1)
    low, high = medians.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Ratio(float(ratios.quantile(0.5)), low, high)
