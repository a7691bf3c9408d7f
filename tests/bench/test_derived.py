"""The two passes of a case: on the same inputs, without recording, and with the gradients that were verified."""

from __future__ import annotations

import pytest
import torch

from gradverify.bench.derived import draw_contest
from gradverify.bench.names import Names
from gradverify.errors import CaseRaised, GradverifyError

from .samples import Differentiating, InPlace, Recognising, Squares

WHERE = (111111, torch.float32, torch.device("cpu"), frozenset())


def run(contest, contender):
    with contest.ambient(), contender.entered():
        return contender.both()


def test_both_give_the_same_gradients():
    contest = draw_contest(Squares(), *WHERE)
    manual, autograd = contest.contenders
    assert [one.name for one in contest.contenders] == ["manual", "autograd"]
    d = run(contest, manual)
    (x,) = run(contest, autograd)
    assert isinstance(d, Names)
    assert torch.equal(d.x, x)
    assert not d.x.requires_grad


def test_the_hand_derived_pass_runs_without_autograd():
    seen = []

    class Seen(Squares):
        def forward(self, t):
            seen.append((torch.is_grad_enabled(), t.x.requires_grad, type(t).__name__))
            return super().forward(t)

    contest = draw_contest(Seen(), *WHERE)
    seen.clear()
    for contender in contest.contenders:
        run(contest, contender)
    assert seen == [(False, False, "Names"), (True, True, "Names")]


def test_it_runs_at_the_default_dtype_of_its_pass():
    class Made(Squares):
        def forward(self, t):
            t.values = t.x * t.x + torch.zeros(1)
            t.loss = t.values.sum()
            return t.loss

    contest = draw_contest(Made(), 111111, torch.float64, torch.device("cpu"), frozenset())
    d = run(contest, contest.contenders[0])
    assert d.x.dtype == torch.float64
    assert torch.get_default_dtype() == torch.float32


def test_every_run_starts_from_the_same_numbers():
    """Where a backward changes its inputs in place, each run gets a copy of them, and the notes say so."""
    contest = draw_contest(InPlace(), *WHERE)
    manual = contest.contenders[0]
    first, second = run(contest, manual), run(contest, manual)
    assert torch.equal(first.x, second.x)
    assert contest.notes == ("backward changes x in place, so each run starts from a copy",)
    assert draw_contest(Squares(), *WHERE).notes == ()


def test_a_backward_that_recognises_the_recording_is_refused():
    """What is timed must be what was verified."""
    with pytest.raises(GradverifyError, match="backward gives another d.x than the one that was verified") as caught:
        draw_contest(Recognising(), *WHERE)
    assert caught.value.location.file == __file__.replace("test_derived", "samples")


def test_a_forward_that_needs_autograd_is_told():
    with pytest.raises(CaseRaised, match="without autograd, forward or backward raised RuntimeError"):
        draw_contest(Differentiating(), *WHERE)
