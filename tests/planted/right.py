"""Right functions: torch's own operations as candidates, each beside the same in plain torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

Draw = Callable[[Generator], Mapping[str, Any]]


@dataclass(frozen=True)
class Right:
    """A function that nothing is wrong with.

    Attributes:
        name: what it is.
        candidate, reference: two ways to compute it.
        inputs: draws the inputs at the default dtype.
        options: keyword arguments of both.
        outputs: the names of the outputs that are compared.
        parameters: maps the parameters of a candidate module.
    """

    name: str
    candidate: Callable[..., object]
    reference: Callable[..., object]
    inputs: Draw
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[str | None] | None = None
    parameters: Callable[..., Mapping[str, Tensor]] | None = None
    constants: frozenset[str] = frozenset()


def drawn(*, ints: Mapping[str, tuple[int, tuple[int, ...]]] | None = None, **shapes: tuple[int, ...]) -> Draw:
    """Normal tensors of these shapes, and integers below a bound."""

    def draw(generator: Generator) -> dict[str, Tensor]:
        normal = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        integers = {
            name: torch.randint(bound, shape, generator=generator) for name, (bound, shape) in (ints or {}).items()
        }
        return {**normal, **integers}

    return draw


def moments(x: Tensor, dims: Sequence[int]) -> tuple[Tensor, Tensor]:
    mean = x.mean(dims, keepdim=True)
    return mean, ((x - mean) ** 2).mean(dims, keepdim=True)


def standardised(x: Tensor, dims: Sequence[int], eps: float) -> Tensor:
    x = x.float()
    mean, variance = moments(x, dims)
    return (x - mean) * torch.rsqrt(variance + eps)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (standardised(x, (-1,), 1e-5) * weight + bias).to(x.dtype)


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt((wide**2).mean(-1, keepdim=True) + 1e-6) * weight).to(x.dtype)


def group_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    groups = standardised(x.unflatten(1, (2, -1)), (2, 3, 4), 1e-5).flatten(1, 2)
    return (groups * weight[:, None, None] + bias[:, None, None]).to(x.dtype)


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (standardised(x, (0, 2, 3), 1e-5) * weight[:, None, None] + bias[:, None, None]).to(x.dtype)


def softmax(x: Tensor) -> Tensor:
    powers = (x.float() - x.float().amax(-1, keepdim=True)).exp()
    return (powers / powers.sum(-1, keepdim=True)).to(x.dtype)


def log_softmax(x: Tensor) -> Tensor:
    x32 = x.float()
    return (x32 - x32.logsumexp(-1, keepdim=True)).to(x.dtype)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    wide = logits.float()
    return (wide.logsumexp(-1) - wide.gather(-1, labels[:, None])[:, 0]).mean().to(logits.dtype)


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    logs = logits.float() - logits.float().logsumexp(-1, keepdim=True)
    own = -(logs.gather(-1, labels[:, None])[:, 0] * weight[labels])
    others = -(logs * weight).sum(-1) / logits.shape[-1]
    total = weight[labels].sum()
    return (0.9 * own.sum() / total + 0.1 * others.sum() / total).to(logits.dtype)


def bce(x: Tensor, y: Tensor) -> Tensor:
    x32, y32 = x.float(), y.float()
    return (x32.clamp(min=0) - x32 * y32 + (-x32.abs()).exp().log1p()).mean().to(x.dtype)


def tanh_gelu(x: Tensor) -> Tensor:
    wide = x.float()
    return (0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))).to(x.dtype)


def erf_gelu(x: Tensor) -> Tensor:
    wide = x.float()
    return (0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))).to(x.dtype)


def in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """What computes with more digits than its inputs have, as references of kernels do."""

    def wide(*inputs: Any, **options: Any) -> Tensor:
        floating = [one for one in inputs if isinstance(one, Tensor) and one.is_floating_point()]
        given = [one.float() if isinstance(one, Tensor) and one.is_floating_point() else one for one in inputs]
        return function(*given, **options).to(floating[0].dtype)

    return wide


def attention(q: Tensor, k: Tensor, v: Tensor, is_causal: bool = False) -> Tensor:
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if is_causal:
        hidden = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    return scores.softmax(-1) @ v


def masked_attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor) -> Tensor:
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~attn_mask, -math.inf).softmax(-1) @ v


def attention_inputs(generator: Generator) -> dict[str, Tensor]:
    mask = torch.rand(6, 6, generator=generator) < 0.7
    return {**drawn(q=(2, 6, 4), k=(2, 6, 4), v=(2, 6, 4))(generator), "attn_mask": mask | torch.eye(6).bool()}


def conv2d(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    columns = functional.unfold(x, weight.shape[2:], stride=stride, padding=padding)
    rows = (x.shape[2] + 2 * padding - weight.shape[2]) // stride + 1
    return (weight.flatten(1) @ columns + bias[:, None]).unflatten(2, (rows, -1))


def conv_transpose2d(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    columns = weight.flatten(1).T @ x.flatten(2)
    size = [(extent - 1) * stride + kernel for extent, kernel in zip(x.shape[2:], weight.shape[2:], strict=True)]
    return functional.fold(columns, size, weight.shape[2:], stride=stride)


def avg_pool2d(x: Tensor, kernel_size: int, stride: int) -> Tensor:
    return x.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).mean((-1, -2))


def max_pool2d(x: Tensor, kernel_size: int, stride: int) -> Tensor:
    return x.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).flatten(4).max(-1).values


def lstm_cell(x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    gates = x @ w_ih.T + h @ w_hh.T + b
    i, f, g, o = gates.chunk(4, 1)
    c2 = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c2), c2


def torch_lstm_cell(x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return torch.lstm_cell(x, (h, c), w_ih, w_hh, b, torch.zeros_like(b))


def gru_cell(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    r, z, n = (x @ w_ih.T + b_ih).chunk(3, 1)
    hr, hz, hn = (h @ w_hh.T + b_hh).chunk(3, 1)
    update = torch.sigmoid(z + hz)
    return (1 - update) * torch.tanh(n + torch.sigmoid(r + hr) * hn) + update * h


def rotated(x: Tensor, angle: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def rotated_by_halves(x: Tensor, angle: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    cosine, sine = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
    return x * cosine + torch.cat([-b, a], -1) * sine


class Split(nn.Module):
    """Three projections where the fused one has one."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(6, 4) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.q(x), self.k(x), self.v(x)


IMAGE = (2, 4, 5, 7)
WINDOWS = {"kernel_size": 3, "stride": 2}

RIGHT = (
    Right(
        "layer_norm",
        lambda x, w, b: functional.layer_norm(x, x.shape[-1:], w, b),
        layer_norm,
        drawn(x=(6, 40), w=(40,), b=(40,)),
    ),
    Right(
        "rms_norm", lambda x, w: functional.rms_norm(x, x.shape[-1:], w, eps=1e-6), rms_norm, drawn(x=(6, 40), w=(40,))
    ),
    Right("group_norm", lambda x, w, b: functional.group_norm(x, 2, w, b), group_norm, drawn(x=IMAGE, w=(4,), b=(4,))),
    Right(
        "batch_norm",
        lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        batch_norm,
        drawn(x=IMAGE, w=(4,), b=(4,)),
    ),
    Right("softmax", lambda x: functional.softmax(x, -1), softmax, drawn(x=(8, 33))),
    Right("log_softmax", lambda x: functional.log_softmax(x, -1), log_softmax, drawn(x=(8, 33))),
    Right("cross_entropy", functional.cross_entropy, cross_entropy, drawn(logits=(9, 17), ints={"labels": (17, (9,))})),
    Right(
        "weighted smoothed cross_entropy",
        lambda x, y, w: functional.cross_entropy(x, y, w, label_smoothing=0.1),
        smoothed_cross_entropy,
        lambda g: {
            **drawn(logits=(9, 17), ints={"labels": (17, (9,))})(g),
            "weight": torch.rand(17, generator=g) + 0.5,
        },
        constants=frozenset({"weight"}),
    ),
    Right("bce_with_logits", functional.binary_cross_entropy_with_logits, bce, drawn(x=(8, 9), y=(8, 9))),
    Right("mse_loss", functional.mse_loss, lambda x, y: ((x - y) ** 2).mean(), drawn(x=(8, 9), y=(8, 9))),
    Right(
        "huber_loss",
        functional.huber_loss,
        in_float32(lambda x, y: torch.where((x - y).abs() < 1, 0.5 * (x - y) ** 2, (x - y).abs() - 0.5).mean()),
        drawn(x=(8, 9), y=(8, 9)),
    ),
    Right(
        "kl_div",
        lambda x, y: functional.kl_div(x, y, reduction="sum", log_target=True),
        in_float32(lambda x, y: (y.exp() * (y - x)).sum()),
        drawn(x=(8, 9), y=(8, 9)),
    ),
    Right("gelu tanh", lambda x: functional.gelu(x, approximate="tanh"), tanh_gelu, drawn(x=(10, 30))),
    Right("gelu", functional.gelu, erf_gelu, drawn(x=(10, 30))),
    Right("silu", functional.silu, in_float32(lambda x: x * torch.sigmoid(x)), drawn(x=(10, 30))),
    Right("mish", functional.mish, in_float32(lambda x: x * torch.tanh((1 + x.exp()).log())), drawn(x=(10, 30))),
    Right(
        "elu", functional.elu, in_float32(lambda x: torch.where(x > 0, x, x.clamp(max=0).expm1())), drawn(x=(10, 30))
    ),
    Right("leaky_relu", functional.leaky_relu, lambda x: torch.where(x > 0, x, 0.01 * x), drawn(x=(10, 30))),
    Right("hardswish", functional.hardswish, in_float32(lambda x: x * functional.relu6(x + 3) / 6), drawn(x=(10, 30))),
    Right(
        "glu",
        lambda x: functional.glu(x, -1),
        in_float32(lambda x: x.chunk(2, -1)[0] * x.chunk(2, -1)[1].sigmoid()),
        drawn(x=(10, 30)),
    ),
    Right(
        "relu on integers",
        functional.relu,
        lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
        lambda g: {"x": torch.randint(-3, 4, (10, 30), generator=g).to(torch.get_default_dtype())},
    ),
    Right(
        "attention",
        functional.scaled_dot_product_attention,
        in_float32(attention),
        drawn(q=(2, 6, 4), k=(2, 7, 4), v=(2, 7, 4)),
    ),
    Right(
        "causal attention",
        functional.scaled_dot_product_attention,
        in_float32(attention),
        drawn(q=(2, 6, 4), k=(2, 6, 4), v=(2, 6, 4)),
        {"is_causal": True},
    ),
    Right("masked attention", functional.scaled_dot_product_attention, in_float32(masked_attention), attention_inputs),
    Right("linear", functional.linear, lambda x, w, b: x @ w.T + b, drawn(x=(7, 40), w=(9, 40), b=(9,))),
    Right(
        "bilinear",
        functional.bilinear,
        in_float32(lambda x, y, w, b: torch.einsum("ni,oij,nj->no", x, w, y) + b),
        drawn(x=(7, 5), y=(7, 6), w=(9, 5, 6), b=(9,)),
    ),
    Right(
        "conv2d",
        functional.conv2d,
        in_float32(conv2d),
        drawn(x=(2, 3, 6, 9), w=(4, 3, 3, 3), b=(4,)),
        {"stride": 2, "padding": 1},
    ),
    Right(
        "conv_transpose2d",
        functional.conv_transpose2d,
        in_float32(conv_transpose2d),
        drawn(x=(2, 3, 4, 5), w=(3, 4, 3, 3)),
        {"stride": 2},
    ),
    Right("avg_pool2d", functional.avg_pool2d, in_float32(avg_pool2d), drawn(x=(2, 3, 7, 9)), WINDOWS),
    Right("max_pool2d", functional.max_pool2d, max_pool2d, drawn(x=(2, 3, 7, 9)), WINDOWS),
    Right(
        "embedding",
        lambda w, i: functional.embedding(i, w),
        lambda w, i: w[i],
        drawn(w=(12, 5), ints={"i": (12, (4, 8))}),
    ),
    Right("logsumexp", lambda x: x.logsumexp(-1), in_float32(lambda x: x.exp().sum(-1).log()), drawn(x=(8, 33))),
    Right(
        "cumsum",
        lambda x: x.cumsum(-1),
        in_float32(lambda x: x @ torch.ones(33, 33, dtype=x.dtype).triu()),
        drawn(x=(8, 33)),
    ),
    Right(
        "cosine_similarity",
        functional.cosine_similarity,
        in_float32(lambda x, y: (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))),
        drawn(x=(8, 33), y=(8, 33)),
    ),
    Right(
        "normalize",
        functional.normalize,
        in_float32(lambda x: x / (x**2).sum(1, keepdim=True).sqrt()),
        drawn(x=(8, 33)),
    ),
    Right(
        "baddbmm",
        torch.baddbmm,
        in_float32(lambda c, a, b: c + torch.einsum("bij,bjk->bik", a, b)),
        drawn(c=(2, 4, 5), a=(2, 4, 40), b=(2, 40, 5)),
    ),
    Right(
        "interpolate",
        lambda x: functional.interpolate(x, scale_factor=2, mode="nearest"),
        lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
        drawn(x=(2, 3, 4, 5)),
    ),
    Right(
        "reflection pad",
        lambda x: functional.pad(x, (2, 1), mode="reflect"),
        lambda x: torch.cat([x[..., 1:3].flip(-1), x, x[..., -2:-1]], -1),
        drawn(x=(2, 3, 8)),
    ),
    Right(
        "index_add",
        lambda x, y, i: x.index_add(0, i, y),
        in_float32(lambda x, y, i: x + functional.one_hot(i, 5).T.to(x.dtype) @ y),
        drawn(x=(5, 6), y=(30, 6), ints={"i": (5, (30,))}),
    ),
    Right(
        "variance",
        lambda x: x.var(-1),
        in_float32(lambda x: ((x - x.mean(-1, keepdim=True)) ** 2).sum(-1) / 32),
        drawn(x=(8, 33)),
    ),
    Right(
        "lstm_cell",
        torch_lstm_cell,
        lstm_cell,
        drawn(x=(3, 5), h=(3, 4), c=(3, 4), w_ih=(16, 5), w_hh=(16, 4), b=(16,)),
    ),
    Right(
        "gru_cell",
        torch.gru_cell,
        gru_cell,
        drawn(x=(3, 5), h=(3, 4), w_ih=(12, 5), w_hh=(12, 4), b_ih=(12,), b_hh=(12,)),
    ),
    Right(
        "logcumsumexp", lambda x: x.logcumsumexp(-1), in_float32(lambda x: x.exp().cumsum(-1).log()), drawn(x=(8, 13))
    ),
    Right(
        "product", lambda x: x.prod(-1), in_float32(lambda x: x[:, 0] * x[:, 1] * x[:, 2] * x[:, 3]), drawn(x=(20, 4))
    ),
    Right("rotary", rotated, rotated_by_halves, drawn(x=(10, 8), angle=(10, 4))),
    Right(
        "maximum of rows and where",
        lambda x: x.max(-1),
        lambda x: (x.gather(-1, x.argmax(-1, keepdim=True))[:, 0], x.argmax(-1)),
        drawn(x=(8, 33)),
        outputs=("top", "place"),
    ),
    Right(
        "quadratic form",
        lambda x, a: torch.einsum("i,ij,j->", x, a, x),
        in_float32(lambda x, a: x @ (a @ x)),
        drawn(x=(20,), a=(20, 20)),
    ),
    Right("long sum", lambda x, w: (x * w).sum(), in_float32(lambda x, w: x.sum() * w[0]), drawn(x=(5000,), w=(1,))),
)
