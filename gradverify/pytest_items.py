"""A Case as pytest items, one a dtype.

Imported once a session may hold a case; only a case that is there brings in `gradverify.examination`, and torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain, count, groupby
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from _pytest._code.code import TerminalRepr

from gradverify.case import Case, changed_sizes, is_case_class, is_complete
from gradverify.errors import GradverifyError, InvalidCase, UsageError
from gradverify.importer import import_failure, load_file
from gradverify.loader import is_collected, location_of
from gradverify.location import Location
from gradverify.pytest_failure import failure_of, represent
from gradverify.pytest_options import marker_settings, options_of
from gradverify.pytest_summary import REPORTS
from gradverify.render.spelling import several

if TYPE_CHECKING:
    from _pytest.nodeid import NodeId  # which earlier versions of pytest do not have

    from gradverify.configuration import Configuration

_Collector = pytest.Module | pytest.Class

# Whose each name in a file is, so that two cases that look alike get two names.
_OWNERS = pytest.StashKey[dict[str, object]]()


class CaseModule(pytest.Module):
    """A file of `gradverify_paths`, loaded as the command line loads it: alone, with `sys.path` left as it is."""

    def _getobj(self) -> ModuleType:
        try:
            return load_file(self.path)
        except Exception as error:
            failure = import_failure(str(self.path), error)
            shown = "\n".join(filter(None, (failure.message, failure.traceback)))
            raise self.CollectError(shown) from None


class CaseItem(pytest.Function):
    """A case at one dtype and device, verified for each of its seeds.

    Attributes:
        entry: the class or the case that was collected.
        runs: its configurations; none where it is not fit to run, which fails the item.
    """

    entry: object
    runs: Sequence[Configuration]

    @property
    def id(self) -> NodeId:
        """The id as pytest 9.2 and later read it from their cache: what stands in brackets are parameters."""
        whole = super().id
        return type(whole).parse(str(whole))

    @cached_property
    def instance(self) -> object | None:
        """An instance of the test class around the case, which its `setup_method` and its fixtures ask for."""
        return self.parent.obj() if isinstance(self.parent, pytest.Class) else None

    @cached_property
    def where(self) -> Location:
        """The line on which the case is defined."""
        cls = class_of(self.entry)
        return location_of(cls) if issubclass(cls, Case) else Location(str(self.path), 1, "CASES")

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """The line on which the case is defined, and the name of the item."""
        return self.where.file, self.where.line - 1, self.getmodpath()

    # pytest's own override of the method takes no style either.
    def repr_failure(  # type: ignore[override]
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> str | TerminalRepr:
        """The table and the line to mend, instead of a traceback, which would show gradverify's own lines."""
        representation = represent(excinfo.value, self.where)
        if representation is None:
            return super().repr_failure(excinfo)
        if self.config.getoption("tbstyle") == "line":
            representation.reprtraceback.reprentries = []
        return representation


def make_items(collector: _Collector, name: str, obj: object) -> list[CaseItem] | None:
    """The items of what a module or a test class holds under a name; None where that is nothing of ours."""
    if is_case_class(obj):
        return list(_items_of(collector, obj)) if _is_own(collector, name, obj) else []
    if (
        name == "CASES"
        and isinstance(obj, (list, tuple))
        and any(isinstance(one, Case) or is_case_class(one) for one in obj)
    ):
        return [item for entry in obj for item in _items_of(collector, entry)]
    return None


def describe_collection(items: Sequence[pytest.Item]) -> str | None:
    """How many cases a session is going to verify, in a line; None where there are none."""
    cases = [item for item in items if isinstance(item, CaseItem)]
    runs = [run for item in cases for run in item.runs]
    if not runs:
        return None
    amount = several(len({id(item.entry) for item in cases}), "case")
    dtypes = ", ".join(dict.fromkeys(run.dtype for run in runs))
    devices = ", ".join(dict.fromkeys(run.device for run in runs))
    return f"gradverify: {amount} in {several(len(cases), 'test')}, at {dtypes} on {devices}"


def _items_of(collector: _Collector, entry: object) -> Iterator[CaseItem]:
    """An item for each sizes, device and dtype; for what is not fit to run, one that fails and says why."""
    cls = class_of(entry)
    try:
        case = _make_case(entry)
        runs = _runs_of(collector, case)
        cases = _swept(collector, case)
    except GradverifyError as error:
        # An error of the collection would hide every other test of the file.
        yield _make_item(
            collector, cls.__name__ if issubclass(cls, Case) else "CASES", entry, (), partial(_refuse, error)
        )
        return
    has_several_devices = len({run.device for run in runs}) > 1
    groups = [(*key, tuple(group)) for key, group in groupby(runs, key=lambda run: (run.device, run.dtype))]
    for one in cases:
        sizes = [f"{name}={value}" for name, value in changed_sizes(one).items()]
        for device, dtype, group in groups:
            parts = [*sizes, dtype, *([device] if has_several_devices else [])]
            name = f"{cls.__name__}[{'-'.join(parts)}]"
            own = tuple(replace(run, swept=one is not case) for run in group)
            yield _make_item(collector, name, entry, own, partial(_verify, one))


def _swept(collector: _Collector, case: Case) -> Sequence[Case]:
    """The case, and where `--gradverify-sweep` asks for it, the same at other sizes."""
    count = options_of(collector.config).sweep
    if count is None:
        return (case,)
    from gradverify.sweep import sweep_sizes

    return sweep_sizes(case, count).cases


def _make_item(
    collector: _Collector,
    name: str,
    entry: object,
    runs: Sequence[Configuration],
    run: Callable[[CaseItem], None],
) -> CaseItem:
    def verify_case() -> None:
        __tracebackhide__ = True
        run(item)

    verify_case.pytestmark = marks_of(class_of(entry))  # type: ignore[attr-defined]  # where pytest looks for marks
    # No `originalname`: pytest 9 makes the id of an item from it, so that all dtypes would have one id.
    item: CaseItem = CaseItem.from_parent(collector, name=free_name(collector, name, entry), callobj=verify_case)
    item.entry, item.runs = entry, runs
    return item


def _verify(case: Case, item: CaseItem) -> None:
    __tracebackhide__ = True
    from gradverify.examination import examine

    reports = [examine(case, run) for run in item.runs]
    item.stash[REPORTS] = reports
    failed = [report for report in reports if not report.passed]
    if failed:
        raise failure_of(failed, options_of(item.config).style)


def _refuse(error: GradverifyError, _: CaseItem) -> None:
    __tracebackhide__ = True
    raise error


def _make_case(entry: object) -> Case:
    if isinstance(entry, Case):
        return entry
    if not is_case_class(entry):
        raise InvalidCase(f"CASES lists {entry!r}; expected cases, such as LinearRegression(samples=10_000)")
    try:
        return entry()
    except GradverifyError:
        raise
    except Exception as error:
        raise InvalidCase(
            f"{entry.__name__}() raised {type(error).__name__}: {error}; give every argument a default, or set "
            f"`__test__ = False` on the class and list a case in CASES, such as {entry.__name__}(...)"
        ) from error


def _runs_of(collector: _Collector, case: Case) -> list[Configuration]:
    """The configurations of a case: the command line over the marks, the closest first, the case, the ini file.

    Raises:
        UsageError: for a mark that does not fit.
    """
    from gradverify.configuration import configurations

    marks = [*reversed(marks_of(type(case))), *collector.iter_markers()]
    if any(mark.name == "parametrize" for mark in marks):
        name = type(case).__name__
        raise UsageError(
            f"{name}: `parametrize` gives arguments to functions, and a case has none; list the case once for each set "
            f"of sizes instead: CASES = [{name}(...), {name}(...)]"
        )
    options = options_of(collector.config)
    marked = marker_settings(mark for mark in marks if mark.name == "gradverify")
    overrides = options.overrides.over(marked)
    return configurations(case, overrides, options.defaults, detailed=options.html is not None)


def marks_of(cls: type) -> list[pytest.Mark]:
    """The marks of a class as pytest collects them: its bases' first."""
    marks: list[pytest.Mark] = []
    for one in reversed(cls.__mro__):
        own = vars(one).get("pytestmark", [])
        own = own if isinstance(own, list) else [own]
        marks += [mark.mark if isinstance(mark, pytest.MarkDecorator) else mark for mark in own]
    return marks


def free_name(collector: _Collector, name: str, entry: object) -> str:
    """The name, or the name and a number where another entry of the file has it."""
    owners = collector.stash.setdefault(_OWNERS, {})
    candidates = chain([name], (f"{name[:-1]}-{number}]" for number in count(2)))
    return next(one for one in candidates if owners.setdefault(one, entry) is entry)


def _is_own(collector: _Collector, name: str, cls: type[Case]) -> bool:
    """Whether a class is a case of this very file, under its own name; warns of one that lacks a method."""
    module = collector.module.__name__
    if name != cls.__name__ or cls.__module__ != module or collector.path.name == "conftest.py":
        return False
    # A class that others derive from is a base, and lacks what they define.
    if not is_complete(cls) and not cls.__subclasses__() and getattr(cls, "__test__", True):
        missing = " and ".join(sorted(cls.__abstractmethods__))
        collector.warn(pytest.PytestCollectionWarning(f"{name} is not verified: it does not define {missing}"))
    return is_collected(cls, module)


def class_of(entry: object) -> type:
    """The class of what was collected, which is one itself or a case."""
    return entry if isinstance(entry, type) else type(entry)
