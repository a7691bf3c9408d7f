"""Reports made up for the tests of the renderers."""

from __future__ import annotations

import math
from dataclasses import replace

from gradverify.report import Comparison, Context, Details, Environment, Failure, HeatMap, Report, Row, Worst
from gradverify.verdict import Origin, Verdict
from gradverify.witness import Stance, Witness

FILE = "cases/sample.py"
ENVIRONMENT = Environment("0.1.0", "2.13.0", "3.11.7", "Linux", 2, {"cpu": "cpu"})


def comparison(shape: tuple[int, ...] = (10, 1), **changes: object) -> Comparison:
    """Equal tensors, except for the changes."""
    values: dict[str, object] = {
        "shape": shape,
        "candidate_shape": shape,
        "dtype": "float32",
        "candidate_dtype": "float32",
        "numel": math.prod(shape),
        "exact": True,
        "approximate": True,
        "maxdiff": 0.0,
        "index": (0,) * len(shape),
        "candidate": 0.5,
        "reference": 0.5,
        "max_ulp": 0,
        "relative_error": 0.0,
        "differing": 0,
        "candidate_nonfinite": 0,
        "reference_nonfinite": 0,
    }
    return Comparison(**{**values, **changes})  # type: ignore[arg-type]  # loosely typed on purpose


def row(name: str = "W", **changes: object) -> Row:
    """A gradient that is exact, except for the changes."""
    values: dict[str, object] = {
        "name": name,
        "shape": (10, 1),
        "dtype": "float32",
        "verdict": Verdict.EXACT,
        "passed": True,
        "file": FILE,
        "line": 12,
        "source": f"d.{name} = ...",
        "accuracy": 1.0,
        "resolution": 1.25e-13,
        "coverage": 1.0,
        "comparison": comparison(),
    }
    return Row(**{**values, **changes})  # type: ignore[arg-type]  # the same


def report(*rows: Row, **changes: object) -> Report:
    """A report of these rows."""
    values: dict[str, object] = {
        "case": "Sample",
        "dtype": "float32",
        "device": "cpu",
        "seed": 111111,
        "sizes": {"samples": 10},
        "rows": rows,
        "derived": len(rows),
        "named": len(rows) + 1,
    }
    return Report(**{**values, **changes})  # type: ignore[arg-type]  # the same


SHAPE = row(
    "b",
    shape=(1,),
    verdict=Verdict.SHAPE,
    passed=False,
    line=88,
    source="d.b = d.logits.sum(0, keepdim=True)",
    hints=("its shape is (1, 1), its tensor's (1,)",),
    accuracy=None,
    resolution=None,
    coverage=None,
    comparison=comparison((1,), candidate_shape=(1, 1), maxdiff=math.nan, index=None, max_ulp=None, exact=False),
)
WRONG = row(
    "W",
    verdict=Verdict.WRONG,
    passed=False,
    line=87,
    source="d.W = (\n    t.X.T @ d.logits\n)",
    hints=("agrees to 9 digits",),
    worst=Worst((3, 0), 0.123456789012, 0.1234567889, 2.5e-16),
    comparison=comparison(exact=False, maxdiff=3.4e10, max_ulp=123456789, differing=7),
)
CRASHED = report(
    rows=(),
    derived=0,
    named=0,
    error=Failure(
        "CaseRaised",
        "backward raised ValueError in the float32 pass: bad\nsecond line",
        "cases/sample.py",
        40,
        'Traceback (most recent call last):\n  File "cases/sample.py", line 40, in backward\nValueError: bad',
    ),
)

CONTEXT = Context(85, ("    d.X = d.logits @ t.W.T", "", "    d.W = (", "        t.X.T @ d.logits", "    )"), 87, 89)
HEAT_MAP = HeatMap(1, (10, 1), (1, 1), tuple((value,) for value in (0.0, 1e-9, 0.5, math.inf, 0, 0, 0, 0, 0, 0)))
DETAILED = replace(WRONG, origin=Origin.INTRODUCED, details=Details(CONTEXT, HEAT_MAP, (3, 2, 1, 0, 0, 4)))
AGREES = Witness("finite_difference", Stance.AGREES, 2.1e-11, 40)
DISAGREES = Witness("finite_difference", Stance.DISAGREES, 2e-12, 40, index=(3, 7), claimed=0.5, measured=1.0)
ABSENT = Witness("complex_step", Stance.ABSENT, reason="relu is not known to be analytic (net.py:3)")
KINKED = Witness(
    "finite_difference", Stance.SUBGRADIENT, 1e-9, 30, "between the slopes of both sides, 0 and 1", (2,), 1.0, 0.5
)


def noisy(number: int) -> Row:
    """An introduced error whose map hardly compresses."""
    cells = tuple(tuple(((number + 31 * i + 17 * j * j) * 7919 % 9973) / 9973 for j in range(64)) for i in range(64))
    details = Details(DETAILED.details.context, HeatMap(1, (640, 640), (10, 10), cells), tuple(range(1, 40)))
    return replace(DETAILED, name=f"encoder.layers.{number}.attention.weight", details=details)
