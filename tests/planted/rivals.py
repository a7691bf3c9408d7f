"""What people use today, asked about the same candidates on the same inputs: gradcheck, slow and fast, and allclose."""

from __future__ import annotations

import warnings
from enum import Enum

import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.autograd.gradcheck import GradcheckError

from gradverify.candidate import Arguments, Callee, Pair, draw_pair, run
from gradverify.function_case import function_case
from planted.making import Planted

CPU = torch.device("cpu")
# Two forwards an element of the input, for every element of the output: more take minutes.
MOST_ELEMENTS = 1000


class Answer(str, Enum):
    """What a check says of a wrong candidate."""

    CAUGHT = "caught"
    MISSED = "missed"
    CANNOT = "cannot"  # it does not run in float64, or would take minutes


def pair_of(planted: Planted, dtype: torch.dtype) -> Pair:
    """The candidate and its reference, at the seed that a case has by default."""
    case = function_case(
        planted.candidate,
        inputs=planted.inputs,
        reference=planted.reference,
        constants=planted.constants,
        parameters=planted.parameters,
    )
    return draw_pair(case, 111111, dtype, CPU, planted.constants)


def ask_gradcheck(planted: Planted, *, fast: bool) -> Answer:
    """torch.autograd.gradcheck in float64, with its default tolerances."""
    pair = pair_of(planted, torch.float64)
    arguments = pair.arguments.fresh()
    if not fast and max(leaf.numel() for leaf in arguments.leaves.values()) > MOST_ELEMENTS:
        return Answer.CANNOT

    def function(*leaves: Tensor) -> object:
        given = dict(zip(arguments.leaves, leaves, strict=True))
        return pair.candidate.call(arguments.mapped(lambda name, value: given.get(name, value)))

    try:
        # It differentiates in random directions, and says nothing of the seed.
        torch.manual_seed(0)
        gradcheck(function, tuple(arguments.leaves.values()), fast_mode=fast)
    except GradcheckError:
        return Answer.CAUGHT
    except TypeError:
        return Answer.CANNOT
    return Answer.MISSED


def ask_allclose(planted: Planted) -> Answer:
    """A forward and a backward from a sum, at the working precision; outputs and gradients by torch.allclose."""
    dtype = getattr(torch, planted.dtype)
    pair = pair_of(planted, dtype)
    assert pair.reference is not None
    ours, theirs = (summed(callee, pair.arguments) for callee in (pair.candidate, pair.reference))
    # By default it is meant for float32; of half precision it takes what torch.testing takes.
    rtol, atol = {torch.float16: (1e-3, 1e-5), torch.bfloat16: (1.6e-2, 1e-5)}.get(dtype, (1e-5, 1e-8))
    close = all(
        own is not None and torch.allclose(own, other, rtol=rtol, atol=atol)
        for own, other in zip(ours, theirs, strict=True)
        if other is not None
    )
    return Answer.MISSED if close else Answer.CAUGHT


def summed(callee: Callee, arguments: Arguments) -> list[Tensor | None]:
    """The outputs and the gradients of their sum, as a training script has them."""
    called = run(callee, arguments.fresh())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradients = called.gradients({name: torch.ones_like(one) for name, one in called.differentiable.items()})
    return [*called.outputs.values(), *gradients.values()]
