"""What the command line needs to know of a subcommand."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, as pytest numbers it."""

    PASSED = 0
    FAILED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING = 5


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        name: what the user types.
        help: a line for the list of commands.
        add_arguments: declares its arguments; must not import torch, so that help is quick.
        execute: runs it on the parsed arguments.
    """

    name: str
    help: str
    add_arguments: Callable[[ArgumentParser], None]
    execute: Callable[[Namespace], ExitCode]
