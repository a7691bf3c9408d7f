"""What a pass holds in memory, measured apart from its time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from itertools import accumulate

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from gradverify.bench.contender import Contender
from gradverify.bench.stopwatch import synchronize


def kept_bytes(contender: Contender) -> int:
    """How many bytes lie between forward and backward, each storage counted once, inputs among them.

    Of autograd, what it saves (`saved_tensors_hooks`); of a hand-derived pass, the tensors of its `t`.
    """
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        # Saving an output as it is would tie it to its own node in a cycle.
        saved.append(tensor.detach())
        return saved[-1]

    with contender.entered(), saved_tensors_hooks(pack, lambda packed: packed):
        state = contender.forward()
        return _bytes_of(saved if contender.held is None else contender.held(state))


def peak_bytes(contender: Contender, device: torch.device) -> int | None:
    """How many bytes a whole pass has allocated at most, beyond what was there; None where nothing counts them."""
    with contender.entered():
        if device.type == "cpu":
            return _peak_on_cpu(contender)
        module = torch.get_device_module(device)
        if not hasattr(module, "reset_peak_memory_stats"):
            return None
        synchronize(device)
        before = int(module.memory_allocated(device))
        module.reset_peak_memory_stats(device)
        gradients = contender.backward(contender.forward())
        synchronize(device)
        peak = int(module.max_memory_allocated(device)) - before
        del gradients
        return peak


def _peak_on_cpu(contender: Contender) -> int:
    """Torch's allocator on the CPU keeps no maximum, and tracemalloc does not see it: the profiler's events do."""
    profiler = torch.autograd.profiler.profile(profile_memory=True)
    with _without_its_log():
        profiler.__enter__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    try:
        gradients = contender.backward(contender.forward())
    finally:
        with _without_its_log():
            profiler.__exit__(None, None, None)  # type: ignore[no-untyped-call]  # the same
    del gradients
    results = profiler.kineto_results
    events = [event for event in results.events() if event.name() == "[memory]"] if results is not None else []
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events), default=0)  # type: ignore[attr-defined]  # torch's stub lacks it


@contextlib.contextmanager
def _without_its_log() -> Iterator[None]:
    """The profiler says on the error stream of the process that it starts and stops, whatever its log level."""
    own = os.dup(2)
    with open(os.devnull, "w", encoding="ascii") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


def _bytes_of(tensors: Iterable[Tensor]) -> int:
    storages = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in tensors
        if one.layout is torch.strided
    }
    return sum(storages.values())
