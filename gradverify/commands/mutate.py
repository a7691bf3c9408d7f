"""`gradverify mutate`: break the backward of cases, one thing at a time, and show what nobody noticed."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gradverify.artifact import check_all_writable, write_whole
from gradverify.commands.command import Command, ExitCode
from gradverify.commands.execution import INTERNAL, foreign_code
from gradverify.commands.output import add_html_argument
from gradverify.commands.plan import Planned, add_selection_arguments, nothing_selected, plan, targets_of
from gradverify.commands.trials import Trials, by_case
from gradverify.progress import Progress, show_progress
from gradverify.render import spelling
from gradverify.render.color import wants_color
from gradverify.render.study import render_studies, render_study
from gradverify.render.table import PLAIN, Style
from gradverify.study import Study

if TYPE_CHECKING:
    from gradverify.loader import Broken


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `mutate`."""
    add_selection_arguments(parser)
    parser.add_argument("--json", metavar="FILE", help="write every mutant and what became of it to this file too")
    add_html_argument(parser)


def execute(options: Namespace) -> ExitCode:
    """Study the cases that the options select.

    Raises:
        UsageError: for whatever does not fit, before anything runs.
    """
    # First what needs no torch, which takes seconds to import.
    targets = targets_of(options)
    check_all_writable(options.json, options.html)

    from gradverify.loader import find

    with foreign_code():
        findings = find(targets)
        planned = by_case(plan(findings.found, options.expression))
    for sentence in findings.unfinished:
        print(f"note: {sentence}", file=sys.stderr)
    if not planned and not findings.broken:
        print(nothing_selected(targets, len(findings.found), options.expression), file=sys.stderr)
        return ExitCode.NOTHING
    return _run(targets, planned, findings.broken, options)


COMMAND = Command("mutate", "break the backward of cases, and show what is not noticed", add_arguments, execute)


def _run(
    targets: Sequence[str], planned: Sequence[Sequence[Planned]], broken: Sequence[Broken], options: Namespace
) -> ExitCode:
    from gradverify.environment import describe_environment

    style = Style(PLAIN.format, wants_color(sys.stdout))
    total = len(planned) + len(broken)
    studies: list[Study] = []
    interrupted = False
    try:
        with show_progress(total) as progress:
            for study in _studies(targets, planned, broken, options.expression, progress):
                with progress.hidden():
                    print(("\n" if studies else "") + render_study(study, style=style), end="", flush=True)
                studies.append(study)
    except KeyboardInterrupt:
        interrupted = True
        print(f"interrupted: {len(studies)} of {spelling.several(total, 'case')} studied", file=sys.stderr)
    finally:
        # Also where stdout was closed on us (`| head`): what has been found is not lost.
        environment = describe_environment({one.configuration.device for each in planned for one in each})
        if options.json is not None:
            write_whole(options.json, render_studies(studies, environment))
        if options.html is not None:
            # Imported only here: its templates are of no use to who asks for no page.
            from gradverify.render.html_study import render_studies_html

            write_whole(options.html, render_studies_html(studies, environment))
    return ExitCode.INTERRUPTED if interrupted else _exit_code(studies)


def _studies(
    targets: Sequence[str],
    planned: Sequence[Sequence[Planned]],
    broken: Sequence[Broken],
    expression: str,
    progress: Progress,
) -> Iterator[Study]:
    for one in broken:
        yield Study(one.name, sizes={}, error=one.failure)
        progress.finish()
    with Trials(targets, expression) as trials:
        for number, each in enumerate(planned):
            progress.start(each[0].label)
            yield trials.study(number, each)
            progress.finish()


def _exit_code(studies: Sequence[Study]) -> ExitCode:
    if any(study.error is not None and study.error.kind == INTERNAL for study in studies):
        return ExitCode.INTERNAL
    return ExitCode.PASSED if all(study.passed for study in studies) else ExitCode.FAILED
