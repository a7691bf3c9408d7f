"""Texts that are kept as files and compared exactly.

    RENEW=1 pytest tests

writes them again, after a change that is meant; `git diff` shows what changed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def compare_with(file: Path, text: str) -> None:
    """Fail unless the file holds the text; where RENEW is set, write it and skip the test."""
    if os.environ.get("RENEW"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
        pytest.skip(f"{file.name} is written again")
    assert file.exists(), f"there is no {file}: RENEW=1 pytest tests writes it"
    assert text == file.read_text(encoding="utf-8"), f"{file.name} differs; RENEW=1 pytest tests writes it again"
