"""Slopes as data: quotients of samples, and what is said where nothing is known."""

from __future__ import annotations

import math

import pytest

from gradverify.oracles.slope import UNKNOWN, Sample, central, rounded, smooth


def test_quotients():
    """On one side, and across the point."""
    assert Sample(0.5, 2.0).slope == 4.0
    assert Sample(-0.5, 2.0).slope == -4.0
    assert central(Sample(0.5, 2.0), Sample(-0.5, 1.0)) == 1.0


def test_a_smooth_function_has_no_jump():
    """Both sides have the slope of the function."""
    assert smooth(3.0, 1e-9).jump == 0.0
    assert UNKNOWN.jump == 0.0


@pytest.mark.parametrize(("value", "error"), [(math.nan, 0.0), (math.inf, 0.0), (1.0, math.nan), (1.0, math.inf)])
def test_what_is_not_finite_is_not_known(value, error):
    """An infinite error bar, so that it never speaks for or against anything."""
    assert rounded(value, error).error == math.inf
    assert rounded(1.0, 0.5) == smooth(1.0, 0.5)
