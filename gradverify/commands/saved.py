"""Saved runs, read for whoever renders or compares them."""

from __future__ import annotations

import json
import os
import sys

from gradverify.errors import UsageError, did_you_mean
from gradverify.render.json import read_json
from gradverify.report import Environment, Report

# In place of a file: what a pipe gives.
STDIN = "-"

_REMEDY = "`gradverify run --json FILE` writes one"


def read_saved(path: str) -> tuple[Environment, list[Report]]:
    """The environment and the reports of a saved run.

    Args:
        path: of the JSON file; "-" is stdin.

    Raises:
        UsageError: if it cannot be read, or is no saved run; the message says which file, and what to do.
    """
    try:
        return read_json(_decode(_read(path)))
    except UsageError as error:
        raise UsageError(f"{'stdin' if path == STDIN else path}: {error.message}") from None


def _read(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read()
    if os.path.isdir(path):
        raise UsageError("expected a saved run, but this is a folder; name the file that --json wrote")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise UsageError(f"there is no such file; {_nearest(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot be read: {reason}; {_REMEDY}") from None


def _decode(data: bytes) -> str:
    # A shell that redirects may write UTF-16, or a mark of the byte order in front.
    try:
        return data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        raise UsageError(f"this is no JSON, and no text; {_REMEDY}") from None


def _nearest(path: str) -> str:
    folder = os.path.dirname(path)
    try:
        files = [name for name in os.listdir(folder or os.curdir) if name.endswith(".json")]
    except (OSError, ValueError):
        return f"nor a folder {folder}; {_REMEDY}"
    if not files:
        return _REMEDY
    return did_you_mean(path, sorted(os.path.join(folder, name) for name in files))
