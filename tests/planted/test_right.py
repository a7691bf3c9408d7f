"""No false alarm: torch's own operations as candidates, each beside the same in plain torch, in three precisions."""

from __future__ import annotations

import pytest

from gradverify import Report, verify
from planted.right import RIGHT, Right

pytestmark = pytest.mark.usefixtures("one_thread")


def verified(right: Right, dtype: str, seed: int) -> Report:
    return verify(
        right.candidate,
        inputs=right.inputs,
        reference=right.reference,
        options=right.options,
        outputs=right.outputs,
        parameters=right.parameters,
        constants=right.constants,
        dtype=dtype,
        seed=seed,
    )


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.name)
def test_a_right_function_passes(right):
    """In float32, bfloat16 and float16."""
    for dtype in ("float32", "bfloat16", "float16"):
        report = verified(right, dtype, seed=0)
        assert report.passed, str(report)


def test_there_are_enough_right_functions():
    """Norms, losses, activations, attention, convolutions, gathers, cells, sums."""
    assert len(RIGHT) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.name)
def test_a_right_function_passes_at_a_hundred_seeds(right):
    """In each precision."""
    for dtype in ("float32", "bfloat16", "float16"):
        for seed in range(100):
            report = verified(right, dtype, seed)
            assert report.passed, str(report)
