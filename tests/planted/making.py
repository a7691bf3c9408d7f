"""What a planted mistake is, and how one is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.autograd import Function
from torch.nn import functional

from planted.right import Draw, attention, drawn


@dataclass(frozen=True)
class Planted:
    """A candidate with one mistake.

    Attributes:
        name: the mistake; nature: the kind of it.
        candidate, reference: what is wrong, and what is right.
        inputs: draws the inputs at the default dtype.
        rows: what has to fail, and nothing else.
        dtype: the working precision.
        constants, parameters: as `verify` takes them.
    """

    name: str
    nature: str
    candidate: Callable[..., Any]
    reference: Callable[..., Any]
    inputs: Draw
    rows: frozenset[str]
    dtype: str = "float32"
    constants: frozenset[str] = frozenset()
    parameters: Callable[..., Mapping[str, Tensor]] | None = None


def made(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """An autograd.Function of a forward and a `backward(d, *inputs, output)`, which gives one gradient or several."""

    class Candidate(Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Tensor:
            output = forward(*inputs)
            ctx.save_for_backward(*inputs, output)
            return output

        @staticmethod
        def backward(ctx: Any, d: Tensor) -> Any:
            given = backward(d, *ctx.saved_tensors)
            gradients = given if isinstance(given, tuple) else (given,)
            return *gradients, *[None] * (len(ctx.saved_tensors) - 1 - len(gradients))

    return Candidate.apply


def nll_slope(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.softmax(-1) - functional.one_hot(labels, logits.shape[-1])


def attended(scale_of_k: float = 0.5, causal: bool = True) -> Callable[..., Any]:
    def backward(d: Tensor, q: Tensor, k: Tensor, v: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = q @ k.mT * 0.5
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
        weights = scores.softmax(-1)
        inner = d @ v.mT
        ds = weights * (inner - (weights * inner).sum(-1, keepdim=True))
        return ds @ k * 0.5, ds.mT @ q * scale_of_k, weights.mT @ d

    return backward


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attention(q, k, v, is_causal=True)


def dropped(x: Tensor, kept: Tensor) -> Tensor:
    return x * kept / 0.8


def integers(*shape: int) -> Draw:
    return lambda g: {"x": torch.randint(-3, 4, shape, generator=g).to(torch.get_default_dtype())}


def with_mask(draw: Draw) -> Draw:
    def masked(generator: Generator) -> dict[str, Any]:
        values = dict(draw(generator))
        return {**values, "kept": torch.rand(values["x"].shape, generator=generator) < 0.8}

    return masked


def only(*names: str) -> frozenset[str]:
    return frozenset(names)


X, NORM = drawn(x=(6, 9)), drawn(x=(6, 40), w=(40,), b=(40,))


LINEAR = drawn(x=(8, 8), w=(8, 8), b=(8,))


LABELLED = drawn(logits=(9, 7), ints={"labels": (7, (9,))})


QKV = drawn(q=(2, 5, 4), k=(2, 5, 4), v=(2, 5, 4))


def square(x: Tensor) -> Tensor:
    return x**2


def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return x @ w.T + b


def scaled(x: Tensor, w: Tensor) -> Tensor:
    return x * w
