"""The form in which commands show what they found."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

from gradverify.render.summary import Shown
from gradverify.render.table import FORMATS, PLAIN

# No formats of tables: the whole document, whatever else is asked for.
JSON = "json"
HTML = "html"


def add_format_argument(parser: ArgumentParser, documents: Sequence[str] = (JSON,)) -> None:
    """Declare `--format`: that of tables, or one of the documents that the command can write as a whole."""
    parser.add_argument(
        "--format",
        choices=[*FORMATS, *documents],
        default=PLAIN.format,
        metavar="FORMAT",
        help=f"{', '.join(documents)}, or that of a table (default: {PLAIN.format}): {', '.join(FORMATS)}",
    )


def add_report_argument(parser: ArgumentParser) -> None:
    """Declare `--report`."""
    parser.add_argument(
        "--report",
        choices=[one.value for one in Shown],
        default=Shown.AUTO.value,
        help="which tables to show; auto, the default, is all up to 10 cases, then a line for each that passed, "
        "and the slowest five",
    )


def add_html_argument(parser: ArgumentParser) -> None:
    """Declare `--html`."""
    parser.add_argument("--html", metavar="FILE", help="write a page that shows everything to this file too")
