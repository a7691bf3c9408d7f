"""What t and d take: any name, tensors alone; and Trace: every tensor recorded once, with its line."""

from __future__ import annotations

import copy
import pickle
import sys

import pytest
import torch

from gradverify import Gradients, Trace
from gradverify.errors import AssignedTwice, ChangedInPlace, InvalidName, NotATensor, NotDifferentiable, UnknownName
from gradverify.gradients import derived_of
from gradverify.location import Location
from gradverify.trace import assigned_at, finish, frozen_copy, values_of

FORWARD = Location("/cases/net.py", 10, "forward")


def line(offset: int = 0) -> int:
    return sys._getframe(1).f_lineno + offset


def trace(**inputs) -> Trace:
    return Trace(inputs or {"x": torch.arange(3.0)})


def gradients(*names: str, **options) -> Gradients:
    return Gradients({"loss": torch.ones(())}, differentiable=["loss", "h", "x", *names], **options)


def test_an_attribute_and_an_item_are_the_same():
    """And any string is a name: of a loop, of a module's parameter, of what Python keeps for itself."""
    t, d = trace(), gradients("h0", "encoder.0.weight", "_private", "lambda", "")
    for name in ("h0", "encoder.0.weight", "_private", "lambda", ""):
        t[name] = torch.ones(2)
        d[name] = torch.zeros(2)
        assert t[name] is values_of(t)[name]
        assert d[name] is derived_of(d)[name]
    assert t.h0 is t["h0"]
    assert d.h0 is d["h0"]


@pytest.mark.parametrize("holder", [Trace, Gradients])
def test_no_name_is_taken(holder):
    """Nothing public of its own stands in the way of a tensor's name."""
    assert [name for name in dir(holder) if not name.startswith("_")] == []


def test_what_is_there_can_be_asked():
    """In the order of assignment, inputs first."""
    t, d = trace(x=torch.ones(1), mask=None), gradients()
    t.h = t.x * 2
    assert ("h" in t, "y" in t, list(t), repr(t)) == (True, False, ["x", "mask", "h"], "Trace(x, mask, h)")
    assert ("loss" in d, "h" in d, list(d), repr(d)) == (True, False, ["loss"], "Gradients(loss)")
    assert list(values_of(t)) == ["x", "h"]
    assert t.mask is None
    assert assigned_at(t, "x") is None
    assert assigned_at(t, "h").line == line(-6)


def test_a_name_that_no_tensor_has():
    """The nearest name is offered, and the line is that of the user; hasattr and getattr work as ever."""
    t = trace(weight=torch.ones(1), bias=torch.ones(1))
    with pytest.raises(UnknownName, match="t has no tensor 'weigth'; did you mean 'weight'?") as caught:
        t.weigth  # noqa: B018  # reading it is the test
    assert (caught.value.location.file, caught.value.location.line) == (__file__, line(-1))
    with pytest.raises(UnknownName, match="t has no tensor 'W'; known names: weight, bias"):
        t["W"]
    assert not hasattr(t, "weigth")
    assert getattr(t, "weigth", None) is None


@pytest.mark.parametrize("name", [0, None, slice(0, 2), ("h", 0), [0], torch.zeros(2)], ids=str)
@pytest.mark.parametrize("holder", ["t", "d"])
def test_a_name_is_a_string(holder, name):
    """`t[0]` is an item of no tensor, read or written."""
    one = trace() if holder == "t" else gradients()
    with pytest.raises(InvalidName, match=rf"{holder}\[.*\]: a name is a string, such as {holder}\[\"h0\"\]") as caught:
        one[name]
    assert caught.value.location.line == line(-1)
    with pytest.raises(InvalidName, match="a name is a string"):
        one[name] = torch.ones(1)


@pytest.mark.parametrize("holder", ["t", "d"])
def test_an_attribute_name_with_an_underscore_is_refused(holder):
    """It would be Python's as likely as the user's; the item of that name is not."""
    one = trace() if holder == "t" else gradients()
    with pytest.raises(InvalidName, match=rf'{holder}\._h: .* write {holder}\["_h"\] or rename it') as caught:
        one._h = torch.ones(1)
    assert caught.value.location.line == line(-1)
    with pytest.raises(AttributeError, match="has no attribute '_h'"):
        one._h  # noqa: B018  # reading it is the test


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("one", [trace(), gradients()], ids=["t", "d"])
def test_neither_is_copied(one, copied):
    """What asks for methods by name is told that there are none, and does not recurse."""
    with pytest.raises(InvalidName):
        copied(one)


@pytest.mark.parametrize(
    ("value", "spelt", "remedy"),
    [
        (3.0, "got 3.0", {"t": r"make it a tensor with torch.tensor\(...\)", "d": r"torch.full_like\(t.h, ...\)"}),
        (True, "got True", {"t": "keep it in a local variable", "d": "has the shape of its tensor"}),
        (None, "got None", {"t": "only tensors are recorded", "d": "has the shape of its tensor"}),
        ("sum", "got a str", {"t": "only tensors are recorded", "d": "has the shape of its tensor"}),
        ([torch.ones(1)], "got a list", {"t": r't\[f"h{i}"\] = ... in a loop', "d": r'd\[f"h{i}"\] = ... in a loop'}),
        ((torch.ones(1),), "got a tuple", {"t": r't\[f"h{i}"\]', "d": r'd\[f"h{i}"\]'}),
        (torch.ones(2, 2).max(1), "got a max", {"t": r't\[f"h{i}"\]', "d": r'd\[f"h{i}"\]'}),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("holder", ["t", "d"])
def test_what_is_no_tensor_is_refused(holder, value, spelt, remedy):
    """With what came, and what to write instead."""
    one = trace() if holder == "t" else gradients()
    with pytest.raises(NotATensor, match=f"{holder}.h: expected a tensor, {spelt}.*; .*{remedy[holder]}") as caught:
        one.h = value
    assert (caught.value.location.file, caught.value.location.line) == (__file__, line(-1))


@pytest.mark.parametrize("holder", ["t", "d"])
def test_a_tensor_of_inference_mode_is_refused(holder):
    """It has no version to tell a change by; one made under no_grad has."""
    one = trace() if holder == "t" else gradients()
    with (
        torch.inference_mode(),
        pytest.raises(NotDifferentiable, match=f"{holder}.h was made under torch.inference_mode"),
    ):
        one.h = torch.ones(1)
    with torch.no_grad():
        one.h = torch.ones(1)


def test_a_name_is_assigned_once():
    """Both lines are told, and a name to use instead."""
    t = trace()
    t.h = t.x + 1
    first = line(-1)
    with pytest.raises(AssignedTwice, match=rf"t.h is assigned twice, first at .*:{first}; .* t.h2 or t\[f") as caught:
        t.h = t.x + 2
    assert caught.value.location.line == line(-1)
    with pytest.raises(AssignedTwice, match="t.x is assigned twice, first as an input"):
        t.x = t.x + 1


def test_the_same_tensor_may_have_two_names():
    """A loss that is a total, say; each is found under its own."""
    t = trace()
    t.total = t.x.sum()
    t.loss = t.total
    assert t.loss is t.total
    finish(t, FORWARD)


IN_PLACE = {
    "relu_": lambda h: h.relu_(),
    "item": lambda h: h.__setitem__(0, 5.0),
    "mask": lambda h: h.masked_fill_(h > 1, 0.0),
    "view": lambda h: h.view(-1)[1:].zero_(),
    "detach": lambda h: h.detach().add_(1),
    "out": lambda h: torch.exp(h, out=h),
    "copy": lambda h: h.copy_(torch.ones(3)),
}
HARMLESS = {
    "relu": lambda h: h.relu(),
    "clone": lambda h: h.clone().add_(1),
    "view": lambda h: h.view(-1)[1:].exp(),
    "contiguous": lambda h: (h + 0).zero_(),
}


@pytest.mark.parametrize("change", IN_PLACE.values(), ids=IN_PLACE)
def test_a_recorded_tensor_that_changed_in_place_is_refused(change):
    """When it is read next, and when the forward is through; the line is where it was read, or recorded."""
    t = trace()
    t.h = t.x + 1
    recorded = line(-1)
    change(t.h)
    with pytest.raises(ChangedInPlace, match=f"t.h, recorded at .*:{recorded}, was changed in place") as caught:
        t.h  # noqa: B018  # reading it is the test
    assert caught.value.location.line == line(-1)
    with pytest.raises(ChangedInPlace, match="compute a new tensor, or assign the name once it is final") as caught:
        finish(t, FORWARD)
    assert (caught.value.location.file, caught.value.location.line) == (__file__, recorded)


@pytest.mark.parametrize("use", HARMLESS.values(), ids=HARMLESS)
def test_what_makes_a_new_tensor_changes_nothing(use):
    """The twin of every change in place."""
    t = trace()
    t.h = t.x + 1
    use(t.h)
    assert t.h.tolist() == [1.0, 2.0, 3.0]
    finish(t, FORWARD)


def test_an_input_that_changed_in_place_is_told_with_the_forward():
    """It was assigned nowhere."""
    t = trace(x=torch.ones(2), seen=torch.zeros(1, dtype=torch.int64))
    t.seen.add_(1)
    with pytest.raises(ChangedInPlace, match="t.seen, an input, was changed in place") as caught:
        finish(t, FORWARD)
    assert caught.value.location == FORWARD


def test_an_augmented_assignment_is_a_change_in_place():
    """`t.h += 1` changes the tensor whose gradient `d.h` is; the remedy is spelt out."""
    t = trace()
    t.h = t.x + 1
    with pytest.raises(ChangedInPlace, match=r"write `t.h2 = t.h \+ ...`") as caught:
        t.h += 1
    assert caught.value.location.line == line(-1)


def test_what_was_changed_before_it_is_recorded_is_fine():
    """`relu_` on a temporary is how memory is saved."""
    t = trace()
    t.h = (t.x - 1).relu_()
    finish(t, FORWARD)
    # But not on a tensor that has a name already, whatever the name of the result.
    t.y = t.h.mul_(2)
    with pytest.raises(ChangedInPlace, match="t.h, recorded at"):
        finish(t, FORWARD)


def test_every_tensor_is_seen_as_it_is_recorded():
    """Inputs too, None excepted, and with the names they have."""
    seen = []
    t = Trace({"x": torch.ones(1), "mask": None}, lambda name, value: seen.append((name, value)))
    t.h = t.x + 1
    assert seen == [("x", t.x), ("h", t.h)]


def test_the_backward_reads_detached_values():
    """Without a graph, of the same storage, and not to be assigned."""
    t = trace(x=torch.ones(2, requires_grad=True), mask=None)
    t.h = t.x * 2
    frozen = frozen_copy(t)
    assert (frozen.h.requires_grad, frozen.h.data_ptr(), frozen.mask) == (False, t.h.data_ptr(), None)
    with pytest.raises(AssignedTwice, match="t.y is assigned in backward, .*: use a local variable"):
        frozen.y = torch.ones(1)
    with pytest.raises(UnknownName, match="t has no tensor 'hh'; did you mean 'h'?"):
        frozen.hh  # noqa: B018  # reading it is the test
