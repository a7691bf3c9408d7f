"""Foreign text inside Markdown as GitHub reads it: it shows as it is, and does nothing."""

from __future__ import annotations

import html
import re

from gradverify.render import spelling

# A piece of code that a sentence quotes, such as a hint: `d.diff`. Whatever stands between single backticks is inert.
_QUOTED = re.compile(r"((?<!`)`(?!`)[^`]+(?<!`)`(?!`))")

# An underscore inside a word is no emphasis, and brackets alone are neither a link nor a footnote: names and labels
# such as `h_1[float32]` stay readable in the text itself.
_MARKUP = re.compile(r"[\\`*~]|^[\[>]|\[(?=\^)|\](?=[(\[])|(?<![^\W_])_|_(?![^\W_])")


def prose(text: str) -> str:
    """A line of text, in which pieces of code between single backticks stay pieces of code."""
    pieces = _QUOTED.split(text)
    return "".join(piece if number % 2 else _escape(piece) for number, piece in enumerate(pieces))


def code(text: str) -> str:
    """A name as a piece of code, in a fence that the name does not close."""
    line = spelling.name(text)
    fence = _fence(line, "`")
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{gap}{line}{gap}{fence}"


def block(text: str) -> str:
    """Lines whose indentation matters, in a fence that none of them closes."""
    fence = _fence(text, "```")
    return f"{fence}text\n{text}\n{fence}"


def cell(text: str) -> str:
    """What `prose` or `code` gave, inside a table: there a bar ends a cell, even in a piece of code."""
    return text.replace("|", r"\|")


def folded(summary: str, body: str) -> str:
    """A body that shows once its summary is clicked; the summary is plain text, the body Markdown."""
    return f"<details><summary>{plain(summary)}</summary>\n\n{body}\n\n</details>"


def plain(text: str) -> str:
    """A line of text inside an HTML element, where Markdown is not read."""
    return _inert(html.escape(text, quote=False))


def _escape(text: str) -> str:
    escaped = _MARKUP.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
    return _inert(escaped).replace("$", "<span>$</span>")  # a formula, between two of them


def _inert(text: str) -> str:
    # A name with an at sign would notify a stranger; a number sign would link an issue.
    return re.sub(r"[@#](?=\w)", r"\g<0><!-- -->", text)


def _fence(text: str, least: str) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    return max(least, "`" * (longest + 1), key=len)
