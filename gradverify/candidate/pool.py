"""Whether the working precision is used well, from so many elements that luck has no say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from gradverify.candidate.experiment import ASPECTS, Aspect, Experiment, Sample
from gradverify.candidate.noise import as_numbers
from gradverify.comparison import count_above, distance
from gradverify.judge import IMPRECISE_ACCURACY, WORST_ACCURACY, Accuracy, Judgement
from gradverify.verdict import Verdict

# On a tensor of few elements luck decides a ratio of two errors: up to 12 was measured for a right bias of one.
ENOUGH_ELEMENTS = 256
# No more seeds are run once so many elements have been, such as four of a million.
_MOST_ELEMENTS = 2**22


@dataclass
class Pooled:
    """The errors of one gradient or output over several seeds and upstream gradients.

    A gradient is linear in the upstream gradient: everything is divided by the largest element of that, so that what
    is pooled is of one size.

    Attributes:
        largest: the largest errors of candidate and reference.
        squares: the sums of their squares, and that of the exact values.
        scale: the largest exact value.
        elements: how many that are not zero were seen.
        spoilt: whether the candidate was not finite where the reference is.
        identical: whether both were always equal, bit for bit.
        shown_by: what showed the largest error of the candidate.
    """

    largest: tuple[float, float] = (0.0, 0.0)
    squares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 0.0
    elements: int = 0
    spoilt: bool = False
    identical: bool = True
    shown_by: Aspect = None

    def accuracies(self, unit: float) -> tuple[Accuracy, Accuracy]:
        """By the maximum, and by the root mean square."""
        own, other, exact = (math.sqrt(square / max(1, self.elements)) for square in self.squares)
        by_maximum, by_mean = (
            Accuracy(math.nan if self.spoilt else errors[0], errors[1], scale, explained=0.0, unit=unit)
            for errors, scale in ((self.largest, self.scale), ((own, other), exact))
        )
        return by_maximum, by_mean

    def judge(self, unit: float, dtype: str, own: float | None = None) -> Judgement:
        """The verdict from this evidence alone, of a candidate that does not run in float64.

        Args:
            unit: the unit roundoff of the working precision.
            dtype: its name.
            own: that of this gradient or output, where it is of a finer dtype.
        """
        limit = IMPRECISE_ACCURACY if self.elements >= ENOUGH_ELEMENTS else WORST_ACCURACY
        by_maximum, by_mean = self.accuracies(unit)
        allowed = limit * max(by_maximum.autograd_error, unit * self.scale)
        if self.spoilt:
            return Judgement(Verdict.NONFINITE, allowed, (f"in {dtype}",))
        if self.scale == 0.0:
            return Judgement(Verdict.VACUOUS if self.largest[0] == 0.0 else Verdict.WRONG, allowed)
        for accuracy, norm in ((by_maximum, "largest"), (by_mean, "root mean square")):
            ratio = accuracy.ratio
            if ratio is not None and not (ratio <= limit):
                hint = (
                    f"in {dtype} its {norm} error is {ratio:.3g} times that of the reference, over {self.elements} "
                    f"elements; at most {limit:g} times is allowed"
                )
                return Judgement(Verdict.WRONG, allowed, (hint,))
        ratio = self.accuracies(own)[0].ratio if own is not None and own < unit else None
        if ratio is not None and not (ratio <= limit):
            hint = (
                f"it is no more accurate than {dtype}, although its own dtype is finer: its error is {ratio:.3g} times "
                "that of the reference"
            )
            return Judgement(Verdict.IMPRECISE, allowed, (hint,))
        return Judgement(Verdict.EXACT if self.identical else Verdict.OK, allowed)

    def add(self, aspect: Aspect, sample: Sample, magnitude: float) -> None:
        """Add what one experiment shows of it, given the largest element of the upstream gradient."""
        own, other = (distance(as_numbers(one), sample.exact) for one in (sample.candidate, sample.reference))
        nonzero = count_above(sample.exact, 0.0)[1]
        counted = sample.exact.numel() - own.left_out
        errors = own.error / magnitude, other.error / magnitude
        if errors[0] > self.largest[0]:
            self.shown_by = aspect
        self.largest = max(self.largest[0], errors[0]), max(self.largest[1], errors[1])
        means = own.rms_error, other.rms_error, own.rms_scale
        own_square, other_square, exact_square = (counted * (mean / magnitude) ** 2 for mean in means)
        self.squares = (
            self.squares[0] + own_square,
            self.squares[1] + other_square,
            self.squares[2] + exact_square,
        )
        self.scale = max(self.scale, own.scale / magnitude)
        self.elements += nonzero
        self.spoilt = self.spoilt or own.nonfinite > other.nonfinite
        self.identical = self.identical and torch.equal(sample.candidate, sample.reference)


class Pool:
    """The pooled errors of every gradient and output of a candidate, gathered as they are asked for."""

    def __init__(self, first: Experiment, redraw: Callable[[int], Experiment]) -> None:
        """Start from an experiment; `redraw` makes another one for a number."""
        self._experiments = itertools.chain([first], map(redraw, range(1, ENOUGH_ELEMENTS)))
        self._pooled: dict[str, Pooled] = {
            name: Pooled() for name in (*first.reference.outputs, *first.reference.leaves)
        }
        self._outputs = first.reference.outputs.keys()
        self._work = 0

    def __getitem__(self, name: str) -> Pooled:
        """All that there is to know of one."""
        return self.until(name, lambda _: False)

    def until(self, name: str, settled: Callable[[Pooled], bool]) -> Pooled:
        """What is known of one once that settles it, enough elements were seen, or a further seed is too much work."""
        pooled = self._pooled[name]
        while pooled.elements < ENOUGH_ELEMENTS and self._work < _MOST_ELEMENTS:
            if pooled.elements and settled(pooled):
                break
            experiment = next(self._experiments, None)
            if experiment is None:
                break
            self._add(experiment)
        return pooled

    def _add(self, experiment: Experiment) -> None:
        lacking = {name for name, pooled in self._pooled.items() if pooled.elements < ENOUGH_ELEMENTS}
        aspects = [
            aspect for aspect in ASPECTS if lacking & (self._outputs if aspect is None else lacking - self._outputs)
        ]
        for aspect in aspects:
            for name, sample in experiment.samples(aspect, precise=False).items():
                if name in lacking:
                    self._pooled[name].add(aspect, sample, experiment.magnitude(aspect))
                    self._work += sample.exact.numel()
