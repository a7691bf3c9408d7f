"""A candidate with a backward of its own, its reference, and on request the reference compiled."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from gradverify.bench.contender import Contender, Contest
from gradverify.candidate.callee import Arguments, Callee
from gradverify.candidate.cotangent import Cotangent, draw_cotangents
from gradverify.candidate.pair import Pair, draw_pair
from gradverify.candidate.run import name_outputs, run
from gradverify.errors import UsageError
from gradverify.function_case import FunctionCase
from gradverify.scope import user_code


@dataclass(frozen=True)
class _Call:
    """A candidate or a reference as its user calls it, on tensors that are differentiated.

    Attributes:
        callee: what it is made of; function: what is called.
        inputs, keywords: what with.
        leaves: what is differentiated.
    """

    callee: Callee
    function: Callable[..., object]
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    leaves: tuple[Tensor, ...]


def draw_contest(
    case: FunctionCase,
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
    constants: frozenset[str],
    *,
    compiled: bool = False,
) -> Contest:
    """The candidate and the reference of a case, ready to be timed; each runs with autograd.

    Modules are called as they are, on copies: what hands the parameters over for a comparison is no part of them.

    Raises:
        UsageError: if there is no reference.
        GradverifyError: for whatever the case does wrong.
    """
    pair = draw_pair(case, seed, dtype, device, constants)
    if pair.reference is None:
        raise UsageError("there is no reference to time the candidate against: set `reference` on the case")
    # A first call, which is not timed, also of what tunes itself.
    outputs = run(pair.candidate, pair.arguments.fresh(), pair.outputs).differentiable
    cotangents = draw_cotangents(Cotangent.NORMAL, outputs, pair.cotangent_seed)
    candidate = _own_call(pair.candidate, pair.arguments.fresh())
    reference = _reference_call(pair.reference, pair.arguments.fresh())
    contenders = [_contender("candidate", candidate, pair, cotangents)]
    contenders.append(_contender("reference", reference, pair, cotangents))
    notes: list[str] = []
    if compiled:
        contender = _compiled(reference, pair, cotangents)
        if isinstance(contender, str):
            notes.append(contender)
        else:
            contenders.append(contender)
    return Contest(
        tuple(contenders),
        # A candidate runs under the defaults of its user.
        lambda: user_code(case, "candidate or reference", torch.get_default_dtype(), torch.get_default_device()),
        tuple(notes),
    )


def _own_call(callee: Callee, arguments: Arguments) -> _Call:
    """The candidate; a module is copied, with its own parameters."""
    function = callee.function
    inputs = tuple(arguments.inputs.values())
    leaves = arguments.leaves
    if isinstance(function, Module):
        function = copy.deepcopy(function)
        leaves = {**leaves, **{name: one for name, one in function.named_parameters() if name in leaves}}
    return _Call(callee, function, inputs, callee.options, tuple(leaves.values()))


def _reference_call(callee: Callee, arguments: Arguments) -> _Call:
    """The reference; it is given the parameters of the candidate once, before."""
    inputs = tuple(arguments.inputs.values())
    differentiated = [one for name, one in arguments.inputs.items() if name in arguments.differentiated]
    handed = {name: value.detach().clone() for name, value in callee.hand_over(arguments.parameters).items()}
    is_trained = {
        name: one.is_floating_point() and value.requires_grad
        for (name, one), value in zip(handed.items(), callee.hand_over(arguments.parameters).values(), strict=True)
    }
    if isinstance(callee.function, Module):
        function = copy.deepcopy(callee.function)
        with torch.no_grad():
            for name, parameter in function.named_parameters():
                parameter.copy_(handed[name])
                parameter.requires_grad_(is_trained[name])
        leaves = (*differentiated, *(one for one in function.parameters() if one.requires_grad))
        return _Call(callee, function, inputs, callee.options, leaves)
    keywords = {name: value.requires_grad_(is_trained[name]) for name, value in handed.items()}
    leaves = (*differentiated, *(one for one in keywords.values() if one.requires_grad))
    return _Call(callee, callee.function, inputs, {**keywords, **callee.options}, leaves)


def _contender(name: str, call: _Call, pair: Pair, cotangents: Mapping[str, Tensor]) -> Contender:
    chosen = _chooser(call, pair, tuple(cotangents))
    upstream = [cotangents[name].to(output) for name, output in zip(cotangents, chosen(_called(call)), strict=True)]
    function, inputs, keywords, leaves = call.function, call.inputs, call.keywords, call.leaves

    def forward() -> list[Tensor]:
        return chosen(function(*inputs, **keywords))

    def backward(outputs: list[Tensor]) -> object:
        return torch.autograd.grad(outputs, leaves, upstream, allow_unused=True)

    with call.callee.running(f"the {name}'s backward"), torch.enable_grad():
        backward(forward())
    return Contender(name, forward, backward, with_grad=True)


def _called(call: _Call) -> object:
    with call.callee.running(f"the {call.callee.role}"), torch.enable_grad():
        return call.function(*call.inputs, **call.keywords)


def _chooser(call: _Call, pair: Pair, wanted: tuple[str, ...]) -> Callable[[Any], list[Tensor]]:
    """What picks the differentiated outputs from what is returned; their places are found once, before."""
    returned = _called(call)
    if isinstance(returned, Tensor):
        return lambda output: [output]
    outputs = name_outputs(call.callee, returned, pair.outputs)
    keys = list(returned) if isinstance(returned, Mapping) else range(len(returned))  # type: ignore[arg-type]  # name_outputs has checked
    places = [next(key for key in keys if returned[key] is outputs[name]) for name in wanted]  # type: ignore[index]  # the same
    return lambda several: [several[place] for place in places]


def _compiled(call: _Call, pair: Pair, cotangents: Mapping[str, Tensor]) -> Contender | str:
    """The reference under torch.compile, compiled for these very shapes; a sentence where that fails."""
    torch.compiler.reset()
    function = torch.compile(call.function, dynamic=False)
    compiled = _Call(call.callee, function, call.inputs, call.keywords, call.leaves)
    try:
        return _contender("compiled", compiled, pair, cotangents)
    except Exception as error:  # the compiler raises whatever its parts do, and so does what it needs of the system
        cause = error.__cause__ or error
        first = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        return f"torch.compile of the reference failed: {type(cause).__name__}: {first}"
