"""What results depend on besides the case: the versions, the machine, the devices."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable

import torch

from gradverify.report import Environment


def describe_environment(devices: Iterable[str] = ("cpu",)) -> Environment:
    """The environment that results depend on."""
    from gradverify import __version__

    names = {
        device: torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.processor() or device
        for device in devices
    }
    python = ".".join(map(str, sys.version_info[:3]))
    return Environment(__version__, torch.__version__, python, platform.platform(), torch.get_num_threads(), names)
