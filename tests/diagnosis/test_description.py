"""What is told of an error that no rule explains."""

import torch

from diagnosis.planted import subjects
from gradverify import Case
from gradverify.diagnosis import describe_error


class Scaled(Case):
    """y = x / sqrt(s + eps)."""

    __test__ = False

    def inputs(self, generator):
        return {"x": torch.randn(4, generator=generator), "s": torch.rand(4, generator=generator) + 1}

    def forward(self, t):
        t.y = t.x * (t.s + 1e-5) ** -0.5
        return t.y

    def backward(self, t, d):
        d.x = d.y * (t.s + 1e-5) ** -0.5
        d.s = -0.5 * d.y * t.x * t.s**-1.5


class Halved(Scaled):
    """No digit is right."""

    def backward(self, t, d):
        super().backward(t, d)
        d.s = -0.5 * d.y * t.x.exp() * t.s**-1.5


def test_what_agrees_to_some_digits_is_told_what_to_look_for():
    """A forgotten epsilon leaves some digits right; of an error that leaves none, only its size is told."""
    hint = describe_error(subjects(Scaled())["s"])
    assert "relative error 1.1e-05: it agrees to 4 digits, so look for a truncated constant, an epsilon or" in hint
    assert hint.endswith("a witness tells in which (--oracle finite_difference)")
    assert "digits" not in describe_error(subjects(Halved())["s"])
