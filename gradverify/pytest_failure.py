"""Reports that failed, as an exception for pytest and as what pytest prints of it.

pytest has no public way to say where a failure lies, other than a frame that was running there. The private classes
below have kept their form since pytest 5, and xdist knows how to send them to its controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from _pytest._code.code import ReprEntry, ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from gradverify import errors
from gradverify.errors import GradientMismatch, GradverifyError
from gradverify.location import Location, is_users, shorten
from gradverify.render.table import Style, headline, render_table
from gradverify.report import Report


def failure_of(reports: Sequence[Report], style: Style) -> GradientMismatch | GradverifyError:
    """The exception for reports of one case that failed: the table of the first, a line for each other one."""
    first = reports[0]
    also = [f"also with seed {report.seed}: {headline(report)}" for report in reports[1:]]
    message = "\n".join([render_table(first, style=style), *also])
    if first.error is None:
        return GradientMismatch(message, first)
    where = Location(first.error.file, first.error.line or 1, first.case) if first.error.file else None
    # The error that the case made, so that `xfail(raises=...)` can name it.
    return getattr(errors, first.error.kind, GradverifyError)(message, where)


def represent(error: BaseException, case: Location) -> ReprExceptionInfo | None:
    """What pytest prints: the first line in its red, the rest as it is, last the line to mend.

    Args:
        error: what the item raised.
        case: the line on which the case is defined.

    Returns:
        None for an error that gradverify did not raise.
    """
    if isinstance(error, GradientMismatch):
        message, where = str(error), _line_to_mend(error.report)
    elif isinstance(error, GradverifyError):
        message, where = error.message, error.location
    else:
        return None
    where = where or case
    first, _, rest = message.partition("\n")
    crash = ReprFileLocation(shorten(where.file), where.line, first)
    place = ReprFileLocation(crash.path, crash.lineno, type(error).__name__)
    entries: list[ReprEntry | ReprEntryNative] = [ReprEntry([f"E   {first}"], None, None, place, "long")]
    if rest:
        opening = ReprEntry([f"E   {first}"], None, None, None, "short")
        entries = [opening, ReprEntryNative([f"{rest}\n"]), ReprEntry([], None, None, place, "long")]
    # pytest's short summary, and tools that annotate lines, show `crash` alone.
    return ReprExceptionInfo(ReprTraceback(entries, None, "long"), crash)


def without_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of gradverify and of torch, many of which `__tracebackhide__` cannot reach."""
    if traceback is None:
        return None
    rest = without_own_frames(traceback.tb_next)
    frame = traceback.tb_frame
    if not is_users(frame.f_code.co_filename):
        return rest
    return TracebackType(rest, frame, traceback.tb_lasti, traceback.tb_lineno)


def _line_to_mend(report: Report) -> Location | None:
    for row in report.failed_rows:
        if row.file is not None and row.line is not None:
            return Location(row.file, row.line, report.case)
    for clause in report.broken_clauses:
        if clause.file is not None and clause.line is not None:
            return Location(clause.file, clause.line, report.case)
    return None
