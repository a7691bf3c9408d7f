"""A file becomes a module once, alone or in its package, and what keeps it from importing is told."""

import os
import sys

import pytest

from gradverify.errors import UsageError
from gradverify.importer import import_failure, load_file
from gradverify.loader import find


def test_a_file_is_imported_once(write):
    file = write("a.py", "value = []")
    assert load_file(file) is load_file(os.path.relpath(file))


def test_a_file_that_is_loaded_already_is_not_imported_again(write, monkeypatch):
    """A case in it would else exist twice, and `isinstance` would tell the two apart."""
    file = write("lonely.py", "value = []")
    monkeypatch.syspath_prepend(str(file.parent))
    import lonely

    assert load_file(file) is lonely


def test_a_link_to_a_loaded_file_is_that_file(write):
    file = write("a.py", "value = []")
    (file.parent / "b.py").symlink_to(file)
    assert load_file(file.parent / "b.py") is load_file(file)


def test_two_files_of_one_name_are_two_modules(write):
    first, second = write("x/a.py", "value = 1"), write("y/a.py", "value = 2")
    assert (load_file(first).value, load_file(second).value) == (1, 2)


def test_the_search_path_stays_as_it_was(write):
    before = list(sys.path)
    load_file(write("a.py", ""))
    load_file(write("package/__init__.py", ""))
    assert sys.path == before


def test_a_file_in_a_package_has_its_dotted_name_and_relative_imports(write):
    write("outer/__init__.py", "")
    write("outer/inner/__init__.py", "")
    write("outer/helpers.py", "value = 7")
    file = write("outer/inner/a.py", "from ..helpers import value\nfrom . import b")
    write("outer/inner/b.py", "")
    module = load_file(file)
    assert module.__name__ == "outer.inner.a"
    assert module.value == 7
    # As the import statement leaves it: `import outer.inner.a; outer.inner.a` works.
    assert sys.modules["outer"].inner.a is module


def test_a_package_is_loaded_once_whichever_of_its_files_comes_first(write):
    package, file = write("package/__init__.py", "from . import a"), write("package/a.py", "")
    module = load_file(file)
    assert load_file(package) is sys.modules["package"]
    assert sys.modules["package"].a is module


def test_names_that_are_no_identifiers_do(write):
    write("my-cases/__init__.py", "")
    write("my-cases/helpers.py", "value = 7")
    assert load_file(write("my-cases/linear regression.py", "from .helpers import value")).value == 7
    assert load_file(write("v1.2-draft.py", "value = 8")).value == 8


def test_classes_know_their_module(write):
    """Dataclasses look their annotations up there."""
    source = "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 1"
    module = load_file(write("a.py", source))
    assert sys.modules[module.A.__module__] is module


def test_another_module_of_the_same_dotted_name_is_an_error(write):
    write("x/package/__init__.py", "")
    load_file(write("x/package/a.py", ""))
    write("y/package/__init__.py", "")
    with pytest.raises(UsageError, match=r"y/package/__init__.py is the module 'package', but that is already .*x/"):
        load_file(write("y/package/a.py", ""))


def test_a_module_of_python_itself_is_never_replaced(write):
    write("json/__init__.py", "")
    with pytest.raises(UsageError, match=r"is the module 'json', but that is already .*rename one of the two"):
        load_file(write("json/a.py", ""))


def test_something_else_than_python_is_an_error(write):
    with pytest.raises(UsageError, match=r"notes\.txt is no Python file: its name must end in \.py"):
        load_file(write("notes.txt", ""))


def test_a_file_that_failed_can_be_tried_again(write):
    file = write("a.py", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        load_file(file)
    file.write_text("value = 123456", encoding="utf-8")
    assert load_file(file).value == 123456


def failure_of(file):
    """What is said of a file that does not import."""
    try:
        load_file(file)
    except BaseException as error:
        return import_failure(str(file), error)
    raise AssertionError("it imports")


# A file, the kind of failure, its line, and what the message says.
BROKEN = {
    "a syntax error": ("x = 1\ny = = 2\n", "SyntaxError", 2, "does not import: SyntaxError: invalid syntax"),
    "an exception": (
        "x = 1\n\n1 / 0\n",
        "ZeroDivisionError",
        3,
        "does not import: ZeroDivisionError: division by zero",
    ),
    "in a function": ("def f():\n    1 / 0\nf()\n", "ZeroDivisionError", 2, "does not import: ZeroDivisionError"),
    "in the library": ("import json\njson.loads('{')\n", "JSONDecodeError", 2, "does not import: JSONDecodeError"),
    "no message": ("raise ValueError\n", "ValueError", 1, "does not import: ValueError: no message"),
    "an unknown module": ("import nonexistent\n", "ModuleNotFoundError", 1, "install 'nonexistent', or mend its name"),
    "a module beside it": (
        "import helpers\n",
        "ModuleNotFoundError",
        1,
        "'helpers' lies beside the file: write `from . import helpers` and put an __init__.py into cases, or add that "
        "folder to PYTHONPATH",
    ),
    "no package": (
        "from . import helpers\n",
        "ImportError",
        1,
        "put an __init__.py into cases, which makes it a package",
    ),
    "an exit": ("import sys\nsys.exit(3)\n", "SystemExit", 2, 'under `if __name__ == "__main__":`'),
    "a bad case": (
        "from gradverify import Case\nclass A(Case):\n    n: int\n",
        "InvalidCase",
        2,
        "A: the field 'n' has no default; write `n: int = ...`",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_keeps_a_file_from_importing_is_told_with_its_line_and_remedy(write, kind):
    source, error, line, message = BROKEN[kind]
    write("cases/helpers.py", "value = 7")
    file = write("cases/broken.py", source)
    failure = failure_of(file)
    assert (failure.kind, failure.file, failure.line) == (error, str(file), line)
    assert message in failure.message


def test_the_traceback_is_the_users_own(write):
    file = write("broken.py", "def f():\n    1 / 0\nf()\n")
    (broken,) = find(["broken.py"]).broken
    lines = [line for line in broken.failure.traceback.splitlines() if set(line) - set(" ~^")]
    assert lines == [
        "Traceback (most recent call last):",
        f'  File "{file}", line 3, in <module>',
        "    f()",
        f'  File "{file}", line 2, in f',
        "    1 / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_a_syntax_error_shows_its_place():
    """It has no frames of its own, so its traceback is the message alone."""
    failure = import_failure("a.py", SyntaxError("invalid syntax", ("a.py", 2, 5, "y = = 2\n", 2, 6)))
    assert failure.traceback.startswith('  File "a.py", line 2\n    y = = 2\n')
    assert failure.line == 2


def test_an_error_of_a_helper_names_the_line_that_imports_it(write):
    write("package/__init__.py", "")
    helper = write("package/helper.py", "\n1 / 0\n")
    failure = failure_of(write("package/a.py", "x = 1\nfrom . import helper\n"))
    assert failure.line == 2
    assert f'File "{helper}", line 2' in failure.traceback
