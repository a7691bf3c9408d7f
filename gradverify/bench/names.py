"""What stands in for Trace and Gradients while a pass is timed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from gradverify.errors import NotDerived


class Names:
    """Tensors by name, as attributes and as items; nothing is checked and nothing recorded.

    The tensors are the attributes of a plain object, so that `t.h` costs what any attribute does, some nanoseconds
    (a `__getattr__` would make it forty); where a name is that of a method, the tensor comes first. Under Trace and
    Gradients, which look for the line of each access, a small pass takes ten times as long: that is the price of
    verifying it, and no part of it.
    """

    def __init__(self, values: Mapping[str, Tensor | None]) -> None:
        # One by one: asking for __dict__ would make a dictionary of what Python keeps in the object itself, and every
        # access slower. Only names like __class__ mean something to Python.
        for name, value in values.items():
            if name.startswith("__"):
                self.__dict__[name] = value
            else:
                setattr(self, name, value)

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self.__dict__[name]  # type: ignore[no-any-return]  # only tensors are put there
        except KeyError:
            # What Gradients raises, should a backward look whether a gradient is there; an attribute does so by itself.
            raise NotDerived(f"no tensor {name!r}") from None

    def __setitem__(self, name: str, value: Tensor) -> None:
        self.__dict__[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)


def tensors_of(names: Names) -> dict[str, Tensor]:
    """The tensors by name."""
    return {name: value for name, value in vars(names).items() if value is not None}
