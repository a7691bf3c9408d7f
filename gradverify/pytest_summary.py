"""What the tests found: gathered from every process, shown at the end of the session, written to a file.

pytest imports this module in every session, so it imports others of the package only once there is a report.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from gradverify.pytest_options import options_of, paths_of

if TYPE_CHECKING:
    from pathlib import Path

    # pytest gives its reporter to hooks, but does not export the class.
    from _pytest.terminal import TerminalReporter

    from gradverify.report import Environment, Report

# The reports of a test, while it runs.
REPORTS = pytest.StashKey["list[Report]"]()

# How many of them have left its process.
_SENT = pytest.StashKey[int]()

# The name under which they leave its process, as one JSON string; JUnit files show it as a property.
_PROPERTY = "gradverify"


def attach_reports(item: pytest.Item, when: str) -> None:
    """Hand the reports of a test, if it made some, to whoever reads its outcome: xdist's controller, JUnit.

    Args:
        item: the test.
        when: its phase that has ended: "setup", "call" or "teardown".
    """
    reports = item.stash.get(REPORTS, None)
    # The phases of a test share its properties, so the teardown has something to add only rarely.
    if not reports or (when != "call" and item.stash.get(_SENT, 0) == len(reports)):
        return
    from gradverify.render.json import render_json

    document = render_json(reports, _environment_with(*sorted({report.device for report in reports})))
    # On one line: a line break in an attribute of XML takes five characters.
    document = json.dumps(json.loads(document), separators=(",", ":"))
    item.user_properties[:] = [one for one in item.user_properties if one[0] != _PROPERTY]
    item.user_properties.append((_PROPERTY, document))
    item.stash[_SENT] = len(reports)


@functools.cache
def _environment_with(*devices: str) -> Environment:
    from gradverify.environment import describe_environment

    return describe_environment(devices)


@dataclass(frozen=True)
class _Outcome:
    """What a test reported, and whether it failed."""

    document: str
    failed: bool


# What a test reported, in which environment, and whether it failed.
_Document = tuple["Environment", "list[Report]", bool]


class Summary:
    """Keeps what each test reported, in the process that talks to the user."""

    def __init__(self) -> None:
        self._outcomes: dict[str, _Outcome] = {}
        self._documents: list[_Document] = []
        self._problem: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of a test: those of its last phase, and of its last attempt where something reruns it."""
        for name, value in report.user_properties:
            if name == _PROPERTY:
                before = self._outcomes.get(report.nodeid)
                failed_before = report.when == "teardown" and before is not None and before.failed
                self._outcomes[report.nodeid] = _Outcome(str(value), report.failed or failed_before)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Read what was reported, and write the files that were asked for."""
        if self._outcomes:
            from gradverify.render.json import read_json

            # In an order that does not depend on which process ran a test when.
            self._documents = [(*read_json(one.document), one.failed) for _, one in sorted(self._outcomes.items())]
        json_path, html_path = paths_of(session.config)
        if not (json_path or html_path) or session.config.getoption("collectonly"):
            return
        from gradverify.errors import UsageError

        try:
            self._write(json_path, html_path)
        except UsageError as error:
            self._problem = error.message
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def _write(self, json_path: Path | None, html_path: Path | None) -> None:
        from gradverify.artifact import write_whole

        reports = [report for _, reports, _ in self._documents for report in reports]
        environment = _merge([one for one, _, _ in self._documents])
        if json_path is not None:
            from gradverify.render.json import render_json

            write_whole(str(json_path), render_json(reports, environment))
        if html_path is not None:
            from gradverify.render.html import render_html

            write_whole(str(html_path), render_html(reports, environment))

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter, config: pytest.Config) -> None:
        """Show the section, if any test reported something."""
        if self._documents:
            from gradverify.pytest_section import Told, show_section

            options = options_of(config)
            told = [Told(report, failed) for _, reports, failed in self._documents for report in reports]
            show_section(terminalreporter, told, options.shown, options.style)
        if self._problem is not None:
            terminalreporter.write_line(f"gradverify: {self._problem}", red=True, bold=True)


def _merge(environments: Sequence[Environment]) -> Environment:
    """The environment of the first test, with the devices of all."""
    if not environments:
        return _environment_without_torch()
    devices = {name: model for one in environments for name, model in one.devices.items()}
    return replace(environments[0], devices=dict(sorted(devices.items())))


def _environment_without_torch() -> Environment:
    """The environment of a session that checked no gradient, for which torch is not to be imported."""
    from gradverify import __version__
    from gradverify.report import Environment

    return Environment(
        gradverify=__version__,
        torch="not imported",
        python=platform.python_version(),
        platform=platform.platform(),
        threads=0,
    )
