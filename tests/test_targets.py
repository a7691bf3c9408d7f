"""What a target names: files, folders, modules, packages and entry points, and what is said of one that is none."""

import os
from importlib.metadata import EntryPoint

import pytest

from gradverify import targets
from gradverify.errors import UsageError
from gradverify.targets import GROUP, sources_of


def names(target):
    return [source.name for source in sources_of(target)]


def test_a_file_is_itself(write):
    write("cases/a.py")
    assert names("cases/a.py") == ["cases/a.py"]


def test_a_folder_is_its_python_files_in_order_then_those_of_its_subfolders(write):
    for path in ("b.py", "a.py", "z/c.py", "m/n/d.py", "m/e.py", "notes.txt", "setup.cfg"):
        write(f"cases/{path}", "")
    assert names("cases") == [
        "cases/a.py",
        "cases/b.py",
        "cases/m/e.py",
        "cases/m/n/d.py",
        "cases/z/c.py",
    ]


@pytest.mark.parametrize(
    "path",
    [".hidden.py", ".hidden/a.py", "__pycache__/a.py", "deep/.git/a.py", "conftest.py", "venv/lib/a.py"],
)
def test_what_nobody_means_in_a_folder_is_passed_over(write, path):
    write("cases/kept.py", "")
    write("cases/venv/pyvenv.cfg", "")
    write(f"cases/{path}", "")
    assert names("cases") == ["cases/kept.py"]


@pytest.mark.parametrize("path", [".hidden/a.py", "conftest.py", "__pycache__/a.py"])
def test_what_is_named_is_meant(write, path):
    write(path, "")
    assert names(path) == [path]


def test_a_link_that_leads_nowhere_is_not_its_own_remedy(write):
    (write("kernels/a.py").parent / "b.py").symlink_to("missing.py")
    with pytest.raises(UsageError, match=r"^kernels/b\.py does not exist; did you mean 'kernels/a\.py'"):
        sources_of("kernels/b.py")


def test_a_folder_without_python_files_is_empty(write):
    write("cases/notes.txt", "")
    assert names("cases") == []


def test_a_folder_that_cannot_be_read_is_an_error(write, monkeypatch):
    write("cases/a.py", "")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match="cases cannot be read: Permission denied"):
        sources_of("cases")


def test_a_dotted_module_is_itself():
    (source,) = sources_of("gradverify.verdict")
    assert source.name == "gradverify.verdict"
    assert source.file.endswith("verdict.py")
    assert source.load().Verdict


def test_a_package_is_its_modules_too(write, monkeypatch):
    write("installed/__init__.py", "")
    write("installed/b.py", "")
    write("installed/a/__init__.py", "")
    write("installed/a/deep.py", "")
    write("installed/__main__.py", "raise SystemExit")
    write("elsewhere/marker.txt", "")
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.chdir("elsewhere")  # where `installed` is no folder
    assert names("installed") == ["installed", "installed.a", "installed.a.deep", "installed.b"]
    assert [source.load().__name__ for source in sources_of("installed")] == names("installed")


def test_a_module_whose_parent_does_not_import_fails_when_it_is_loaded(write, monkeypatch):
    write("installed/__init__.py", "1 / 0")
    write("installed/a.py", "")
    write("elsewhere/marker.txt", "")
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.chdir("elsewhere")
    (source,) = sources_of("installed.a")
    with pytest.raises(ZeroDivisionError):
        source.load()


def test_a_module_whose_parent_lacks_a_dependency_is_not_called_missing(write, monkeypatch):
    write("installed/__init__.py", "import nonexistent")
    write("elsewhere/marker.txt", "")
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.chdir("elsewhere")
    (source,) = sources_of("installed.a")
    with pytest.raises(ModuleNotFoundError, match="nonexistent"):
        source.load()


def test_an_entry_point_is_what_it_names(write, monkeypatch):
    offered = [EntryPoint("kernels", "collections:OrderedDict", GROUP)]
    monkeypatch.setattr(targets, "entry_points", lambda group: offered if group == GROUP else [])
    (source,) = sources_of("kernels")
    assert source.load().__name__ == "OrderedDict"
    # A file of that name is nearer.
    write("kernels/a.py", "")
    assert names("kernels") == ["kernels/a.py"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "kernels/linear_regresion.py",
            r"^kernels/linear_regresion.py does not exist; did you mean 'kernels/linear_regression.py'",
        ),
        ("kernels/relu.py", r"^kernels/relu.py does not exist; .*kernels/linear_regression.py"),
        ("kernls/linear_regression.py", "does not exist; there is no folder kernls$"),
        ("kernls/", "^kernls/ does not exist; did you mean 'kernels'"),
        (
            "kernls",
            f"^'kernls' is no file, folder, importable module or entry point of {GROUP}; did you mean 'kernels'",
        ),
        ("kernels.linear_regression", "did you mean 'kernels/linear_regression.py'"),
        ("notes.txt", r"notes.txt is no Python file: its name must end in \.py"),
        ("", "'' is no file"),
        ("a..b", "'a..b' is no file"),
        ("gradverify.nonexistent", "is no file"),
        ("nonexistent.module", "is no file"),
    ],
)
def test_what_does_not_exist_is_told_the_nearest(write, target, message):
    write("kernels/linear_regression.py", "")
    write("notes.txt", "")
    with pytest.raises(UsageError, match=message):
        sources_of(target)
