"""A forward that computes something else on the same inputs is refused, up to rounding."""

from __future__ import annotations

import pytest
import torch
import torch.utils.checkpoint

from gradverify.determinism import check_deterministic
from gradverify.errors import NotDeterministic
from passes import Square, forward_of


class Branching(Square):
    """Subclasses say how a recorded tensor is made."""

    def make(self, t):
        raise AssertionError

    def forward(self, t):
        t.y = self.make(t)
        t.loss = t.y.sum()
        return t.loss


class Dropout(Branching):
    def make(self, t):
        return torch.nn.functional.dropout(t.x, 0.5) + torch.rand(())


class Counting(Branching):
    calls = [0]  # shared by the runs: the mistake

    def make(self, t):
        self.calls[0] += 1
        return t.x * self.calls[0]


class Forgetting(Counting):
    """Assigns a tensor in every other run."""

    def make(self, t):
        self.calls[0] += 1
        if self.calls[0] % 2:
            t.extra = t.x + 1
        return t.x * 1


class Adding(Counting):
    calls = [1]  # the other half of the runs

    make = Forgetting.make


class ByItself(Branching):
    """Remembers something on itself, which no other run sees."""

    def make(self, t):
        self.calls = getattr(self, "calls", 0) + 1
        return t.x * self.calls


class Rounding(Branching):
    """As atomic additions do: the last digits differ from run to run."""

    calls = [0]  # shared by the runs

    def make(self, t):
        self.calls[0] += 1
        return t.x * (1 + 1e-6 * (self.calls[0] % 2))


class Undefined(Branching):
    """inf and nan are the same in both runs."""

    def make(self, t):
        return t.x / 0 + (t.x - t.x) / 0


class Differentiating(Branching):
    """Calls autograd itself, which needs it to be on."""

    def make(self, t):
        (slope,) = torch.autograd.grad((t.x**3).sum(), t.x, create_graph=True)
        return slope


class Transforming(Branching):
    def make(self, t):
        return torch.func.grad(lambda x: (x**3).sum())(t.x)


@pytest.mark.parametrize(("case", "name"), [(Dropout, "y"), (Counting, "y"), (Forgetting, "extra"), (Adding, "extra")])
def test_a_forward_that_is_not_deterministic_is_refused(case, name):
    """The first tensor that differs, and its line, are named; the remedy is `inputs`."""
    inputs, forward, _ = forward_of(case())
    with pytest.raises(
        NotDeterministic, match=f"gave different values of t.{name}: draw the randomness in `inputs`"
    ) as caught:
        check_deterministic(case(), inputs, forward)
    assert caught.value.case == case.__name__
    assert caught.value.location.file == __file__


class Coin(Square):
    """Which of two values it takes is drawn anew in every run, so that two runs agree every other time."""

    def forward(self, t):
        t.y = t.x * (torch.rand(()) < 0.5)
        t.loss = t.y.sum()
        return t.loss


def test_two_runs_that_agree_by_luck_do_not_pass_for_deterministic():
    """Random numbers were drawn, so it is asked again and again."""
    for _ in range(10):
        inputs, forward, _ = forward_of(Coin())
        with pytest.raises(NotDeterministic):
            check_deterministic(Coin(), inputs, forward)


class Unused(Square):
    """It draws a number, and does not use it."""

    def forward(self, t):
        torch.rand(())
        return super().forward(t)


@pytest.mark.parametrize("case", [Unused, Square, ByItself, Rounding, Undefined, Differentiating, Transforming])
def test_a_forward_that_is_deterministic_up_to_rounding_is_fine(case):
    """What differs in the last digits is no random draw; what autograd does within a forward is no matter."""
    inputs, forward, _ = forward_of(case())
    check_deterministic(case(), inputs, forward)
