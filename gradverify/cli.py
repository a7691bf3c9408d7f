"""The command line: one parser, a subcommand each from `gradverify.commands`, and how the process ends."""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from argparse import Action, ArgumentParser
from collections.abc import Sequence
from typing import Any, NoReturn

from gradverify.commands import bench, diff, graph, listing, mutate, report, run
from gradverify.commands.command import ExitCode
from gradverify.errors import GradverifyError, UsageError

_COMMANDS = (run.COMMAND, listing.COMMAND, mutate.COMMAND, bench.COMMAND, graph.COMMAND, report.COMMAND, diff.COMMAND)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, on the arguments of the process where none are given, and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A Greek name must not end a run whose output goes to an ASCII file.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # torch says so on its first import where NumPy is not installed; nothing here needs it.
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy", category=UserWarning)
    try:
        try:
            options = _parser().parse_args(arguments)
            code = options.execute(options)
        finally:
            sys.stdout.flush()  # here, and not at exit, a reader that has gone can be met
    except GradverifyError as error:
        print(f"gradverify: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`). What is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.INTERRUPTED
    except Exception:
        traceback.print_exc()
        print("gradverify: an internal error; please report it with the lines above", file=sys.stderr)
        return ExitCode.INTERNAL
    return int(code)


class _Parser(ArgumentParser):
    """A parser whose errors become exit code 4, as pytest has it, instead of 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().rstrip()}")


class _Version(Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: ArgumentParser, *_: Any, **__: Any) -> None:
        from gradverify import __version__

        print(f"gradverify {__version__}")
        parser.exit()


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="gradverify",
        description="Is a hand-derived PyTorch gradient right, and if not, which line is wrong?",
        epilog="exit codes: 0 passed, 1 a gradient, case or file failed, 2 interrupted, 3 internal error, 4 usage, "
        "5 nothing selected",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        own = commands.add_parser(command.name, help=command.help, description=command.help, allow_abbrev=False)
        command.add_arguments(own)
        own.set_defaults(execute=command.execute)
    return parser
