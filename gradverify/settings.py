"""What can be set for a case, from four places: command line, marker, the case itself, ini file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from gradverify.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from gradverify.oracles.estimate import Oracle

_Value = TypeVar("_Value")

DTYPES = ("float32", "float64", "bfloat16", "float16")
# By name, so that a wrong one is refused before anything runs; `gradverify.oracles` makes them.
AUTOGRAD = "autograd"
ORACLES = (AUTOGRAD, "finite_difference", "forward_mode", "complex_step", "scalar")


@dataclass(frozen=True)
class Settings:
    """One layer of settings; None leaves a setting to the layer below.

    Attributes:
        dtypes: the working precisions to verify at; devices: where; seeds: of the inputs, a run each.
        oracles: who says what a gradient should be, by name or made with options of its own: the first gives the
            reference, the others are witnesses. Autograd is the first of a list that does not name it.
        strict: imprecise gradients fail.
        partial: gradients not yet derived do not fail, and reading one gives the reference.
        constants: floating inputs that are not differentiated.
        known: (gradient, dtype) to the reason why it is known to fail.
        expected_zero: gradients that are zero in exact arithmetic.
    """

    dtypes: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    oracles: tuple[str | Oracle, ...] | None = None
    strict: bool | None = None
    partial: bool | None = None
    constants: frozenset[str] | None = None
    known: Mapping[tuple[str, str], str] | None = None
    expected_zero: frozenset[str] | None = None

    def over(self, lower: Settings) -> Settings:
        """These settings, and those of `lower` where this layer says nothing."""
        mine = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return dataclasses.replace(lower, **{name: value for name, value in mine.items() if value is not None})


NOTHING = Settings()
NAMES = tuple(field.name for field in dataclasses.fields(Settings))

# The seed is that of the founding cases, so that their figures are what a first run shows.
DEFAULTS = Settings(
    dtypes=("float32",),
    devices=("cpu",),
    seeds=(111111,),
    oracles=(AUTOGRAD,),
    strict=False,
    partial=False,
    constants=frozenset(),
    known={},
    expected_zero=frozenset(),
)


def has_witnesses(settings: Settings) -> bool:
    """Whether any oracle is heard besides the one that gives the reference."""
    return len(settings.oracles or ()) > 1


def read_settings(raw: Mapping[str, object]) -> Settings:
    """Settings from loosely typed values, as a class body or a marker gives them.

    A single value stands for a sequence of one; dtypes may be torch's. None is as if it were not given.

    Raises:
        UsageError: for an unknown setting, or a value that does not fit it.
    """
    values: dict[str, object] = {}
    for name, value in raw.items():
        if name not in NAMES:
            raise UsageError(f"unknown setting {name!r}; {did_you_mean(name, NAMES)}")
        if value is not None:
            values[name] = _READERS[name](name, value)
    return Settings(**values)  # type: ignore[arg-type]  # each reader returns its field's type


def _dtypes(name: str, value: object) -> tuple[str, ...]:
    dtypes = tuple(str(one).removeprefix("torch.") for one in _several(value))
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise UsageError(f"{name}: {dtype!r} is not a floating dtype that can be verified; {_one_of(DTYPES)}")
    return _unrepeated(name, dtypes)


def _devices(name: str, value: object) -> tuple[str, ...]:
    return _unrepeated(name, tuple(str(one) for one in _several(value)))


def _seeds(name: str, value: object) -> tuple[int, ...]:
    seeds = []
    for one in _several(value):
        if isinstance(one, bool) or not isinstance(one, int):
            raise UsageError(f"{name}: expected an integer or several, got {one!r}")
        if not -(2**63) <= one < 2**64:  # what torch.Generator.manual_seed takes
            raise UsageError(f"{name}: {one} does not fit in 64 bits")
        seeds.append(one)
    return _unrepeated(name, tuple(seeds))


def _oracles(name: str, value: object) -> tuple[str | Oracle, ...]:
    oracles: dict[str, str | Oracle] = {}
    for one in _several(value):
        if not isinstance(one, str) and not _is_oracle(one):
            shown = f"the class {one.__name__}, make one: {one.__name__}()" if isinstance(one, type) else repr(one)
            raise UsageError(f"{name}: expected the names of oracles, or oracles themselves, got {shown}")
        if isinstance(one, str) and one not in ORACLES:
            raise UsageError(f"{name}: there is no oracle {one!r}; {did_you_mean(one, ORACLES)}")
        called = one if isinstance(one, str) else one.name
        if oracles.setdefault(called, one) != one:
            raise UsageError(f"{name}: two of them are called {called!r}; one at a time can be heard")
    if not oracles:
        raise UsageError(f"{name}: expected at least one, got none")
    if AUTOGRAD not in oracles:
        oracles = {AUTOGRAD: AUTOGRAD, **oracles}
    return tuple(oracles.values())


def _is_oracle(value: object) -> TypeGuard[Oracle]:
    return not isinstance(value, type) and all(hasattr(value, one) for one in ("name", "gradients", "check"))


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name}: expected True or False, got {value!r}")
    return value


def _names(name: str, value: object) -> frozenset[str]:
    names = set()
    for one in _several(value):
        if not isinstance(one, str):
            raise UsageError(f"{name}: expected names of tensors, got {one!r}")
        names.add(one)
    return frozenset(names)


def _known(name: str, value: object) -> Mapping[tuple[str, str], str]:
    shape = f'{name}: expected {{("b", "bfloat16"): "why"}}, gradient and dtype to the reason'
    if not isinstance(value, Mapping):
        raise UsageError(f"{shape}, got {type(value).__name__}")
    known: dict[tuple[str, str], str] = {}
    for key, reason in value.items():
        if not (isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str)):
            raise UsageError(f"{shape}, got the key {key!r}")
        known.update({(key[0], dtype): str(reason) for dtype in _dtypes(name, key[1])})
    return known


def _several(value: object) -> tuple[object, ...]:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(value)
    return (value,)


def _unrepeated(name: str, values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    if not values:
        raise UsageError(f"{name}: expected at least one, got none")
    return tuple(dict.fromkeys(values))


def _one_of(names: Iterable[str]) -> str:
    return f"it is one of {', '.join(names)}"


_READERS = {
    "dtypes": _dtypes,
    "devices": _devices,
    "seeds": _seeds,
    "oracles": _oracles,
    "strict": _flag,
    "partial": _flag,
    "constants": _names,
    "known": _known,
    "expected_zero": _names,
}
