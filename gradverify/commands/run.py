"""`gradverify run`: verify cases, show what was found, and write it down."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradverify.artifact import check_all_writable, write_whole
from gradverify.commands.command import Command, ExitCode
from gradverify.commands.execution import INTERNAL, foreign_code, run_all
from gradverify.commands.output import JSON, add_format_argument, add_html_argument, add_report_argument
from gradverify.commands.overrides import overrides_of, parse_seed
from gradverify.commands.plan import (
    Planned,
    add_selection_arguments,
    nothing_selected,
    parse_count,
    parse_size,
    plan,
    resize,
    sweep,
    targets_of,
)
from gradverify.errors import UsageError
from gradverify.progress import show_progress
from gradverify.render import spelling
from gradverify.render.color import wants_color
from gradverify.render.comment import render_comment
from gradverify.render.json import render_json
from gradverify.render.summary import Outcome, Shown, render_outcome, render_totals
from gradverify.render.table import MARKDOWN, PLAIN, Style
from gradverify.report import Report
from gradverify.settings import AUTOGRAD, DTYPES, ORACLES

if TYPE_CHECKING:
    from gradverify.loader import Broken

# So many seconds are spent on a script that nobody has asked for.
_PATIENCE = 5.0


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `run`."""
    add_selection_arguments(parser)
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="verify at this working precision; repeatable")
    parser.add_argument("--device", action="append", help="verify on this device, such as cuda; repeatable")
    parser.add_argument(
        "--oracle",
        action="append",
        metavar="NAME",
        help=f"hear this oracle as a witness ({', '.join(ORACLES[1:])}); repeatable; where {AUTOGRAD} is named too, "
        "the first gives the reference",
    )
    parser.add_argument("--seed", action="append", type=parse_seed, help="draw the inputs from this seed; repeatable")
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        type=parse_size,
        metavar="NAME=10,100",
        help="run each case that has this size at each of these values; repeatable",
    )
    parser.add_argument(
        "--sweep",
        type=parse_count,
        metavar="N",
        help="run each case at N combinations of its sizes, its own first; those that --size names stay as they are",
    )
    parser.add_argument("--strict", action="store_true", help="a gradient that is right but imprecise fails")
    parser.add_argument("--partial", action="store_true", help="a gradient that is not derived yet does not fail")
    parser.add_argument(
        "--quick", action="store_true", help="run the working precision alone; reports say what that cannot see"
    )
    add_report_argument(parser)
    add_format_argument(parser)
    parser.add_argument("--json", metavar="FILE", help="write every report to this file too")
    add_html_argument(parser)
    parser.add_argument(
        "--reproducer",
        metavar="FILE",
        help="write a script that shows the first failure by itself, at the smallest sizes that still fail",
    )


def execute(options: Namespace) -> ExitCode:
    """Run the cases that the options select.

    Raises:
        UsageError: for whatever does not fit, before anything runs.
    """
    # First what needs no torch, which takes seconds to import.
    targets = targets_of(options)
    check_all_writable(options.json, options.html, options.reproducer)

    from gradverify.commands.devices import check_device
    from gradverify.loader import find

    overrides = overrides_of(options)
    for device in overrides.devices or ():
        check_device(device)
    with foreign_code():
        findings = find(targets)
        sized = resize(findings.found, options.size)
        found, notes = sweep(sized, options.sweep, (name for name, _ in options.size))
    planned = plan(found, options.expression, overrides, quick=options.quick, detailed=options.html is not None)
    for sentence in (*findings.unfinished, *notes):
        print(f"note: {sentence}", file=sys.stderr)
    if not planned and not findings.broken:
        print(nothing_selected(targets, len(found), options.expression), file=sys.stderr)
        return ExitCode.NOTHING
    return _run(planned, findings.broken, options)


COMMAND = Command("run", "verify cases and show what was found", add_arguments, execute)


def _run(planned: Sequence[Planned], broken: Sequence[Broken], options: Namespace) -> ExitCode:
    from gradverify.environment import describe_environment

    environment = describe_environment({one.configuration.device for one in planned})
    shown = Shown(options.report)
    # One document, whose head and length depend on everything that ran.
    is_whole = options.format in (JSON, MARKDOWN)
    style = PLAIN if is_whole else Style(options.format, wants_color(sys.stdout))
    total = len(planned) + len(broken)
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        with show_progress(total) as progress:
            for outcome in run_all(planned, broken, progress):
                outcomes.append(outcome)
                text = "" if is_whole else render_outcome(outcome, shown, total, style=style)
                if text:
                    with progress.hidden():
                        print(text, end="", flush=True)
    except KeyboardInterrupt:
        interrupted = True
        print(f"interrupted: {len(outcomes)} of {spelling.several(total, 'case')} ran", file=sys.stderr)
    finally:
        # Also where stdout was closed on us (`| head`): what has run is not lost.
        reports = [one.report for one in outcomes]
        document = render_json(reports, environment)
        if options.json is not None:
            write_whole(options.json, document)
        if options.html is not None:
            # Imported only here: its templates are of no use to who asks for no page.
            from gradverify.render.html import render_html

            write_whole(options.html, render_html(reports, environment))
    if options.format not in (JSON, MARKDOWN) and shown is not Shown.NONE and not (options.reproducer or interrupted):
        _print_reproducer(planned, [one.report for one in outcomes[len(broken) :]], style)
    if options.format == JSON:
        closing = document
    elif options.format == MARKDOWN:
        closing = render_comment(outcomes, environment, shown=shown)
    else:
        closing = render_totals(outcomes, shown, environment, style=style)
    print(closing, end="", flush=True)
    if options.sweep is not None and any(one.report.error for one in outcomes[len(broken) :]):
        from gradverify.sweep import FITTING

        print(f"note: {FITTING}", file=sys.stderr)
    if options.reproducer is not None:
        _write_reproducer(options.reproducer, planned, [one.report for one in outcomes[len(broken) :]])
    return _exit_code(outcomes, interrupted)


def _print_reproducer(planned: Sequence[Planned], reports: Sequence[Report], style: Style) -> None:
    """Show the script of the first candidate that failed: of a kernel nobody else can tell at which sizes it fails."""
    from gradverify.function_case import FunctionCase
    from gradverify.reproducer import reproduce

    pairs = zip(planned, reports, strict=True)
    failed = next((pair for pair in pairs if isinstance(pair[0].found.case, FunctionCase) and not pair[1].passed), None)
    if failed is None:
        return
    one, report = failed
    try:
        with foreign_code():
            script = reproduce(one.found.case, one.configuration, report, patience=_PATIENCE)
    except UsageError:  # nothing can import it; --reproducer says why
        return
    opening = "by itself, at the smallest sizes that still fail (--reproducer FILE writes this):"
    block = f"```python\n{script}```" if style.format == MARKDOWN else script
    print(f"{one.label} fails {opening}\n\n{block}", flush=True)


def _write_reproducer(file: str, planned: Sequence[Planned], reports: Sequence[Report]) -> None:
    """Write the script of the first case that failed, and say what there is to say on stderr."""
    from gradverify.reproducer import reproduce

    failed = next(((one, report) for one, report in zip(planned, reports, strict=False) if not report.passed), None)
    if failed is None:
        print(f"nothing failed that could be reproduced: {file} is not written", file=sys.stderr)
        return
    one, report = failed
    try:
        with foreign_code():
            script = reproduce(one.found.case, one.configuration, report)
    except UsageError as error:
        print(f"{one.label}: {error.message}; {file} is not written", file=sys.stderr)
        return
    write_whole(file, script)
    print(f"{one.label} fails by itself in {file}", file=sys.stderr)


def _exit_code(outcomes: Sequence[Outcome], interrupted: bool) -> ExitCode:
    if interrupted:
        return ExitCode.INTERRUPTED
    errors = [one.report.error for one in outcomes if one.report.error is not None]
    if any(error.kind == INTERNAL for error in errors):
        return ExitCode.INTERNAL
    return ExitCode.PASSED if all(one.report.passed for one in outcomes) else ExitCode.FAILED
