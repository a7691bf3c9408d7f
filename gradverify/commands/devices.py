"""The devices that a user can name."""

from __future__ import annotations

import torch

from gradverify.errors import UsageError


def check_device(name: str) -> None:
    """See whether tensors can be made and read on a device.

    Raises:
        UsageError: if they cannot.
    """
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError) as error:  # "not compiled with CUDA" is an AssertionError
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {name}: tensors cannot be used there: {reason}; {_available()}") from None


def _available() -> str:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "this machine has cpu" + (f" and {accelerator}" if accelerator else " alone")
