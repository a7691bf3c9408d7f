"""The pytest plugin: what pytest calls.

It imports neither torch nor anything of the package that does, so that a session without cases pays nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradverify.pytest_options import add_options, check_options, options_of
from gradverify.pytest_summary import Summary, attach_reports

if TYPE_CHECKING:
    from gradverify.pytest_fixture import GradverifyFixture

_FIXTURE = pytest.StashKey["GradverifyFixture"]()

_MARKER = (
    "gradverify(*, dtypes, devices, seeds, oracles, strict, partial, constants, known, expected_zero): settings for "
    "the cases, or the tests with the fixture gradverify, below it"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and their ini keys."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and gather what the tests report."""
    check_options(config)
    config.addinivalue_line("markers", _MARKER)
    if not hasattr(config, "workerinput"):  # a worker of xdist leaves that to the process that talks to the user
        config.pluginmanager.register(Summary(), "gradverify-summary")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the files of `gradverify_paths` that pytest would pass over because of their names."""
    if parent.session.isinitpath(file_path):  # named on the command line: pytest collects it whatever its name
        return None
    return pytest_pycollect_makemodule(file_path, parent)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Import these files as the command line does; test files are left to pytest, which rewrites their asserts."""
    if not _is_case_file(module_path, parent.config):
        return None
    from gradverify.pytest_items import CaseModule

    return CaseModule.from_parent(parent, path=module_path)


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Sequence[pytest.Item] | None:
    """Turn a Case into items; None leaves everything else to pytest."""
    # Nobody has a case who has not imported its base.
    if "gradverify.case" not in sys.modules:
        return None
    from gradverify.pytest_items import make_items

    items = make_items(collector, name, obj)
    if not items or not options_of(collector.config).benchmark:
        return items
    from gradverify.pytest_benchmark import make_benchmarks

    return [*items, *make_benchmarks(items)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the fixture once for each dtype, device and seed that it is asked to run at."""
    if "gradverify" in metafunc.fixturenames or metafunc.definition.get_closest_marker("gradverify") is not None:
        from gradverify.pytest_fixture import parametrize

        parametrize(metafunc)


@pytest.fixture(name="gradverify")
def _gradverify(request: pytest.FixtureRequest) -> Generator[GradverifyFixture, None, None]:
    """Check gradients: `.cmp` gathers rows and fails once, at the end; `.check` and `.verify` as in gradverify."""
    from gradverify.pytest_fixture import make_fixture

    fixture = make_fixture(request)
    request.node.stash[_FIXTURE] = fixture
    yield fixture
    fixture.finish()  # what other fixtures compared after the test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test at its end if a row of the fixture's `.cmp` did."""
    __tracebackhide__ = True
    fixture = item.stash.get(_FIXTURE, None)
    try:
        result = yield
    except BaseException:
        if fixture is not None:
            fixture.finish_after_error()
        raise
    if fixture is not None:
        fixture.finish()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send the reports of a test along with its outcome, and show of an error the user's own lines alone."""
    attach_reports(item, call.when)
    if call.excinfo is None or "gradverify.errors" not in sys.modules:
        return (yield)
    from gradverify.errors import GradientMismatch, GradverifyError
    from gradverify.pytest_failure import without_own_frames

    error = call.excinfo.value
    if not isinstance(error, (GradientMismatch, GradverifyError)):
        return (yield)
    shown = without_own_frames(error.__traceback__)
    if shown is not None and not item.config.getoption("fulltrace"):
        call.excinfo = pytest.ExceptionInfo.from_exc_info((type(error), error, shown))
    report = yield
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        # All that the short summary shows: without the name of the error in front, more of the story fits.
        crash.message = str(error).partition("\n")[0]
    return report


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """Say in one line how many cases were collected."""
    if "gradverify.pytest_items" not in sys.modules or config.get_verbosity() < 0:
        return None
    from gradverify.pytest_items import describe_collection

    return describe_collection(items)


def _is_case_file(path: Path, config: pytest.Config) -> bool:
    """Whether a file lies in a folder of `gradverify_paths` and is no test file; a conftest holds no cases."""
    folders: list[Path] = config.getini("gradverify_paths")
    if path.suffix != ".py" or path.name == "conftest.py" or not any(path.is_relative_to(one) for one in folders):
        return False
    patterns: list[str] = config.getini("python_files")
    return not any(path.match(one) for one in patterns)
