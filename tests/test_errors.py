"""Errors: one class a kind, a message that names the case and the line, and that survives another process."""

from __future__ import annotations

import copy
import pickle

import pytest

from gradverify import errors
from gradverify.errors import GradientMismatch, GradverifyError, did_you_mean
from gradverify.location import Location
from gradverify.report import Report, Row
from gradverify.verdict import Verdict

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, GradverifyError) and kind.__module__ == errors.__name__
]
WHERE = Location("/cases/net.py", 12, "forward")


def test_a_message_names_the_case_and_the_line():
    """Once each is known, and neither before."""
    error = GradverifyError("t.h is odd: make it even")
    assert str(error) == "t.h is odd: make it even"
    error.case = "Net"
    assert str(error) == "Net: t.h is odd: make it even"
    located = GradverifyError("t.h is odd: make it even", WHERE)
    assert str(located) == "t.h is odd: make it even (/cases/net.py:12)"
    located.case = "Net"
    assert str(located) == "Net: t.h is odd: make it even (/cases/net.py:12)"
    assert located.message == "t.h is odd: make it even"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("remade", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_another_process(kind, remade):
    """With its location and its case, as a pool of workers sends it."""
    error = kind("t.h is odd", WHERE)
    error.case = "Net"
    again = remade(error)
    assert type(again) is kind
    assert (str(again), again.location, again.case) == (str(error), WHERE, "Net")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_says_what_it_is(kind):
    """A docstring of its own, and one base for all."""
    assert kind.__doc__
    assert kind is GradverifyError or kind.__doc__ != GradverifyError.__doc__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.UnknownName, AttributeError),
        (errors.InvalidName, AttributeError),
        (errors.NotDerived, AttributeError),
        (errors.NotATensor, TypeError),
        (errors.InvalidCase, TypeError),
        (errors.InvalidInputs, TypeError),
    ],
)
def test_what_python_has_a_name_for_is_also_that(kind, builtin):
    """So that hasattr and getattr with a default work on a Trace."""
    assert issubclass(kind, builtin)


REPORT = Report(
    case="Net",
    dtype="float32",
    device="cpu",
    seed=1,
    sizes={"n": 3},
    rows=(Row("x", (3,), "float32", Verdict.WRONG, False),),
)


@pytest.mark.parametrize("remade", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_mismatch_survives_another_process(remade):
    """With its whole report."""
    error = GradientMismatch("Net: 1 of 1 gradients is wrong\nx is off", REPORT)
    again = remade(error)
    assert type(again) is GradientMismatch
    assert (str(again), again.report) == (str(error), REPORT)


def test_a_mismatch_is_an_assertion():
    """A test that does not pass, not a program that cannot run."""
    assert issubclass(GradientMismatch, AssertionError)
    assert not issubclass(GradientMismatch, GradverifyError)


@pytest.mark.parametrize(
    ("name", "known", "clause"),
    [
        ("h1_preat", ["h1", "h1_preact", "h2_preact"], "did you mean 'h1_preact'?"),
        ("W", ["x", "y"], "known names: x, y"),
        ("W", [], "there are none"),
        ("W", (f"x{i}" for i in range(12)), "known names: " + ", ".join(f"x{i}" for i in range(12))),
        ("W", [f"x{i}" for i in range(13)], "known names: " + ", ".join(f"x{i}" for i in range(12)) + ", ..."),
    ],
)
def test_the_nearest_name_is_offered(name, known, clause):
    """Or all of them where they are few, and never more than a line of them."""
    assert did_you_mean(name, known) == clause
