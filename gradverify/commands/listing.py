"""`gradverify list`: what `gradverify run` would verify."""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gradverify.commands.command import Command, ExitCode
from gradverify.commands.execution import foreign_code, report_of
from gradverify.commands.output import JSON, add_format_argument
from gradverify.commands.plan import Planned, add_selection_arguments, nothing_selected, plan, targets_of
from gradverify.location import shorten
from gradverify.render import spelling
from gradverify.render.table import Style, headline
from gradverify.report import Failure

# Raised when a document that was valid no longer is; a new key is no such change.
_SCHEMA = 1


@dataclass(frozen=True)
class _Listed:
    """A case, and how it would run."""

    case: str
    sizes: dict[str, int]
    dtypes: list[str]
    devices: list[str]
    seeds: list[int]
    file: str
    line: int


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `list`."""
    add_selection_arguments(parser)
    add_format_argument(parser)


def execute(options: Namespace) -> ExitCode:
    """Show the cases that the options select.

    Raises:
        UsageError: for whatever does not fit.
    """
    targets = targets_of(options)

    from gradverify.loader import find

    with foreign_code():
        findings = find(targets)
        planned = plan(findings.found, options.expression)
    for sentence in findings.unfinished:
        print(f"note: {sentence}", file=sys.stderr)
    for broken in findings.broken:
        print(headline(report_of(broken)), file=sys.stderr)
    if not planned and not findings.broken:
        print(nothing_selected(targets, len(findings.found), options.expression), file=sys.stderr)
        return ExitCode.NOTHING
    listed = _listed(planned)
    failures = [one.failure for one in findings.broken]
    print(_document(listed, failures) if options.format == JSON else _table(listed, Style(options.format)))
    return ExitCode.FAILED if findings.broken else ExitCode.PASSED


COMMAND = Command("list", "show the cases that run would verify", add_arguments, execute)


def _listed(planned: Sequence[Planned]) -> list[_Listed]:
    from gradverify.case import sizes_of

    grouped: dict[int, list[Planned]] = {}
    for one in planned:
        grouped.setdefault(id(one.found), []).append(one)
    listed = []
    for group in grouped.values():
        found = group[0].found
        configurations = [one.configuration for one in group]
        listed.append(
            _Listed(
                case=type(found.case).__name__,
                sizes=sizes_of(found.case),
                dtypes=list(dict.fromkeys(one.dtype for one in configurations)),
                devices=list(dict.fromkeys(one.device for one in configurations)),
                seeds=list(dict.fromkeys(one.seed for one in configurations)),
                file=shorten(found.location.file),
                line=found.location.line,
            )
        )
    return listed


def _document(listed: Sequence[_Listed], failures: Sequence[Failure]) -> str:
    document = {
        "schema": _SCHEMA,
        "cases": [dataclasses.asdict(one) for one in listed],
        "errors": [dataclasses.asdict(one) for one in failures],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def _table(listed: Sequence[_Listed], style: Style) -> str:
    rows = [
        [
            spelling.name(one.case),
            ", ".join(f"{name}={value}" for name, value in one.sizes.items()),
            ", ".join(one.dtypes),
            f"{spelling.one_line(one.file)}:{one.line}",
        ]
        for one in listed
    ]
    return style.layout(rows, ["case", "sizes", "dtypes", "defined at"], ["left"] * 4)
