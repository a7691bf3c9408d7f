"""The cases that a module holds, and those behind every target that a user names."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TypeGuard

from gradverify.case import Case, is_case_class, is_complete
from gradverify.errors import GradverifyError, InvalidCase, UsageError, did_you_mean
from gradverify.importer import import_failure
from gradverify.location import Location, class_line
from gradverify.report import Failure
from gradverify.targets import Source, sources_of


@dataclass(frozen=True)
class Found:
    """A case, the line on which its class is defined, and whether its sizes are those of a sweep."""

    case: Case
    location: Location
    swept: bool = False


@dataclass(frozen=True)
class Broken:
    """A file, a module or one case of it that could not be loaded, and why."""

    name: str
    failure: Failure


@dataclass(frozen=True)
class Findings:
    """What the targets hold.

    Attributes:
        found: the cases, in the order of the targets, of the files by name, and of their definition.
        broken: what could not be loaded.
        unfinished: the classes that look like a case which lacks a method, a sentence each.
    """

    found: tuple[Found, ...] = ()
    broken: tuple[Broken, ...] = ()
    unfinished: tuple[str, ...] = ()


def find(targets: Iterable[str]) -> Findings:
    """Every case that the targets hold, each once; what cannot be loaded does not hide the rest.

    A target is a file, a folder, a dotted module (its submodules too), or the name of an entry point in the group
    `gradverify.cases`; `TARGET::CaseName` selects the cases of that class.

    Raises:
        UsageError: for a target that does not exist, or that does not hold the selected case.
    """
    named = [target.partition("::") for target in targets]
    # Every target is looked up before the first one is imported: a misspelt one costs no waiting.
    looked_up = [(place, wanted, sources_of(place)) for place, _, wanted in named]
    search = _Search()
    for place, wanted, sources in looked_up:
        known = [search.look_into(source, wanted) for source in sources]
        names = {name for one in known if one is not None for name in one}
        if wanted and wanted not in names and None not in known:
            raise UsageError(f"{place} holds no case {wanted!r}; {did_you_mean(wanted, sorted(names))}")
    return Findings(tuple(search.found), tuple(search.broken), tuple(search.unfinished))


def cases_of(module: ModuleType) -> list[Case]:
    """The cases of a module: the classes defined there, then what its `CASES` lists, each class once.

    A `CASES` in which nothing is a case is somebody else's list, and left alone.

    Raises:
        InvalidCase: if a class cannot be made without arguments, or `CASES` lists something else than cases.
    """
    return [_make(entry) for entry in _entries_of(module)]


def is_collected(cls: object, module_name: str) -> TypeGuard[type[Case]]:
    """Whether a class is a case of the module: a complete Case defined there that does not say `__test__ = False`.

    Whoever walks over names passes by those that are not the class's own: an alias is no second case.
    """
    return _is_meant(cls, module_name) and is_complete(cls)


def location_of(cls: type[Case]) -> Location:
    """The line on which a case class is defined."""
    try:
        file = inspect.getsourcefile(cls) or inspect.getfile(cls)
    except (OSError, TypeError):  # no source: a class made by exec, or at a prompt
        file = ""
    line = class_line(file, cls.__qualname__)
    if line is None:
        code = cls.forward.__code__
        file, line = code.co_filename, code.co_firstlineno
    return Location(file, line, cls.__name__)


@dataclass(frozen=True)
class _Entry:
    """Something that ought to be a case, and the line to show where it is not."""

    value: object
    location: Location | None

    @property
    def name(self) -> str:
        """The name of the case's class."""
        return (self.value if isinstance(self.value, type) else type(self.value)).__name__


class _Search:
    """What has been found so far."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.broken: list[Broken] = []
        self.unfinished: list[str] = []
        # By identity; the values keep the cases alive, so that no other object takes it over.
        self._seen: dict[int, object] = {}

    def look_into(self, source: Source, wanted: str) -> set[str] | None:
        """Add the cases of a source, or only those of the wanted class.

        Returns:
            the names of all its cases; None where the source could not be loaded, so that nobody knows.
        """
        try:
            loaded = source.load()
            entries = _entries_of(loaded)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, and what pytest.skip raises, are no Exceptions
            self._break(source.name, source.file, error)
            return None
        for entry in entries:
            if wanted in ("", entry.name) and id(entry.value) not in self._seen:
                self._seen[id(entry.value)] = entry.value
                self._add(source, entry)
        if isinstance(loaded, ModuleType) and not wanted:
            self.unfinished += [one for one in _unfinished(loaded) if one not in self.unfinished]
        return {entry.name for entry in entries}

    def _add(self, source: Source, entry: _Entry) -> None:
        try:
            case = _make(entry)
        except GradverifyError as error:
            self._break(f"{source.name}::{entry.name}", source.file, error)
        else:
            self.found.append(Found(case, location_of(type(case))))

    def _break(self, name: str, file: str | None, error: BaseException) -> None:
        broken = Broken(name, import_failure(file, error))
        if broken not in self.broken:  # two targets can lead to one broken file
            self.broken.append(broken)


def _entries_of(loaded: object) -> list[_Entry]:
    """What a module holds; an entry point may also name a class, a case or a list of them."""
    if not isinstance(loaded, ModuleType):
        values = loaded if isinstance(loaded, (list, tuple)) else [loaded]
        return [_entry(value, None) for value in values]
    defined = [cls for cls in _own_classes(loaded) if is_collected(cls, loaded.__name__)]
    listed = vars(loaded).get("CASES")
    if _is_case(listed):
        raise InvalidCase(f"CASES is {_spell(listed)}; expected a list: CASES = [...]", _cases_line(loaded))
    values = listed if isinstance(listed, (list, tuple)) and any(map(_is_case, listed)) else ()
    further = [value for value in values if not any(value is one for one in defined)]
    return [_entry(value, None) for value in defined] + [_entry(value, _cases_line(loaded)) for value in further]


def _entry(value: object, listed_at: Location | None) -> _Entry:
    return _Entry(value, location_of(value) if is_case_class(value) else listed_at)


def _make(entry: _Entry) -> Case:
    value = entry.value
    if isinstance(value, Case):
        return value
    if not is_case_class(value):
        raise InvalidCase(
            f"CASES lists {_spell(value)}; expected case classes or cases, such as Relu or Relu(samples=3)",
            entry.location,
        )
    try:
        return value()
    except GradverifyError as error:
        raise InvalidCase(error.message, entry.location) from None
    except Exception as error:
        raise InvalidCase(
            f"{entry.name}() raised {type(error).__name__}: {error}; give every argument a default, or set "
            f"`__test__ = False` on the class and list a case in CASES, such as {entry.name}(...)",
            entry.location,
        ) from error


def _own_classes(module: ModuleType) -> list[type]:
    return [value for name, value in vars(module).items() if isinstance(value, type) and value.__name__ == name]


def _is_case(value: object) -> bool:
    return isinstance(value, Case) or is_case_class(value)


def _is_meant(cls: object, module_name: str) -> TypeGuard[type[Case]]:
    return is_case_class(cls) and cls.__module__ == module_name and bool(getattr(cls, "__test__", True))


def _unfinished(module: ModuleType) -> Iterator[str]:
    """The classes that nobody derives from and that lack a method: a base class has children, a typing error none."""
    for cls in _own_classes(module):
        if _is_meant(cls, module.__name__) and not is_complete(cls) and not cls.__subclasses__():
            missing = " and ".join(sorted(cls.__abstractmethods__))
            yield f"{cls.__name__} at {location_of(cls)} is not run: it does not define {missing}"


def _cases_line(module: ModuleType) -> Location | None:
    """The line on which a module assigns CASES."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "CASES" for target in targets):
            return Location(inspect.getsourcefile(module) or "<unknown>", node.lineno, "CASES")
    return None


def _spell(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return repr(value) if isinstance(value, (str, int, float)) or _is_case(value) else f"a {type(value).__name__}"
