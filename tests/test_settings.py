"""Settings: read from loosely typed values, refused with what would fit, merged layer over layer."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gradverify.errors import UsageError
from gradverify.settings import DEFAULTS, NAMES, NOTHING, ORACLES, Settings, has_witnesses, read_settings


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("dtypes", "float32", ("float32",)),
        ("dtypes", torch.bfloat16, ("bfloat16",)),
        ("dtypes", [torch.float, "float64"], ("float32", "float64")),
        # Each once: a configuration is told by its dtype, and two of one name could not be told apart.
        ("dtypes", ("float32", torch.float32), ("float32",)),
        ("devices", "cuda", ("cuda",)),
        ("devices", torch.device("cuda", 1), ("cuda:1",)),
        ("devices", ["cpu", "cuda:0", "cpu"], ("cpu", "cuda:0")),
        ("seeds", 3, (3,)),
        ("seeds", range(3), (0, 1, 2)),
        ("seeds", [5, 5, -1], (5, -1)),
        ("oracles", "autograd", ("autograd",)),
        # Autograd gives the reference unless another one is put before it.
        ("oracles", "scalar", ("autograd", "scalar")),
        ("oracles", ["finite_difference", "scalar"], ("autograd", "finite_difference", "scalar")),
        ("oracles", ["scalar", "autograd", "scalar"], ("scalar", "autograd")),
        ("strict", True, True),
        ("partial", False, False),
        ("constants", "mask", frozenset({"mask"})),
        ("constants", ["mask", "scale"], frozenset({"mask", "scale"})),
        ("constants", (), frozenset()),
        ("expected_zero", {"b"}, frozenset({"b"})),
        ("known", {("b", "bfloat16"): "issue 123"}, {("b", "bfloat16"): "issue 123"}),
        ("known", {("b", torch.float16): 123}, {("b", "float16"): "123"}),
        (
            "known",
            {("b", ("float16", "bfloat16")): "issue 123"},
            {("b", "float16"): "issue 123", ("b", "bfloat16"): "issue 123"},
        ),
        ("known", {}, {}),
    ],
)
def test_what_fits_a_setting(name, value, read):
    """A single value stands for a sequence of one, and torch's own dtypes and devices for their names."""
    assert getattr(read_settings({name: value}), name) == read


@pytest.mark.parametrize("name", NAMES)
def test_none_is_as_if_it_were_not_given(name):
    """So that a layer may leave a setting to the one below."""
    assert read_settings({name: None}) == NOTHING


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"dtype": "float32"}, "unknown setting 'dtype'; did you mean 'dtypes'?"),
        ({"tolerance": 1e-5}, "unknown setting 'tolerance'; known names: dtypes, devices, seeds"),
        (
            {"dtypes": "int8"},
            "dtypes: 'int8' is not a floating dtype that can be verified; it is one of float32, float64",
        ),
        ({"dtypes": torch.complex64}, "dtypes: 'complex64' is not a floating dtype"),
        ({"dtypes": []}, "dtypes: expected at least one, got none"),
        ({"devices": ()}, "devices: expected at least one, got none"),
        ({"seeds": "1"}, "seeds: expected an integer or several, got '1'"),
        ({"seeds": True}, "seeds: expected an integer or several, got True"),
        ({"seeds": [1, 2.0]}, "seeds: expected an integer or several, got 2.0"),
        ({"seeds": 2**64}, "seeds: 18446744073709551616 does not fit in 64 bits"),
        ({"seeds": []}, "seeds: expected at least one, got none"),
        ({"strict": 1}, "strict: expected True or False, got 1"),
        ({"partial": "yes"}, "partial: expected True or False, got 'yes'"),
        ({"constants": 3}, "constants: expected names of tensors, got 3"),
        ({"constants": [["x"]]}, r"constants: expected names of tensors, got \['x'\]"),
        ({"expected_zero": torch.zeros(1)}, "expected_zero: expected names of tensors"),
        ({"known": {"b"}}, r'known: expected \{\("b", "bfloat16"\): "why"\}, .*, got set'),
        ({"known": {"b": "why"}}, "known: expected .*, got the key 'b'"),
        ({"known": {("b",): "why"}}, r"known: expected .*, got the key \('b',\)"),
        ({"known": {("b", "int8"): "why"}}, "known: 'int8' is not a floating dtype"),
    ],
)
def test_what_does_not_fit_is_refused(raw, message):
    """With the name of the setting, what was expected, and what came."""
    with pytest.raises(UsageError, match=message):
        read_settings(raw)


def test_the_smallest_and_the_largest_seed_are_those_of_torch():
    """What is accepted here is accepted by the generator too."""
    for seed in read_settings({"seeds": [-(2**63), 2**64 - 1]}).seeds:
        torch.Generator().manual_seed(seed)
    for seed in (-(2**63) - 1, 2**64):
        with pytest.raises((RuntimeError, ValueError, OverflowError)):
            torch.Generator().manual_seed(seed)


def test_a_layer_goes_over_the_one_below_where_it_says_something():
    """False, zero and an empty set say something; None does not."""
    lower = Settings(strict=True, seeds=(1, 2), constants=frozenset({"x"}), partial=True)
    upper = Settings(strict=False, seeds=(0,), constants=frozenset())
    merged = upper.over(lower)
    assert (merged.strict, merged.seeds, merged.constants, merged.partial) == (False, (0,), frozenset(), True)


def test_merging_with_nothing_changes_nothing():
    """From either side."""
    assert NOTHING.over(DEFAULTS) == DEFAULTS == DEFAULTS.over(NOTHING)


def test_the_defaults_leave_nothing_open():
    """Whoever reads them last need not ask for None."""
    assert None not in dataclasses.astuple(DEFAULTS)


def test_the_names_of_oracles_are_those_that_can_be_made():
    """In the same order, the reference first."""
    from gradverify.oracles import hearing

    assert tuple(hearing.ORACLES) == ORACLES
    assert DEFAULTS.oracles == ORACLES[:1]


@pytest.mark.parametrize(("oracles", "heard"), [("autograd", False), ("scalar", True), (["scalar", "autograd"], True)])
def test_whether_there_are_witnesses(oracles, heard):
    """Any oracle besides the first."""
    assert has_witnesses(read_settings({"oracles": oracles})) is heard
