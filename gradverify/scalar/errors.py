"""What the scalar engine cannot do; what mathematics cannot do raises Python's own arithmetic errors."""

from __future__ import annotations


class UnsupportedOperation(TypeError):
    """A function, an option or an operand that the scalar engine does not have."""


def refusal(operation: str, operand: object, *, expected: str = "a Value, an int or a float") -> UnsupportedOperation:
    """The error for an operand of a type that the operation does not take."""
    kind = type(operand)
    spelt = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    remedy = "; .item() makes a number of a tensor or array of one element" if hasattr(operand, "item") else ""
    return UnsupportedOperation(f"{operation}: expected {expected}, got {spelt}{remedy}")
