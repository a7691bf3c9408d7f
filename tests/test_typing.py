"""The annotations serve users: mypy --strict accepts what is right, and finds a wrong keyword."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parent / "typing_sample.py"

pytest.importorskip("mypy", reason="checks the annotations with mypy")


WRONG = {
    "Linear(sample=20)": 'Unexpected keyword argument "sample" for "Linear"',
    "Linear(20)": "Too many positional arguments",
    'Linear(samples="20")': 'Argument "samples" to "Linear" has incompatible type "str"; expected "int"',
    "Linear().width": '"Linear" has no attribute "width"',
    "verify(Linear, size={})": 'Unexpected keyword argument "size" for "verify"',
    "verify(Linear).pased": 'has no attribute "pased"',
    "verify(3)": '"verify"',
    "compare(1.0, torch.ones(1))": 'Argument 1 to "compare" has incompatible type "float"',
}


def test_a_user_who_annotates_finds_mistakes_and_nothing_else(tmp_path):
    """Fields by keyword, sizes, settings, Trace and Gradients, inheritance; and one mistake in each wrong call."""
    right = SAMPLE.read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.py"
    wrong.write_text("\n".join([right, *WRONG, ""]), encoding="utf-8")
    # The project's own configuration, so that what mypy knows of torch from the last run is used again.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(SAMPLE), str(wrong)],
        capture_output=True,
        text=True,
        cwd=SAMPLE.parent.parent,
    )
    complaints = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert not done.stderr
    assert not [line for line in complaints if SAMPLE.name in line]
    first = len(right.splitlines()) + 2
    for number, (call, complaint) in enumerate(WRONG.items(), first):
        assert any(f"wrong.py:{number}: error: " in line and complaint in line for line in complaints), call
    assert len(complaints) == len(WRONG)
