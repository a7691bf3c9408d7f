"""A hand-derived pass and autograd's, on the same inputs and the same code of the case."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from gradverify.bench.contender import Contender, Contest
from gradverify.bench.names import Names, tensors_of
from gradverify.case import Case
from gradverify.errors import GradverifyError
from gradverify.evaluation import Tensors, draw_cotangents, run_backward, run_forward
from gradverify.gradients import derived_of
from gradverify.inputs import Inputs, draw_inputs
from gradverify.scope import defined_at, own_copy, user_code
from gradverify.trace import values_of

# Two runs on the same inputs differ by no more than the order of a sum: half of the digits agree.
_HALF = 0.5


@dataclass(frozen=True)
class _Known:
    """What the recorded pass, the one that was verified, has given.

    Attributes:
        inputs: what it started from; values: every recorded tensor; gradients: the hand-derived ones.
        cotangents: of the outputs, in their order.
    """

    inputs: Inputs
    values: Tensors
    gradients: Tensors
    cotangents: Tensors


def draw_contest(case: Case, seed: int, dtype: torch.dtype, device: torch.device, constants: frozenset[str]) -> Contest:
    """The hand-derived pass of a case and autograd's, ready to be timed.

    The first runs forward and backward without autograd on plain tensors: `Names` stands in for `t` and `d`. The
    second runs the same forward with autograd, and then `torch.autograd.grad` for the differentiated inputs.

    Raises:
        GradverifyError: for whatever the case does wrong, such as giving other gradients than when it was recorded.
    """
    known = _record(case, seed, dtype, device, constants)
    own = own_copy(known.inputs.case, dtype, device)
    plain = {name: _copied(value, dtype) for name, value in known.inputs.values.items()}
    changed = _find_ambient(case, own, known, plain, dtype, device)
    manual = _manual(own, plain, known.cotangents, changed.names)
    notes = []
    if changed.names:
        notes.append(f"backward changes {', '.join(sorted(changed.names))} in place, so each run starts from a copy")
    if changed.with_device:
        notes.append(f"forward or backward makes tensors on the default device, which is set to {device} for it")
    contenders = (manual, _autograd(own, plain, known))
    return Contest(contenders, lambda: _ambient(case, dtype, device, with_device=changed.with_device), tuple(notes))


def _record(case: Case, seed: int, dtype: torch.dtype, device: torch.device, constants: frozenset[str]) -> _Known:
    inputs = draw_inputs(case, seed, dtype, device, constants)
    forward = run_forward(case, inputs, dtype, guarded=False)
    drawn = draw_cotangents(inputs, forward)
    cotangents = {name: one.to(forward.trace[name].detach()) for name, one in drawn.items()}
    gradients = derived_of(run_backward(case, forward, cotangents))
    values = {name: value.detach() for name, value in values_of(forward.trace).items()}
    return _Known(inputs, values, gradients, cotangents)


def _manual(own: Case, plain: dict[str, Tensor | None], cotangents: Tensors, changed: frozenset[str]) -> Contender:
    def fresh(values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.clone() if name in changed else value for name, value in values.items()}

    def forward() -> Names:
        t = Names(plain)
        own.forward(t)  # type: ignore[arg-type]  # Names has what a pass uses of a Trace
        return t

    def backward(t: Names) -> Names:
        d = Names(cotangents)
        own.backward(t, d)  # type: ignore[arg-type]  # the same for Gradients
        return d

    def forward_from_copies() -> Names:
        t = Names({**plain, **fresh({name: value for name, value in plain.items() if value is not None})})
        own.forward(t)  # type: ignore[arg-type]  # as above
        return t

    def backward_from_copies(t: Names) -> Names:
        d = Names(fresh(cotangents))
        own.backward(t, d)  # type: ignore[arg-type]  # as above
        return d

    return Contender(
        "manual",
        forward_from_copies if changed else forward,
        backward_from_copies if changed else backward,
        with_grad=False,
        held=lambda t: tensors_of(t).values(),
    )


def _autograd(own: Case, plain: dict[str, Tensor | None], known: _Known) -> Contender:
    leaves = {
        name: value.clone().requires_grad_() if value is not None and name in known.inputs.differentiated else value
        for name, value in plain.items()
    }
    wanted = [leaf for leaf in leaves.values() if leaf is not None and leaf.requires_grad]
    upstream = list(known.cotangents.values())

    def forward() -> tuple[Tensor, ...]:
        returned: object = own.forward(Names(leaves))  # type: ignore[arg-type]  # as above
        return tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)  # type: ignore[return-value]  # the recorded pass has checked that they are tensors

    def backward(outputs: tuple[Tensor, ...]) -> object:
        return torch.autograd.grad(outputs, wanted, upstream, allow_unused=True)

    return Contender("autograd", forward, backward, with_grad=True)


@dataclass(frozen=True)
class _Changed:
    """What a pass needs around it: copies of the inputs and cotangents that it changes, the default device."""

    names: frozenset[str]
    with_device: bool


def _find_ambient(
    case: Case,
    own: Case,
    known: _Known,
    plain: dict[str, Tensor | None],
    dtype: torch.dtype,
    device: torch.device,
) -> _Changed:
    """Run the hand-derived pass once on copies, and hold what it gives against the recorded one.

    Every torch function passes through the mode that sets the default device: it is set only where a pass cannot do
    without, as its price would be counted for the hand-derived backward alone.
    """
    for with_device in (False, True):
        copies = {name: None if value is None else value.clone() for name, value in plain.items()}
        cotangents = {name: value.clone() for name, value in known.cotangents.items()}
        manual = _manual(own, copies, cotangents, frozenset())
        try:
            with _ambient(case, dtype, device, with_device=with_device), manual.entered():
                t = manual.forward()
                d = manual.backward(t)
            # What the backward changed of its own gradients is none of ours: a given one counts by its identity.
            _check_same(case, known.gradients, tensors_of(d))  # type: ignore[arg-type]  # the manual pass gives Names
        except GradverifyError:
            if with_device or torch.get_default_device() == device:
                raise
            continue
        given = {**{name: one for name, one in copies.items() if one is not None}, **cotangents}
        changed = {name for name, one in given.items() if one._version}
        return _Changed(frozenset(changed), with_device)
    raise AssertionError  # the last round has returned or raised


def _check_same(case: Case, known: Tensors, gradients: dict[str, Tensor]) -> None:
    for name, gradient in known.items():
        timed = gradients.get(name)
        if timed is None or timed.device != gradient.device or not _agree(timed, gradient):
            error = GradverifyError(
                f"without autograd, and without recording t and d, backward gives another d.{name} than the one that "
                "was verified: let it depend on the tensors of t and d alone",
                defined_at(case, "backward"),
            )
            error.case = type(case).__name__
            raise error


def _agree(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    tolerance = torch.finfo(other.dtype).eps ** _HALF
    finite = other[torch.isfinite(other)]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(one, other, rtol=0.0, atol=scale * tolerance, equal_nan=True)


def _ambient(
    case: Case, dtype: torch.dtype, device: torch.device, *, with_device: bool
) -> AbstractContextManager[None]:
    if with_device:
        return user_code(case, "without autograd, forward or backward", dtype, device)
    return _default_dtype(case, dtype)


@contextlib.contextmanager
def _default_dtype(case: Case, dtype: torch.dtype) -> Iterator[None]:
    with user_code(case, "without autograd, forward or backward", dtype, torch.get_default_device()):
        yield


def _copied(value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if value is None:
        return None
    return value.detach().to(dtype if value.is_floating_point() else value.dtype, copy=True)
