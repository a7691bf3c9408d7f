"""The form in which commands show what they found."""

from __future__ import annotations

from argparse import ArgumentParser

from gradverify.render.summary import Shown
from gradverify.render.table import FORMATS, PLAIN

# Not a format of tables: the whole document, whatever else is asked for.
JSON = "json"


def add_format_argument(parser: ArgumentParser) -> None:
    """Declare `--format`."""
    parser.add_argument(
        "--format",
        choices=[*FORMATS, JSON],
        default=PLAIN.format,
        metavar="FORMAT",
        help=f"{JSON}, or that of a table (default: {PLAIN.format}): {', '.join(FORMATS)}",
    )


def add_html_argument(parser: ArgumentParser) -> None:
    """Declare `--html`."""
    parser.add_argument("--html", metavar="FILE", help="write a page that shows everything to this file too")


def add_report_argument(parser: ArgumentParser) -> None:
    """Declare `--report`."""
    parser.add_argument(
        "--report",
        choices=[one.value for one in Shown],
        default=Shown.AUTO.value,
        help="which tables to show; auto, the default, is all up to 10 cases, then a line for each that passed, "
        "and the slowest five",
    )
