"""What is called, the candidate or its reference, and what both are called with."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import Module

from gradverify.errors import CaseRaised
from gradverify.location import raised_at, statement
from gradverify.ulp import move
from gradverify.word import Word

# A statement is quoted to be recognised; one that lists a whole table of functions would hide the message.
_LONGEST_QUOTE = 120


class Role(Word):
    """Which of the two it is."""

    CANDIDATE = "candidate"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Arguments:
    """What candidate and reference are called with.

    Attributes:
        inputs: by name, in the order of the call; what is no tensor passes through.
        parameters: of the candidate, where it is a module, frozen ones too.
        differentiated: the names of those with a gradient, in the order of the report.
    """

    inputs: dict[str, Any]
    parameters: dict[str, Tensor]
    differentiated: tuple[str, ...]

    @property
    def leaves(self) -> dict[str, Tensor]:
        """The tensors with a gradient, by name."""
        everything = {**self.parameters, **self.inputs}
        return {name: everything[name] for name in self.differentiated}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor, by name."""
        values = {**self.inputs, **self.parameters}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def fresh(self) -> Arguments:
        """Copies that a run may do with as it likes, ready to be differentiated; strides are kept where torch can."""
        return self.mapped(lambda name, value: value.detach().clone().requires_grad_(name in self.differentiated))

    def to(self, dtype: torch.dtype) -> Arguments:
        """The same, every floating tensor at another precision."""
        return self.mapped(lambda _, value: value.detach().to(dtype) if value.is_floating_point() else value)

    def moved(self, draw: int) -> Arguments:
        """The same, every element of what is differentiated moved by one ulp; see `gradverify.ulp.move`."""
        return self.mapped(lambda name, value: move(value.detach(), draw) if name in self.differentiated else value)

    def mapped(self, function: Callable[[str, Tensor], Tensor]) -> Arguments:
        """The same, with a function of its name applied to every tensor."""
        return dataclasses.replace(
            self,
            inputs={n: function(n, value) if isinstance(value, Tensor) else value for n, value in self.inputs.items()},
            parameters={name: function(name, value) for name, value in self.parameters.items()},
        )


@dataclass(frozen=True)
class Callee:
    """A candidate or a reference, called alike whatever it is.

    Attributes:
        role: which of the two.
        function: what is called: a function, a module, `Function.apply`, an op.
        options: keyword arguments.
        hand_over: what becomes of the candidate's parameters before this one is given them.
        case: the name of the case, for messages.
    """

    role: Role
    function: Callable[..., object]
    options: Mapping[str, object]
    case: str
    hand_over: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] = dict

    def call(self, arguments: Arguments) -> object:
        """What it returns.

        Nothing of a module is changed: it runs on the parameters given, and on copies of its own buffers.
        """
        inputs = tuple(arguments.inputs.values())
        parameters = self.hand_over(arguments.parameters)
        if isinstance(self.function, Module):
            buffers = {name: buffer.clone() for name, buffer in self.function.named_buffers()}
            return functional_call(self.function, {**buffers, **parameters}, inputs, dict(self.options))
        return self.function(*inputs, **parameters, **self.options)

    def to(self, dtype: torch.dtype) -> Callee:
        """The same at another precision: a module is copied, and so are floating tensors among the options."""
        function = self.function
        if isinstance(function, Module):
            function = copy.deepcopy(function).to(dtype)
        options = {name: _to(value, dtype) for name, value in self.options.items()}
        return dataclasses.replace(self, function=function, options=options)

    @contextlib.contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Tell what the user's code raises.

        Raises:
            CaseRaised: from the exception, which keeps its traceback.
        """
        try:
            yield
        except CaseRaised:
            raise
        except Exception as error:
            where = raised_at(error.__traceback__)
            source = " ".join((statement(where) or "").split()) if where else ""
            at = f" at `{source}`" if 0 < len(source) <= _LONGEST_QUOTE else ""
            told = CaseRaised(f"{what} raised {type(error).__name__}{at}: {error}", where)
            told.case = self.case
            raise told from error


def _to(value: object, dtype: torch.dtype) -> object:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
