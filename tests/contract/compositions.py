"""Right functions of every kind that torch has: what they return, and in whose memory, is legitimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from planted.right import drawn

Draw = Callable[[Generator], Mapping[str, Any]]


def definite(generator: Generator) -> dict[str, Tensor]:
    a = torch.randn(5, 5, generator=generator)
    return {"a": a @ a.T + torch.eye(5)}


def positive(generator: Generator) -> dict[str, Tensor]:
    return {name: torch.rand(6, 7, generator=generator) + 0.1 for name in ("x", "y")}


class Recurrent(nn.Module):
    """A layer whose backward works in a workspace of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


X, XY, IMAGES = drawn(x=(4, 5)), drawn(x=(4, 5), y=(4, 5)), drawn(x=(4, 3, 6, 6))

FUNCTIONS: dict[str, tuple[Callable[..., Any], Draw]] = {
    "a view": (lambda x: x.view(-1), X),
    "a transpose": (lambda x: x.t(), X),
    "a sum, whose gradient is expanded": (lambda x: x.sum(), X),
    "a mean over rows": (lambda x: x.mean(0), X),
    "an expanded input": (lambda x: x.expand(3, 5), drawn(x=(1, 5))),
    "an addition, which hands the upstream gradient on": (torch.add, XY),
    "an addition that broadcasts": (torch.add, drawn(x=(4, 5), y=(5,))),
    "an addition of views": (lambda x, y: x.view(-1) + y.view(-1), XY),
    "a concatenation": (lambda x, y: torch.cat([x, y]), XY),
    "several views": (lambda x: x.unbind(0), X),
    "outputs of several kinds": (lambda x: (x.sum(), x * 2, x.max()), X),
    "the input itself": (lambda x: x, drawn(x=(1,))),
    "a number": (lambda x: x * x, drawn(x=())),
    "a quotient": (torch.div, positive),
    "roots and logarithms": (lambda x, y: x.sqrt() + y.log(), positive),
    "a power": (torch.pow, positive),
    "a norm": (lambda x: x.norm(dim=-1), X),
    "distances, without a double backward": (torch.cdist, drawn(x=(4, 5), y=(3, 5))),
    "a decomposition": (torch.linalg.cholesky, definite),
    "eigenvalues": (torch.linalg.eigvalsh, definite),
    "a determinant": (torch.det, definite),
    "a sort": (lambda x: x.sort(-1)[0], X),
    "a median": (lambda x: x.median(-1)[0], X),
    "a maximum that shares its gradient out": (lambda x: x.amax(-1), X),
    "the larger of two": (torch.maximum, XY),
    "a clamp": (lambda x: x.clamp(-0.5, 0.5), X),
    "kinks one after the other": (
        lambda x, w, v: functional.relu(functional.relu(x @ w) @ v),
        drawn(x=(6, 8), w=(8, 8), v=(8, 3)),
    ),
    "a maximum of sums": (lambda x, w: (x @ w).max(-1).values, drawn(x=(16, 32), w=(32, 16))),
    "a checkpoint": (
        lambda x, w: checkpoint(lambda a, b: (a @ b).tanh(), x, w, use_reentrant=False),
        drawn(x=(6, 8), w=(8, 8)),
    ),
    "a variance by a difference": (lambda x: (x**2).mean(-1) - x.mean(-1) ** 2, drawn(x=(4, 50))),
    "a straight-through estimate": (lambda x: (x > 0).to(x.dtype) + x.sigmoid() - x.sigmoid().detach(), X),
    "repeated rows": (lambda x: x[[0, 0, 1]], X),
    "a filled mask": (lambda x: x.masked_fill(x > 1, 0.0), X),
    "a Fourier transform": (lambda x: torch.fft.rfft(x).abs(), X),
    "a saturated softmax": (lambda x: (x * 1e4).softmax(-1), X),
    "an ill-conditioned variance": (lambda x: (x + 1e4).var(-1), X),
    "a pooled convolution": (
        lambda x, w: functional.max_pool2d(functional.relu(functional.conv2d(x, w, padding=1)), 2),
        drawn(x=(2, 3, 8, 8), w=(4, 3, 3, 3)),
    ),
    "attention without a double backward": (
        functional.scaled_dot_product_attention,
        drawn(q=(1, 2, 6, 4), k=(1, 2, 6, 4), v=(1, 2, 6, 4)),
    ),
    "an LSTM, which writes on its workspace": (Recurrent(), drawn(x=(6, 2, 4))),
    "a network with running statistics": (
        nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 5)
        ),
        IMAGES,
    ),
    "an embedding with a padding row": (
        nn.Embedding(10, 4, padding_idx=0),
        lambda generator: {"places": torch.randint(0, 10, (3, 5), generator=generator)},
    ),
    "a layer of a transformer": (
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
        drawn(x=(2, 5, 8)),
    ),
}
