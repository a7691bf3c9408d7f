"""The form in which commands show what they found."""

from __future__ import annotations

from argparse import ArgumentParser

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
