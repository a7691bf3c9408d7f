"""The command line run in this process, and the source of the case that it is mostly run on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradverify.cli import main

SQUARE = """
import torch
from gradverify import Case

class Square(Case):
    n: int = 4

    def inputs(self, generator):
        return {"x": torch.randn(self.n, generator=generator)}

    def forward(self, t):
        t.y = t.x * t.x
        t.loss = t.y.sum()
        return t.loss

    def backward(self, t, d):
        d.y = d.loss.expand_as(t.y)
        d.x = 2 * t.x * d.y
"""


def runner(capture: pytest.CaptureFixture[str], *command: object) -> Callable[..., tuple[int, str, str]]:
    """A function that runs a command with further arguments; gives its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capture.readouterr()
        code = main([str(one) for one in (*command, *arguments)])
        captured = capture.readouterr()
        return code, captured.out, captured.err

    return run
