"""What a user can get wrong, one class a kind. Each message says what was expected, what came, how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradverify.location import Location

if TYPE_CHECKING:
    from gradverify.report import Report


class GradverifyError(Exception):
    """The base of every error that gradverify raises for something the user can mend.

    Attributes:
        message: what was expected, what came, and how to mend it.
        location: the line of the user's code, where one is to blame.
        case: the name of the case, once it is known.
    """

    def __init__(self, message: str, location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.case: str | None = None

    def __str__(self) -> str:
        case = f"{self.case}: " if self.case else ""
        where = f" ({self.location})" if self.location else ""
        return f"{case}{self.message}{where}"


class UsageError(GradverifyError):
    """A call or a command line that does not fit: an unknown option, a path that does not exist."""


class InvalidCase(GradverifyError, TypeError):
    """A case class that is not well formed: a field without default, a setting that does not fit."""


class InvalidInputs(GradverifyError, TypeError):
    """`inputs` did not return a mapping of names to tensors, or none of them is differentiable."""


class UnknownName(GradverifyError, AttributeError):
    """A name that no tensor of the case has."""


class NotATensor(GradverifyError, TypeError):
    """Something other than a tensor was assigned to a Trace or to Gradients."""


class InvalidName(GradverifyError, AttributeError):
    """A name that a tensor cannot have."""


class AssignedTwice(GradverifyError):
    """A name was assigned twice in one forward, so that its gradient would be ambiguous."""


class ChangedInPlace(GradverifyError):
    """A recorded tensor was changed after it was recorded."""


class InvalidOutput(GradverifyError):
    """`forward` returned nothing, something else than tensors, an unnamed tensor, or one without gradient."""


class NotDifferentiable(GradverifyError):
    """A gradient was assigned to a tensor that has none."""


class InvalidGradient(GradverifyError):
    """A gradient was assigned that cannot be compared: sparse, complex, or on another device than its tensor."""


class NotDerived(GradverifyError, AttributeError):
    """A gradient was read before it was derived."""


class NotDeterministic(GradverifyError):
    """Two runs of `forward` on the same inputs gave different values."""


class CapturedTensor(GradverifyError):
    """A tensor of another precision came from outside the case."""


class EmptyTensor(GradverifyError):
    """A tensor has no elements, so that nothing can be compared."""


class CaseRaised(GradverifyError):
    """The user's own code raised; the original exception is the cause and keeps its traceback."""


class GradientMismatch(AssertionError):
    """At least one gradient of a case is not right. `report` holds everything; the first line is the story."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type[GradientMismatch], tuple[str, Report]]:
        # An exception comes back from another process with its `args` alone.
        return type(self), (str(self), self.report)


# A line or two of a terminal.
_MOST_NAMES = 12
# Above the 0.6 from which difflib takes two names for near.
_NEAR = 0.7


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause that names the nearest of the known names, or lists them where they are few."""
    names = [str(one) for one in known]
    # Slips rarely change the first letter: what begins otherwise has to be nearer, or "tolerance" would be "oracles".
    alike = [one for one in names if one[:1] == name[:1] or _likeness(one, name) >= _NEAR]
    near = difflib.get_close_matches(name, alike, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    if not names:
        return "there are none"
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"known names: {shown}"
