"""What an oracle says of a gradient, as data: reports hold it, and renderers show it without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradverify.word import Word


class Stance(Word):
    """How an oracle stands to a gradient. A string, so that it prints and serialises as its value."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    SUBGRADIENT = "subgradient"  # the function has a kink here, and the gradient lies between the slopes of both sides
    KINK = "kink"  # there are kinks, and it cannot be told whether the gradient fits them
    INCONCLUSIVE = "inconclusive"  # measured, but not sharply enough to tell right from wrong
    ABSENT = "does not apply"

    @property
    def is_measured(self) -> bool:
        """Whether an error bar belongs to it."""
        return self is not Stance.ABSENT


_SAYS = {
    Stance.AGREES: "agrees",
    Stance.DISAGREES: "disagrees",
    Stance.SUBGRADIENT: "finds a kink",
    Stance.KINK: "finds kinks",
    Stance.INCONCLUSIVE: "cannot tell",
    Stance.ABSENT: "does not apply",
}


@dataclass(frozen=True)
class Witness:
    """What one oracle says of one gradient.

    Attributes:
        oracle: its name.
        stance: what it says.
        error: its error bar: an element that is off by less may go unnoticed; nan where nothing was measured.
        evaluations: how many times it ran the forward.
        reason: why it does not apply or cannot tell, or what else there is to know.
        index: of the element that it disagrees with, or that lies at a kink; None where there is no such one.
        claimed: what the gradient says there, or along a line where there is no index; nan where nothing is shown.
        measured: what the oracle says there, with `error` as its bar; at a kink, the mean of both sides.
    """

    oracle: str
    stance: Stance
    error: float = math.nan
    evaluations: int = 0
    reason: str = ""
    index: tuple[int, ...] | None = None
    claimed: float = math.nan
    measured: float = math.nan

    def __str__(self) -> str:
        """One line, such as "finite_difference disagrees at [3, 7]: 0.5 claimed, 1 ± 2.0e-12 measured"."""
        text = f"{self.oracle} {_SAYS[self.stance]}"
        if self.stance is Stance.ABSENT:
            return f"{text}: {self.reason}"
        if math.isnan(self.measured):
            text += f" ± {self.error:.1e}"
        else:
            where = f" at {list(self.index)}" if self.index else ""
            digits = 6 if f"{self.claimed:.6g}" != f"{self.measured:.6g}" else 12
            text += (
                f"{where}: {self.claimed:.{digits}g} claimed, {self.measured:.{digits}g} ± {self.error:.1e} measured"
            )
        return f"{text} ({self.reason})" if self.reason else text
