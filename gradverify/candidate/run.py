"""One call of a candidate or a reference, and the gradients that its own backward gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.graph import Node

from gradverify.candidate.callee import Arguments, Callee
from gradverify.candidate.widening import Conditions
from gradverify.errors import InvalidOutput
from gradverify.location import Location
from gradverify.signature import defined_at


@dataclass(frozen=True)
class Run:
    """What a call returned.

    Attributes:
        callee: what was called; conditions: under what.
        leaves: what is differentiated, by name.
        outputs: the compared outputs by name, their graph still there.
    """

    callee: Callee
    conditions: Conditions
    leaves: dict[str, Tensor]
    outputs: dict[str, Tensor]

    @property
    def differentiable(self) -> dict[str, Tensor]:
        """The outputs that have a gradient, by name."""
        return {name: output for name, output in self.outputs.items() if output.requires_grad}

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the graph, those of the outputs first."""
        nodes = dict.fromkeys(output.grad_fn for output in self.differentiable.values() if output.grad_fn is not None)
        pending = list(nodes)
        while pending:
            for node, _ in pending.pop(0).next_functions:
                if node is not None and node not in nodes:
                    nodes[node] = None
                    pending.append(node)
        return tuple(nodes)

    @property
    def custom_function(self) -> type[Function] | None:
        """The first autograd.Function whose backward is written in Python."""
        return next((node._forward_cls for node in self.nodes if hasattr(node, "_forward_cls")), None)

    def gradients(self, cotangents: Mapping[str, Tensor], *, retain_graph: bool = False) -> dict[str, Tensor | None]:
        """The gradient of every leaf, None where its backward gives none.

        Args:
            cotangents: the upstream gradient of each output; an output that it leaves out gets none.
            retain_graph: whether gradients are taken of this run again.

        Raises:
            CaseRaised: from what the backward raises.
        """
        outputs = {name: output for name, output in self.differentiable.items() if name in cotangents}
        if not outputs:
            return dict.fromkeys(self.leaves)
        # Copies: a backward may write on what it is given, and return a buffer that its next call writes on.
        upstream = [cotangents[name].to(output, copy=True) for name, output in outputs.items()]
        # torch's own backwards cast nothing; only what is written in Python is worth the price of a mode.
        conditions = Conditions.DOUBLE if self._is_widened_in_vain else self.conditions
        with self.callee.running(f"the {self.callee.role}'s backward"), conditions.entered():
            found = torch.autograd.grad(
                list(outputs.values()),
                list(self.leaves.values()),
                upstream,
                retain_graph=retain_graph,
                allow_unused=True,
            )
        return {
            name: None if gradient is None else gradient.detach().clone()
            for name, gradient in zip(self.leaves, found, strict=True)
        }

    @property
    def _is_widened_in_vain(self) -> bool:
        return self.conditions is Conditions.WIDENED and self.custom_function is None

    def filled_gradients(self, cotangents: Mapping[str, Tensor], *, retain_graph: bool = False) -> dict[str, Tensor]:
        """The same with zeros where the backward gives none."""
        return {
            name: torch.zeros_like(self.leaves[name]) if gradient is None else gradient
            for name, gradient in self.gradients(cotangents, retain_graph=retain_graph).items()
        }


def run(
    callee: Callee,
    arguments: Arguments,
    outputs: Sequence[str | None] | None = None,
    conditions: Conditions = Conditions.AS_CALLED,
) -> Run:
    """Call a candidate or a reference.

    Args:
        callee: what is called.
        arguments: passed as they are; `Arguments.fresh` makes copies that can be differentiated.
        outputs: the names of the outputs that are compared; None for all of them.
        conditions: under what it runs.

    Raises:
        CaseRaised: from what it raises.
        InvalidOutput: if it does not return tensors, or fewer than `outputs` names.
    """
    with callee.running(f"the {callee.role}"), conditions.entered(), torch.enable_grad():
        returned = callee.call(arguments)
    return Run(callee, conditions, arguments.leaves, name_outputs(callee, returned, outputs))


def name_outputs(callee: Callee, returned: object, names: Sequence[str | None] | None) -> dict[str, Tensor]:
    """The tensors that were returned, by name.

    Raises:
        InvalidOutput: if something else was returned, or fewer than `names`.
    """
    values = name_values(callee, returned, names)
    return {name: _tensor(callee, name, value) for name, value in values.items() if value is not None}


def name_values(callee: Callee, returned: object, names: Sequence[str | None] | None) -> dict[str, Any]:
    """What was returned, by name: "output", the keys of a mapping or a named tuple, or "output0" and on.

    Raises:
        InvalidOutput: if fewer than `names` were.
    """
    if isinstance(returned, Mapping):
        values = {str(name): value for name, value in returned.items()}
        if names is not None:
            values = {name: values.get(name) for name in names if name is not None}
    else:
        several = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        own = names if names is not None else _default_names(returned, len(several))
        if len(own) > len(several):
            raise InvalidOutput(
                f"`outputs` names {len(own)} outputs ({', '.join(map(str, own))}), but the {callee.role} returned "
                f"{len(several)}",
                defined_at(callee.function),
            )
        values = {name: value for name, value in zip(own, several, strict=False) if name is not None}
    return values


def backward_of(run: Run) -> Location:
    """The line that a wrong gradient of a run points at: the backward of its own, or else what was called."""
    function = run.custom_function
    return defined_at(run.callee.function if function is None else function.backward)


def _default_names(returned: object, count: int) -> Sequence[str]:
    if not isinstance(returned, (tuple, list)):
        return ("output",)
    fields: Sequence[str] | None = getattr(returned, "_fields", None)
    return fields or [f"output{place}" for place in range(count)]


def _tensor(callee: Callee, name: str, value: object) -> Tensor:
    if isinstance(value, (bool, int, float)):
        value = torch.tensor(value)
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_complex():
        what = f"a {value.dtype} tensor, {value.layout}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise InvalidOutput(
            f"the {callee.role} returned {what} as {name!r}; expected dense real tensors: name the outputs to compare, "
            'outputs=("y", None), or wrap it',
            defined_at(callee.function),
        )
    return value
