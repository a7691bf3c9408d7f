"""Other sizes for a case: many mistakes show only at stride 2, at padding 0, or where no two sizes are alike."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradverify.case import Bounds, Case, bounds_of, sizes_of, with_sizes
from gradverify.errors import CaseRaised, UsageError
from gradverify.function_case import FunctionCase
from gradverify.report import Report, Row
from gradverify.verdict import Verdict

if TYPE_CHECKING:
    import torch

# A size grows up to this above its least value: a block of 64 has a tail then, and tensors stay small.
_WIDEST = 67
# At least so many steps of a size that is a multiple of something: five blocks of 8 are the 40 of a tail of 32.
_MOST_STEPS = 8
# A default of 0 is that of a padding or an offset, which is small beside the size that it belongs to.
_LARGEST_PADDING = 5
# The product of all sizes, which tensors seldom exceed, is at most this, or that of the defaults.
_MOST_ELEMENTS = 2**16
# Where there are no more combinations than these, all of them are looked at before any is said not to exist.
_MOST_ENUMERATED = 10_000
# Where there are more, a further one is looked for so many times, after some of them anywhere.
_MOST_TRIES = 300
_TRIES_AMONG_KNOWN = 100

# What rounding in float64 leaves of terms of the size of the inputs, about 1, that cancel.
_ROUNDING_OF_ZERO = 2.0**-40

# What mends an error at sizes that the case was not written for.
FITTING = (
    "sweep: if these sizes do not fit each other, say so: size(8, low=3, multiple_of=2) bounds one, valid() refuses "
    "several, and a function that draws inputs may raise"
)

# What a size is tried at, in this order: one above a power of two (a tail), two, primes, the powers of two, one less.
_DIMENSIONS = (33, 2, 7, 32, 17, 5, 65, 3, 1, 13, 64, 9, 31, 4, 11, 16, 67, 8, 63, 23, 6, 15, 47, 10, 61, 12)
# A default of at most this is that of a stride, a padding, a dilation, which no other size is mixed up with.
_LARGEST_MODIFIER = 1
_MODIFIERS = (2, 0, 1, 3, 5)
# A default below this is that of a kernel, a batch, a number of heads: its neighbours say most.
_LEAST_DIMENSION = 5
_KNOBS = (2, 0, 3, 1, 5, 33, 4, 8, 7, 17, 65, 9, 16, 11, 32, 6, 13, 31)


@dataclass(frozen=True)
class Sweep:
    """A case at several sizes.

    Attributes:
        cases: the case itself first, no two of them alike.
        notes: why they are fewer than was asked for, and what was passed over, a sentence each.
    """

    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()


def check_count(count: int) -> None:
    """Check that so many combinations can be asked for.

    Raises:
        UsageError: if they cannot.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UsageError(f"sweep: expected how many combinations of sizes to run, 1 or more; got {count!r}")


def excuse(report: Report) -> Report:
    """The report of a swept case without the failures that sizes such as 1 make of a right gradient.

    A softmax of one element has no gradient, a normalised vector of one only what rounding leaves of it, and one
    negative number shows nothing of a relu: nobody chose these inputs. At the case's own sizes all of that fails.
    """
    return dataclasses.replace(report, rows=tuple(_excused(row) for row in report.rows))


def _excused(row: Row) -> Row:
    if row.passed:
        return row
    if row.verdict in (Verdict.VACUOUS, Verdict.INCONCLUSIVE):
        return dataclasses.replace(row, passed=True)
    # No element of the reference is other than zero, so that no noise could be measured.
    is_zero = row.verdict is Verdict.WRONG and row.coverage is None and row.worst is not None
    if is_zero and row.worst is not None and abs(row.worst.candidate) <= _ROUNDING_OF_ZERO:
        return dataclasses.replace(row, verdict=Verdict.VACUOUS, passed=True)
    return row


def sweep_sizes(case: Case, count: int, *, held: Set[str] = frozenset()) -> Sweep:
    """A case at so many combinations of its sizes, its own among them, always the same ones.

    They are ones, primes and values around powers of two, all different from each other; every second one changes a
    single size, and now and then all are alike. All are within the bounds of `size` and accepted by `valid`.

    Args:
        case: at the sizes to start from.
        count: how many combinations.
        held: the sizes that stay as they are.

    Raises:
        UsageError: for a count below 1, or a case whose sizes cannot be changed.
        CaseRaised: from what `valid` raised.
    """
    check_count(count)
    name = type(case).__name__
    defaults = sizes_of(case)
    free = {size: bounds for size, bounds in bounds_of(type(case)).items() if size not in held}
    if not free:
        what = "no sizes: its inputs have only one shape" if not defaults else "no size that is not held"
        return Sweep((case,), (f"sweep: {name} has {what}, so that there is nothing to vary",))
    with_sizes(case, defaults)  # whether they can be changed at all is told at once
    found = _Search(case, {size: _Range.of(bounds, defaults[size]) for size, bounds in free.items()})
    found.extend(count)
    notes = []
    if len(found.cases) < count:
        amount = "1 combination" if len(found.cases) == 1 else f"{len(found.cases)} combinations"
        notes.append(f"sweep: {amount} of the sizes of {name} {found.extent}, not {count}")
    if found.refused:
        refused = "1 combination was" if found.refused == 1 else f"{found.refused} combinations were"
        notes.append(f"sweep: {refused} passed over because {name} cannot be made at them; {found.reason}")
    return Sweep(tuple(found.cases), tuple(notes))


@dataclass(frozen=True)
class _Range:
    """The values of one size.

    Attributes:
        default: what it starts from.
        grid: all that it may take; ranked: those that show most, in their order.
    """

    default: int
    grid: range
    ranked: Sequence[int]

    @classmethod
    def of(cls, bounds: Bounds, default: int) -> _Range:
        """The values within some bounds."""
        step = bounds.multiple_of
        widest = _LARGEST_PADDING if default == 0 and step == 1 else bounds.low - 1 + _WIDEST
        first = -(-bounds.low // step) * step
        grid = range(first, max(default, widest, _MOST_STEPS * step if step > 1 else 0) + 1, step)
        known: Sequence[int] = _DIMENSIONS
        if abs(default) < _LEAST_DIMENSION * step:
            known = _MODIFIERS if abs(default) <= _LARGEST_MODIFIER else _KNOBS
        powers = [2**power + one for power in range(7, grid[-1].bit_length()) for one in (1, 0, -1)]
        # A least size of 100 is no reason to try nothing but the largest: what is known is counted from there too.
        proposed = [factor * step + start for start in dict.fromkeys((0, first - step)) for factor in (*known, *powers)]
        ranked = [one for one in dict.fromkeys(proposed) if one in grid]
        return cls(default, grid, ranked or list(grid[:_MOST_ENUMERATED]))

    @property
    def is_modifier(self) -> bool:
        """Whether it is none of a tensor's own sizes, as far as its default tells."""
        return abs(self.default) <= _LARGEST_MODIFIER

    def nearest(self, value: int) -> int:
        """The value of the grid that is nearest."""
        place = round((value - self.grid[0]) / self.grid.step)
        return self.grid[min(max(place, 0), len(self.grid) - 1)]


class _Search:
    """The combinations that were found so far.

    Attributes:
        cases: at each of them.
        refused: how many raised when the case was made; reason: what the first of them raised.
        extent: how far the search went.
    """

    def __init__(self, case: Case, ranges: Mapping[str, _Range]) -> None:
        self.cases = [case]
        self.refused = 0
        self.reason = ""
        self.extent = "were found that valid() accepts"
        self._case = case
        self._ranges = ranges
        self._chance = random.Random(0)
        self._used: Counter[tuple[str, int]] = Counter()
        defaults = {name: one.default for name, one in ranges.items()}
        self._budget = max(_MOST_ELEMENTS, _product(defaults.values()))
        self._seen = {tuple(defaults.values())}
        self._count(defaults)

    def extend(self, count: int) -> None:
        """Look for combinations until there are so many."""
        self._try({name: one.grid[0] for name, one in self._ranges.items()}, count)
        failures = 0
        for number in itertools.count():
            if len(self.cases) >= count or failures > _MOST_TRIES:
                break
            accepted = self._try(self._propose(number, failures), count)
            failures = 0 if accepted else failures + 1
        if math.prod(len(one.grid) for one in self._ranges.values()) <= _MOST_ENUMERATED:
            self.extent = "exist"
            for sizes in self._all():
                self._try(sizes, count)

    def _propose(self, number: int, failures: int) -> dict[str, int]:
        """The next combination: all sizes different, one of them changed, or now and then all alike."""
        # Modifiers first: a stride of 2 says more than any size that it is taken from.
        names = sorted(self._ranges, key=lambda name: not self._ranges[name].is_modifier)
        # One in eight: a few mistakes show only where sizes are alike, most where they differ.
        if number % 8 == 7:
            largest = int(self._budget ** (1 / len(names)))
            alike = self._chance.choice([one for one in _DIMENSIONS if one <= largest])
            return {name: one.nearest(alike) for name, one in self._ranges.items()}
        if number % 2 and len(names) > 1:
            chosen = {name: one.default for name, one in self._ranges.items()}
            picks = {name: self._pick(name, chosen, set(), failures) for name in names}
            name = min(picks, key=lambda name: self._familiarity(name, picks[name], failures))
            return {**chosen, name: picks[name]}
        self._chance.shuffle(names)
        picked: dict[str, int] = {}
        for name in names:
            rest = {other: self._ranges[other].grid[0] for other in names if other not in picked}
            taken = {value for other, value in picked.items() if not self._ranges[other].is_modifier}
            taken = set() if self._ranges[name].is_modifier else taken
            picked[name] = self._pick(name, {**rest, **picked}, taken, failures)
        return {name: picked[name] for name in self._ranges}

    def _pick(self, name: str, others: Mapping[str, int], taken: set[int], failures: int) -> int:
        """The value of a size that was tried least, beside the others; the more by chance, the longer none fits."""
        beside = _product(value for other, value in others.items() if other != name)
        grid, known = self._ranges[name].grid, self._ranges[name].ranked
        if failures > _TRIES_AMONG_KNOWN:
            known = [*known, self._chance.choice(grid)]
        fitting = [one for one in known if beside * max(1, abs(one)) <= self._budget]
        free = [one for one in fitting if one not in taken] or fitting or [grid[0]]
        return min(free, key=lambda value: self._familiarity(name, value, failures))

    def _familiarity(self, name: str, value: int, failures: int) -> tuple[float, int]:
        """How often a size was tried at a value, and how little that shows; blurred where nothing has fitted."""
        ranked = self._ranges[name].ranked
        rank = ranked.index(value) if value in ranked else len(ranked)
        return self._used[name, value] + failures * self._chance.random(), rank

    def _all(self) -> Iterator[dict[str, int]]:
        for values in itertools.product(*(one.grid for one in self._ranges.values())):
            yield dict(zip(self._ranges, values, strict=True))

    def _try(self, sizes: dict[str, int], count: int) -> bool:
        """Add the case at these sizes, if it is new and they fit."""
        values = tuple(sizes.values())
        if len(self.cases) >= count or values in self._seen or _product(values) > self._budget:
            return False
        self._seen.add(values)
        made = self._made(sizes)
        if made is None:
            return False
        self.cases.append(made)
        self._count(sizes)
        return True

    def _made(self, sizes: Mapping[str, int]) -> Case | None:
        try:
            made = with_sizes(self._case, sizes)
            if isinstance(made, FunctionCase) and made.call is not None:
                # The function that draws the inputs of a call of `verify` has no `valid` beside it.
                made.inputs(_generator())
        except CaseRaised:
            raise
        except UsageError:  # what `valid` refuses
            return None
        except Exception as error:  # from the case's own __post_init__, or that function
            shown = ", ".join(f"{name}={value}" for name, value in sizes.items())
            self.reason = self.reason or f"at {shown} it raised {type(error).__name__}: {error}"
            self.refused += 1
            return None
        return made

    def _count(self, sizes: Mapping[str, int]) -> None:
        self._used.update(sizes.items())


def _generator() -> torch.Generator:
    # Imported only here: a case at several sizes is made without torch.
    import torch

    return torch.Generator()


def _product(values: Iterable[int]) -> int:
    return math.prod(max(1, abs(value)) for value in values)
