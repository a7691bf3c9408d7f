"""The ways to run a case: one dtype, device and seed each, with the settings that judge."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TypedDict

from gradverify.case import Case, changed_sizes, settings_of, sizes_of
from gradverify.settings import DEFAULTS, NOTHING, Settings


@dataclass(frozen=True)
class Configuration:
    """One way to run a case: a dtype, a device, a seed, and the settings that judge.

    `quick` runs the working precision alone. `swept` says that the sizes are not the case's own, but those of a sweep.
    `detailed` gathers what a page shows and a terminal cannot: where in the tensor the errors are, how many there are
    of each size, the source around the statement, the graph.
    """

    dtype: str
    device: str
    seed: int
    settings: Settings = DEFAULTS
    _: KW_ONLY
    quick: bool = False
    swept: bool = False
    detailed: bool = False


class Identity(TypedDict):
    """What tells the results of one run from those of another; the names are those of `Report` and `Benchmark`."""

    case: str
    dtype: str
    device: str
    seed: int
    sizes: dict[str, int]
    resized: tuple[str, ...]


def identity_of(case: Case, configuration: Configuration) -> Identity:
    """What the results of a case in a configuration begin with, as in `Report(**identity_of(case, configuration))`."""
    return Identity(
        case=type(case).__name__,
        dtype=configuration.dtype,
        device=configuration.device,
        seed=configuration.seed,
        sizes=sizes_of(case),
        resized=tuple(changed_sizes(case)),
    )


def configurations(
    case: Case,
    overrides: Settings = NOTHING,
    defaults: Settings = NOTHING,
    *,
    quick: bool = False,
    detailed: bool = False,
) -> list[Configuration]:
    """Every way to run a case: the product of its devices, dtypes and seeds.

    Args:
        case: its own settings lie between the two others.
        overrides: what the command line or a marker says.
        defaults: what an ini file says.
        quick: run the working precision alone.
        detailed: gather what only a page shows.
    """
    settings = overrides.over(settings_of(case)).over(defaults).over(DEFAULTS)
    return [
        Configuration(dtype, device, seed, settings, quick=quick, detailed=detailed)
        for device in settings.devices or ()
        for dtype in settings.dtypes or ()
        for seed in settings.seeds or ()
    ]
