"""Candidates that break one rule of the contract each, with a twin that does the same and keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from contract import planted
from contract.planted import double, drawn, largest, made, saving, scaled, shifted, square, two

Make = Callable[[], Callable[..., Any]]


@dataclass(frozen=True)
class Breach:
    """A candidate that gives the right gradients, and breaks the contract.

    Attributes:
        name: what it does.
        rule: the one that it breaks.
        candidate, twin: make what breaks it, and what does not; anew, since some of them remember their calls.
        reference: the same in plain torch.
        inputs: draws the inputs.
        dtype: the working precision.
    """

    name: str
    rule: str
    candidate: Make
    twin: Make
    reference: Callable[..., Any]
    inputs: Callable[[Generator], dict[str, Tensor]]
    dtype: str = "float32"


X, ROWS, IMAGE = drawn(x=(5, 4)), drawn(x=(5, 4), w=(4,)), drawn(x=(2, 3, 4, 5))
BIASED = drawn(x=(5, 4), b=(4,))


TOPS = drawn(x=(6, 7))


def pair(
    forward: Callable[..., Any], wrong: Callable[..., Any], right: Callable[..., Any], **options: Any
) -> tuple[Make, Make]:
    """Functions of one forward and two backwards."""
    return lambda: made(forward, wrong, **options), lambda: made(forward, right, **options)


def squared(
    wrong: Callable[..., Any], right: Callable[..., Any] = planted.right_square, **options: Any
) -> tuple[Make, Make]:
    return pair(saving(square), wrong, right, **options)


def of(
    function: Callable[..., Any], wrong: Callable[..., Any], right: Callable[..., Any], **options: Any
) -> tuple[Make, Make]:
    return pair(saving(function), wrong, right, **options)


def growth(x: Tensor) -> Tensor:
    return x * x.exp()


def summed(x: Tensor) -> Tensor:
    return (x * x).sum()


def breaches() -> tuple[Breach, ...]:
    """Every rule has one at least."""
    p = planted
    once = squared(p.right_square)[0]
    doubled = (p.in_place_where_contiguous, p.out_of_place)
    return (
        Breach(
            "strides of the upstream gradient ignored", "cotangent layout", *squared(p.ignores_strides_of_d), square, X
        ),
        Breach("view(-1) of the upstream gradient", "cotangent layout", *squared(p.views_d), square, X),
        Breach(
            "channels_last taken for contiguous",
            "cotangent layout",
            *squared(p.assumes_images_contiguous),
            square,
            IMAGE,
        ),
        Breach("strides of an input ignored", "input layout", *squared(p.ignores_strides_of_x), square, X),
        Breach(
            "offset of an input ignored",
            "input layout",
            lambda: lambda x: square(p.ignores_the_offset(x)),
            once,
            square,
            X,
        ),
        Breach(
            "memory that nothing wrote on",
            "empty batch",
            *of(scaled, p.rows_summed_into_empty_memory, p.rows_summed),
            scaled,
            ROWS,
        ),
        Breach(
            "division by the size of the batch", "empty batch", *of(scaled, p.averaged, p.rows_summed), scaled, ROWS
        ),
        Breach(
            "None taken for a tensor",
            "unused output",
            *of(two, p.both_needed, p.none_taken_for_zeros, materialize=False),
            two,
            X,
        ),
        Breach(
            "None taken for ones",
            "unused output",
            *of(two, p.none_taken_for_ones, p.none_taken_for_zeros, materialize=False),
            two,
            X,
        ),
        Breach("upstream gradient written on", "cotangent unchanged", *of(double, *doubled), double, X),
        Breach(
            "the same behind the version counter",
            "cotangent unchanged",
            *of(double, p.behind_the_version_counter, p.out_of_place),
            double,
            X,
        ),
        Breach(
            "a parameter written on",
            "inputs unchanged",
            *of(shifted, p.clears_the_bias, p.leaves_the_bias),
            shifted,
            BIASED,
        ),
        Breach(
            "a saved workspace written on",
            "saved tensors unchanged",
            *pair(p.saving_a_workspace, p.writes_on_the_workspace, p.leaves_the_workspace),
            square,
            X,
        ),
        Breach(
            "a workspace on ctx written on",
            "saved tensors unchanged",
            *pair(p.keeping_a_workspace, p.writes_on_ctx, p.right_square),
            square,
            X,
        ),
        Breach(
            "the saved gradient handed out",
            "own memory",
            *pair(p.with_its_gradient, p.hands_out_the_saved, p.copies_the_saved),
            summed,
            X,
        ),
        Breach("one buffer for every gradient", "next call", p.one_buffer, p.a_buffer_each, double, X),
        Breach(
            "gradients moved up where one is not needed",
            "subsets of requires_grad",
            *of(scaled, p.only_the_needed, p.in_their_places),
            scaled,
            ROWS,
        ),
        Breach(
            "an error where one is not needed",
            "subsets of requires_grad",
            *of(scaled, p.needs_all, p.in_their_places),
            scaled,
            ROWS,
        ),
        Breach(
            "the sum left to the engine",
            "raw shape",
            *of(shifted, p.left_to_the_engine, p.leaves_the_bias),
            shifted,
            BIASED,
        ),
        Breach(
            "the cast left to the engine", "raw dtype", *of(double, p.in_float32, p.out_of_place), double, X, "bfloat16"
        ),
        Breach(
            "None for a bias",
            "missing gradient",
            *of(shifted, p.nothing_for_the_bias, p.leaves_the_bias),
            shifted,
            BIASED,
        ),
        Breach(
            "the trials of an autotuner left behind", "first call", p.trials_left_behind, p.trials_cleared, double, X
        ),
        Breach("state kept on the class", "calls in between", p.kept_on_the_class, once, square, X),
        Breach(
            "sums kept from one backward to the next",
            "retain_graph",
            *of(double, p.adds_on_each_backward, p.out_of_place),
            double,
            X,
        ),
        Breach(
            "added to .grad and returned",
            "accumulation",
            *of(scaled, p.fused_accumulation, p.rows_summed),
            scaled,
            ROWS,
        ),
        Breach(
            "what the forward computed taken for constant",
            "double backward",
            *pair(p.saving_what_it_computed, p.from_what_was_computed, p.computed_again, twice=True),
            growth,
            X,
        ),
        Breach(
            "the same in bfloat16",
            "double backward",
            *pair(p.saving_what_it_computed, p.from_what_was_computed, p.computed_again, twice=True),
            growth,
            X,
            "bfloat16",
        ),
        Breach("a backward without a graph", "double backward", *squared(p.without_a_graph, twice=True), square, X),
        Breach("half of a graph", "double backward", *squared(p.half_a_graph, twice=True), square, X),
        Breach(
            "every largest element gets all",
            "ties and zeros",
            *of(largest, p.to_every_largest, p.to_the_first_largest),
            largest,
            TOPS,
        ),
        Breach(
            "a slope by division", "ties and zeros", *of(torch.abs, p.slope_by_division, p.slope_by_sign), torch.abs, X
        ),
        Breach(
            "a slope beyond both sides", "ties and zeros", *of(torch.abs, p.slope_beyond, p.slope_by_sign), torch.abs, X
        ),
        Breach("a cast to float32", "float64 throughout", *squared(p.through_float32), square, X, "float64"),
        Breach("float32 in a kernel", "float64 throughout", *squared(p.through_numpy_float32), square, X, "float64"),
    )


BREACHES = breaches()
