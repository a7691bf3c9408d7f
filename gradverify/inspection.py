"""What a page shows of a gradient beyond its row: where its error is, the size of each, the source around it.

Everything is summed up where the tensors are, and read once a summary.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gradverify.judge import IMPRECISE_ACCURACY
from gradverify.location import Location, excerpt
from gradverify.measurement import Pass
from gradverify.report import Context, Details, HeatMap, Row
from gradverify.spacing import steps_between, unsigned
from gradverify.verdict import Origin, Verdict

# The most cells of a heat map, down and across: on a page each is a few pixels wide.
SIDE = 64

# Lines of source before and after a statement.
_MARGIN = 4

# Elements whose errors are computed at once, in float64: 32 MiB of each temporary.
_PIECE = 2**22

# Differences in ulp are below 2^64; what is not finite in one of the two goes to a bin of its own, and is left out.
_BINS = 66


def add_details(rows: Sequence[Row], working: Pass, judging: Pass, coarse: frozenset[str]) -> tuple[Row, ...]:
    """The rows of a case with their details.

    Args:
        rows: of a report.
        working: the pass at the working precision.
        judging: the pass that judged.
        coarse: the gradients that fail only at the working precision.
    """
    detailed = []
    for row in rows:
        if is_comparable(row):
            told = working if row.name in coarse or _is_judged_by_accuracy(row) else judging
            row = measure(
                row,
                (working.candidates[row.name], working.reference[row.name]),
                (told.candidates[row.name], judging.reference[row.name]),
            )
        detailed.append(quote(row))
    return tuple(detailed)


def is_comparable(row: Row) -> bool:
    """Whether there were two tensors of one shape."""
    return row.comparison is not None and row.comparison.candidate_shape == row.comparison.shape


def measure(row: Row, working: tuple[Tensor, Tensor], judged: tuple[Tensor, Tensor]) -> Row:
    """The row with its histogram, and where it tells of a worst element, with its heat map.

    Args:
        row: one that is comparable.
        working: candidate and reference at the working precision.
        judged: candidate and reference of the pass that decided the verdict.
    """
    details = row.details or Details()
    if working[0].dtype == working[1].dtype and working[0].is_floating_point():
        details = dataclasses.replace(details, ulps=count_ulps(*working))
    is_wrong = row.worst is not None and row.worst.candidate != row.worst.reference
    if is_wrong and row.origin is not Origin.INHERITED and judged[0].shape == judged[1].shape:
        details = dataclasses.replace(details, heat_map=map_errors(*judged))
    return dataclasses.replace(row, details=details)


def quote(row: Row) -> Row:
    """The row with the source around its statement, where that is to blame."""
    if row.passed or row.origin is Origin.INHERITED or row.file is None or row.line is None:
        return row
    found = excerpt(Location(row.file, row.line, ""), _MARGIN)
    if found is None:
        return row
    return dataclasses.replace(row, details=dataclasses.replace(row.details or Details(), context=Context(*found)))


def map_errors(candidate: Tensor, reference: Tensor) -> HeatMap | None:
    """The largest error of each tile of a tensor of any rank; None of one without elements."""
    shape = reference.shape
    if not shape.numel():
        return None
    split = _split(shape)
    extent = math.prod(shape[:split]), math.prod(shape[split:])
    height, width = (math.ceil(length / SIDE) for length in extent)
    own, others = (one.detach().reshape(extent) for one in (candidate, reference))
    # Whole tiles at a time, so that no temporary grows with the tensor.
    step = max(1, _PIECE // (height * width)) * width
    strips = []
    for top in range(0, extent[0], height):
        strip = own[top : top + height], others[top : top + height]
        parts = (tuple(one[:, left : left + step] for one in strip) for left in range(0, extent[1], step))
        strips.append(torch.cat([_largest(mine, other, width) for mine, other in parts]))
    cells = tuple(tuple(float(f"{one:.2e}") for one in row) for row in torch.stack(strips).tolist())
    return HeatMap(split, extent, (height, width), cells)


def count_ulps(candidate: Tensor, reference: Tensor) -> tuple[int, ...]:
    """How many elements are 0 ulps apart, 1, 2 to 3, 4 to 7, and so on, up to the last size that occurs."""
    counts = torch.zeros(_BINS, dtype=torch.int64, device=reference.device)
    # The bits of a lazily negated tensor are not its values.
    left, right = (one.detach().reshape(-1).resolve_neg() for one in (candidate, reference))
    for start in range(0, left.numel(), _PIECE):
        pair = left[start : start + _PIECE], right[start : start + _PIECE]
        finite = pair[0].isfinite() & pair[1].isfinite()
        _, sizes = torch.frexp(unsigned(steps_between(*pair)))
        counts.scatter_add_(0, sizes.long().where(finite, _BINS - 1), torch.ones_like(finite, dtype=torch.int64))
    found = counts.tolist()[:-1]
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def _is_judged_by_accuracy(row: Row) -> bool:
    return row.verdict is Verdict.IMPRECISE and row.accuracy is not None and row.accuracy > IMPRECISE_ACCURACY


def _split(shape: Sequence[int]) -> int:
    """Where to cut a shape in two, such that the matrix is as square as it can be; a vector is one row."""
    cuts = range(1, len(shape))
    return min(cuts, key=lambda cut: abs(math.log(math.prod(shape[:cut]) / math.prod(shape[cut:]))), default=0)


def _largest(candidate: Tensor, reference: Tensor, width: int) -> Tensor:
    """The largest error in each tile of a strip that is one tile high."""
    error = (candidate.double() - reference.double()).abs_()
    error = error.where(candidate.isfinite(), torch.inf).where(reference.isfinite(), 0.0).amax(0)
    missing = -error.numel() % width
    return torch.nn.functional.pad(error, (0, missing)).view(-1, width).amax(1)
