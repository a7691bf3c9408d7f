"""Mistakes in the formula itself, and in the precision that it is computed in."""

# ruff: noqa: ARG005 -- every backward takes the same arguments, needed or not
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from planted.making import (
    LABELLED,
    LINEAR,
    NORM,
    QKV,
    Planted,
    X,
    attended,
    causal_attention,
    dropped,
    integers,
    linear,
    made,
    nll_slope,
    only,
    scaled,
    square,
    with_mask,
)
from planted.right import Draw, Split, drawn, layer_norm, rms_norm


def bf16_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that is compiled for one dtype."""

    def kernel(*inputs: Tensor) -> Any:
        if any(one.is_floating_point() and one.dtype != torch.bfloat16 for one in inputs):
            raise TypeError("this kernel takes bfloat16")
        return function(*inputs)

    return kernel


def normalised(x: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
    scale = torch.rsqrt(variance + eps)
    return (x - mean) * scale, scale


def norm_backward(terms: Callable[[Tensor, Tensor], Tensor], eps: float = 1e-5) -> Callable[..., Any]:
    def backward(d: Tensor, x: Tensor, w: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h, scale = normalised(x, eps)
        return scale * terms(d * w, h), (d * h).sum(0), d.sum(0)

    return backward


def gelu(x: Tensor) -> Tensor:
    return functional.gelu(x)


def gelu_slope(x: Tensor, sign: float = 1.0) -> Tensor:
    density = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(x / math.sqrt(2))) + sign * x * density


def tanh_slope(x: Tensor, constant: float) -> Tensor:
    inner = torch.tanh(constant * (x + 0.044715 * x**3))
    return 0.5 * (1 + inner) + 0.5 * x * (1 - inner**2) * constant * (1 + 3 * 0.044715 * x**2)


def accumulates_in_bfloat16(d: Tensor, x: Tensor, w: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    total = torch.zeros_like(w, dtype=torch.bfloat16)
    for part in (d * x).split(8):
        total = total + part.sum(0).to(torch.bfloat16)
    return d * w, total.to(w.dtype)


def lstm_backward(order: Sequence[int]) -> Callable[..., Any]:
    def backward(d: Tensor, gates: Tensor, c: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = gates.chunk(4, 1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        inner = torch.tanh(f * c + i * g)
        carried = d * o * (1 - inner**2)
        parts = (
            carried * g * i * (1 - i),
            carried * c * f * (1 - f),
            carried * i * (1 - g**2),
            d * inner * o * (1 - o),
        )
        return torch.cat([parts[place] for place in order], 1), carried * f

    return backward


def lstm(gates: Tensor, c: Tensor) -> Tensor:
    i, f, g, o = gates.chunk(4, 1)
    return o.sigmoid() * torch.tanh(f.sigmoid() * c + i.sigmoid() * g.tanh())


def smoothed_nll(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, weight, label_smoothing=0.1)


def smoothed_slope_of_the_label(d: Tensor, logits: Tensor, labels: Tensor, weight: Tensor, y: Tensor) -> Tensor:
    classes = logits.shape[-1]
    target = 0.9 * functional.one_hot(labels, classes) + 0.1 / classes
    own = weight[labels][:, None]
    return d * own * (logits.softmax(-1) - target) / own.sum()


def masked_nll(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, ignore_index=0)


def batch_norm(x: Tensor) -> Tensor:
    return (x - x.mean(0)) * torch.rsqrt(x.var(0, correction=0) + 1e-5)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1) / (x.norm(dim=-1) * y.norm(dim=-1))


def several_at_once(d: Tensor, x: Tensor, w: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return d @ w, (x.T @ d).T / len(x), d.mean(0)


class FusedQKV(nn.Module):
    """One projection in place of three."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, 6))
        self.bias = nn.Parameter(torch.randn(12))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return functional.linear(x, self.weight, self.bias).chunk(3, -1)


def split_parameters(fused: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of the three projections from those of the fused one."""
    return {
        f"{part}.{kind}": tensor
        for kind in ("weight", "bias")
        for part, tensor in zip("qkv", fused[kind].chunk(3), strict=True)
    }


class _Project(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        q, k, v = (d.T @ x).chunk(3)
        return d @ weight, torch.cat([q, v, k]), d.sum(0)


class FusedQKVSwapped(FusedQKV):
    """Planted: the gradients of k and v change places."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return _Project.apply(x, self.weight, self.bias).chunk(3, -1)


WEIGHTED: Draw = lambda g: {**LABELLED(g), "weight": torch.rand(7, generator=g) + 0.2}  # noqa: E731  # a table of inputs


def means(g: Tensor, h: Tensor) -> Tensor:
    return g - g.mean(-1, keepdim=True) - h * (g * h).mean(-1, keepdim=True)


FORMULAS = (
    Planted(
        "an epsilon forgotten",
        "wrong factor or normaliser",
        made(layer_norm, norm_backward(means, eps=0.0)),
        layer_norm,
        NORM,
        only("x", "w"),
    ),
    Planted(
        "n for n - 1",
        "wrong factor or normaliser",
        made(lambda x: x.var(-1), lambda d, x, y: 2 * d[:, None] * (x - x.mean(-1, keepdim=True)) / x.shape[-1]),
        lambda x: x.var(-1),
        drawn(x=(1, 1000)),
        only("x"),
    ),
    Planted(
        "a mean over all elements divided by the rows",
        "wrong factor or normaliser",
        made(functional.mse_loss, lambda d, x, t, y: (2 * d * (x - t) / len(x), -2 * d * (x - t) / len(x))),
        functional.mse_loss,
        drawn(x=(6, 9), t=(6, 9)),
        only("x", "t"),
    ),
    Planted(
        "dropout's scale forgotten",
        "wrong factor or normaliser",
        made(dropped, lambda d, x, kept, y: d * kept),
        dropped,
        with_mask(X),
        only("x"),
    ),
    Planted(
        "attention's scale applied to one side only",
        "wrong factor or normaliser",
        made(causal_attention, attended(scale_of_k=1.0)),
        causal_attention,
        QKV,
        only("k"),
    ),
    Planted(
        "a loss divided by the ignored labels too",
        "wrong factor or normaliser",
        made(masked_nll, lambda d, x, t, y: d * (t != 0)[:, None] * nll_slope(x, t) / len(x)),
        masked_nll,
        drawn(logits=(40, 7), ints={"labels": (7, (40,))}),
        only("logits"),
    ),
    Planted(
        "the square of a denominator forgotten",
        "wrong factor or normaliser",
        made(lambda x, z: x / z, lambda d, x, z, y: (d / z, -d * x / z)),
        lambda x, z: x / z,
        drawn(x=(6, 9), z=(6, 9)),
        only("z"),
    ),
    Planted(
        "only the diagonal of softmax",
        "diagonal of the Jacobian only",
        made(lambda x: x.softmax(-1), lambda d, x, y: d * y * (1 - y)),
        lambda x: x.softmax(-1),
        X,
        only("x"),
    ),
    Planted(
        "a normalised vector without its projection",
        "diagonal of the Jacobian only",
        made(lambda x: functional.normalize(x, dim=-1), lambda d, x, y: d / x.norm(dim=-1, keepdim=True)),
        lambda x: functional.normalize(x, dim=-1),
        X,
        only("x"),
    ),
    Planted(
        "batch norm with its statistics held constant",
        "diagonal of the Jacobian only",
        made(batch_norm, lambda d, x, y: d * torch.rsqrt(x.var(0, correction=0) + 1e-5)),
        batch_norm,
        drawn(x=(12, 5)),
        only("x"),
    ),
    Planted(
        "layer norm without the mean of the upstream",
        "missing path",
        made(layer_norm, norm_backward(lambda g, h: g - h * (g * h).mean(-1, keepdim=True))),
        layer_norm,
        NORM,
        only("x"),
    ),
    Planted(
        "a residual that is forgotten",
        "missing path",
        made(lambda x: x + x.tanh(), lambda d, x, y: d * (1 - x.tanh() ** 2)),
        lambda x: x + x.tanh(),
        X,
        only("x"),
    ),
    Planted(
        "cosine similarity without one norm",
        "missing path",
        made(
            cosine,
            lambda d, x, z, y: (
                d[:, None] * z / (x.norm(dim=-1) * z.norm(dim=-1))[:, None],
                d[:, None]
                * (x / (x.norm(dim=-1) * z.norm(dim=-1))[:, None] - y[:, None] * z / (z**2).sum(-1, keepdim=True)),
            ),
        ),
        cosine,
        drawn(x=(6, 9), z=(6, 9)),
        only("x"),
    ),
    Planted(
        "the weight of the label used for every class",
        "wrong saved tensor",
        made(smoothed_nll, smoothed_slope_of_the_label),
        smoothed_nll,
        WEIGHTED,
        only("logits"),
        constants=only("weight"),
    ),
    Planted(
        "tanh's slope from its input",
        "wrong saved tensor",
        made(torch.tanh, lambda d, x, y: d * (1 - x**2)),
        torch.tanh,
        X,
        only("x"),
    ),
    Planted(
        "gates of an LSTM out of order",
        "wrong saved tensor",
        made(lstm, lstm_backward((0, 2, 1, 3))),
        lstm,
        drawn(gates=(3, 16), c=(3, 4)),
        only("gates"),
    ),
    Planted(
        "gelu back through tanh",
        "forward and backward of different functions",
        made(gelu, lambda d, x, y: d * tanh_slope(x, math.sqrt(2 / math.pi))),
        gelu,
        X,
        only("x"),
    ),
    Planted(
        "label smoothing forgotten on the way back",
        "forward and backward of different functions",
        made(
            lambda x, t: functional.cross_entropy(x, t, label_smoothing=0.1),
            lambda d, x, t, y: d * nll_slope(x, t) / len(x),
        ),
        lambda x, t: functional.cross_entropy(x, t, label_smoothing=0.1),
        LABELLED,
        only("logits"),
    ),
    Planted(
        "an epsilon outside of the root",
        "forward and backward of different functions",
        lambda x, w: x / ((x**2).mean(-1, keepdim=True).sqrt() + 1e-6) * w,
        rms_norm,
        drawn(x=(6, 40), w=(40,)),
        only("output", "x", "w"),
    ),
    Planted(
        "a truncated constant",
        "precision or cast",
        made(lambda x: functional.gelu(x, approximate="tanh"), lambda d, x, y: d * tanh_slope(x, 0.7978845)),
        lambda x: functional.gelu(x, approximate="tanh"),
        X,
        only("x"),
    ),
    Planted(
        "a gradient that goes through float16",
        "precision or cast",
        made(square, lambda d, x, y: (2 * x * d).half().to(x.dtype)),
        square,
        X,
        only("x"),
    ),
    Planted(
        "a sum over bfloat16, in float32",
        "precision or cast",
        made(scaled, accumulates_in_bfloat16),
        scaled,
        drawn(x=(80, 9), w=(9,)),
        only("w"),
    ),
    Planted(
        "a sum over bfloat16, in a kernel of bfloat16",
        "precision or cast",
        bf16_only(made(scaled, accumulates_in_bfloat16)),
        scaled,
        drawn(x=(4000, 9), w=(9,)),
        only("w"),
        "bfloat16",
    ),
    Planted(
        "a scale that overflows in float16",
        "precision or cast",
        made(square, lambda d, x, y: 2 * x * (d * 4096) / 4096),
        square,
        X,
        only("x"),
        "float16",
    ),
    Planted("a sign", "sign", made(gelu, lambda d, x, y: d * gelu_slope(x, sign=-1.0)), gelu, X, only("x")),
    Planted("|x| as if it were x", "sign", made(torch.abs, lambda d, x, y: d), torch.abs, X, only("x")),
    Planted(
        "a product divided by a zero factor",
        "wrong saved tensor",
        made(lambda x: x.prod(-1), lambda d, x, y: (d * y)[:, None] / x),
        lambda x: x.prod(-1),
        integers(30, 3),
        only("x"),
    ),
    Planted(
        "an average and a sum at once",
        "several at once",
        made(linear, several_at_once),
        linear,
        LINEAR,
        only("w", "b"),
    ),
    Planted(
        "fused projections whose k and v change places",
        "several at once",
        FusedQKVSwapped(),
        Split(),
        drawn(x=(5, 6)),
        only("weight"),
        parameters=split_parameters,
    ),
    Planted(
        "a kernel of bfloat16 with softmax's diagonal",
        "diagonal of the Jacobian only",
        bf16_only(made(lambda x: x.softmax(-1), lambda d, x, y: d * y * (1 - y))),
        lambda x: x.softmax(-1),
        drawn(x=(8, 33)),
        only("x"),
        "bfloat16",
    ),
)
