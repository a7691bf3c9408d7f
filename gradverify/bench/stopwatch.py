"""The clock of torch.utils.benchmark.Timer: it waits for the device, and can be stopped for a while."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Seconds, once the device has done all that it was given; those between `pause` and `resume` do not count."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._wait = device.type != "cpu"
        self._left_out = 0.0
        self._paused_at = 0.0

    def __call__(self) -> float:
        """The time, from some start."""
        return self._now() - self._left_out

    def pause(self) -> None:
        """Stop the clock."""
        self._paused_at = self._now()

    def resume(self) -> None:
        """Let it go on."""
        self._left_out += self._now() - self._paused_at

    def _now(self) -> float:
        if self._wait:
            synchronize(self._device)
        return time.perf_counter()


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cpu":
        return
    module = torch.get_device_module(device)
    # Apple's has no devices to choose from.
    if device.type == "mps":
        module.synchronize()
    else:
        module.synchronize(device)
