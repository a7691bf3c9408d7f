"""Candidates that bring their own backward: called, differentiated and judged against a reference."""

from gradverify.candidate.callee import Arguments, Callee, Role
from gradverify.candidate.cotangent import Cotangent, draw_cotangents
from gradverify.candidate.pair import Pair, draw_pair, redrawn
from gradverify.candidate.run import Run, run
from gradverify.candidate.widening import Conditions

__all__ = [
    "Arguments",
    "Callee",
    "Conditions",
    "Cotangent",
    "Pair",
    "Role",
    "Run",
    "draw_cotangents",
    "draw_pair",
    "redrawn",
    "run",
]
