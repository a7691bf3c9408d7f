"""The row that `cmp` prints: what a teaching notebook prints, and why two tensors are not compared."""

from __future__ import annotations

from gradverify.report import Comparison


def render_classic(name: str, comparison: Comparison) -> str:
    """One line: name, exact, approximate, maxdiff, and the shapes or dtypes where they differ."""
    cells = [
        name,
        f"exact: {comparison.exact}",
        f"approximate: {comparison.approximate}",
        f"maxdiff: {comparison.maxdiff}",
    ]
    if comparison.candidate_shape != comparison.shape:
        cells.append(f"shape {comparison.candidate_shape} is not {comparison.shape}")
    if comparison.candidate_dtype != comparison.dtype:
        cells.append(f"dtype {comparison.candidate_dtype} is not {comparison.dtype}")
    return " | ".join(cells)
