"""Every example of the README runs, and prints what the README says it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gradverify.verdict import Verdict

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# A duration is not the same twice, and the last line names this machine.
VARYING = re.compile(r"\d+(\.\d+)? ?(ms|s)\b|^gradverify \d.*$", re.MULTILINE)


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the README shows."""
    for _, name, text in BLOCKS:
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder, command):
    # pytest cuts the lines of its summary to the width of the terminal, but not where it takes itself to be in CI.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    environment.update(PYTHONPATH=str(folder), NO_COLOR="1", COLUMNS="120")
    command = re.sub(r"^(gradverify|pytest)", rf"{sys.executable} -m \1", command)
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    ).stdout


def comparable(text):
    return [line.rstrip() for line in VARYING.sub("...", text).strip().splitlines()]


CONSOLE = [text for language, _, text in BLOCKS if language == "console"]


@pytest.mark.parametrize("text", CONSOLE, ids=[text.splitlines()[0] for text in CONSOLE])
def test_a_console_block_prints_what_it_says(folder, text):
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        assert comparable(run(folder, command)) == comparable(expected)


def test_the_benchmark_prints_such_tables(folder):
    """Its times differ from run to run, and so do the widths of the columns."""

    def words(text):
        return re.sub(r"\d+ to |-{2,}|[\d.e+-]*\d|\b[nµm]?s\b|\b[KMG]?i?B\b", "", VARYING.sub("", text)).split()

    (shown,) = (text for language, _, text in BLOCKS if language == "text" and text.startswith("$ gradverify bench"))
    command, _, expected = shown.removeprefix("$ ").partition("\n")
    assert words(run(folder, command)) == words(expected)


PYTHON = [text for language, name, text in BLOCKS if language == "python" and not name]


@pytest.mark.parametrize("text", PYTHON, ids=range(len(PYTHON)))
def test_a_python_block_runs(folder, text):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = re.findall(r"# prints: (.*)", text)
    assert all(line in done.stdout for line in printed)


def test_the_json_block_has_the_keys_that_are_written(folder):
    run(folder, "gradverify run linear.py --json report.json")
    written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    (shown,) = (json.loads(text) for language, _, text in BLOCKS if language == "json")
    assert shown.keys() == written.keys()
    assert shown["environment"].keys() == written["environment"].keys()
    report, row = written["reports"][0], written["reports"][0]["rows"][0]
    assert shown["reports"][0].keys() == report.keys()
    assert shown["reports"][0]["rows"][0].keys() == row.keys()
    assert shown["reports"][0]["rows"][0]["comparison"].keys() <= row["comparison"].keys()


def test_every_verdict_is_explained():
    table = README.split("| verdict | passes | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table.replace("`strict`", "").replace("`partial`", ""))) == {
        verdict.value for verdict in Verdict
    }
