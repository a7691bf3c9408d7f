"""`gradverify report`: show a saved run again."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from gradverify.commands.command import Command, ExitCode
from gradverify.commands.output import HTML, JSON, add_format_argument, add_report_argument
from gradverify.commands.saved import read_saved
from gradverify.render.color import wants_color
from gradverify.render.comment import render_comment
from gradverify.render.json import render_json
from gradverify.render.summary import Outcome, Shown, render_outcome, render_totals
from gradverify.render.table import MARKDOWN, Style


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `report`."""
    parser.add_argument("file", metavar="FILE", help="what `gradverify run --json FILE` wrote; - reads stdin")
    add_format_argument(parser, [JSON, HTML])
    add_report_argument(parser)


def execute(options: Namespace) -> ExitCode:
    """Show the run, whatever it found: the exit code says whether there was something to show.

    Raises:
        UsageError: if the file is no saved run.
    """
    environment, reports = read_saved(options.file)
    outcomes = [Outcome(report) for report in reports]
    shown = Shown(options.report)
    if options.format == JSON:
        text = render_json(reports, environment)
    elif options.format == HTML:
        # Imported only here: its templates are of no use to who asks for no page.
        from gradverify.render.html import render_html

        text = render_html(reports, environment)
    elif options.format == MARKDOWN:
        text = render_comment(outcomes, environment, shown=shown)
    else:
        style = Style(options.format, wants_color(sys.stdout))
        parts = [render_outcome(one, shown, len(outcomes), style=style) for one in outcomes]
        text = "".join([*parts, render_totals(outcomes, shown, environment, style=style)])
    print(text, end="")
    if not reports:
        print(f"{options.file} holds no report: nothing ran", file=sys.stderr)
        return ExitCode.NOTHING
    return ExitCode.PASSED


COMMAND = Command("report", "show a saved run again, in any format", add_arguments, execute)
