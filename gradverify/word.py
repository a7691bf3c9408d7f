"""Enums whose members are words: strings that print and serialise as their value."""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """The base of such an enum, for Python 3.10, which has no StrEnum yet."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)
