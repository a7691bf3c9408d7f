"""What passes hold in memory, in bytes that can be worked out by hand."""

from __future__ import annotations

import torch

from gradverify.bench.contender import Contender
from gradverify.bench.memory import kept_bytes, peak_bytes

CPU = torch.device("cpu")
N = 100_000
BYTES = 4 * N


def by_hand(forward, backward):
    return Contender("manual", forward, backward, with_grad=False, held=lambda state: state)


def test_the_peak_is_the_most_that_lives_at_once():
    """Not the sum of what was allocated, nor what is left at the end."""
    x = torch.ones(N)

    def forward():
        a = x + 1
        b = a + 1
        del a
        return (b + 1,)

    assert peak_bytes(by_hand(forward, lambda state: state[0].sum()), CPU) // 1000 == 2 * BYTES // 1000


def test_what_was_there_before_does_not_count():
    x = torch.ones(N)
    assert peak_bytes(by_hand(lambda: (x,), lambda state: state[0].sum()), CPU) < 1000


def test_a_hand_derived_pass_keeps_its_tensors_each_storage_once():
    """A view takes no memory of its own."""
    x = torch.ones(N)
    contender = by_hand(lambda: (x, x.view(-1, 2), x * 2, torch.ones(1).expand(N)), lambda _: None)
    assert kept_bytes(contender) == 2 * BYTES + 4


def test_autograd_keeps_what_it_saves():
    """exp saves its result; a sum saves nothing, and an addition neither."""
    x = torch.ones(N, requires_grad=True)

    def forward():
        return (x.exp() + 1).sum()

    def backward(loss):
        return torch.autograd.grad(loss, x)

    assert kept_bytes(Contender("autograd", forward, backward, with_grad=True)) == BYTES


def test_the_profilers_own_words_are_not_seen(capfd):
    """It writes them to the error stream of the process."""
    peak_bytes(by_hand(lambda: (torch.ones(3),), lambda _: None), CPU)
    assert capfd.readouterr().err == ""


def test_a_device_that_counts_nothing_has_no_peak(monkeypatch):
    monkeypatch.setattr(torch, "get_device_module", lambda _: object())
    assert peak_bytes(by_hand(lambda: (), lambda _: None), torch.device("mps")) is None


def test_a_device_is_asked_for_its_own_counter(monkeypatch):
    """Reset before the pass, and read after it, with what it did still to come waited for."""
    calls = []

    class Module:
        @staticmethod
        def memory_allocated(_):
            return 1000

        @staticmethod
        def max_memory_allocated(_):
            calls.append("max")
            return 5000

        @staticmethod
        def reset_peak_memory_stats(_):
            calls.append("reset")

        @staticmethod
        def synchronize(_):
            calls.append("wait")

    monkeypatch.setattr(torch, "get_device_module", lambda _: Module)
    contender = by_hand(lambda: calls.append("forward"), lambda _: calls.append("backward"))
    assert peak_bytes(contender, torch.device("cuda")) == 4000
    assert calls == ["wait", "reset", "forward", "backward", "wait", "max"]
