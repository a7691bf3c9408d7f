"""A project in a folder of its own, and pytest run on it."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

LINEAR = """
import torch
from gradverify import Case


class Linear(Case):
    samples: int = 4

    def inputs(self, generator):
        return {
            "X": torch.randn(self.samples, 3, generator=generator),
            "W": torch.randn(3, 2, generator=generator),
        }

    def forward(self, t):
        t.h = t.X @ t.W
        t.loss = t.h.mean()
        return t.loss

    def backward(self, t, d):
        d.h = d.loss.expand_as(t.h) / t.h.numel()
        d.W = t.X.T @ d.h
        d.X = d.h @ t.W.T
"""

# The same with a factor of two planted in the gradient of W.
DOUBLED = """

class Doubled(Linear):
    def backward(self, t, d):
        super().backward(t, d)
        d.W = t.X.T @ d.h * 2  # planted
"""

# The last is that of hypothesis, which imports itself at the end of every session and takes seconds.
_OTHERS = ("randomly", "benchmark", "xdist", "hypothesispytest")


class Project:
    """Files in an empty folder, and pytest run there."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.path = pytester.path
        self._pytester = pytester
        installed = any(one.name == "gradverify" for one in entry_points(group="pytest11"))
        self._plugin = () if installed else ("-p", "gradverify.pytest_plugin")

    def write(self, **sources: str) -> None:
        """Write modules; a double underscore in a name stands for a folder."""
        for name, source in sources.items():
            file = self.path.joinpath(*name.split("__")).with_suffix(".py")
            file.parent.mkdir(exist_ok=True)
            file.write_text(source, encoding="utf-8")

    def ini(self, *lines: str) -> None:
        """Write the ini file of the project."""
        self.path.joinpath("pytest.ini").write_text("\n".join(["[pytest]", *lines]), encoding="utf-8")

    def line_of(self, name: str, text: str) -> int:
        """The number of the line of a module that holds the text."""
        lines = self.path.joinpath(name).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)

    def run(self, *arguments: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult:
        """Run pytest in this process, with warnings as errors, and of the plugins installed with those named alone."""
        without = [word for name in _OTHERS if name not in plugins for word in ("-p", f"no:{name}")]
        words = (*self._plugin, *without, "-W", "error", *arguments)
        return self._pytester.runpytest_inprocess(*words, no_reraise_ctrlc=True)

    def run_alone(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own, with the plugins that are installed."""
        return self._pytester.runpytest_subprocess(*self._plugin, *arguments)


def ids_of(result: pytest.RunResult) -> list[str]:
    """The tests that `--collect-only -q` lists, without the file."""
    return [line.partition("::")[2] for line in result.outlines if "::" in line]
