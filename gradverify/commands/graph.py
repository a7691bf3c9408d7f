"""`gradverify graph`: one computation, from its inputs to its outputs, as a picture."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradverify.artifact import check_writable, write_whole
from gradverify.commands.command import Command, ExitCode
from gradverify.commands.execution import foreign_code, report_of, run_all
from gradverify.commands.overrides import parse_seed
from gradverify.commands.plan import Planned, nothing_selected, parse_size, plan, resize
from gradverify.errors import GradverifyError, UsageError
from gradverify.graph import Graph
from gradverify.progress import show_progress
from gradverify.render import spelling
from gradverify.render.graph import LIMIT, render_dot, render_svg
from gradverify.render.layout import Unavailable, can_draw_png, draw_png
from gradverify.render.table import headline
from gradverify.report import Report
from gradverify.settings import DTYPES, read_settings
from gradverify.word import Word

if TYPE_CHECKING:
    from gradverify.loader import Found

# What brings a Graphviz of its own, so that nothing else has to be installed.
_REMEDY = "pip install 'gradverify[graph]'"


class Form(Word):
    """What a picture is written as, by the ending of its file."""

    SVG = ".svg"
    PNG = ".png"
    DOT = ".dot"


@dataclass(frozen=True)
class _Drawn:
    """A computation, and what is said of it above its picture."""

    graph: Graph
    title: str
    code: ExitCode


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `graph`."""
    parser.add_argument(
        "target",
        metavar="CASE",
        help="what to draw: PATH::CaseName, PATH alone where it holds one case, or PATH::name of a scalar Value that "
        "the module holds; PATH is a file, a dotted module or an entry point of gradverify.cases",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the picture to this file: .svg needs nothing, .png needs Graphviz, .dot is text for other programs "
        "(default: the text of a .dot file, to stdout)",
    )
    parser.add_argument("--dtype", choices=DTYPES, help="verify at this working precision")
    parser.add_argument("--device", help="verify on this device, such as cuda")
    parser.add_argument("--seed", type=parse_seed, help="draw the inputs from this seed")
    parser.add_argument(
        "--size", action="append", default=[], type=parse_size, metavar="NAME=10", help="set a size; repeatable"
    )
    parser.add_argument(
        "--nodes",
        type=_parse_nodes,
        metavar="N",
        help=f"draw about so many nodes at most (default: {LIMIT}; of a .dot file, all); of a larger computation, what "
        "is far from any error is drawn together",
    )


def execute(options: Namespace) -> ExitCode:
    """Draw what the options name.

    Raises:
        UsageError: for whatever does not fit, before anything runs.
    """
    form = _form_of(options.output)
    drawn = _value(options) or _case(options)
    if isinstance(drawn, ExitCode):
        return drawn
    _write(drawn, form, options)
    return drawn.code


COMMAND = Command("graph", "draw the computation of a case, and where its errors come from", add_arguments, execute)


def _form_of(file: str | None) -> Form:
    """What a file is written as; told early, since what draws it may be missing."""
    if file is None:
        return Form.DOT
    ending = os.path.splitext(file)[1].lower()
    if ending not in {str(one) for one in Form}:
        known = ", ".join(str(one) for one in Form)
        raise UsageError(f"-o {file}: its ending says what to write, one of {known}; got {ending or 'none'}")
    check_writable(file)
    form = Form(ending)
    if form is Form.PNG and not can_draw_png():
        raise UsageError(
            f"-o {file}: a PNG is drawn by Graphviz, and neither pygraphviz nor a program `dot` is installed: "
            f"{_REMEDY} brings one; or write a .svg, which needs neither"
        )
    return form


def _value(options: Namespace) -> _Drawn | None:
    """The graph of a scalar Value; None where the target names something else."""
    place, _, name = options.target.partition("::")
    if not name:
        return None

    from gradverify.scalar import Value
    from gradverify.scalar_graph import graph_of_value
    from gradverify.targets import sources_of

    for source in sources_of(place):
        try:
            with foreign_code():
                loaded = source.load()
        except KeyboardInterrupt:
            raise
        except BaseException:  # SystemExit too; what is wrong with the file is told where cases are looked for
            return None
        found = getattr(loaded, name, None)
        if isinstance(found, Value):
            title = f"{spelling.one_line(name)} = {found.data:.6g}"
            return _Drawn(graph_of_value(found), title, ExitCode.PASSED)
    return None


def _case(options: Namespace) -> _Drawn | ExitCode:
    """The graph of a case, judged; an exit code where there is none, once the reason has been told."""
    from gradverify.commands.devices import check_device
    from gradverify.loader import find

    if options.device is not None:
        check_device(options.device)
    with foreign_code():
        findings = find([options.target])
        found = _only(findings.found, options.target)
        found = resize(found, options.size)
    for broken in findings.broken:
        print(headline(report_of(broken)), file=sys.stderr)
    if findings.broken:
        return ExitCode.FAILED
    if not found:
        nothing = nothing_selected([options.target], 0, "")
        print(f"{nothing}; {options.target}::name draws a scalar Value of it", file=sys.stderr)
        return ExitCode.NOTHING
    if len(found) > 1:
        raise UsageError("--size: one computation is drawn, so that each size has one value")
    overrides = read_settings({"dtypes": options.dtype, "devices": options.device, "seeds": options.seed})
    return _draw(plan(found, "", overrides, detailed=True)[0])


def _only(found: Sequence[Found], target: str) -> list[Found]:
    """The one case that is meant: of a class that is listed in several sizes, the first."""
    names = list(dict.fromkeys(type(one.case).__name__ for one in found))
    if len(names) > 1:
        shown = ", ".join(f"{target}::{name}" for name in names[:6])
        raise UsageError(f"{target} holds {len(names)} cases, and one is drawn: name it, as in {shown}")
    return list(found[:1])


def _draw(planned: Planned) -> _Drawn | ExitCode:
    with show_progress(1) as progress:
        report = next(run_all([planned], [], progress)).report
    graph = report.graph
    if graph is None and report.error is not None:
        graph = _sketched(planned)
    if graph is None:
        told = [headline(report), *map(spelling.one_line, report.notes)]
        print("; ".join(told) + "; nothing is drawn", file=sys.stderr)
        return ExitCode.FAILED
    return _Drawn(graph, headline(report), _code_of(report))


def _sketched(planned: Planned) -> Graph | None:
    """The forward alone, where the backward raised."""
    from gradverify.examination import sketch

    try:
        with foreign_code():
            return sketch(planned.found.case, planned.configuration)
    except GradverifyError:
        return None  # the forward raised, which the headline tells
    except SystemExit:
        return None


def _code_of(report: Report) -> ExitCode:
    """A gradient that is not right is what a picture is made for; only a case that raised has failed here."""
    return ExitCode.PASSED if report.error is None else ExitCode.FAILED


def _write(drawn: _Drawn, form: Form, options: Namespace) -> None:
    title, limit = drawn.title, options.nodes
    if options.output is None:
        print(title, file=sys.stderr)
        print(render_dot(drawn.graph, title=title, limit=limit), end="")
        return
    if form is Form.SVG:
        write_whole(options.output, render_svg(drawn.graph, title=title, limit=limit or LIMIT))
    elif form is Form.DOT:
        write_whole(options.output, render_dot(drawn.graph, title=title, limit=limit))
    else:
        try:
            write_whole(options.output, draw_png(render_dot(drawn.graph, title=title, limit=limit or LIMIT)))
        except Unavailable as error:
            reason = next(iter(spelling.lines(str(error))), "it did not answer")
            raise UsageError(
                f"-o {options.output}: Graphviz failed to draw the PNG ({reason}): {_REMEDY} brings one that works; or "
                "write a .svg, which needs none"
            ) from None
    print(title)
    print(f"drawn in {options.output}")


def _parse_nodes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"expected a number of nodes, 1 or more, got {text!r}")
    return int(text)
