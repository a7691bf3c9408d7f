"""What stands in for Trace and Gradients while a pass is timed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NoReturn

from torch import Tensor

from gradverify.errors import NotDerived


class Names:
    """Tensors by name, as attributes and as items; nothing is checked and nothing recorded.

    The tensors are the attributes of a plain object, so that `t.h` costs what any attribute does (about 20 ns); where
    a name is that of a method, the tensor comes first. Under Trace and Gradients, which look for the line of each
    access, a small backward takes many times as long: that is the price of verifying it, and no part of it.
    """

    def __init__(self, values: Mapping[str, Tensor | None]) -> None:
        self.__dict__.update(values)

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self.__dict__[name]  # type: ignore[no-any-return]  # only tensors are put there
        except KeyError:
            self.__getattr__(name)

    def __setitem__(self, name: str, value: Tensor) -> None:
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> NoReturn:
        # What Gradients raises, should a backward look whether a gradient is there.
        raise NotDerived(f"no tensor {name!r}")

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)


def tensors_of(names: Names) -> dict[str, Tensor]:
    """The tensors by name."""
    return {name: value for name, value in vars(names).items() if value is not None}
