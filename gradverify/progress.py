"""How far a run has come, on a terminal where rich is installed; silence everywhere else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """What a run tells while it goes on."""

    def start(self, label: str) -> None:
        """Name what runs now."""

    def finish(self) -> None:
        """Count one more as done."""

    def hidden(self) -> contextlib.AbstractContextManager[None]:
        """Leave the terminal to other output for a while."""


class Silence:
    """No progress."""

    def start(self, label: str) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""

    def hidden(self) -> contextlib.AbstractContextManager[None]:
        """Nothing is to be hidden."""
        return contextlib.nullcontext()


class _Bar:
    """A bar drawn by rich."""

    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar = bar
        self._task = task

    def start(self, label: str) -> None:
        self._bar.update(self._task, description=label)

    def finish(self) -> None:
        self._bar.advance(self._task)

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


@contextlib.contextmanager
def show_progress(total: int) -> Iterator[Progress]:
    """A bar on stderr while the block runs, if stderr is a terminal and rich is installed."""
    if not sys.stderr.isatty():
        yield Silence()
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress
    except ImportError:
        yield Silence()
        return
    # Without markup=False, "Case[float32]" would be read as a style of rich's.
    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    # Redirecting stdout would send the data to stderr; what a case prints to stderr goes above the bar.
    bar = RichProgress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    with bar:
        yield _Bar(bar, bar.add_task("", total=total))
