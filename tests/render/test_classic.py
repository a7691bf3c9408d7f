"""The row of `cmp`: what a teaching notebook prints, and why two tensors were not compared."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gradverify.render.classic import render_classic
from gradverify.report import Comparison

EQUAL = Comparison(
    shape=(1,),
    candidate_shape=(1,),
    dtype="float32",
    candidate_dtype="float32",
    numel=1,
    exact=True,
    approximate=True,
    maxdiff=0.0,
    index=(0,),
    candidate=1.0,
    reference=1.0,
    max_ulp=0,
    relative_error=0.0,
    differing=0,
    candidate_nonfinite=0,
    reference_nonfinite=0,
)

ROWS = {
    "b | exact: True | approximate: True | maxdiff: 0.0": {},
    "b | exact: False | approximate: True | maxdiff: 5.960464477539063e-08": {
        "exact": False,
        "maxdiff": 5.960464477539063e-08,
    },
    "b | exact: False | approximate: False | maxdiff: nan | shape (1, 1) is not (1,)": {
        "exact": False,
        "approximate": False,
        "maxdiff": math.nan,
        "candidate_shape": (1, 1),
    },
    "b | exact: False | approximate: True | maxdiff: 0.0 | dtype float64 is not float32": {
        "exact": False,
        "candidate_dtype": "float64",
    },
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_tells_flags_maxdiff_and_what_does_not_fit(row):
    assert render_classic("b", replace(EQUAL, **ROWS[row])) == row
