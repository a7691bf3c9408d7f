"""What torch's functions mean for a Value, found by their name, so that torch itself is never imported."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller

from gradverify.scalar.errors import UnsupportedOperation, refusal

_FUNCTIONS: dict[str, Callable[..., object]] = {
    "abs": operator.abs,
    "add": operator.add,
    "cos": methodcaller("cos"),
    "div": operator.truediv,
    "exp": methodcaller("exp"),
    "log": methodcaller("log"),
    "mul": operator.mul,
    "neg": operator.neg,
    "pow": operator.pow,
    "reciprocal": lambda value: 1 / value,
    "relu": methodcaller("relu"),
    "sigmoid": methodcaller("sigmoid"),
    "sin": methodcaller("sin"),
    "sqrt": methodcaller("sqrt"),
    "square": lambda value: value**2,
    "sub": operator.sub,
    "tanh": methodcaller("tanh"),
}
# torch's second names for the same functions.
_ALIASES = {
    "absolute": "abs",
    "divide": "div",
    "multiply": "mul",
    "negative": "neg",
    "subtract": "sub",
    "true_divide": "div",
}


def call(
    function: Callable[..., object], args: Sequence[object], options: Mapping[str, object], scalars: tuple[type, ...]
) -> object:
    """Apply to Values what `function` does to tensors.

    Args:
        function: a torch function, known by its `__name__`.
        args: its operands.
        options: its keyword arguments; only those that change nothing, such as `inplace=False`, are taken.
        scalars: the types that an operand can have.

    Raises:
        UnsupportedOperation: for an operand of another type, a function or an option that the engine does not have.
    """
    given = getattr(function, "__name__", repr(function))
    name = _ALIASES.get(given, given)
    for operand in args:
        # A function of a list, such as torch.stack, is refused by its own name.
        if not isinstance(operand, (*scalars, list, tuple)):
            raise refusal(name, operand)
    if name not in _FUNCTIONS:
        raise UnsupportedOperation(
            f"the scalar engine does not have torch's {name}: write it in terms of {', '.join(_FUNCTIONS)}"
        )
    for option, value in options.items():
        if value is not None and value is not False:
            raise UnsupportedOperation(
                f"{name}: the scalar engine takes no {option}={value!r}; pass operands by position, and no options"
            )
    return _FUNCTIONS[name](*args)
