"""Every planted mistake is caught, in the very rows that it makes wrong."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from gradverify import verify
from planted.formulas import FusedQKV, split_parameters
from planted.right import Split
from planted.wrong import PLANTED

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_mistake_is_caught(planted):
    """Its rows fail, and no other."""
    report = verify(
        planted.candidate,
        inputs=planted.inputs,
        reference=planted.reference,
        constants=planted.constants,
        parameters=planted.parameters,
        dtype=planted.dtype,
    )
    assert {row.name for row in report.failed_rows} == planted.rows, str(report)


def test_the_mistakes_are_of_every_kind():
    """Counted in public repositories: the kinds that occur most are here most."""
    kinds = Counter(planted.nature for planted in PLANTED)
    assert len(PLANTED) >= 40
    assert len({planted.name for planted in PLANTED}) == len(PLANTED)
    assert kinds["wrong factor or normaliser"] >= 5
    assert kinds["index, stride or slice"] >= 5
    assert len(kinds) >= 15


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_a_fused_projection_passes_against_three_separate_ones(dtype):
    """Its gradients come back under its own names; the twin with k and v swapped is among the mistakes."""
    report = verify(
        FusedQKV(),
        inputs=[torch.randn(5, 6, generator=torch.Generator().manual_seed(0))],
        reference=Split(),
        parameters=split_parameters,
        outputs=("q", "k", "v"),
        dtype=dtype,
    )
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["q", "k", "v", "x", "weight", "bias"]
