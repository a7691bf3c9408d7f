"""Cases run one after the other, such that none hides what the others found."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gradverify.configuration import identity_of
from gradverify.location import raised_at
from gradverify.render.summary import Outcome
from gradverify.report import Failure, Report

if TYPE_CHECKING:
    from gradverify.commands.plan import Planned
    from gradverify.loader import Broken
    from gradverify.progress import Progress

# The kind of a failure that is gradverify's own.
INTERNAL = "InternalError"


@contextlib.contextmanager
def foreign_code() -> Iterator[None]:
    """While the user's code runs, what it prints goes to stderr: stdout holds the reports and nothing else."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def run_all(planned: Sequence[Planned], broken: Sequence[Broken], progress: Progress) -> Iterator[Outcome]:
    """The outcome of everything that was to run, as it becomes known; what could not be loaded comes first."""
    for one in broken:
        yield Outcome(report_of(one), 0.0)
        progress.finish()
    for each in planned:
        progress.start(each.label)
        started = time.perf_counter()
        report = _examine(each)
        yield Outcome(report, time.perf_counter() - started)
        progress.finish()


def report_of(broken: Broken) -> Report:
    """The report of what could not be loaded, and so ran nowhere."""
    return Report(broken.name, dtype="", device="", seed=0, sizes={}, error=broken.failure)


def _examine(planned: Planned) -> Report:
    from gradverify.examination import examine

    case, configuration = planned.found.case, planned.configuration
    try:
        with foreign_code():
            return examine(case, configuration)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Report(**identity_of(case, configuration), error=failure_of(error))


def failure_of(error: BaseException) -> Failure:
    """What is left to tell once `examine` has told what a case got wrong."""
    shown = traceback.format_exc().rstrip()
    if isinstance(error, Exception):
        message = f"gradverify itself failed with {type(error).__name__}: {error}; please report this"
        return Failure(INTERNAL, message, traceback=shown)
    # Only the user's code raises SystemExit, or what pytest.skip does.
    where = raised_at(error.__traceback__)
    return Failure(
        type(error).__name__,
        f"the case raised {type(error).__name__}: {error}; a case is not the place to end the program",
        where.file if where else None,
        where.line if where else None,
        shown,
    )
