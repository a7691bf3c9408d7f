"""Names for the constants that a gradient is off by: a size, its root, n / (n - 1), a small fraction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gradverify.diagnosis.subject import Subject

# Numerators and denominators of the plain fractions: exponents, averages of two or three, a half.
_SMALL = range(1, 7)
# A constant is recognised to this relative difference; whether it is right is then checked on the gradient.
_NEAR = 1e-6


@dataclass(frozen=True)
class Constant:
    """A positive number that has a name.

    Attributes:
        value: the number.
        text: how it is written, such as "10", "1/10" or "sqrt(10)".
        inverse: how one over it is written.
        where: where its size is found, such as "10 is `samples`"; empty for a number that is none.
    """

    value: float
    text: str
    inverse: str
    where: str


def name_constant(value: float, subject: Subject, *, sizes_only: bool) -> Constant | None:
    """The simplest name of a positive number: a size of the case, its root and the like, or a small fraction.

    Args:
        value: the number.
        subject: whose sizes are meant.
        sizes_only: leave the fractions out, but for 2 and 1/2.
    """
    for constant in _constants(subject, sizes_only):
        if abs(constant.value - value) <= _NEAR * value:
            return constant
    return None


def _constants(subject: Subject, sizes_only: bool) -> Iterator[Constant]:
    places = {size: f"{size} is {' or '.join(found)}" for size, found in _places(subject).items()}
    for size, where in places.items():
        yield from _of_size(size, where)
    for size, where in places.items():
        if size > 3:
            less = f"{size - 1} is {size} - 1, and {where}"
            yield from (_fraction(size - 1, 1, less), _fraction(1, size - 1, less))
    yield from (_fraction(2, 1), _fraction(1, 2))
    if sizes_only:
        return
    for above in _SMALL:
        for below in _SMALL:
            if math.gcd(above, below) == 1 and above != below:
                yield _fraction(above, below)
    for size, where in places.items():
        for factor in (2, 3, 4):
            for above, below in ((size, factor), (factor, size), (factor * size, 1), (1, factor * size)):
                if math.gcd(above, below) == 1:
                    yield _fraction(above, below, where)


def _of_size(size: int, where: str) -> Iterator[Constant]:
    yield _fraction(size, 1, where)
    yield _fraction(1, size, where)
    for above, below in ((size, size - 1), (size - 1, size)):
        yield _fraction(above, below, where)
    root = math.sqrt(size)
    if not root.is_integer():
        yield Constant(root, f"sqrt({size})", f"1/sqrt({size})", where)
        yield Constant(1 / root, f"1/sqrt({size})", f"sqrt({size})", where)
    yield _fraction(size**2, 1, where)
    yield _fraction(1, size**2, where)


def _fraction(above: int, below: int, where: str = "") -> Constant:
    return Constant(above / below, _spell(above, below), _spell(below, above), where)


def _spell(above: int, below: int) -> str:
    return str(above) if below == 1 else f"{above}/{below}"


def _places(subject: Subject) -> dict[int, list[str]]:
    """Where each number above 2 occurs as a size: the fields of the case, then the shapes of other sizes."""
    places: dict[int, list[str]] = {}
    for name, size in subject.sizes.items():
        places.setdefault(size, []).append(f"`{name}`")
    for name in dict.fromkeys((subject.name, *subject.values)):
        value = subject.values[name]
        for dimension, size in enumerate(value.shape):
            places.setdefault(size, [f"the length of dimension {dimension} of `{name}`"])
        places.setdefault(value.numel(), [f"the number of elements of `{name}`"])
    return {size: found for size, found in places.items() if size > 2}
