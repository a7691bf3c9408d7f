"""Mistakes of place: where a gradient goes, where it comes from, and what it is added to."""

# ruff: noqa: ARG005 -- every backward takes the same arguments, needed or not
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from planted.making import (
    LABELLED,
    LINEAR,
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
from planted.right import drawn


def tail_dropped(d: Tensor, x: Tensor, y: Tensor) -> Tensor:
    gradient = 2 * x * d
    whole = x.shape[-1] // 32 * 32
    if whole:
        gradient[..., whole:] = 0
    return gradient


def one_of_a_million(d: Tensor, x: Tensor, y: Tensor) -> Tensor:
    gradient = 2 * x * d
    gradient[417, 293] *= 0.5
    return gradient


def assumes_contiguous(d: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return 2 * x.as_strided(x.shape, (x.shape[1], 1)) * d


def windows(x: Tensor) -> Tensor:
    return x.unfold(-1, 3, 1).mean(-1)


def windows_overwritten(d: Tensor, x: Tensor, y: Tensor) -> Tensor:
    gradient = torch.zeros_like(x)
    for place in range(3):
        gradient[..., place : place + d.shape[-1]] = d / 3
    return gradient


def nll(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels)


def embedded(table: Tensor, rows: Tensor) -> Tensor:
    return table[rows]


def overwritten(d: Tensor, table: Tensor, rows: Tensor, y: Tensor) -> Tensor:
    gradient = torch.zeros_like(table)
    gradient[rows] = d
    return gradient


def padded(table: Tensor, rows: Tensor) -> Tensor:
    return functional.embedding(rows, table, padding_idx=0)


def summed(d: Tensor, table: Tensor, rows: Tensor, y: Tensor) -> Tensor:
    return torch.zeros_like(table).index_add(0, rows, d)


def strided_conv(x: Tensor, w: Tensor) -> Tensor:
    return functional.conv2d(x, w, stride=2)


def without_the_remainder(d: Tensor, x: Tensor, w: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    dx = functional.conv_transpose2d(d, w, stride=2)
    dx = functional.pad(dx, (0, x.shape[3] - dx.shape[3], 0, x.shape[2] - dx.shape[2]))
    # The kernel stops at a multiple of the stride.
    last = d.shape[3] * 2
    dx[..., last:] = 0
    return dx, torch.nn.grad.conv2d_weight(x, w.shape, d, stride=2)


TABLE = drawn(table=(5, 4), ints={"rows": (5, (20,))})


PLACES = (
    Planted(
        "zeros where the gradient is 1e-7",
        "missing gradient",
        made(lambda x: 5e-8 * x**2, lambda d, x, y: torch.zeros_like(x)),
        lambda x: 5e-8 * x**2,
        X,
        only("x"),
    ),
    Planted(
        "one element of 10^6 is wrong by half",
        "index, stride or slice",
        made(square, one_of_a_million),
        square,
        drawn(x=(1000, 1000)),
        only("x"),
    ),
    Planted(
        "the tail block is dropped at size 40 but not at 8",
        "index, stride or slice",
        made(square, tail_dropped),
        square,
        drawn(x=(5, 40)),
        only("x"),
    ),
    Planted(
        "the saved tensor is taken for contiguous",
        "index, stride or slice",
        made(square, assumes_contiguous),
        square,
        lambda g: {"x": torch.randn(5, 8, generator=g).T},
        only("x"),
    ),
    Planted(
        "the last column of a strided convolution",
        "index, stride or slice",
        made(strided_conv, without_the_remainder),
        strided_conv,
        drawn(x=(2, 3, 7, 9), w=(4, 3, 3, 3)),
        only("x"),
    ),
    Planted(
        "rolled the wrong way",
        "index, stride or slice",
        made(lambda x: x.roll(1, -1), lambda d, x, y: d.roll(1, -1)),
        lambda x: x.roll(1, -1),
        X,
        only("x"),
    ),
    Planted(
        "a running sum that runs the same way back",
        "index, stride or slice",
        made(lambda x: x.cumsum(-1), lambda d, x, y: d.cumsum(-1)),
        lambda x: x.cumsum(-1),
        X,
        only("x"),
    ),
    Planted(
        "mean for sum over a shared parameter",
        "missing reduction",
        made(scaled, lambda d, x, w, y: (d * w, (d * x).mean(0))),
        scaled,
        drawn(x=(6, 9), w=(9,)),
        only("w"),
    ),
    Planted(
        "summed over one of two dimensions",
        "missing reduction",
        made(scaled, lambda d, x, w, y: (d * w, (d * x)[0].sum().view(1))),
        scaled,
        drawn(x=(6, 9), w=(1,)),
        only("w"),
    ),
    Planted(
        "the upstream gradient of a loss ignored",
        "upstream ignored",
        made(nll, lambda d, x, t, y: nll_slope(x, t) / len(x)),
        nll,
        LABELLED,
        only("logits"),
    ),
    Planted(
        "the upstream gradient of logsumexp ignored",
        "upstream ignored",
        made(lambda x: x.logsumexp(-1), lambda d, x, y: x.softmax(-1)),
        lambda x: x.logsumexp(-1),
        X,
        only("x"),
    ),
    Planted(
        "the upstream gradient along the wrong axis",
        "upstream on the wrong axis",
        made(lambda x: x.sum(1), lambda d, x, y: d[None, :].expand_as(x)),
        lambda x: x.sum(1),
        drawn(x=(8, 8)),
        only("x"),
    ),
    Planted(
        "log softmax for upstream gradients that sum to one",
        "upstream ignored",
        made(lambda x: x.log_softmax(-1), lambda d, x, y: d - y.exp()),
        lambda x: x.log_softmax(-1),
        X,
        only("x"),
    ),
    Planted(
        "softmax summed over the wrong axis",
        "upstream on the wrong axis",
        made(lambda x: x.softmax(-1), lambda d, x, y: y * (d - (d * y).sum(0))),
        lambda x: x.softmax(-1),
        drawn(x=(8, 8)),
        only("x"),
    ),
    Planted(
        "repeated rows of an embedding overwritten",
        "lost accumulation",
        made(embedded, overwritten),
        embedded,
        TABLE,
        only("table"),
    ),
    Planted(
        "overlapping windows overwritten",
        "lost accumulation",
        made(windows, windows_overwritten),
        windows,
        X,
        only("x"),
    ),
    Planted(
        "a path counted twice",
        "double counting",
        made(lambda x: x * x.sigmoid(), lambda d, x, y: 2 * d * x.sigmoid() + d * x * x.sigmoid() * (1 - x.sigmoid())),
        functional.silu,
        X,
        only("x"),
    ),
    Planted("the padding row is trained", "mask", made(padded, summed), padded, TABLE, only("table")),
    Planted(
        "a mask rebuilt from the output",
        "mask",
        made(dropped, lambda d, x, kept, y: d * (y != 0) / 0.8),
        dropped,
        with_mask(integers(6, 9)),
        only("x"),
    ),
    Planted(
        "the causal mask forgotten on the way back",
        "mask",
        made(causal_attention, attended(causal=False)),
        causal_attention,
        QKV,
        only("q", "k", "v"),
    ),
    Planted(
        "a square weight transposed",
        "swapped axes",
        made(linear, lambda d, x, w, b, y: (d @ w, x.T @ d, d.sum(0))),
        linear,
        LINEAR,
        only("w"),
    ),
    Planted(
        "an image turned by a quarter",
        "swapped axes",
        made(lambda x: x.permute(0, 2, 1) * 2, lambda d, x, y: d * 2),
        lambda x: x.permute(0, 2, 1) * 2,
        drawn(x=(2, 5, 5)),
        only("x"),
    ),
    Planted(
        "None for a weight",
        "missing gradient",
        made(linear, lambda d, x, w, b, y: (d @ w, None, d.sum(0))),
        linear,
        LINEAR,
        only("w"),
    ),
    Planted(
        "a maximum one place to the right",
        "index, stride or slice",
        lambda x: (x.amax(-1), x.argmax(-1) + 1),
        lambda x: (x.amax(-1), x.argmax(-1)),
        X,
        only("output1"),
    ),
)
