"""The founding cases that mistakes are planted in, loaded from their files as the user has them."""

from __future__ import annotations

from pathlib import Path

from gradverify import Case
from gradverify.importer import load_file
from gradverify.loader import cases_of

_FOLDER = Path(__file__).parent.parent.parent / "cases"


def _load(name: str) -> type[Case]:
    (case,) = cases_of(load_file(_FOLDER / f"{name}.py"))
    return type(case)


L2Regularization = _load("l2_regularization")
LinearRegression = _load("linear_regression")
LogisticBCE = _load("logistic_bce")
ReLU = _load("relu")
ThreeLayerNet = _load("three_layer_net")
