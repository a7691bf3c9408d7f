"""The scalar engine as an oracle: the same forward on Values, for cases of single numbers."""

from __future__ import annotations

import pytest
import torch

from gradverify import Case
from gradverify.oracles.scalar import Scalar, ScalarTrace
from gradverify.witness import Stance
from oracles.samples import Cube, Waves, problem_of
from oracles.test_finite_difference import reference

ORACLE = Scalar()


class Numbers(Case):
    """Operators, torch's functions, methods, an integer, nothing at all, names in a loop, and two outputs."""

    __test__ = False

    constants = ("c",)

    def inputs(self, generator):
        x, y = torch.tensor(0.7), torch.tensor(-1.2)
        return {"x": x, "y": y, "c": torch.tensor(2.0), "k": torch.tensor(3), "none": None}

    def forward(self, t):
        t.s0 = t.x
        for i in range(int(t.k)):
            t[f"s{i + 1}"] = torch.sin(t[f"s{i}"]) * t.c
        t.p = t.s3**2 - 1 / t.y
        t.q = t.p.tanh() if t.none is None and "x" in t else t.p
        t.r = torch.relu(t.x) + abs(t.y)
        return t.q, t.r

    def backward(self, t, d):
        d.p = d.q * (1 - t.q**2)
        d.s3 = 2 * t.s3 * d.p
        for i in reversed(range(3)):
            d[f"s{i}"] = d[f"s{i + 1}"] * torch.cos(t[f"s{i}"]) * t.c
        d.x = d.s0 + d.r
        d.y = d.p / t.y**2 - d.r


class Wrong(Numbers):
    """Planted: a forgotten contribution."""

    def backward(self, t, d):
        super().backward(t, d)
        d.x = d.s0.clone()


def case_of(function, number=0.5):
    class One(Case):
        __test__ = False

        def inputs(self, generator):
            return {"x": torch.tensor(number)}

        def forward(self, t):
            t.y = function(t.x)
            return t.y

        def backward(self, t, d): ...

    return One()


@pytest.mark.parametrize("name", ["x", "y", "s0", "s1", "s3", "p", "q", "r"])
def test_every_number_of_a_case(name):
    """Inputs, intermediates and outputs, from one run."""
    problem = problem_of(Numbers())
    expected = problem.cotangents[name] if name in problem.outputs else reference(problem, name)
    witness = ORACLE.check(problem, name, expected)
    assert witness.stance is Stance.AGREES, str(witness)
    assert witness.error < 1e-13
    # tanh saturates here, and 1 - q^2 has lost three digits: what is off by less is rounding.
    assert ORACLE.check(problem, name, expected * (1 + 1e-10)).stance is Stance.DISAGREES


def test_a_forgotten_contribution_is_found():
    """The engine has it."""
    problem = problem_of(Wrong())
    assert ORACLE.check(problem, "x", reference(problem)).stance is Stance.DISAGREES


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Waves(), "the scalar engine takes cases whose tensors are all 0-dimensional; x has shape (5,)"),
        (case_of(lambda x: x.expand(3).sum()), "the forward raised AttributeError"),
        (case_of(lambda x: x * torch.tensor(2.0)), "*: expected a Value, an int or a float, got torch.Tensor"),
        (case_of(torch.erf), "the scalar engine does not have torch's erf: write it in terms of abs, add"),
        (case_of(lambda x: 1 / torch.exp(x * 2000)), "exp(1000.0) exceeds the largest float"),
        (case_of(lambda x: x.detach() * x), "the forward raised AttributeError: 'Value' object has no attribute"),
    ],
)
def test_where_it_does_not_apply(case, reason):
    """It says what the engine does not have, and where."""
    problem = problem_of(case)
    witness = ORACLE.check(problem, "x", torch.zeros_like(problem.values["x"]))
    assert witness.stance is Stance.ABSENT
    assert witness.reason.startswith(reason)


def test_a_custom_function_is_seen_through():
    """Its forward runs on the engine's numbers, its backward does not run at all."""
    problem = problem_of(case_of(Cube.apply))
    assert ORACLE.check(problem, "x", torch.tensor(0.75).double()).stance is Stance.AGREES
    assert ORACLE.check(problem, "x", torch.tensor(0.5).double()).stance is Stance.DISAGREES


def test_an_intermediate_that_is_no_number():
    """All of them have to be."""

    class Stacked(Numbers):
        def forward(self, t):
            t.both = torch.stack([t.x, t.y])
            t.loss = t.both.sum()
            return t.loss

    witness = ORACLE.check(problem_of(Stacked()), "x", torch.ones(()).double())
    assert witness.reason.endswith("both has shape (2,)")


def test_the_trace_of_values():
    """By attribute and by key, as the trace of tensors."""
    trace = ScalarTrace({"x": 1.0})
    trace.y = 2.0
    trace["a.b"] = 3.0
    assert (trace["y"], trace.x, trace["a.b"]) == (2.0, 1.0, 3.0)
    assert "y" in trace
    assert "z" not in trace
    with pytest.raises(AttributeError):
        trace._private  # noqa: B018  # reading it is what is tested
