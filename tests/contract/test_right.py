"""No false alarm: torch's own functions keep the contract, whatever they return and in whose memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from contract.compositions import FUNCTIONS
from gradverify import verify
from gradverify.verdict import Observance
from planted.right import RIGHT, Right

pytestmark = pytest.mark.usefixtures("one_thread")


def broken_by(right: Right, dtype: str, seed: int) -> list[str]:
    report = verify(
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
    assert report.contract
    return [f"{clause.rule}: {clause.seen}" for clause in report.broken_clauses]


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.name)
def test_a_right_function_keeps_the_contract(right):
    """In four precisions."""
    for dtype in ("float32", "bfloat16", "float16", "float64"):
        assert broken_by(right, dtype, seed=1) == []


@pytest.mark.slow
@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.name)
def test_a_right_function_keeps_the_contract_at_twenty_seeds(right):
    """In four precisions."""
    for dtype in ("float32", "bfloat16", "float16", "float64"):
        for seed in range(20):
            assert broken_by(right, dtype, seed) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whatever_torch_does_is_legitimate(name):
    """Views of upstream gradients, expanded ones, workspaces, errors in place of what is not there."""
    function, inputs = FUNCTIONS[name]
    for dtype in ("float32", "float64"):
        report = verify(function, inputs=inputs, reference=copied(function), dtype=dtype, constants=())
        assert report.broken_clauses == (), str(report)


@pytest.mark.parametrize("name", ["kinks one after the other", "a maximum of sums", "a pooled convolution"])
def test_ties_that_another_order_of_a_sum_decides_are_no_mistake(name):
    """In half precisions sums tie often, and another layout sums in another order."""
    function, inputs = FUNCTIONS[name]
    for dtype in ("bfloat16", "float16"):
        for seed in range(5):
            report = verify(function, inputs=inputs, reference=copied(function), dtype=dtype, seed=seed)
            assert report.broken_clauses == (), str(report)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a view", "input layout"),
        ("distances, without a double backward", "double backward"),
        ("attention without a double backward", "double backward"),
    ],
)
def test_a_clear_error_is_a_refusal(name, rule):
    """Said, and no failure."""
    function, inputs = FUNCTIONS[name]
    report = verify(function, inputs=inputs, reference=function)
    clause = next(one for one in report.contract if one.rule == rule)
    assert clause.observance is Observance.REFUSED
    assert clause.passed
    assert "raised" in clause.seen


def copied(function: Any) -> Any:
    return copy.deepcopy(function) if isinstance(function, torch.nn.Module) else function
