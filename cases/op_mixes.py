"""Two mixes of operations on a few numbers, in which most values are used more than once."""

import torch

from gradverify import Case, Gradients, Trace


class FirstMix(Case):
    r"""z = 2 x + 2 + x; q = relu(z) + z x; h = relu(z^2); y = h + q + q x, at x = -4.

    With d.v for dy/dv:

        y      = h + q + q x      d.h      = d.y
                                  d.q      = (1 + x) * d.y
                                  d.x      = q * d.y, one contribution
        h      = relu(square)     d.square = d.h where square > 0, else 0
        square = z z              d.z      = 2 z * d.square, one contribution
        q      = relu(z) + z x    d.z     += x * d.q, and + d.q where z > 0
                                  d.x     += z * d.q, another
        z      = 2 x + 2 + x      d.x     += 3 * d.z, the last
    """

    dtypes = "float64"

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:  # noqa: ARG002  # nothing is drawn
        return {"x": torch.tensor(-4.0)}

    def forward(self, t: Trace) -> torch.Tensor:
        t.z = 2 * t.x + 2 + t.x
        t.q = torch.relu(t.z) + t.z * t.x
        t.square = t.z * t.z
        t.h = torch.relu(t.square)
        t.y = t.h + t.q + t.q * t.x
        return t.y

    def backward(self, t: Trace, d: Gradients) -> None:
        d.h = d.y
        d.q = (1 + t.x) * d.y
        d.square = d.h * (t.square > 0)
        d.z = 2 * t.z * d.square + t.x * d.q + d.q * (t.z > 0)
        d.x = t.q * d.y + t.z * d.q + 3 * d.z


class SecondMix(Case):
    r"""g = f/2 + 10/f with f = (c3 - d3)^2, at a = -4, b = 2; c and d are built up in three steps each.

    With d.v for dg/dv:

        g  = f/2 + 10/f                     d.f   = (1/2 - 10/f^2) * d.g
        f  = e^2                            d.e   = 2 e * d.f
        e  = c3 - d3                        d.c3  = d.e
                                            d.d3  = -d.e
        d3 = d2 + 3 d2 + relu(b - a)        d.d2  = 4 * d.d3
                                            d.b   = d.d3 where b > a, else 0;  d.a = -d.b
        d2 = d1 + 2 d1 + relu(b + a)        d.d1  = 3 * d.d2
                                            d.b  += d.d2 where b + a > 0;  d.a likewise
        c3 = c2 + 1 + c2 - a                d.c2  = 2 * d.c3
                                            d.a  -= d.c3
        c2 = c1 + c1 + 1                    d.c1  = 2 * d.c2
        d1 = a b + b^3                      d.a  += b * d.d1
                                            d.b  += (a + 3 b^2) * d.d1
        c1 = a + b                          d.a  += d.c1
                                            d.b  += d.c1
    """

    dtypes = "float64"

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:  # noqa: ARG002  # nothing is drawn
        return {"a": torch.tensor(-4.0), "b": torch.tensor(2.0)}

    def forward(self, t: Trace) -> torch.Tensor:
        t.c1 = t.a + t.b
        t.d1 = t.a * t.b + t.b**3
        t.c2 = t.c1 + t.c1 + 1
        t.c3 = t.c2 + 1 + t.c2 + (-t.a)
        t.d2 = t.d1 + 2 * t.d1 + torch.relu(t.b + t.a)
        t.d3 = t.d2 + 3 * t.d2 + torch.relu(t.b - t.a)
        t.e = t.c3 - t.d3
        t.f = t.e**2
        t.g = t.f / 2 + 10 / t.f
        return t.g

    def backward(self, t: Trace, d: Gradients) -> None:
        d.f = (1 / 2 - 10 / t.f**2) * d.g
        d.e = 2 * t.e * d.f
        d.c3 = d.e
        d.d3 = -d.e
        d.d2 = 4 * d.d3
        d.d1 = 3 * d.d2
        d.c2 = 2 * d.c3
        d.c1 = 2 * d.c2
        through_difference = d.d3 * (t.b > t.a)
        through_sum = d.d2 * (t.b + t.a > 0)
        d.a = d.c1 + t.b * d.d1 - d.c3 + through_sum - through_difference
        d.b = d.c1 + (t.a + 3 * t.b**2) * d.d1 + through_sum + through_difference
