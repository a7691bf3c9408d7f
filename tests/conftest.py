"""Fixtures that several test modules share: files that hold cases, the command line, a single thread."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from commandline import runner

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


@pytest.fixture
def cli(write: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in the working folder of `write`; gives its exit code, stdout and stderr."""
    return runner(capsys)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other in small operations are slow where other tests run too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
