"""Gradients: every access to a gradient with its line, and what may be read before it is derived."""

from __future__ import annotations

import sys
import threading

import pytest
import torch

from gradverify import Gradients
from gradverify.errors import NotDerived, NotDifferentiable, UnknownName
from gradverify.gradients import Access, derived_of, events_of, handed_out, written_at


def line(offset: int = 0) -> int:
    return sys._getframe(1).f_lineno + offset


def gradients(*names: str, **options) -> Gradients:
    return Gradients({"loss": torch.ones(())}, differentiable=["loss", "h", "x", *names], **options)


def accesses(d: Gradients) -> list[tuple[str, str]]:
    return [(event.access.value, event.name) for event in events_of(d)]


def test_reads_and_writes_are_recorded_in_order():
    """Each with its line; the cotangent is there to be read."""
    d = gradients()
    d.h = d.loss * 2
    d.x = d.h + d.h
    assert accesses(d) == [("read", "loss"), ("write", "h"), ("read", "h"), ("read", "h"), ("write", "x")]
    assert [event.location.line for event in events_of(d)] == [line(-3), line(-3), *[line(-2)] * 3]
    assert list(derived_of(d)) == ["h", "x"]
    assert written_at(d, "h").line == line(-5)


CHANGES = {
    "augmented": lambda d: d.__setattr__("h", d.h.__iadd__(1)),
    "item": lambda d: d.h.__setitem__(0, 7.0),
    "through a local": lambda d: [one := d.h, d.loss, one.mul_(2)],
    "through a view": lambda d: d.h[1:].zero_(),
    "out": lambda d: torch.neg(d.h, out=d.h),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_in_place_is_recorded(change):
    """At the next access, and when the backward is through."""
    d = gradients()
    d.h = torch.ones(3)
    change(d)
    assert ("change", "h") in accesses(d)
    assert accesses(d) == accesses(d), "asking adds nothing"


def test_a_change_through_shared_storage_is_one_of_both():
    """`d.b += 1` changes what `d.a` is, too."""
    d = gradients("a", "b")
    d.a = torch.ones(2)
    d.b = d.a
    d.b += 1
    assert {event.name for event in events_of(d) if event.access is Access.CHANGE} == {"a", "b"}
    assert derived_of(d)["a"].tolist() == [2.0, 2.0]
    # Out of place, the other stays what it is.
    d = gradients("a", "b")
    d.a = torch.ones(2)
    d.b = d.a
    d.b = d.b + 1
    assert Access.CHANGE not in {event.access for event in events_of(d)}


def test_a_stack_runs_from_the_innermost_line_to_backward():
    """Through helpers and loops, and no further."""

    def put(name, value):
        d[name] = value

    def backward():
        for name in ("h", "x"):
            put(name, torch.ones(1))

    d = gradients(outermost=backward.__code__)
    backward()
    for event in events_of(d):
        assert [one.function for one in event.stack] == ["put", "backward"]
        assert event.location.line == put.__code__.co_firstlineno + 1


def test_a_thread_is_followed_too():
    """As far as it goes back."""
    d = gradients()

    def work():
        d.h = torch.ones(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [one.function for one in events_of(d)[0].stack] == ["work"]


def test_the_last_assignment_counts():
    """A gradient may be assigned twice; the order of the rows is that of the first."""
    d = gradients()
    d.h = torch.ones(1)
    d.x = torch.ones(1)
    d.h = torch.zeros(1)
    assert {name: value.tolist() for name, value in derived_of(d).items()} == {"h": [0.0], "x": [1.0]}
    assert list(derived_of(d)) == ["h", "x"]
    assert written_at(d, "h").line == line(-3)


def test_a_cotangent_is_no_derived_gradient_until_it_is_written():
    """An output used inside is judged when written."""
    d = gradients()
    assert d.loss.item() == 1.0
    assert derived_of(d) == {}
    d.loss = d.loss + 1
    assert derived_of(d)["loss"].item() == 2.0


def test_a_gradient_of_no_tensor_is_refused():
    """Read or written, with the nearest name."""
    d = gradients("h1_preact", undifferentiable=["labels"])
    for access in (lambda: d["h1_preat"], lambda: d.__setitem__("h1_preat", torch.ones(1))):
        with pytest.raises(
            UnknownName, match="d.h1_preat: the forward has no tensor 'h1_preat'; did you mean 'h1_preact'?"
        ):
            access()
    for access in (lambda: d.labels, lambda: d.__setitem__("labels", torch.ones(1))):
        with pytest.raises(NotDifferentiable, match="t.labels has no gradient: .* remove d.labels") as caught:
            access()
        assert caught.value.location.file == __file__


def test_a_gradient_that_is_not_derived_is_refused_or_given():
    """Refused with the line; given as the reference, marked, and once."""
    with pytest.raises(NotDerived, match="d.h is read before it was derived: assign it first, or set `partial = True`"):
        gradients().h  # noqa: B018  # reading it is the test
    asked = []
    d = gradients(given=lambda name: asked.append(name) or torch.full((2,), 5.0))
    assert d.h.tolist() == [5.0, 5.0]
    assert d.h is d.h
    assert (asked, handed_out(d), derived_of(d)) == (["h"], {"h"}, {})
    d.h = torch.ones(2)
    assert list(derived_of(d)) == ["h"]
