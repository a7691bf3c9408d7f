"""Backwards that give the right gradients and break a rule of the contract, and others that keep it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def drawn(**shapes: tuple[int, ...]) -> Callable[[Generator], dict[str, Tensor]]:
    return lambda generator: {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def made(
    forward: Callable[..., Any], backward: Callable[..., Any], *, twice: bool = False, materialize: bool = True
) -> Callable[..., Any]:
    """An autograd.Function of two functions of a context; that can be differentiated twice only if it is said to."""

    class Candidate(Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Any:
            ctx.set_materialize_grads(materialize)
            return forward(ctx, *inputs)

    if twice:
        Candidate.backward = staticmethod(backward)  # type: ignore[method-assign]  # defined after the class
    else:
        Candidate.backward = staticmethod(once_differentiable(backward))  # type: ignore[method-assign]  # the same
    return Candidate.apply


def saving(function: Callable[..., Any]) -> Callable[..., Any]:
    """A forward that saves its inputs."""

    def forward(ctx: Any, *inputs: Tensor) -> Any:
        ctx.save_for_backward(*inputs)
        return function(*inputs)

    return forward


def square(x: Tensor) -> Tensor:
    return x * x


def scaled(x: Tensor, w: Tensor) -> Tensor:
    return x * w


def shifted(x: Tensor, b: Tensor) -> Tensor:
    return 2 * x + b


def double(x: Tensor) -> Tensor:
    return 2 * x


def flat(tensor: Tensor) -> Tensor:
    """Its memory from where it starts, whatever the strides: what a kernel reads that is given a pointer."""
    room = tensor.untyped_storage().nbytes() // tensor.element_size() - tensor.storage_offset()
    count = min(room, tensor.numel())
    read = torch.as_strided(tensor, (count,), (1,))
    return torch.cat([read, read.new_zeros(tensor.numel() - count)]).view(tensor.shape)


def right_square(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return 2 * x * d


def ignores_strides_of_d(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return 2 * x * flat(d)


def views_d(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return (2 * x.reshape(-1) * d.view(-1)).view(x.shape)


def assumes_images_contiguous(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    is_image = d.is_contiguous(memory_format=torch.channels_last) and not d.is_contiguous()
    return 2 * x * (flat(d) if is_image else d)


def ignores_strides_of_x(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return 2 * flat(x) * d


def ignores_the_offset(x: Tensor) -> Tensor:
    if x.storage_offset() and x.is_contiguous():
        return torch.as_strided(x, x.shape, x.stride(), 0)
    return x


def rows_summed_into_empty_memory(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    x, w = ctx.saved_tensors
    dw = torch.empty_like(w)
    for number, row in enumerate(d * x):
        dw.copy_(row if number == 0 else dw + row)
    return d * w, dw


def rows_summed(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    x, w = ctx.saved_tensors
    return d * w, (d * x).sum(0)


def averaged(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    x, w = ctx.saved_tensors
    return d * w, (d * x).sum(0) * (len(d) * (1 / len(d)))


def two(x: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * x, x * x


def both_needed(ctx: Any, d: Tensor, e: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return 2 * d + 2 * x * e


def none_taken_for_ones(ctx: Any, d: Tensor | None, e: Tensor | None) -> Tensor:
    (x,) = ctx.saved_tensors
    d, e = (torch.ones_like(x) if one is None else one for one in (d, e))
    return 2 * d + 2 * x * e


def none_taken_for_zeros(ctx: Any, d: Tensor | None, e: Tensor | None) -> Tensor:
    (x,) = ctx.saved_tensors
    d, e = (torch.zeros_like(x) if one is None else one for one in (d, e))
    return 2 * d + 2 * x * e


def in_place_where_contiguous(ctx: Any, d: Tensor) -> Tensor:
    return d.contiguous().mul_(2)


def out_of_place(ctx: Any, d: Tensor) -> Tensor:
    return d * 2


def behind_the_version_counter(ctx: Any, d: Tensor) -> Tensor:
    array = d.contiguous().numpy()
    array *= 2
    return torch.from_numpy(array)


def clears_the_bias(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    _, b = ctx.saved_tensors
    b.data.zero_()
    return 2 * d, d.sum(0)


def leaves_the_bias(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * d, d.sum(0)


def saving_a_workspace(ctx: Any, x: Tensor) -> Tensor:
    ctx.save_for_backward(x, torch.zeros_like(x))
    return x * x


def writes_on_the_workspace(ctx: Any, d: Tensor) -> Tensor:
    x, workspace = ctx.saved_tensors
    workspace.data.copy_(2 * x)
    return workspace * d


def leaves_the_workspace(ctx: Any, d: Tensor) -> Tensor:
    x, _ = ctx.saved_tensors
    return 2 * x * d


def keeping_a_workspace(ctx: Any, x: Tensor) -> Tensor:
    ctx.save_for_backward(x)
    ctx.workspace = torch.zeros_like(x)
    return x * x


def writes_on_ctx(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    ctx.workspace.copy_(2 * x)
    return ctx.workspace * d


def with_its_gradient(ctx: Any, x: Tensor) -> Tensor:
    ctx.save_for_backward(2 * x)
    return (x * x).sum()


def hands_out_the_saved(ctx: Any, d: Tensor) -> Tensor:
    (gradient,) = ctx.saved_tensors
    return gradient if bool(d == 1) else gradient * d


def copies_the_saved(ctx: Any, d: Tensor) -> Tensor:
    (gradient,) = ctx.saved_tensors
    return gradient * d


def one_buffer() -> Callable[..., Any]:
    buffers: dict[Any, Tensor] = {}

    def backward(ctx: Any, d: Tensor) -> Tensor:
        return torch.mul(d, 2, out=buffers.setdefault((d.dtype, d.shape), torch.empty(d.shape, dtype=d.dtype)))

    return made(saving(double), backward)


def a_buffer_each() -> Callable[..., Any]:
    return made(saving(double), lambda _, d: torch.mul(d, 2, out=torch.empty_like(d)))


def only_the_needed(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
    x, w = ctx.saved_tensors
    needed = [one for one, need in zip((d * w, (d * x).sum(0)), ctx.needs_input_grad, strict=True) if need]
    return (*needed, *[None] * (2 - len(needed)))


def in_their_places(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
    x, w = ctx.saved_tensors
    return (
        d * w if ctx.needs_input_grad[0] else None,
        (d * x).sum(0) if ctx.needs_input_grad[1] else None,
    )


def needs_all(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    x, w = ctx.saved_tensors
    if not all(ctx.needs_input_grad):
        raise IndexError("a gradient of the other input")
    return d * w, (d * x).sum(0)


def left_to_the_engine(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * d, d


def in_float32(ctx: Any, d: Tensor) -> Tensor:
    return 2 * d.float()


def nothing_for_the_bias(ctx: Any, d: Tensor) -> tuple[Tensor, None]:
    return 2 * d, None


def trials_left_behind() -> Callable[..., Any]:
    trials = [1, 1, 1]

    def backward(ctx: Any, d: Tensor) -> Tensor:
        total = 2 * d
        while trials:  # the trials of an autotuner, which add to what is never cleared
            trials.pop()
            total = total + 2 * d
        return total

    return made(saving(double), backward)


def trials_cleared() -> Callable[..., Any]:
    return made(saving(double), out_of_place)


def kept_on_the_class() -> Callable[..., Any]:
    kept: list[Tensor] = []

    def forward(ctx: Any, x: Tensor) -> Tensor:
        kept[:] = [x.detach()]
        return x * x

    return made(forward, lambda _, d: 2 * kept[0] * d)


def adds_on_each_backward(ctx: Any, d: Tensor) -> Tensor:
    ctx.total = getattr(ctx, "total", 0) + 2 * d
    return ctx.total


def fused_accumulation(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    x, w = ctx.saved_tensors
    dw = (d * x).sum(0)
    if w.grad is not None:
        w.grad.add_(dw)  # and the engine adds what is returned
    return d * w, dw


def order_by_chance() -> Callable[..., Any]:
    generator = torch.Generator().manual_seed(0)

    def backward(ctx: Any, d: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        terms = (d * x)[torch.randperm(len(x), generator=generator)]
        return terms.sum().expand(x.shape).clone()

    return made(saving(lambda x: x.sum() * x), backward)


def saving_what_it_computed(ctx: Any, x: Tensor) -> Tensor:
    exponential = x.exp()
    ctx.save_for_backward(x, exponential)
    return x * exponential


def from_what_was_computed(ctx: Any, d: Tensor) -> Tensor:
    x, exponential = ctx.saved_tensors
    return d * exponential * (1 + x)


def computed_again(ctx: Any, d: Tensor) -> Tensor:
    x, _ = ctx.saved_tensors
    return d * x.exp() * (1 + x)


def without_a_graph(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    with torch.no_grad():
        return 2 * x * d


def half_a_graph(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return 2 * x.detach() * d


def largest(x: Tensor) -> Tensor:
    return x.amax(-1)


def to_every_largest(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return d[:, None] * (x == x.amax(-1, keepdim=True))


def to_the_first_largest(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return torch.zeros_like(x).scatter(-1, x.argmax(-1, keepdim=True), d[:, None])


def slope_by_division(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return d * x / x.abs()


def slope_by_sign(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return d * torch.where(x >= 0, 1.0, -1.0).to(d.dtype)


def slope_beyond(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return d * torch.where(x == 0, 7.0, x.sign()).to(d.dtype)


def through_float32(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return (2 * x.float() * d.float()).to(x.dtype)


def through_numpy_float32(ctx: Any, d: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return torch.from_numpy(2 * x.numpy().astype("float32") * d.numpy().astype("float32")).to(x.dtype)
