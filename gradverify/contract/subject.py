"""The candidate under audit: what it gives when nothing is out of the ordinary, and ways to call it otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from gradverify.candidate import Arguments, Conditions, Cotangent, Pair, Run, draw_cotangents, run
from gradverify.candidate.callee import Callee
from gradverify.candidate.run import backward_of
from gradverify.comparison import distance
from gradverify.contract.yardstick import DRAWS, Redraw, Values, difference
from gradverify.errors import GradverifyError
from gradverify.ulp import move

# Beyond so many elements the dearer rules are tried on fewer rows, of which so many elements are left: strides, ties
# and second derivatives are what they are at any size, and a plain reference takes ten times as long as a fused kernel.
_LARGE, _ENOUGH = 2**17, 2**15

Found = TypeVar("Found")


class Subject:
    """A candidate, and one ordinary run of it.

    Attributes:
        pair: the candidate, its reference and what both are given.
        first: the gradients of the very first call, on the same arguments; None where they are not known.
        where: the line of its backward.
        differentiable: the names of the outputs that have a gradient.
        cotangents: the upstream gradients of the ordinary run.
        gradients: copies of its gradients.
        outputs: what it returned.
    """

    def __init__(self, pair: Pair, first: Mapping[str, Tensor | None] | None = None) -> None:
        """Run the candidate once.

        Raises:
            GradverifyError: from what the candidate raises.
        """
        self.pair = pair
        self.first = first
        self._found: dict[str, Any] = {}
        called = self.call()
        self.where = backward_of(called)
        self.differentiable = tuple(called.differentiable)
        self.outputs = {name: output.detach().clone() for name, output in called.outputs.items()}
        self.cotangents = draw_cotangents(Cotangent.NORMAL, called.differentiable, pair.cotangent_seed)
        self.gradients = copied(backward(called, self.copies())) if self.differentiable else {}

    def call(self, arguments: Arguments | None = None) -> Run:
        """Call the candidate, on fresh copies of its arguments unless others are given."""
        return run(self.pair.candidate, arguments or self.pair.arguments.fresh(), self.pair.outputs)

    def copies(self) -> dict[str, Tensor]:
        """Copies of the upstream gradients, which a backward may write on without spoiling the audit."""
        return {name: one.clone() for name, one in self.cotangents.items()}

    @property
    def values(self) -> dict[str, Tensor | None]:
        """The ordinary outputs and gradients, as they are called in a sentence."""
        return named(self.outputs, self.gradients)

    @cached_property
    def again(self) -> tuple[dict[str, Tensor], dict[str, Tensor | None]]:
        """The outputs and gradients of a second ordinary run, as they came back."""
        called = self.call()
        return detached(called), backward(called, self.copies())

    @cached_property
    def redraw(self) -> Redraw:
        """The ordinary run under noise; each draw is made once."""
        return self.noisy(self.pair.arguments, self.cotangents)

    def noisy(self, arguments: Arguments, cotangents: Mapping[str, Tensor]) -> Redraw:
        """A run on some arguments under noise."""

        def draw(number: int) -> Values:
            called = self.call(nudged(arguments, number).fresh())
            found = backward(called, {name: nudge(one, number) for name, one in cotangents.items()})
            return named(detached(called), found)

        return _once(draw)

    def once(self, what: str, find: Callable[[], Found]) -> Found:
        """What is found for several rules, the first time that it is asked for."""
        if what not in self._found:
            self._found[what] = find()
        found: Found = self._found[what]
        return found

    @cached_property
    def smaller(self) -> Subject:
        """The same on fewer rows, where it is large and both candidate and reference take fewer."""
        largest = max(one.numel() for one in (*self.pair.arguments.tensors.values(), *self.outputs.values()))
        if largest <= _LARGE:
            return self
        longest = max((len(one) for one in self.inputs.values() if one.dim()), default=0)
        rows = max(2, longest * _ENOUGH // largest)
        for arguments in with_leading(self.pair.arguments, rows):
            pair = dataclasses.replace(self.pair, arguments=arguments)
            try:
                subject = Subject(pair)
                reference = None if pair.reference is None else run(pair.reference, arguments.fresh(), pair.outputs)
            except GradverifyError:
                continue  # another dimension may be the batch
            shapes = {name: one.shape for name, one in subject.outputs.items()}
            alike = reference is None or shapes == {name: one.shape for name, one in reference.outputs.items()}
            if alike and subject.differentiable == self.differentiable:
                return subject
        return self

    def difference(self, found: Values, expected: Values, redraw: Redraw | None = None) -> str | None:
        """What differs between two runs of the candidate by more than rounding explains; see `yardstick.difference`."""
        return difference(found, expected, redraw or self.redraw, usual=lambda: self._usual)

    @cached_property
    def _usual(self) -> dict[str, float]:
        """The median error of each value beside its reference, relative to the largest; without one, none is known."""
        if self.pair.reference is None:
            return {}
        called = in_float64(self.pair.reference, self.pair.arguments, self.pair.outputs)
        exact = named(detached(called), called.gradients(self.cotangents))
        return {name: _usual_error(self.values.get(name), one) for name, one in exact.items() if one is not None}

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The inputs that are tensors, by name; no parameters."""
        return {name: one for name, one in self.pair.arguments.inputs.items() if isinstance(one, Tensor)}


def backward(
    called: Run, cotangents: Mapping[str, Tensor], *, retain_graph: bool = False, create_graph: bool = False
) -> dict[str, Tensor | None]:
    """The gradients as the engine hands them out: nothing is copied, neither what goes in nor what comes out.

    Args:
        called: the run; leaves that need no gradient are left out.
        cotangents: of some of its outputs.
        retain_graph: whether gradients are taken of this run again.
        create_graph: whether gradients are taken of these gradients.

    Raises:
        CaseRaised: from what the backward raises.
    """
    outputs = [called.outputs[name] for name in cotangents]
    leaves = {name: leaf for name, leaf in called.leaves.items() if leaf.requires_grad}
    with called.callee.running(f"the {called.callee.role}'s backward"), called.conditions.entered():
        found = torch.autograd.grad(
            outputs,
            list(leaves.values()),
            list(cotangents.values()),
            retain_graph=retain_graph or create_graph,
            create_graph=create_graph,
            allow_unused=True,
        )
    return dict(zip(leaves, found, strict=True))


def copied(gradients: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    """Copies that no later call can write on."""
    return {name: None if one is None else one.detach().clone() for name, one in gradients.items()}


def detached(called: Run) -> dict[str, Tensor]:
    """The outputs, without their graph."""
    return {name: one.detach() for name, one in called.outputs.items()}


def named(outputs: Mapping[str, Tensor], gradients: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    """Outputs and gradients, as they are called in a sentence."""
    return {
        **{f"the output {name}" if name != "output" else "the output": one for name, one in outputs.items()},
        **of_gradients(gradients),
    }


def of_gradients(gradients: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    """Gradients, as they are called in a sentence."""
    return {f"the gradient of {name}": one for name, one in gradients.items()}


def in_float64(callee: Callee, arguments: Arguments, outputs: tuple[str | None, ...] | None) -> Run:
    """A run in float64, every cast to less undone."""
    return run(callee.to(torch.float64), arguments.to(torch.float64).fresh(), outputs, Conditions.WIDENED)


def nudged(arguments: Arguments, draw: int) -> Arguments:
    """The same, every element of what is differentiated moved by an ulp."""
    return arguments.mapped(
        lambda name, value: nudge(value.detach(), draw) if name in arguments.differentiated else value
    )


def nudge(tensor: Tensor, draw: int) -> Tensor:
    """Every element moved by one ulp: in even draws equal elements alike, in odd ones each its own way.

    The latter break ties, which another order of a sum does too.
    """
    if draw % 2 == 0:
        return move(tensor, draw)
    generator = torch.Generator().manual_seed(draw)
    signs = torch.randint(0, 2, tensor.shape, generator=generator, device="cpu").to(tensor)
    return tensor + tensor * (signs * 2 - 1) * (0.75 * torch.finfo(tensor.dtype).eps)


def _usual_error(value: Tensor | None, exact: Tensor) -> float:
    """The median of the errors that are not zero, which ties that turn out otherwise do not reach."""
    if value is None or value.shape != exact.shape or not value.is_floating_point():
        return 0.0
    errors = (value.to(exact.dtype) - exact).abs()
    errors = errors[errors.isfinite() & (errors > 0)]
    scale = distance(exact, exact).scale
    return float(errors.median()) / scale if errors.numel() and scale else 0.0


def with_leading(arguments: Arguments, rows: int) -> Iterator[Arguments]:
    """The arguments with the leading dimension of some inputs cut: of all of one length, then of each alone.

    Left out is a cut after which an index could lead out of what it picks from: kernels need not check that, and
    torch's own `embedding_bag` reads there whatever it finds.
    """
    lengths = {name: len(one) for name, one in arguments.inputs.items() if isinstance(one, Tensor) and one.dim()}
    groups = [[name for name, one in lengths.items() if one == length] for length in dict.fromkeys(lengths.values())]
    singles = [[name] for name in lengths]
    for chosen in (*groups, *(one for one in singles if one not in groups)):
        cut = {name: arguments.inputs[name][:rows].clone() for name in chosen}
        changed = any(one.shape != arguments.inputs[name].shape for name, one in cut.items())
        if changed and not _leads_out(arguments, cut, rows):
            yield with_inputs(arguments, cut)


def _leads_out(arguments: Arguments, cut: Mapping[str, Tensor], rows: int) -> bool:
    """Whether an integer may be an index of a row that is gone, rather than one of a dimension that stays."""
    tensors = {**arguments.tensors, **cut}
    staying = [length for name, one in tensors.items() for length in (one.shape[1:] if name in cut else ())]
    for name, one in tensors.items():
        if one.is_floating_point() or one.is_complex() or one.dtype == torch.bool or not one.numel():
            continue
        largest = int(one.max())
        if largest >= rows and (name not in cut or largest >= max(staying, default=0)):
            return True
    return False


def with_inputs(arguments: Arguments, changed: Mapping[str, Tensor]) -> Arguments:
    """The same with other inputs, which are passed just as they are."""
    return dataclasses.replace(arguments, inputs={**arguments.inputs, **changed})


def _once(draw: Callable[[int], Values]) -> Redraw:
    known: dict[int, Values] = {}

    def cached(number: int) -> Values:
        assert number < DRAWS  # they are kept
        if number not in known:
            known[number] = draw(number)
        return known[number]

    return cached
