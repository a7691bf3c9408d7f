"""The results of a benchmark, as data: how long each pass of a case takes, and what it keeps in memory."""

from __future__ import annotations

from dataclasses import dataclass

from gradverify.report import Failure


@dataclass(frozen=True)
class Ratio:
    """How many times as long as the first pass another takes: the median over pairs, and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ratios:
    """The ratios of a pass to the first one, phase by phase."""

    forward: Ratio
    backward: Ratio
    both: Ratio


@dataclass(frozen=True)
class Timing:
    """One pass of a case, forward and backward.

    Attributes:
        name: "manual" and "autograd"; of a FunctionCase "candidate", "reference" and "compiled".
        forward, backward, both: the median time of each phase, in seconds.
        kept: how many bytes lie between the two phases: what autograd saves, what the hand-derived pass holds in `t`.
        peak: how many bytes are allocated at most, beyond what was there before; None where nothing counts them.
        ratios: to the first pass; None for that itself.
    """

    name: str
    forward: float
    backward: float
    both: float
    kept: int
    peak: int | None = None
    ratios: Ratios | None = None


@dataclass(frozen=True)
class Benchmark:
    """What timing one case at one dtype, device, seed and set of sizes has shown.

    Attributes:
        case, dtype, device, seed, sizes: what was timed.
        resized: the names of the sizes that are not the defaults of the case.
        threads: of the CPU, to which every pass was held.
        pairs: how often each pass was timed next to the others.
        timings: the hand-derived pass, or the candidate, first.
        notes: what the numbers include that is not obvious.
        error: why the case was not timed, None where it was.
    """

    case: str
    dtype: str
    device: str
    seed: int
    sizes: dict[str, int]
    resized: tuple[str, ...] = ()
    threads: int = 1
    pairs: int = 0
    timings: tuple[Timing, ...] = ()
    notes: tuple[str, ...] = ()
    error: Failure | None = None

    @property
    def passed(self) -> bool:
        """Whether it was timed."""
        return self.error is None
