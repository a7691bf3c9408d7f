"""What every rule of diagnosis is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gradverify.diagnosis.subject import Subject


class Mistake(ABC):
    """One mistake that people make, and how to recognise it."""

    @abstractmethod
    def explain(self, subject: Subject) -> str | None:
        """The sentence that the user reads; None unless undoing the mistake gives the reference."""


def fits(corrected: Tensor, reference: Tensor, allowed: float) -> bool:
    """Whether sampled elements, on the CPU, agree; the first test of an idea."""
    return bool(((corrected - reference).abs() <= allowed).all())


def is_uniform(tensor: Tensor) -> bool:
    """Whether all elements are alike, so that any formula that gives one of them gives all."""
    return tensor.numel() == 0 or torch.allclose(tensor, tensor[:1], rtol=1e-9, atol=0.0)


def spell_dims(dims: tuple[int, ...]) -> str:
    """Such as "dimension 0" or "dimensions 0 and 2"."""
    return f"dimension{'s' if len(dims) > 1 else ''} {' and '.join(map(str, dims))}"
