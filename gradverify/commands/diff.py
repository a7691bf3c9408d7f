"""`gradverify diff`: what changed from one saved run to a later one."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from gradverify.changes import find_changes
from gradverify.commands.command import Command, ExitCode
from gradverify.commands.output import JSON
from gradverify.commands.saved import read_saved
from gradverify.errors import UsageError
from gradverify.render import spelling
from gradverify.render.changes import render_changes, render_changes_json, render_changes_markdown
from gradverify.render.color import wants_color
from gradverify.render.table import MARKDOWN, PLAIN, Style

_PLAIN = "plain"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `diff`."""
    parser.add_argument("old", metavar="OLD", help="the earlier run, as `gradverify run --json FILE` wrote it")
    parser.add_argument("new", metavar="NEW", help="the later run")
    parser.add_argument("--format", choices=[_PLAIN, MARKDOWN, JSON], default=_PLAIN, help="default: %(default)s")


def execute(options: Namespace) -> ExitCode:
    """Show what changed; FAILED where something fails that did not before, or is far less accurate.

    Raises:
        UsageError: if a file is no saved run.
    """
    if options.old == options.new == "-":
        raise UsageError("OLD and NEW are both stdin, which can be read once: name a file for one of them")
    (before, old), (after, new) = read_saved(options.old), read_saved(options.new)
    changes = find_changes(old, new)
    if options.format == JSON:
        text = render_changes_json(changes, before, after)
    elif options.format == MARKDOWN:
        text = render_changes_markdown(changes, before, after)
    else:
        text = render_changes(changes, before, after, style=Style(PLAIN.format, wants_color(sys.stdout)))
    print(text, end="")
    if changes.has_regressed:
        return ExitCode.FAILED
    if not changes.common:
        print(
            f"nothing to compare: none of {spelling.several(len(old), 'report')} in {options.old} has the case, dtype, "
            f"device, seed and sizes of one of {len(new)} in {options.new}",
            file=sys.stderr,
        )
        return ExitCode.NOTHING
    return ExitCode.PASSED


COMMAND = Command(
    "diff", "show what changed between two saved runs; exit code 1 on a regression", add_arguments, execute
)
