"""The inputs of a case: drawn from a seed, checked, and rounded to the working dtype once for every pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradverify.case import Case
from gradverify.entry import describe
from gradverify.errors import EmptyTensor, InvalidInputs
from gradverify.location import Location
from gradverify.scope import defined_at, own_copy, user_code


@dataclass(frozen=True)
class Inputs:
    """The inputs of a case, rounded to the working dtype; every pass starts from a copy of them.

    Attributes:
        case: the case as `inputs` left it, its own tensors rounded likewise.
        values: by name; None passes through.
        differentiated: the names of those with a gradient.
        cotangent_seed: of the generator that draws the cotangents.
    """

    case: Case
    values: dict[str, Tensor | None]
    differentiated: frozenset[str]
    cotangent_seed: int
    device: torch.device


def draw_inputs(case: Case, seed: int, dtype: torch.dtype, device: torch.device, constants: frozenset[str]) -> Inputs:
    """The inputs for a seed, at the working dtype and on the device.

    Raises:
        InvalidInputs: if they are no mapping of names to tensors, or none has a gradient.
        EmptyTensor: if one has no element.
    """
    generator = torch.Generator().manual_seed(seed)
    where = defined_at(case, "inputs")
    # The generator is on the CPU whatever the device, so that a seed means the same everywhere.
    # Half precisions are rounded to afterwards: drawing in them gives few distinct numbers, and much of what an
    # `inputs` may call does not exist for them.
    drawn_at = dtype if dtype == torch.float64 else torch.float32
    own = own_copy(case, drawn_at, torch.device("cpu"))
    with user_code(case, "inputs", drawn_at, torch.device("cpu")):
        drawn: object = own.inputs(generator)
        if not isinstance(drawn, Mapping):
            raise InvalidInputs(f"inputs returned {describe(drawn)}; expected a mapping such as {{'x': x}}", where)
        for name, value in drawn.items():
            _check_input(name, value, where)
        for name in sorted(constants - set(drawn)):
            raise InvalidInputs(f"`constants` names {name!r}, which is no input; inputs: {', '.join(drawn)}", where)
        floating = {name for name, value in drawn.items() if value is not None and value.is_floating_point()}
        if not floating - constants:
            shown = ", ".join(f"{name} ({describe(value)})" for name, value in drawn.items())
            raise InvalidInputs(
                "no input has a gradient: at least one must be a floating tensor that is not in `constants`; "
                f"got {shown or 'no inputs at all'}",
                where,
            )
    values = {
        name: None if value is None else value.detach().to(device, dtype if name in floating else value.dtype)
        for name, value in drawn.items()
    }
    cotangent_seed = int(torch.randint(2**62, (), generator=generator, device="cpu"))
    rounded = own_copy(own, dtype, torch.device("cpu"))
    return Inputs(rounded, values, frozenset(floating - constants), cotangent_seed, device)


def _check_input(name: object, value: object, where: Location) -> None:
    if not isinstance(name, str):
        raise InvalidInputs(f"inputs: a name is a string, got {name!r}", where)
    if value is None:
        return
    if not isinstance(value, Tensor):
        raise InvalidInputs(
            f"inputs: {name!r} is {describe(value)}, expected a tensor: torch.tensor(...) makes one, and plain "
            "numbers are fields of the case",
            where,
        )
    if value.layout is not torch.strided:
        raise InvalidInputs(
            f"inputs: {name!r} is {str(value.layout).removeprefix('torch.')}; pass its values and indices as dense "
            "tensors and build the sparse one in forward",
            where,
        )
    if value.is_complex():
        raise InvalidInputs(
            f"inputs: {name!r} is complex; gradients are compared for real tensors, so pass its real and imaginary "
            "parts and build the complex one in forward",
            where,
        )
    if value.numel() == 0:
        raise EmptyTensor(
            f"inputs: {name!r} has no elements (shape {tuple(value.shape)}), so that nothing can be compared: "
            "choose sizes of at least 1",
            where,
        )
