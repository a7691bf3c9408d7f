"""The layouts of memory in which a cotangent or an input may come: a backward must read strides, not assume them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.contract.rule import Finding, Rule, broken, inapplicable, kept, refused
from gradverify.contract.subject import Subject, backward, copied, detached, named, of_gradients, with_inputs
from gradverify.errors import GradverifyError

# Elements before a slice and behind each of its rows. On a device their bytes keep rows aligned for vector loads: one
# that is misaligned ends the process there, and the report with it.
_PADDING, _ALIGNED_PADDING = 3, 64


@dataclass(frozen=True)
class Layout:
    """A way to lie in memory.

    Attributes:
        name: of it.
        arrange: the same values laid out so, or None where that is no other layout.
        repeats: whether values have to repeat for it.
    """

    name: str
    arrange: Callable[[Tensor], Tensor | None]
    repeats: bool = False


def transposed(tensor: Tensor) -> Tensor | None:
    """The last two dimensions change places in memory."""
    if tensor.dim() < 2 or min(tensor.shape[-2:]) < 2:
        return None
    return tensor.transpose(-1, -2).contiguous().transpose(-1, -2)


def offset_slice(tensor: Tensor) -> Tensor | None:
    """What follows the first elements of a longer tensor, as `x[1:]` does."""
    padding = _padding_of(tensor)
    return _poisoned(tensor, tensor.numel() + padding)[padding:].view(tensor.shape).copy_(tensor)


def slice_of_cat(tensor: Tensor) -> Tensor | None:
    """The left part of each row of a wider tensor; every other element of a longer one where there are no rows."""
    if tensor.dim() == 0 or tensor.numel() < 2:
        return None
    if tensor.dim() == 1:
        return _poisoned(tensor, 2 * tensor.numel())[::2].copy_(tensor)
    *rows, width = tensor.shape
    wide = width + _padding_of(tensor)
    return _poisoned(tensor, tensor.numel() // width * wide).view(*rows, wide)[..., :width].copy_(tensor)


def channels_last(tensor: Tensor) -> Tensor | None:
    """As convolutions like their images."""
    if tensor.dim() != 4 or tensor.is_contiguous(memory_format=torch.channels_last):
        return None
    return tensor.contiguous(memory_format=torch.channels_last)


def expanded(tensor: Tensor) -> Tensor | None:
    """One number with strides of 0, as the gradient of a sum is."""
    if tensor.numel() < 2:
        return None
    return tensor.flatten()[:1].clone().view([1] * tensor.dim()).expand(tensor.shape)


def expanded_rows(tensor: Tensor) -> Tensor | None:
    """One row, or one number of a vector, with a stride of 0."""
    dim = next((dim for dim, length in enumerate(tensor.shape) if length > 1), None)
    return None if dim is None else tensor.narrow(dim, 0, 1).clone().expand(tensor.shape)


def _padding_of(tensor: Tensor) -> int:
    return _PADDING if tensor.device.type == "cpu" else _ALIGNED_PADDING


def _poisoned(tensor: Tensor, count: int) -> Tensor:
    """Memory that shows in the result of whoever reads it."""
    poison = torch.nan if tensor.is_floating_point() else 1
    return torch.full((count,), poison, dtype=tensor.dtype, device=tensor.device)


_COMMON = (
    Layout("transposed", transposed),
    Layout("an offset slice", offset_slice),
    Layout("a slice of a cat", slice_of_cat),
    Layout("channels_last", channels_last),
)
COTANGENT_LAYOUTS = (*_COMMON, Layout("expanded (stride 0)", expanded, repeats=True))
INPUT_LAYOUTS = (*_COMMON, Layout("expanded (stride 0)", expanded_rows, repeats=True))


class CotangentLayout(Rule):
    """The engine passes on whatever upstream gradients it gets, in any layout; the user has no say in it."""

    name = "cotangent layout"
    remedy = "read its strides, or call .contiguous() on the upstream gradient at the top of the backward"

    @override
    def check(self, subject: Subject) -> Finding:
        subject = subject.smaller
        tried = []
        for layout, arranged in _arrange(COTANGENT_LAYOUTS, subject.cotangents):
            tried.append(layout.name)
            expected, redraw = subject.gradients, None
            if layout.repeats:
                plain = {**subject.copies(), **{name: one.contiguous() for name, one in arranged.items()}}
                redraw = subject.noisy(subject.pair.arguments, plain)
                expected = copied(backward(subject.call(), {name: one.clone() for name, one in plain.items()}))
            try:
                found = backward(subject.call(), {**subject.copies(), **arranged})
            except GradverifyError as error:
                return broken(f"where the upstream gradient is {layout.name}, {error.message}")
            text = subject.difference(of_gradients(found), of_gradients(expected), redraw)
            if text is not None:
                return broken(f"where the upstream gradient is {layout.name}, {text}")
        return kept(", ".join(tried)) if tried else inapplicable("it has one element, which has one layout")


class InputLayout(Rule):
    """Inputs come in any layout; a candidate reads it, or refuses it with an error."""

    name = "input layout"
    remedy = "read strides, call .contiguous() in the forward, or refuse with an error what is not contiguous"

    @override
    def check(self, subject: Subject) -> Finding:
        subject = subject.smaller
        tried, errors = [], []
        for layout, arranged in _arrange(INPUT_LAYOUTS, subject.inputs):
            outcome = _Trial(subject, layout).run(arranged)
            if outcome.refusal is not None:
                errors.append(f"{layout.name}: {outcome.refusal}")
            elif outcome.text is not None:
                return broken(f"where {self._culprit(subject, layout, arranged)} is {layout.name}, {outcome.text}")
            elif outcome.was_tried:
                tried.append(layout.name)
        if errors:
            return refused("; ".join(errors))
        return kept(", ".join(tried)) if tried else inapplicable("no input has more than one layout")

    def _culprit(self, subject: Subject, layout: Layout, arranged: Mapping[str, Tensor]) -> str:
        """The input that has to be in the layout for the mistake to show."""
        if len(arranged) > 1:
            for name, one in arranged.items():
                if _Trial(subject, layout).run({name: one}).text is not None:
                    return name
        return " and ".join(arranged)


@dataclass(frozen=True)
class _Outcome:
    """What came of inputs in a layout: an error of the forward, or what is wrong, or nothing."""

    refusal: str | None = None
    text: str | None = None
    was_tried: bool = True


class _Trial:
    def __init__(self, subject: Subject, layout: Layout) -> None:
        self._subject = subject
        self._layout = layout

    def run(self, arranged: Mapping[str, Tensor]) -> _Outcome:
        subject, expected, redraw = self._subject, self._subject.values, None
        if self._layout.repeats:
            # The values are others: they are tried in the usual layout first.
            plain = with_inputs(subject.pair.arguments, {name: one.contiguous() for name, one in arranged.items()})
            try:
                called = subject.call(plain.fresh())
                outputs = {name: one.detach().clone() for name, one in called.outputs.items()}
                expected = named(outputs, copied(backward(called, subject.copies())))
            except GradverifyError:
                return _Outcome(was_tried=False)  # inputs that do not repeat for a reason
            redraw = subject.noisy(plain, subject.cotangents)
        fresh = subject.pair.arguments.fresh()
        differentiated = subject.pair.arguments.differentiated
        leaves = {name: one.detach().requires_grad_(name in differentiated) for name, one in arranged.items()}
        try:
            called = subject.call(with_inputs(fresh, leaves))
        except GradverifyError as error:
            return _Outcome(refusal=error.message)
        try:
            found = backward(called, subject.copies())
        except GradverifyError as error:
            return _Outcome(text=error.message)
        return _Outcome(text=subject.difference(named(detached(called), found), expected, redraw))


def _arrange(layouts: tuple[Layout, ...], tensors: Mapping[str, Tensor]) -> Iterator[tuple[Layout, dict[str, Tensor]]]:
    """Each layout that changes some of the tensors, with those it changes."""
    for layout in layouts:
        arranged = {name: layout.arrange(one) for name, one in tensors.items()}
        changed = {name: one for name, one in arranged.items() if one is not None}
        if changed:
            yield layout, changed
