"""A batch of size zero: the last batch of an epoch, an expert that no token chose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from gradverify.candidate import Arguments, Cotangent, Run, draw_cotangents, run
from gradverify.contract.rule import Finding, Rule, broken, inapplicable, kept, refused
from gradverify.contract.subject import Subject, backward, in_float64, named, with_leading
from gradverify.contract.yardstick import Values, difference_from_exact
from gradverify.errors import GradverifyError


class EmptyBatch(Rule):
    """With a leading dimension of zero the candidate gives what the reference gives, or refuses it with an error."""

    name = "empty batch"
    remedy = "return zeros of the right shapes where there is no element (torch.zeros_like), or raise in the forward"

    @override
    def check(self, subject: Subject) -> Finding:
        reference = subject.pair.reference
        if reference is None:
            return inapplicable("without a reference nothing says which dimension is the batch")
        for arguments in with_leading(subject.pair.arguments, 0):
            try:
                usual = run(reference, arguments.fresh(), subject.pair.outputs)
                precise = in_float64(reference, arguments, subject.pair.outputs)
                if not any(leaf.numel() == 0 for leaf in usual.leaves.values()):
                    continue
                cotangents = draw_cotangents(Cotangent.NORMAL, usual.differentiable, subject.pair.cotangent_seed)
                own = named(_outputs(usual), backward(usual, cotangents))
                wide = {name: one.to(precise.outputs[name].dtype) for name, one in cotangents.items()}
                exact = named(_outputs(precise), backward(precise, wide))
            except GradverifyError:
                continue  # another dimension may be the batch
            return _hold(subject, arguments, cotangents, own, exact)
        return inapplicable("the reference takes no batch of size zero")


def _hold(subject: Subject, arguments: Arguments, cotangents: dict[str, Tensor], own: Values, exact: Values) -> Finding:
    shapes = ", ".join(f"{name} {tuple(one.shape)}" for name, one in arguments.leaves.items() if one.numel() == 0)
    with _Poisoned():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        try:
            called = subject.call(arguments.fresh())
        except GradverifyError as error:
            return refused(error.message)
        outputs = called.differentiable
        given = {name: one.to(outputs[name].dtype) for name, one in cotangents.items() if name in outputs}
        if [*given] != [*cotangents]:
            return broken(f"{shapes}: its outputs have no gradient there")
        found = named(_outputs(called), backward(called, given))
    text = difference_from_exact(found, lambda: own, exact, subject.pair.precision.unit)
    return kept(shapes) if text is None else broken(f"{shapes}: {text}")


def _outputs(called: Run) -> dict[str, Tensor]:
    """The outputs that have a gradient; others may be what they like, such as a count."""
    return {name: one.detach() for name, one in called.differentiable.items()}


class _Poisoned(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Fills new memory that nobody has written on: a kernel that is launched on nothing leaves it so."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in gradverify.candidate.widening: no compiler is imported

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operator."""
        made = func(*args, **(kwargs or {}))
        name = getattr(func, "overloadpacket", func)
        if name in _UNWRITTEN and isinstance(made, Tensor) and made.is_floating_point():
            made.fill_(torch.nan)
        return made


_UNWRITTEN = frozenset(
    {
        torch.ops.aten.empty,
        torch.ops.aten.empty_like,
        torch.ops.aten.empty_strided,
        torch.ops.aten.new_empty,
        torch.ops.aten.new_empty_strided,
    }
)
