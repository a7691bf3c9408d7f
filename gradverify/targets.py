"""What a user names on the command line: the files, modules and packages behind each target."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import FileFinder
from importlib.metadata import EntryPoint, entry_points

from gradverify.errors import UsageError, did_you_mean
from gradverify.importer import load_file
from gradverify.location import shorten

# The entry-point group under which an installed package offers cases; the name of an entry point is a target.
GROUP = "gradverify.cases"


@dataclass(frozen=True)
class Source:
    """Something that holds cases, not yet loaded.

    Attributes:
        name: as the user knows it.
        file: where it is, as far as that is known.
        load: gives a module, or for an entry point the object that it names; raises whatever the user's code does.
    """

    name: str
    file: str | None
    load: Callable[[], object]


def sources_of(target: str) -> list[Source]:
    """The sources of a file, a folder, an entry point or a dotted module, looked up in this order.

    Raises:
        UsageError: if the target is none of them.
    """
    if os.path.isdir(target):
        return [_file(path) for path in _files_below(target)]
    if os.path.exists(target):
        if not target.endswith(".py"):
            raise UsageError(f"{target} is no Python file: its name must end in .py")
        return [_file(target)]
    if os.sep in target or target.endswith(".py"):
        raise UsageError(f"{target} does not exist; {_nearest_path(target)}")
    offered = {one.name: one for one in entry_points(group=GROUP)}
    if target in offered:
        return [_offer(offered[target])]
    modules = list(_modules(target))
    if not modules:
        known = [*offered, *_entries_of(os.curdir)]
        raise UsageError(
            f"{target!r} is no file, folder, importable module or entry point of {GROUP}; {_advise(target, known)}"
        )
    return modules


def _file(path: str) -> Source:
    return Source(shorten(path), os.path.abspath(path), lambda: load_file(path))


def _module(name: str, file: str | None) -> Source:
    return Source(name, file, lambda: importlib.import_module(name))


def _offer(offered: EntryPoint) -> Source:
    return Source(offered.name, None, offered.load)


def _files_below(folder: str) -> Iterator[str]:
    """The Python files of a folder, then those of its subfolders, each by name."""
    for where, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not _is_skipped(where, name))
        for name in sorted(files):
            # A conftest configures pytest and is nobody's case.
            if name.endswith(".py") and not name.startswith(".") and name != "conftest.py":
                yield os.path.join(where, name)


def _is_skipped(where: str, name: str) -> bool:
    # pyvenv.cfg marks a virtual environment, whose thousands of files nobody means.
    return name.startswith(".") or name == "__pycache__" or os.path.exists(os.path.join(where, name, "pyvenv.cfg"))


def _refuse(error: OSError) -> None:
    raise UsageError(f"{error.filename} cannot be read: {error.strerror}")


def _modules(name: str) -> Iterator[Source]:
    """A module, and its submodules where it is a package; nothing where there is no such module."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return
        yield _module(name, None)  # a parent exists and lacks a dependency: loading tells which
        return
    except ValueError:  # a name that cannot be one, such as "" or "a..b"
        return
    except Exception:
        yield _module(name, None)  # a parent raises: loading tells what
        return
    if spec is None:
        return
    yield _module(name, spec.origin)
    yield from _submodules(name, list(spec.submodule_search_locations or ()))


def _submodules(package: str, folders: list[str]) -> Iterator[Source]:
    for found in pkgutil.iter_modules(folders):
        if not isinstance(found.module_finder, FileFinder):
            continue  # a module in an archive has no file to show
        name, path = f"{package}.{found.name}", os.path.join(found.module_finder.path, found.name)
        if found.ispkg:
            yield _module(name, os.path.join(path, "__init__.py"))
            yield from _submodules(name, [path])
        elif found.name != "__main__":  # importing it would run the program
            yield _module(name, f"{path}.py")


def _nearest_path(target: str) -> str:
    parent, name = os.path.split(target.rstrip(os.sep))
    if not os.path.isdir(parent or os.curdir):
        return f"there is no folder {parent}"
    near = [one for one in _entries_of(parent or os.curdir) if one != name]  # a link that leads nowhere
    return did_you_mean(os.path.join(parent, name), (os.path.join(parent, one) for one in near))


def _advise(target: str, known: list[str]) -> str:
    path = target.replace(".", os.sep)
    for candidate in (f"{path}.py", path):
        if os.path.exists(candidate):
            return f"did you mean {candidate!r}?"
    return did_you_mean(target, known)


def _entries_of(folder: str) -> list[str]:
    """What in a folder could be a target."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if not entry.name.startswith(".") and (entry.name.endswith(".py") or entry.is_dir())
    )
