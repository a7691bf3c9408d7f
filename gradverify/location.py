"""Where in the user's code something happened: frames outside gradverify, and the statements there."""

from __future__ import annotations

import ast
import linecache
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from types import CodeType, FrameType, TracebackType
from typing import NamedTuple

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


@dataclass(frozen=True)
class Location:
    """A line of the user's code, and the function that holds it."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{shorten(self.file)}:{self.line}"


UNKNOWN = Location("<unknown>", 0, "<unknown>")


def shorten(file: str) -> str:
    """The path relative to the working folder where it lies inside it, else as it is."""
    try:
        relative = os.path.relpath(file)
    except (ValueError, OSError):  # another drive; a working folder that has gone
        return file
    return file if relative.startswith(os.pardir) else relative


def is_users(file: str) -> bool:
    """Whether a file is the user's: neither gradverify's, nor torch's, nor Python's own.

    Frames of the latter two lie between the user's code and ours: torch's modes and hooks, a decorator of
    contextlib, the metaclass that makes a case.
    """
    if file.startswith((_PACKAGE, _torch_folder(), "<frozen ")):
        return False
    return not file.startswith(_STANDARD_LIBRARY) or "-packages" in file  # site-packages, and Debian's dist-packages


@lru_cache(maxsize=1)
def _torch_folder() -> str:
    # Wherever it was built or installed; looking for it does not import it.
    spec = find_spec("torch")
    return _PACKAGE if spec is None or spec.origin is None else os.path.dirname(spec.origin) + os.sep


def caller() -> Location:
    """The innermost frame of the user's code."""
    frame = _users_frame()
    return UNKNOWN if frame is None else _located(frame.f_code, frame.f_lineno)


def caller_variables() -> dict[str, object]:
    """The variables that the innermost frame of the user's code sees, its locals over its globals."""
    frame = _users_frame()
    return {} if frame is None else {**frame.f_globals, **frame.f_locals}


def caller_stack(outermost: CodeType | None = None) -> tuple[Location, ...]:
    """The frames of the user's code, innermost first, up to and including that of `outermost`.

    Without `outermost`, or where it is not on the stack, the stack ends at gradverify's own frame that
    called the user.
    """
    frame = _users_frame()
    stack: list[Location] = []
    while frame is not None and not _is_own(frame.f_code):
        if is_users(frame.f_code.co_filename):
            stack.append(_located(frame.f_code, frame.f_lineno))
        if frame.f_code is outermost:
            break
        frame = frame.f_back
    return tuple(stack)


def called_by_gradverify() -> bool:
    """Whether gradverify itself made the call that a `__torch_function__` of its own now handles."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_own(frame.f_code):
        if is_users(frame.f_code.co_filename):
            return False
        frame = frame.f_back
    return frame is not None


def raised_at(traceback: TracebackType | None) -> Location | None:
    """The innermost line of the user's code that a traceback passes through."""
    found: Location | None = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_users(code.co_filename):
            found = _located(code, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def raised_by_gradverify(traceback: TracebackType | None) -> bool:
    """Whether what raised was called by gradverify itself: then the error is no user's."""
    own = False
    while traceback is not None:
        code = traceback.tb_frame.f_code
        own = _is_own(code) or (own and not is_users(code.co_filename))
        traceback = traceback.tb_next
    return own


def statement(location: Location) -> str | None:
    """The whole statement at a location as it is written, or None where the source is not to be had.

    Of a compound statement (`if`, `for`, `with`) this is the header.
    """
    found = _lines_of_statement(location)
    if found is None:
        return None
    _, lines = found
    indent = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return "\n".join(line[indent:] for line in lines)


class Excerpt(NamedTuple):
    """Lines of a file, the first of them numbered `first`; `start` to `end` are the numbers of a statement's."""

    first: int
    lines: tuple[str, ...]
    start: int
    end: int


def excerpt(location: Location, margin: int) -> Excerpt | None:
    """The statement at a location and the lines around it, or None where the source is not to be had.

    Args:
        location: in the statement.
        margin: how many lines before and after it, blank ones at the edges left out.
    """
    found = _lines_of_statement(location)
    every = [line.rstrip() for line in linecache.getlines(location.file)]
    if found is None and not 1 <= location.line <= len(every):
        return None
    # A decorator is in no statement: that of a function begins with `def`.
    start, lines = found or (location.line, [every[location.line - 1]])
    end = start + len(lines) - 1
    first, last = max(1, start - margin), min(len(every), end + margin)
    if lines[0].startswith((" ", "\t")):  # what is not indented after it belongs to something else
        last = next((number for number in range(end, last) if every[number] and every[number][0] not in " \t#"), last)
    while not every[first - 1] and first < start:
        first += 1
    while not every[last - 1] and last > end:
        last -= 1
    return Excerpt(first, tuple(every[first - 1 : last]), start, end)


def _lines_of_statement(location: Location) -> tuple[int, list[str]] | None:
    """The number of the first line of the statement at a location, and its lines."""
    span = _structure(location.file).statements.get(location.line)
    if span is None:
        return None
    first, _, last = span
    lines = [linecache.getline(location.file, number).rstrip() for number in range(first, last + 1)]
    while not lines[-1] or lines[-1].lstrip().startswith("#"):  # between a header and what it holds
        lines.pop()
    return first, lines


def class_line(file: str, qualname: str) -> int | None:
    """The line on which a class of a file is defined, its decorators included; None where the file does not show it."""
    return _structure(file).classes.get(qualname)


def _users_frame() -> FrameType | None:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _located(code: CodeType, line: int) -> Location:
    return Location(code.co_filename, line, code.co_name)


def _is_own(code: CodeType) -> bool:
    # Under a torch mode every call of the user's passes through `__torch_function__`, and stays the user's.
    return code.co_filename.startswith(_PACKAGE) and code.co_name != "__torch_function__"


class _Span(NamedTuple):
    first: int
    column: int
    last: int


@dataclass(frozen=True)
class _Structure:
    """What stands where in a source: at each line the innermost statement, and the first line of each class."""

    statements: dict[int, _Span]
    classes: dict[str, int]


@lru_cache(maxsize=256)
def _parse(source: str) -> _Structure:
    try:
        with warnings.catch_warnings():  # such as of an escape in a string: the import has told of it already
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return _Structure({}, {})
    spans = sorted(
        _Span(node.lineno, node.col_offset, _last_line(node)) for node in ast.walk(tree) if isinstance(node, ast.stmt)
    )
    # What starts last is innermost.
    statements = {line: span for span in spans for line in range(span.first, span.last + 1)}
    return _Structure(statements, dict(_classes(tree, "")))


def _classes(tree: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    """The qualified names of the classes below a node, with their lines; of two of one name the last one is meant."""
    for node in ast.iter_child_nodes(tree):
        inner = prefix
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = f"{prefix}{node.name}."
            if isinstance(node, ast.ClassDef):
                yield prefix + node.name, min([node.lineno, *(one.lineno for one in node.decorator_list)])
            else:
                inner += "<locals>."
        yield from _classes(node, inner)


def _last_line(node: ast.stmt) -> int:
    body: list[ast.stmt | ast.pattern] = getattr(node, "body", [])
    body = body or [case.pattern for case in getattr(node, "cases", [])]
    if not body:
        return node.end_lineno or node.lineno
    decorators: list[ast.expr] = getattr(body[0], "decorator_list", [])
    first = decorators[0] if decorators else body[0]
    return max(node.lineno, first.lineno - 1)


# The lines of each file as they were when it was parsed: a source of 8,000 lines takes 1 ms to look up by its text.
_parsed: dict[str, tuple[list[str], _Structure]] = {}


def _structure(file: str) -> _Structure:
    linecache.checkcache(file)
    lines = linecache.getlines(file)
    known = _parsed.get(file)
    if known is None or known[0] is not lines:
        known = _parsed[file] = lines, _parse("".join(lines))
    return known[1]
