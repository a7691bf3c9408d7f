"""A file is written whole or not at all, and what cannot be written is known before the work."""

import os
import stat

import pytest

from gradverify import artifact
from gradverify.artifact import check_all_writable, check_writable, write_whole
from gradverify.errors import UsageError


def test_a_file_is_written_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "report.json"
    write_whole(str(path), "データ\n")
    assert path.read_text(encoding="utf-8") == "データ\n"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_file_that_exists_is_replaced_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    write_whole(str(path), "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content_and_no_rest(tmp_path, monkeypatch, step):
    path = tmp_path / "report.json"
    path.write_text("old", encoding="utf-8")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifact.os, step, fail)
    with pytest.raises(UsageError, match=r"report\.json cannot be written: No space left on device"):
        write_whole(str(path), "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_an_interruption_leaves_no_rest_either(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(artifact.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(str(tmp_path / "report.json"), "new")
    assert os.listdir(tmp_path) == []


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "latest.json").symlink_to(tmp_path / "report.json")
    write_whole(str(tmp_path / "latest.json"), "new")
    assert (tmp_path / "latest.json").is_symlink()
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == "new"


def test_a_path_that_can_be_written_passes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_writable("report.json")
    (tmp_path / "report.json").write_text("old", encoding="utf-8")
    check_writable("report.json")
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == "old"


def test_a_path_that_cannot_be_written_is_told_why(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"there is no folder .*missing; make it first"):
        check_writable(str(tmp_path / "missing" / "report.json"))
    with pytest.raises(UsageError, match="is no regular file"):
        check_writable(str(tmp_path))
    with pytest.raises(UsageError, match="the name of the file to write is empty; give its path"):
        check_writable("")
    monkeypatch.setattr(artifact.os, "access", lambda *_: False)
    with pytest.raises(UsageError, match="does not allow it"):
        check_writable(str(tmp_path / "report.json"))


def test_bytes_are_written_as_they_are(tmp_path):
    """A picture is a file like any other."""
    write_whole(str(tmp_path / "a.png"), b"\x89PNG\r\n\x00")
    assert (tmp_path / "a.png").read_bytes() == b"\x89PNG\r\n\x00"


def test_several_files_have_to_be_several(tmp_path, monkeypatch):
    """However they are spelt."""
    monkeypatch.chdir(tmp_path)
    check_all_writable("a.json", None, "b.html", None)
    (tmp_path / "link").symlink_to("a.json")
    for other in ("a.json", "./a.json", str(tmp_path / "a.json"), "link"):
        with pytest.raises(UsageError, match="are one file, which would be written twice; name two"):
            check_all_writable("a.json", other)
    with pytest.raises(UsageError, match="there is no folder"):
        check_all_writable("a.json", "missing/b.json")
