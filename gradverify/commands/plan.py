"""What a command works on: the arguments that select cases, and the cases and configurations they select."""

from __future__ import annotations

import dataclasses
import itertools
import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from gradverify.configuration import Configuration, configurations
from gradverify.errors import UsageError, did_you_mean
from gradverify.location import shorten
from gradverify.render import spelling
from gradverify.settings import NOTHING, Settings

if TYPE_CHECKING:
    from gradverify.loader import Found

# Where cases are looked for if the user names no place.
DEFAULT_TARGET = "cases"


@dataclass(frozen=True)
class Planned:
    """A case in one configuration."""

    found: Found
    configuration: Configuration

    @property
    def label(self) -> str:
        """The case as pytest names its item: "LinearRegression[samples=100-float32]"."""
        from gradverify.case import changed_sizes

        case = self.found.case
        sizes = [f"{name}={value}" for name, value in changed_sizes(case).items()]
        return f"{type(case).__name__}[{'-'.join([*sizes, self.configuration.dtype])}]"

    @property
    def names(self) -> tuple[str, ...]:
        """What `-k` matches."""
        return (self.label, shorten(self.found.location.file), self.configuration.device)


def add_selection_arguments(parser: ArgumentParser) -> None:
    """Declare the targets and `-k`."""
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="PATH",
        help="a file, a folder, a dotted module or an entry point of gradverify.cases; PATH::CaseName is one case of "
        f"it (default: the folder {DEFAULT_TARGET!r})",
    )
    parser.add_argument(
        "-k",
        dest="expression",
        metavar="EXPRESSION",
        default="",
        help="only what matches, as in pytest: parts of Case[dtype], file and device, joined by and, or, not",
    )


def targets_of(options: Namespace) -> list[str]:
    """The targets that the user named, or the default one.

    Raises:
        UsageError: if there is neither.
    """
    if options.targets:
        return list(options.targets)
    if os.path.isdir(DEFAULT_TARGET):
        return [DEFAULT_TARGET]
    raise UsageError(
        f"no PATH was given, and there is no folder {DEFAULT_TARGET!r} here; name a file, a folder or a module"
    )


def parse_size(text: str) -> tuple[str, tuple[int, ...]]:
    """The name and the values of `name=10,100`; `1e3` is 1000.

    Raises:
        ArgumentTypeError: for anything else.
    """
    name, equals, values = text.partition("=")
    try:
        numbers = tuple(_integer(value) for value in values.split(","))
    except (ValueError, ArithmeticError):
        numbers = ()
    if not (name and equals and numbers):
        raise ArgumentTypeError(f"expected a name and integers, such as samples=10,100; got {text!r}")
    return name, numbers


def resize(found: Sequence[Found], sizes: Iterable[tuple[str, tuple[int, ...]]]) -> list[Found]:
    """Each case once for every combination of the sizes that it has.

    Raises:
        UsageError: for a size that no case has, or a value that one cannot have.
    """
    from gradverify.case import sizes_of, with_sizes
    from gradverify.loader import Found

    values: dict[str, list[int]] = {}
    for name, numbers in sizes:
        values.setdefault(name, []).extend(numbers)
    known = {name for one in found for name in sizes_of(one.case)}
    for name in values:
        if found and name not in known:
            raise UsageError(f"--size: no case has a size {name!r}; {did_you_mean(name, sorted(known))}")
    return [
        Found(with_sizes(one.case, combination), one.location)
        for one in found
        for combination in _combinations({name: values[name] for name in sizes_of(one.case) if name in values})
    ]


def parse_count(text: str) -> int:
    """How many combinations of sizes `--sweep` asks for.

    Raises:
        ArgumentTypeError: for what is no integer of 1 or more.
    """
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise ArgumentTypeError(f"expected how many combinations of sizes to run, 1 or more; got {text!r}")
    return count


def sweep(found: Sequence[Found], count: int | None, held: Iterable[str]) -> tuple[list[Found], list[str]]:
    """Each case at so many combinations of its sizes, itself first; and what there is to say of them.

    Args:
        found: the cases.
        count: how many combinations; None for the case alone.
        held: the sizes that stay as they are.

    Raises:
        UsageError: for a case whose sizes cannot be changed.
    """
    if count is None:
        return list(found), []

    from gradverify.loader import Found
    from gradverify.sweep import sweep_sizes

    swept: list[Found] = []
    notes: list[str] = []
    names = frozenset(held)
    for one in found:
        several = sweep_sizes(one.case, count, held=names)
        swept += [one, *(Found(case, one.location, swept=True) for case in several.cases[1:])]
        notes += several.notes
    return swept, list(dict.fromkeys(notes))


def plan(
    found: Iterable[Found],
    expression: str,
    overrides: Settings = NOTHING,
    *,
    quick: bool = False,
    detailed: bool = False,
) -> list[Planned]:
    """Every configuration of the cases that the expression selects.

    Raises:
        UsageError: for a malformed expression.
    """
    from gradverify.selection import Selection

    selection = Selection(expression)
    planned = [
        Planned(one, dataclasses.replace(each, swept=one.swept))
        for one in found
        for each in configurations(one.case, overrides, quick=quick, detailed=detailed)
    ]
    return [one for one in planned if selection.selects(one.names)]


def nothing_selected(targets: Sequence[str], amount: int, expression: str) -> str:
    """Why nothing is left, of so many cases, for the user to mend it."""
    where = ", ".join(targets)
    if amount:
        return f"nothing selected: -k {expression!r} matches none of {spelling.several(amount, 'case')} in {where}"
    return (
        f"nothing selected: {where} holds no case; a case is a subclass of gradverify.Case that defines inputs, "
        "forward and backward, in the file itself or listed in its CASES"
    )


def _integer(text: str) -> int:
    """An integer, written as such or like 1e3 or 2.5e3; bounded, so that 1e999999 takes no time to refuse."""
    number = Decimal(text)
    if not (number == number.to_integral_value() and abs(number) < 2**63):
        raise ValueError
    return int(number)


def _combinations(values: Mapping[str, Iterable[int]]) -> list[dict[str, int]]:
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
