"""What the pytest plugin can be told: each command-line option has a key in the ini file.

pytest imports this module in every session, so it imports others of the package only once an option is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from gradverify.render.summary import Shown
    from gradverify.render.table import Style
    from gradverify.settings import Settings

# The type of an ini key, and how the option of the same name is given on the command line.
_ACTIONS = {"string": "store", "args": "append", "bool": "store_true"}


# Name, type and help of each option.
_OPTIONS: tuple[tuple[str, Literal["string", "args", "bool"], str], ...] = (
    (
        "report",
        "string",
        "what the section at the end shows: failed, a line a failing report; all, every table; none, no section; "
        "auto (the default), a line a report, of more than ten only those that did not simply pass",
    ),
    ("format", "string", "the format of the tables, one of tabulate's or markdown"),
    ("dtype", "args", "verify at this dtype; may be repeated"),
    ("device", "args", "verify on this device; may be repeated"),
    ("seed", "args", "draw the inputs from this seed; may be repeated"),
    ("oracle", "args", "hear this oracle as a witness; may be repeated"),
    ("sweep", "string", "verify every case at so many combinations of its sizes, its own first"),
    ("strict", "bool", "a gradient that is right but imprecise fails"),
    ("partial", "bool", "a gradient that is not derived yet does not fail"),
    ("json", "string", "write every report to this file"),
    ("html", "string", "write a page that shows every report to this file"),
    ("benchmark", "bool", "time each case next to autograd too, as items of pytest-benchmark"),
)


@dataclass(frozen=True)
class Options:
    """The options of a session, read and checked.

    Attributes:
        report: which reports the section at the end shows.
        table_format: the format of the tables; None for the default one.
        json: the file to write the reports to, if any; html: the same for the page.
        benchmark: whether each case is timed, too.
        overrides: settings from the command line.
        defaults: settings from the ini file.
        sweep: at how many combinations of its sizes a case is verified; None for its own alone.
    """

    report: str
    table_format: str | None
    json: Path | None
    html: Path | None
    benchmark: bool
    overrides: Settings
    defaults: Settings
    sweep: int | None

    @property
    def shown(self) -> Shown:
        """Which reports the section at the end shows."""
        from gradverify.render.summary import Shown

        return Shown(self.report)

    @property
    def style(self) -> Style:
        """The layout of tables, without colours: what fails in a worker of xdist is printed elsewhere."""
        from gradverify.render.table import Style

        return Style(self.table_format) if self.table_format else Style()


_READ = pytest.StashKey[Options]()


def add_options(parser: pytest.Parser) -> None:
    """Declare the options; all but the flags are strings, which `options_of` parses."""
    group = parser.getgroup("gradverify", "hand-derived gradients")
    for name, kind, text in _OPTIONS:
        # None says "not given", so that the layer below decides.
        group.addoption(f"--gradverify-{name}", action=_ACTIONS[kind], default=None, help=text)
        parser.addini(f"gradverify_{name}", text, type=kind, default=None)
    parser.addini(
        "gradverify_paths", "folders whose files are searched for cases whatever their names", type="paths", default=[]
    )


def check_options(config: pytest.Config) -> None:
    """Read the options if any was given, so that a wrong one ends the session before it starts.

    Raises:
        pytest.UsageError: for a value that does not fit its option.
    """
    if any(config.getoption(f"gradverify_{name}") or config.getini(f"gradverify_{name}") for name, _, _ in _OPTIONS):
        options_of(config)


def paths_of(config: pytest.Config) -> tuple[Path | None, Path | None]:
    """The files for the reports, as JSON and as a page, as far as they were asked for."""
    # Where nothing has been read, nothing was given: see `check_options`.
    options = config.stash.get(_READ, None)
    return (options.json, options.html) if options is not None else (None, None)


def options_of(config: pytest.Config) -> Options:
    """The options of the session; the command line wins over the ini file.

    Raises:
        pytest.UsageError: for a value that does not fit its option.
    """
    if _READ not in config.stash:
        config.stash[_READ] = _read_options(config)
    return config.stash[_READ]


def marker_settings(marks: Iterable[pytest.Mark]) -> Settings:
    """The settings of `@pytest.mark.gradverify(...)` marks, the closest first.

    Raises:
        UsageError: for an argument that is no setting, or a value that does not fit it.
    """
    from gradverify.errors import UsageError
    from gradverify.settings import NOTHING, read_settings

    settings = NOTHING
    for mark in marks:
        if mark.args:
            raise UsageError(
                f"@pytest.mark.gradverify takes settings by keyword, such as dtypes=[...]; got {mark.args[0]!r}"
            )
        try:
            settings = settings.over(read_settings(mark.kwargs))
        except UsageError as error:
            raise UsageError(f"@pytest.mark.gradverify: {error.message}") from None
    return settings


def _read_options(config: pytest.Config) -> Options:
    from gradverify.errors import UsageError

    given = {name: config.getoption(f"gradverify_{name}") for name, _, _ in _OPTIONS}
    ini = {name: config.getini(f"gradverify_{name}") for name, _, _ in _OPTIONS}
    try:
        return Options(
            report=_read_report(given["report"] or ini["report"]),
            table_format=_read_format(given["format"] or ini["format"]),
            json=_read_path(config, given["json"], ini["json"]),
            html=_read_path(config, given["html"], ini["html"]),
            benchmark=_read_benchmark(config, bool(given["benchmark"] or ini["benchmark"])),
            overrides=_settings_in(given),
            defaults=_settings_in(ini),
            sweep=_read_sweep(given["sweep"] or ini["sweep"]),
        )
    except UsageError as error:
        raise pytest.UsageError(f"gradverify: {error.message}") from None


def _read_report(text: str | None) -> str:
    if not text:
        return "auto"
    from gradverify.errors import UsageError
    from gradverify.render.summary import Shown

    if text not in list(Shown):
        raise UsageError(f"report: expected one of {', '.join(one.value for one in Shown)}, got {text!r}")
    return text


def _read_sweep(text: str | None) -> int | None:
    if not text:
        return None
    from gradverify.errors import UsageError
    from gradverify.sweep import check_count

    try:
        count = int(text)
    except ValueError:
        raise UsageError(f"sweep: expected an integer, got {text!r}") from None
    check_count(count)
    return count


def _read_format(text: str | None) -> str | None:
    if not text:
        return None
    from gradverify.render.table import Style

    return Style(text).format


def _read_path(config: pytest.Config, given: str | None, ini: str) -> Path | None:
    """The file for the reports: relative to the working folder, or to the root of the project from the ini file."""
    if not (given or ini):
        return None
    from gradverify.artifact import check_writable

    path = config.invocation_params.dir / given if given else config.rootpath / ini
    check_writable(str(path))
    return path


def _read_benchmark(config: pytest.Config, wanted: bool) -> bool:
    # As it is called where pytest finds it by itself, and where `-p` names it.
    if wanted and not any(config.pluginmanager.get_plugin(name) for name in ("benchmark", "pytest_benchmark.plugin")):
        from gradverify.errors import UsageError

        raise UsageError(
            "benchmark: pytest-benchmark is not active: leave out `-p no:benchmark`, or pip install pytest-benchmark"
        )
    return wanted


def _settings_in(values: Mapping[str, Any]) -> Settings:
    from gradverify.settings import read_settings

    return read_settings(
        {
            "dtypes": values["dtype"] or None,
            "devices": values["device"] or None,
            "seeds": [_read_seed(seed) for seed in values["seed"] or ()] or None,
            "oracles": values["oracle"] or None,
            "strict": values["strict"],
            "partial": values["partial"],
        }
    )


def _read_seed(text: str) -> int:
    from gradverify.errors import UsageError

    try:
        return int(text)
    except ValueError:
        raise UsageError(f"seed: expected an integer, got {text!r}") from None
