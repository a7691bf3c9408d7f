"""Colours, for terminals only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from typing import TextIO


class Color(Enum):
    """What a colour means; its value is the terminal's code for it."""

    GOOD = "32"
    DOUBTFUL = "33"
    BAD = "1;31"
    FAINT = "2"


def paint(text: str, color: Color, *, enabled: bool) -> str:
    """The text in a colour, or as it is where colours are not enabled."""
    return f"\x1b[{color.value}m{text}\x1b[0m" if enabled and text else text


def wants_color(stream: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Whether to colour what goes to a stream: NO_COLOR forbids it, FORCE_COLOR asks for it, else terminals have it."""
    environment = os.environ if environment is None else environment
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"
