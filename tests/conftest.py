"""Fixtures that several test modules share: files that hold cases, imported and forgotten again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# A case whose methods are never run; what finds and loads cases asks for no more.
EMPTY_CASE = """
from gradverify import Case

class {name}(Case):
    n: int = 3
    def inputs(self, generator): ...
    def forward(self, t): ...
    def backward(self, t, d): ...
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Write files below the working folder, which is an empty one; modules imported from there are forgotten.

    `write("cases/a.py", source)` writes one file; without a source, an empty case named after the file.
    """
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def write_file(path: str, source: str | None = None) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(EMPTY_CASE.format(name=file.stem.title()) if source is None else source, encoding="utf-8")
        return file

    yield write_file
    for name in set(sys.modules) - before:
        file_of = getattr(sys.modules[name], "__file__", None) or ""
        if file_of.startswith(str(tmp_path)):
            del sys.modules[name]
