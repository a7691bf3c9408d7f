"""A hint has to hold on other inputs too: what is right by coincidence of the first ones is not told."""

from __future__ import annotations

import pytest
import torch

from diagnosis.founding import LinearRegression
from diagnosis.planted import plant, subjects
from gradverify import Case, verify
from gradverify.diagnosis import diagnose


class Narrow(Case):
    """The square root, which half of all numbers do not have; `inputs` draws others only at its own seed."""

    __test__ = False

    def inputs(self, generator):
        x = torch.randn(5, generator=generator)
        return {"x": x.abs() + 1 if generator.initial_seed() == 0 else x.abs() - 10}

    def forward(self, t):
        t.y = t.x.sqrt()
        if t.y.isnan().any():
            raise ValueError("no root")
        return t.y

    def backward(self, t, d):
        d.x = d.y / t.y


def hints(case: Case | type[Case], name: str, **options: int) -> tuple[str, ...]:
    (row,) = [row for row in verify(case, **options).rows if row.name == name]
    return row.hints


def test_a_coincidence_is_not_told():
    """-d.diff is right, and some number that has the sign -1 in this draw gives it; in the next one it is +1."""
    case = plant(LinearRegression, "d.pred = -d.diff", "d.pred = d.diff * t.y.sign()")
    assert "`t.y` should be " in diagnose(subjects(case, 111111)["pred"])
    assert hints(case, "pred") == ("5 of 10 elements differ; relative error 0.94",)


@pytest.mark.parametrize("seed", range(4))
def test_a_mistake_is(seed):
    """Whatever the draw."""
    case = plant(LinearRegression, "d.pred = -d.diff", "d.pred = d.diff")
    assert hints(case, "pred", seed=seed) == ("a minus is missing: `d.diff` should be `-d.diff`",)


def test_where_the_case_does_not_run_on_other_inputs_the_hint_stays():
    sentence = "every element is 2 times what it should be: a factor 1/2 is missing, or 2 is one too many"
    assert hints(Narrow, "x", seed=0) == (sentence,)
