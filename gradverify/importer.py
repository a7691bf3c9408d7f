"""A Python file as a module, whether it lies in a package or alone, without touching `sys.path`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from types import ModuleType

from gradverify.errors import GradverifyError, UsageError
from gradverify.location import is_users, shorten
from gradverify.report import Failure


def load_file(path: str | os.PathLike[str]) -> ModuleType:
    """The module of a Python file: the one already loaded from it, or a newly imported one.

    A file inside a package is imported under its dotted name after its parents, so that relative imports work;
    any other gets a private name.

    Raises:
        UsageError: if it is no Python file, or a module of another file has its dotted name.
        BaseException: whatever the file itself raises.
    """
    file = os.path.abspath(path)
    folder, base = os.path.split(file)
    stem = os.path.splitext(base)[0]
    if not _is_package(folder):
        # The same file gets the same name every time, two files of one name get two.
        digest = hashlib.sha256(file.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        return _execute(f"_gradverify_{digest}_{stem}", file)
    if stem == "__init__":
        return _load_package(folder)
    return _load_child(_load_package(folder), stem, file)


def import_failure(file: str | None, error: BaseException) -> Failure:
    """What a report says of a module that raised when it was imported: the line, the exception, how to mend it.

    `file` is that of the module, where it is known.
    """
    if isinstance(error, GradverifyError):
        where = error.location
        return Failure(
            type(error).__name__, error.message, where.file if where else file, where.line if where else None
        )
    line = _line_in(file, error)
    problem = f"does not import: {type(error).__name__}: {_first_line(error)}"
    remedy = _remedy(file, error)
    return Failure(
        kind=type(error).__name__,
        message=f"{problem}; {remedy}" if remedy else problem,
        file=file,
        line=line,
        traceback=_users_traceback(error),
    )


def _load_package(folder: str) -> ModuleType:
    file = os.path.join(folder, "__init__.py")
    above, name = os.path.split(folder)
    return _load_child(_load_package(above), name, file) if _is_package(above) else _execute(name, file)


def _load_child(parent: ModuleType, name: str, file: str) -> ModuleType:
    module = _execute(f"{parent.__name__}.{name}", file)
    setattr(parent, name, module)  # as the import statement does
    return module


def _execute(name: str, file: str) -> ModuleType:
    # Looked up last of all: the parent of a module may have imported it just now.
    known = _loaded_from(file)
    if known is not None:
        return known
    namesake = sys.modules.get(name)
    if namesake is not None:
        raise UsageError(
            f"{file} is the module {name!r}, but that is already {getattr(namesake, '__file__', None) or 'built in'}: "
            "rename one of the two, or run them in separate commands"
        )
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_package(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "__init__.py"))


def _loaded_from(file: str) -> ModuleType | None:
    real = os.path.realpath(file)
    for module in list(sys.modules.values()):
        # vars() rather than getattr(): some modules import others when they are asked for an attribute.
        origin = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if isinstance(origin, str) and _is_same(origin, real):
            return module
    return None


def _is_same(origin: str, real: str) -> bool:
    try:
        # Far cheaper than resolving the path of every module that torch brings.
        return os.path.samefile(origin, real) and os.path.realpath(origin) == real
    except OSError:  # a module whose file has gone, or lies in an archive
        return False


def _line_in(file: str | None, error: BaseException) -> int | None:
    """The innermost line of the file that the error passed through."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None


def _users_traceback(error: BaseException) -> str:
    shown = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in shown.stack if is_users(frame.filename) and not frame.filename.startswith("<frozen ")]
    shown.stack = traceback.StackSummary.from_list(frames)
    text = shown.format() if frames else shown.format_exception_only()
    return "".join(text).rstrip()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "no message")


def _remedy(file: str | None, error: BaseException) -> str | None:
    folder = os.path.dirname(file or "")
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        if os.path.isfile(os.path.join(folder, f"{top}.py")) or os.path.isdir(os.path.join(folder, top)):
            return (
                f"{top!r} lies beside the file: write `from . import {top}` and put an __init__.py into "
                f"{shorten(folder)}, or add that folder to PYTHONPATH"
            )
        return f"install {top!r}, or mend its name"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return f"put an __init__.py into {shorten(folder)}, which makes it a package"
    if isinstance(error, SystemExit):
        return 'keep what ends the program under `if __name__ == "__main__":`'
    return None
