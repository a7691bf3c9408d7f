"""What the audit of a contract costs, in units of one forward and backward of the candidate."""

from __future__ import annotations

import statistics
import sys
import time

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gradverify.candidate import draw_pair
from gradverify.contract import audit
from gradverify.function_case import function_case
from planted.right import RIGHT

ROWS = 1000
NAMES = ("layer_norm", "softmax", "gelu", "cross_entropy", "mse_loss", "linear", "rms_norm")
ROUNDS = 5


def inputs_of(name: str) -> dict[str, Tensor]:
    """10^6 elements in the largest of them."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(ROWS, ROWS, generator=generator)
    vector = torch.randn(ROWS, generator=generator)
    match name:
        case "layer_norm":
            return {"x": wide, "w": vector, "b": vector.flip(0)}
        case "rms_norm":
            return {"x": wide, "w": vector}
        case "linear":
            return {"x": wide, "w": torch.randn(ROWS, ROWS, generator=generator) / 30, "b": vector}
        case "cross_entropy":
            return {"logits": wide, "labels": torch.randint(ROWS, (ROWS,), generator=generator)}
        case "mse_loss":
            return {"x": wide, "y": wide.flip(0)}
        case _:
            return {"x": wide}


def seconds_of(function: object) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.parametrize("name", NAMES)
def test_the_audit_of_a_right_function(name, capsys):
    """At most 40 times one forward and backward; prints the ratio of the medians, taken by turns."""
    right = next(one for one in RIGHT if one.name == name)
    inputs = inputs_of(name)
    candidate = functional.gelu if name == "gelu" else right.candidate
    pair = draw_pair(
        function_case(candidate, inputs=inputs, reference=right.reference),
        0,
        torch.float32,
        torch.device("cpu"),
        frozenset(),
    )
    assert all(clause.passed for clause in audit(pair))

    def once() -> None:
        leaves = {key: one.clone().requires_grad_() if one.is_floating_point() else one for key, one in inputs.items()}
        output = candidate(*leaves.values())
        torch.autograd.grad(output, [one for one in leaves.values() if one.requires_grad], torch.ones_like(output))

    times: dict[str, list[float]] = {"once": [], "audit": []}
    for _ in range(ROUNDS):
        times["once"] += [seconds_of(once) for _ in range(3)]
        times["audit"].append(seconds_of(lambda: audit(pair)))
    units, seconds = (statistics.median(times[key]) for key in ("once", "audit"))
    with capsys.disabled():
        print(
            f"\naudit of {name} / one forward and backward ({units * 1e3:.1f} ms): {seconds / units:.1f}",
            file=sys.stderr,
        )
