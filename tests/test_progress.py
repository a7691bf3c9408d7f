"""Progress is for people at a terminal, and never in the way of the data."""

import builtins
import io
import sys

import pytest

from gradverify.progress import Silence, show_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def replace_streams(monkeypatch, stderr):
    """Put a stream in place of stderr and another one in place of stdout, which is returned."""
    stdout = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(sys, "stdout", stdout)
    return stdout


def run_one_of_three():
    """What a run does with its progress."""
    with show_progress(3) as progress:
        progress.start("Relu[float32]")
        progress.finish()
        with progress.hidden():
            print("a table")
    return progress


def test_a_terminal_sees_what_runs_and_how_far_it_is(monkeypatch):
    pytest.importorskip("rich")
    stdout = replace_streams(monkeypatch, terminal := Terminal())
    run_one_of_three()
    # Square brackets are markup to rich, and part of the name to us.
    assert "Relu[float32]" in terminal.getvalue()
    assert "1/3" in terminal.getvalue()
    assert "a table" not in terminal.getvalue()
    assert stdout.getvalue() == "a table\n"


def test_where_rich_is_not_installed_there_is_silence(monkeypatch):
    real = builtins.__import__

    def without_rich(name, *arguments):
        if name.split(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *arguments)

    stdout = replace_streams(monkeypatch, terminal := Terminal())
    monkeypatch.setattr(builtins, "__import__", without_rich)
    assert isinstance(run_one_of_three(), Silence)
    assert (stdout.getvalue(), terminal.getvalue()) == ("a table\n", "")


def test_a_file_sees_nothing(monkeypatch):
    stdout = replace_streams(monkeypatch, file := io.StringIO())
    assert isinstance(run_one_of_three(), Silence)
    assert (stdout.getvalue(), file.getvalue()) == ("a table\n", "")
