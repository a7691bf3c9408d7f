"""A scalar autograd engine that shares no code with torch's: a witness that cannot repeat torch's mistakes."""

from gradverify.scalar.errors import UnsupportedOperation
from gradverify.scalar.graph import Drawing, draw, to_dot
from gradverify.scalar.value import Value

__all__ = ["Drawing", "UnsupportedOperation", "Value", "draw", "to_dot"]
