"""What a user writes: mypy --strict accepts it as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from gradverify import (
    Case,
    Comparison,
    GradientMismatch,
    Gradients,
    Report,
    Row,
    Trace,
    Verdict,
    check,
    compare,
    size,
    verify,
)


class Linear(Case):
    """A case with fields of every kind, settings, and annotated methods."""

    dtypes = ("float32", torch.bfloat16)
    devices = ["cpu"]
    seeds = range(3)
    strict = True
    constants = {"mask"}
    known = {("b", "bfloat16"): "issue 123"}
    expected_zero: ClassVar[frozenset[str]] = frozenset({"shift"})

    samples: int = 10
    features: int = size(8, low=4, multiple_of=4)
    scale: float = 1.0
    reduction: str = "mean"

    def inputs(self, generator: torch.Generator) -> Mapping[str, Tensor | None]:
        """Draw them."""
        return {
            "x": torch.randn(self.samples, self.features, generator=generator),
            "w": torch.randn(self.features, generator=generator),
            "mask": None,
        }

    def forward(self, t: Trace) -> Tensor:
        """Record every tensor."""
        t.h = t.x @ t.w
        for i in range(2):
            t[f"step{i}"] = t.h * i
        t.loss = t["h"].sum() * self.scale
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        """Derive every gradient."""
        d.h = d.loss.expand_as(t.h) * self.scale
        d["w"] = t.x.T @ d.h
        d.x = d.h[:, None] * t.w

    def valid(self) -> bool:
        """Sizes that fit."""
        return self.samples > self.features


class Pair(Linear):
    """Inherits, adds a field, and returns a tuple."""

    samples: int = 3
    extra: int = 1

    def forward(self, t: Trace) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # more outputs than its base
        """Two outputs."""
        t.y = t.x * self.extra
        t.z = t.x - self.extra
        return t.y, t.z


def use() -> list[Row]:
    """Verify, and read what came of it."""
    report: Report = verify(Linear(samples=20, features=8), dtype=torch.float64, seed=1, sizes={"samples": 30})
    try:
        check(Pair(samples=2, extra=2, scale=0.5), strict=False, partial=True)
    except GradientMismatch as mismatch:
        report = mismatch.report
    worst: Comparison = compare(torch.ones(2), torch.zeros(2))
    print(worst.maxdiff, report["w"].verdict is Verdict.EXACT, report.passed)
    return [row for row in report.rows if not row.passed]
