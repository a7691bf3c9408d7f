"""The settings that a command line gives, above those of the cases."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace

from gradverify.settings import Settings, read_settings


def overrides_of(options: Namespace) -> Settings:
    """The settings that the command line gives; each value counts once. A command may lack `--oracle` and the flags."""
    several = {
        "dtypes": options.dtype,
        "devices": options.device,
        "seeds": options.seed,
        "oracles": getattr(options, "oracle", None),
    }
    flags = {name: getattr(options, name, False) for name in ("strict", "partial")}
    return read_settings(
        {
            **{name: list(dict.fromkeys(values)) for name, values in several.items() if values},
            # A flag that is not given leaves the case its own setting.
            **{name: True for name, given in flags.items() if given},
        }
    )


def parse_seed(text: str) -> int:
    """The seed that an option names.

    Raises:
        ArgumentTypeError: for what is no integer that `torch.Generator` takes.
    """
    try:
        seed = int(text)
    except ValueError:
        raise ArgumentTypeError(f"expected an integer, got {text!r}") from None
    if not -(2**63) <= seed < 2**64:  # what torch.Generator takes
        raise ArgumentTypeError(f"expected an integer of 64 bits, got {text}")
    return seed
