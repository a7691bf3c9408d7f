"""`gradverify bench`: the hand-derived pass of each case timed next to autograd's."""

from __future__ import annotations

import dataclasses
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gradverify.artifact import check_writable, write_whole
from gradverify.commands.command import Command, ExitCode
from gradverify.commands.execution import INTERNAL, failure_of, foreign_code
from gradverify.commands.output import JSON, add_format_argument, add_html_argument
from gradverify.commands.overrides import overrides_of, parse_seed
from gradverify.commands.plan import (
    Planned,
    add_selection_arguments,
    nothing_selected,
    parse_size,
    plan,
    resize,
    targets_of,
)
from gradverify.configuration import identity_of
from gradverify.errors import UsageError
from gradverify.progress import Progress, show_progress
from gradverify.render import spelling
from gradverify.render.color import wants_color
from gradverify.render.plot import check_plot, render_plot
from gradverify.render.table import Style
from gradverify.render.timing import render_benchmarks, render_benchmarks_json
from gradverify.scaling import series_of
from gradverify.settings import DTYPES
from gradverify.timing import Benchmark

if TYPE_CHECKING:
    from gradverify.loader import Broken
    from gradverify.report import Environment


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `bench`."""
    add_selection_arguments(parser)
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="time at this precision; repeatable")
    parser.add_argument("--device", action="append", help="time on this device, such as cuda; repeatable")
    parser.add_argument("--seed", action="append", type=parse_seed, help="draw the inputs from this seed; repeatable")
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        type=parse_size,
        metavar="NAME=1e3,1e4",
        help="time each case that has this size at each of these values, and show how time grows with it; repeatable",
    )
    parser.add_argument(
        "--threads",
        type=_parse_threads,
        default=1,
        metavar="N",
        help="hold every pass to this many threads of the CPU (default: 1, the least disturbed by other work)",
    )
    parser.add_argument(
        "--compile", action="store_true", help="time the reference of a FunctionCase under torch.compile too"
    )
    add_format_argument(parser)
    parser.add_argument("--json", metavar="FILE", help="write every number to this file too")
    add_html_argument(parser)
    parser.add_argument(
        "--plot", metavar="FILE", help="draw time and memory against size to this file (.png, .svg, .pdf; [plots])"
    )


def execute(options: Namespace) -> ExitCode:
    """Time the cases that the options select.

    Raises:
        UsageError: for whatever does not fit, before anything runs.
    """
    # First what needs no torch, which takes seconds to import.
    targets = targets_of(options)
    for file in (options.json, options.html, options.plot):
        if file is not None:
            check_writable(file)
    if options.plot is not None:
        check_plot(options.plot)

    from gradverify.commands.devices import check_device
    from gradverify.loader import find

    overrides = overrides_of(options)
    for device in overrides.devices or ():
        check_device(device)
    with foreign_code():
        findings = find(targets)
        found = resize(findings.found, options.size)
    planned = plan(found, options.expression, overrides)
    for sentence in findings.unfinished:
        print(f"note: {sentence}", file=sys.stderr)
    if not planned and not findings.broken:
        print(nothing_selected(targets, len(found), options.expression), file=sys.stderr)
        return ExitCode.NOTHING
    if options.plot is not None and not series_of(map(_blank, planned)):
        raise UsageError(
            "--plot draws time and memory against a size: give one several values, such as --size samples=1e3,1e4"
        )
    if options.compile:
        from gradverify.function_case import FunctionCase

        if not any(isinstance(one.found.case, FunctionCase) for one in planned):
            print("note: --compile changes nothing: none of the cases is a FunctionCase", file=sys.stderr)
    return _run(planned, findings.broken, options)


COMMAND = Command("bench", "time hand-derived passes next to autograd's", add_arguments, execute)


def _run(planned: Sequence[Planned], broken: Sequence[Broken], options: Namespace) -> ExitCode:
    from gradverify.environment import describe_environment

    environment = describe_environment({one.configuration.device for one in planned})
    environment = dataclasses.replace(environment, threads=options.threads)
    total = len(planned) + len(broken)
    benchmarks: list[Benchmark] = []
    interrupted = False
    try:
        with show_progress(total) as progress:
            # Keeps what came before an interrupt.
            benchmarks.extend(_benchmarks(planned, broken, options, progress))
    except KeyboardInterrupt:
        interrupted = True
        print(f"interrupted: {len(benchmarks)} of {spelling.several(total, 'case')} ran", file=sys.stderr)
    _write(benchmarks, environment, options)
    if interrupted:
        return ExitCode.INTERRUPTED
    if any(one.error is not None and one.error.kind == INTERNAL for one in benchmarks):
        return ExitCode.INTERNAL
    return ExitCode.PASSED if all(one.passed for one in benchmarks) else ExitCode.FAILED


def _benchmarks(
    planned: Sequence[Planned], broken: Sequence[Broken], options: Namespace, progress: Progress
) -> Iterator[Benchmark]:
    for one in broken:
        yield Benchmark(one.name, dtype="", device="", seed=0, sizes={}, error=one.failure)
        progress.finish()
    for each in planned:
        progress.start(each.label)
        yield _bench(each, options)
        progress.finish()


def _bench(planned: Planned, options: Namespace) -> Benchmark:
    from gradverify.bench.benchmark import bench

    try:
        with foreign_code():
            return bench(planned.found.case, planned.configuration, threads=options.threads, compiled=options.compile)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return dataclasses.replace(_blank(planned), error=failure_of(error))


def _blank(planned: Planned) -> Benchmark:
    """A benchmark before it has run."""
    return Benchmark(**identity_of(planned.found.case, planned.configuration))


def _write(benchmarks: Sequence[Benchmark], environment: Environment, options: Namespace) -> None:
    document = render_benchmarks_json(benchmarks, environment)
    try:
        if options.json is not None:
            write_whole(options.json, document)
        if options.html is not None:
            # Imported only here: its templates are of no use to who asks for no page.
            from gradverify.render.html_timing import render_benchmarks_html

            write_whole(options.html, render_benchmarks_html(benchmarks, environment))
        if options.plot is not None and series_of(benchmarks):
            write_whole(options.plot, render_plot(benchmarks, options.plot))
        elif options.plot is not None:
            print(f"nothing was timed at several values of a size: {options.plot} is not written", file=sys.stderr)
    finally:
        # Also where a file could not be written: what has been measured is not lost.
        if options.format == JSON:
            print(document, end="", flush=True)
        else:
            style = Style(options.format, wants_color(sys.stdout))
            print(render_benchmarks(benchmarks, environment, style=style), end="", flush=True)


def _parse_threads(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**15):
        raise ArgumentTypeError(f"expected a number of threads, 1 or more, got {text!r}")
    return int(text)
