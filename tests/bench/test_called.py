"""A candidate and its reference as their users call them, and the reference compiled."""

from __future__ import annotations

import pytest
import torch

from gradverify.bench import called
from gradverify.bench.called import draw_contest
from gradverify.errors import UsageError

from .samples import Alone, Mapped, Scaled, Several

WHERE = (111111, torch.float32, torch.device("cpu"), frozenset())


def run(contest, contender):
    with contest.ambient(), contender.entered():
        return contender.both()


@pytest.mark.parametrize("case", [Scaled(), Several(), Mapped()], ids=repr)
def test_both_give_the_same_gradients(case):
    """On the same inputs and upstream gradients: of inputs, of chosen outputs, of parameters under other names."""
    contest = draw_contest(case, *WHERE)
    assert [one.name for one in contest.contenders] == ["candidate", "reference"]
    candidate, reference = (run(contest, one) for one in contest.contenders)
    assert len(candidate) == len(reference) == 2
    for one, other in zip(candidate, reference, strict=True):
        torch.testing.assert_close(one, other)


def test_a_candidate_without_a_reference_is_not_timed():
    with pytest.raises(UsageError, match="no reference to time the candidate against"):
        draw_contest(Alone(), *WHERE)


def test_the_reference_is_compiled_on_request(monkeypatch):
    """Under torch.compile, whose own work this test does not wait for."""
    asked = []

    def compile(function, **options):
        asked.append((function, options))
        return function

    monkeypatch.setattr(torch, "compile", compile)
    contest = draw_contest(Scaled(), *WHERE, compiled=True)
    assert [one.name for one in contest.contenders] == ["candidate", "reference", "compiled"]
    assert asked == [(Scaled.reference, {"dynamic": False})]


def test_what_cannot_be_compiled_is_told_and_the_others_are_timed(monkeypatch):
    def compile(function, **options):
        def fail(*arguments):
            raise OSError("no compiler here\nand more")

        return fail

    monkeypatch.setattr(called.torch, "compile", compile)
    contest = draw_contest(Scaled(), *WHERE, compiled=True)
    assert [one.name for one in contest.contenders] == ["candidate", "reference"]
    assert contest.notes == ("torch.compile of the reference failed: OSError: no compiler here",)
