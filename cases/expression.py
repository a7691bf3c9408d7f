"""Expressions of a few numbers, whose derivatives can be checked by hand and by difference quotients."""

import torch

from gradverify import Case, Gradients, Trace


class Expression(Case):
    r"""f = -a^3 + sin(3 b) - 1/c + b^2.5 - a^0.5, at a = 2, b = 3, c = 4.

    With d.v for df/dv:

        f       = -cube + sine - inverse + power - root
                                  d.sine    = d.power = d.f
                                  d.cube    = d.inverse = d.root = -d.f
        cube    = a^3             d.a       = 3 a^2 * d.cube, one contribution
        root    = a^0.5           d.a      += d.root / (2 root), the other
        sine    = sin(angle)      d.angle   = cos(angle) * d.sine
        angle   = 3 b             d.b       = 3 * d.angle, one contribution
        power   = b^2.5           d.b      += 2.5 b^1.5 * d.power, the other
        inverse = 1/c             d.c       = -inverse^2 * d.inverse
    """

    dtypes = "float64"

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:  # noqa: ARG002  # nothing is drawn
        return {"a": torch.tensor(2.0), "b": torch.tensor(3.0), "c": torch.tensor(4.0)}

    def forward(self, t: Trace) -> torch.Tensor:
        t.cube = t.a**3
        t.angle = 3 * t.b
        t.sine = torch.sin(t.angle)
        t.inverse = 1 / t.c
        t.power = t.b**2.5
        t.root = t.a**0.5
        t.f = -t.cube + t.sine - t.inverse + t.power - t.root
        return t.f

    def backward(self, t: Trace, d: Gradients) -> None:
        d.cube = -d.f
        d.sine = d.f
        d.inverse = -d.f
        d.power = d.f
        d.root = -d.f
        d.angle = torch.cos(t.angle) * d.sine
        d.a = 3 * t.a**2 * d.cube + d.root / (2 * t.root)
        d.b = 3 * d.angle + 2.5 * t.b**1.5 * d.power
        d.c = -(t.inverse**2) * d.inverse


class Parabola(Case):
    r"""f = 2 x^2 + 3 x - 4 at its vertex, x = -3/4.

    With d.v for df/dv:

        f      = 2 square + 3 x - 4    d.square = 2 * d.f
        square = x^2                   d.x      = 2 x * d.square + 3 * d.f = (4 x + 3) * d.f

    At the vertex the two contributions to d.x cancel exactly.
    """

    dtypes = "float64"
    expected_zero = "x"

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:  # noqa: ARG002  # nothing is drawn
        return {"x": torch.tensor(-0.75)}

    def forward(self, t: Trace) -> torch.Tensor:
        t.square = t.x**2
        t.f = 2 * t.square + 3 * t.x - 4
        return t.f

    def backward(self, t: Trace, d: Gradients) -> None:
        d.square = 2 * d.f
        d.x = 2 * t.x * d.square + 3 * d.f


class ProductAndSum(Case):
    r"""f = a b + c at a = 2, b = -3, c = 12.

    With d.v for df/dv:

        f       = product + c    d.product = d.c = d.f
        product = a b            d.a       = b * d.product
                                 d.b       = a * d.product
    """

    dtypes = "float64"

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:  # noqa: ARG002  # nothing is drawn
        return {"a": torch.tensor(2.0), "b": torch.tensor(-3.0), "c": torch.tensor(12.0)}

    def forward(self, t: Trace) -> torch.Tensor:
        t.product = t.a * t.b
        t.f = t.product + t.c
        return t.f

    def backward(self, t: Trace, d: Gradients) -> None:
        d.product = d.f
        d.c = d.f
        d.a = t.b * d.product
        d.b = t.a * d.product
