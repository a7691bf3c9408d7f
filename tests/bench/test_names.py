"""The stand-in for Trace and Gradients: tensors by name, whatever the name, and nothing else."""

from __future__ import annotations

import pytest
import torch

from gradverify.bench.names import Names, tensors_of
from gradverify.errors import NotDerived

ONE, TWO = torch.ones(1), torch.ones(2)


@pytest.mark.parametrize("name", ["h", "values", "keys", "items", "get", "pop", "encoder.0.weight", "__getitem__", ""])
def test_any_string_is_a_name(name):
    """Attribute and item are the same; what a dictionary calls its methods hides no tensor."""
    names = Names({"x": ONE})
    names[name] = TWO
    assert names[name] is TWO
    assert getattr(names, name) is TWO
    assert list(names) == ["x", name]
    assert name in names


def test_an_attribute_is_an_item():
    names = Names({"x": ONE, "mask": None})
    names.values = TWO
    assert names["values"] is TWO
    assert names.mask is None
    assert tensors_of(names) == {"x": ONE, "values": TWO}


def test_what_is_not_there_is_told_as_gradients_tell_it():
    """So that a backward which looks whether a gradient is there does as it did when it was verified."""
    names = Names({})
    with pytest.raises(NotDerived):
        _ = names.h
    with pytest.raises(NotDerived):
        _ = names["h"]
    assert getattr(names, "h", None) is None
    assert "h" not in names


def test_nothing_is_shared_with_what_it_was_made_of():
    values = {"x": ONE}
    Names(values).h = TWO
    assert values == {"x": ONE}
