"""One pass of a case: forward, outputs and their cotangents, autograd's gradients, the hand-derived ones."""

from __future__ import annotations

import collections

import pytest
import torch
import torch.utils.checkpoint

from gradverify import verify
from gradverify.errors import CaseRaised, EmptyTensor, GradverifyError, InvalidGradient, InvalidOutput
from gradverify.evaluation import run_autograd, run_backward
from gradverify.gradients import Access, derived_of, events_of, handed_out
from passes import Square, drawn, first_line, forward_of


def test_the_forward_records_leaves_and_what_is_made_of_them():
    """With autograd on, or off."""
    _, forward, _ = forward_of(Square())
    assert list(forward.differentiable) == ["x", "y", "loss"]
    assert forward.outputs == ("loss",)
    assert forward.largest == 3
    _, forward, _ = forward_of(Square(), with_grad=False)
    assert (forward.differentiable, forward.undifferentiable) == ({}, {"x", "y", "loss"})


Pair = collections.namedtuple("Pair", ["first", "second"])


@pytest.mark.parametrize(
    ("returns", "names"),
    [
        (lambda t: t.loss, ("loss",)),
        (lambda t: (t.y, t.loss), ("y", "loss")),
        (lambda t: [t.loss], ("loss",)),
        (lambda t: Pair(t.y, t.loss), ("y", "loss")),
        # The name assigned last is the one that the tensor has as an output.
        (lambda t: [t.__setattr__("total", t.loss), t.total][1:], ("total",)),
        (lambda t: t.x, ("x",)),
    ],
)
def test_outputs_are_found_by_identity(returns, names):
    """A tensor, a tuple, a list, a named tuple."""

    class Returning(Square):
        def forward(self, t):
            super().forward(t)
            return returns(t)

    assert forward_of(Returning())[1].outputs == names


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda _: None, "forward returned nothing; end it with `return t.loss`"),
        (lambda _: (), "forward returned nothing"),
        (lambda t: t.loss.item(), "forward returned {value}; expected a tensor assigned to t, or a tuple of such"),
        (lambda t: {"loss": t.loss}, "forward returned a dict; expected a tensor assigned to t"),
        (lambda t: (t.loss, 3.0), "forward returned 3.0; expected a tensor assigned to t"),
        (lambda t: t.loss + 1, "forward returned a tensor of shape () that has no name: assign it, `t.loss = ...`"),
        (lambda t: t.y.view(3), "forward returned a tensor of shape (3,) that has no name"),
        (lambda t: t.y.view(3, 1).max(1), "forward returned a tensor of shape (3,) that has no name"),
        (lambda t: (t.loss, t.loss), "forward returned t.loss twice; return each output once"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(returns, message):
    """At the definition of `forward`, with what to return."""

    class Returning(Square):
        def forward(self, t):
            super().forward(t)
            return returns(t)

    case = Returning()
    with pytest.raises(InvalidOutput) as caught:
        forward_of(case)
    value = float(drawn(case).values["x"].square().sum())
    assert caught.value.message.startswith(message.format(value=value))
    assert (caught.value.case, caught.value.location.line) == ("Returning", first_line(Returning.forward))


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda x: x.detach().sum(), "float32"),
        (lambda x: x.argmax(), "int64"),
        (lambda _: torch.ones(3).sum(), "float32"),
        (lambda x: (x > 0).any(), "bool"),
    ],
)
def test_an_output_without_a_gradient_is_refused(make, dtype):
    """Where it was assigned."""

    class Returning(Square):
        def forward(self, t):
            t.loss = make(t.x)
            return t.loss

    with pytest.raises(InvalidOutput, match=rf"the output t.loss \({dtype}\) has no gradient: it must be") as caught:
        forward_of(Returning())
    assert caught.value.location.line == first_line(Returning.forward) + 1


def test_an_empty_intermediate_is_refused():
    """Where it was assigned."""

    class Empty(Square):
        def forward(self, t):
            t.none = t.x[5:]
            return super().forward(t)

    with pytest.raises(EmptyTensor, match=r"t.none has no elements \(shape \(0,\)\)") as caught:
        forward_of(Empty())
    assert caught.value.location.line == first_line(Empty.forward) + 1


def test_an_intermediate_on_another_device_is_refused():
    """Where it was assigned, with the device of the case."""

    class Elsewhere(Square):
        def forward(self, t):
            t.z = t.x.to("meta")
            return super().forward(t)

    with pytest.raises(GradverifyError, match="t.z is on meta, the case runs on cpu: make tensors without") as caught:
        forward_of(Elsewhere())
    assert caught.value.location.line == first_line(Elsewhere.forward) + 1


def test_cotangents():
    """Ones for one element, else normal, in the dtype of the output."""

    class Outputs(Square):
        def forward(self, t):
            super().forward(t)
            t.low = t.y.bfloat16()
            t.one = t.loss[None]
            return t.loss, t.one, t.y, t.low

    _, _, cotangents = forward_of(Outputs())
    assert (cotangents["loss"].item(), cotangents["one"].tolist()) == (1.0, [1.0])
    assert {name: one.dtype for name, one in cotangents.items()} == {
        "loss": torch.float32,
        "one": torch.float32,
        "y": torch.float32,
        "low": torch.bfloat16,
    }
    assert cotangents["y"].std() > 0


class Twice(Square):
    """One tensor under two names."""

    def forward(self, t):
        t.skip = t.x
        t.y = t.x.sin() + t.skip
        t.loss = t.y.sum()
        return t.loss


def test_a_second_name_has_the_gradient_of_its_own_uses():
    """`t.skip = t.x` is a use of x: a residual is derived in two shares, and x has both."""
    case = Twice()
    _, forward, cotangents = forward_of(case)
    gradients = run_autograd(case, forward, cotangents)
    assert torch.equal(gradients["skip"], torch.ones_like(gradients["x"]))
    assert torch.allclose(gradients["x"], forward.trace["x"].detach().cos() + 1)


class UsedInside(Square):
    """An output from which another one is computed."""

    def forward(self, t):
        t.h = t.x * 2
        t.y = t.h.sin()
        return t.h, t.y

    def backward(self, t, d):
        d.h = d.h + d.y * t.h.cos()
        d.x = 2 * d.h


class UsedInsideInPlace(UsedInside):
    def backward(self, t, d):
        d.h += d.y * t.h.cos()
        d.x = 2 * d.h


class UsedInsideForgotten(UsedInside):
    """Planted: the cotangent of the output itself is lost."""

    def backward(self, t, d):
        d.h = d.y * t.h.cos()
        d.x = 2 * d.h


class Through(UsedInside):
    """An input that is an output."""

    def forward(self, t):
        t.y = t.x.sin()
        return t.x, t.y

    def backward(self, t, d):
        d.x = d.x + d.y * t.x.cos()


@pytest.mark.parametrize(
    ("case", "failed"),
    [(UsedInside, []), (UsedInsideInPlace, []), (UsedInsideForgotten, ["h"]), (Through, [])],
)
def test_an_output_that_is_used_inside_adds_to_its_cotangent(case, failed):
    """Out of place or in place, and it is judged once it is written."""
    report = verify(case)
    assert [row.name for row in report.failed_rows if row.origin != "inherited"] == failed
    assert report.rows[0].name in ("h", "x")


class Cubed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * gradient


class RaisingInside(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x**3

    @staticmethod
    def backward(*_):
        raise ValueError("planted")


WAYS = {
    "autograd.Function": Cubed.apply,
    "checkpoint": lambda x: torch.utils.checkpoint.checkpoint(lambda y: y**3, x, use_reentrant=False),
    "in place on a temporary": lambda x: (x * 1).pow_(3),
    "views": lambda x: torch.stack([one**3 for one in x.unbind()]),
    "einsum": lambda x: torch.einsum("i,i,i->i", x, x, x),
    "hook": lambda x: [y := x**3, y.register_hook(lambda gradient: gradient), y][-1],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_reference_is_autograds_whatever_the_forward_is_made_of(way):
    """One right candidate fits all ways to compute a cube, and the wrong one none."""

    class Cube(Square):
        def forward(self, t):
            t.y = way(t.x)
            t.loss = t.y.sum()
            return t.loss

        def backward(self, t, d):
            d.y = d.loss.expand_as(t.y)
            d.x = 3 * t.x**2 * d.y

    class Wrong(Cube):
        def backward(self, t, d):
            super().backward(t, d)
            d.x = 2 * t.x**2 * d.y

    report = verify(Cube)
    assert report.passed, str(report)
    assert [row.name for row in verify(Wrong).failed_rows] == ["x"]


def test_a_backward_of_torchs_that_raises_is_told_as_such():
    """It is the user's autograd.Function, with its line."""

    class Raising(Square):
        def forward(self, t):
            t.y = RaisingInside.apply(t.x)
            t.loss = t.y.sum()
            return t.loss

    case = Raising()
    _, forward, cotangents = forward_of(case)
    with pytest.raises(CaseRaised, match="Raising: autograd's backward raised ValueError .*: planted") as caught:
        run_autograd(case, forward, cotangents)
    assert caught.value.location.line == first_line(RaisingInside.backward) + 2


def test_what_no_output_depends_on_has_a_gradient_of_zeros():
    """As the verdict `vacuous` needs it."""

    class Unused(Square):
        def forward(self, t):
            t.unused = t.x * 3
            return super().forward(t)

    case = Unused()
    _, forward, cotangents = forward_of(case)
    assert run_autograd(case, forward, cotangents)["unused"].tolist() == [0.0, 0.0, 0.0]


def test_the_backward_runs_without_autograd_on_detached_values():
    """Its gradients have no graph, and the cotangents it changes are its own."""

    class Changing(Square):
        def backward(self, t, d):
            assert not torch.is_grad_enabled()
            assert not t.x.requires_grad
            d.loss.mul_(2)
            super().backward(t, d)

    case = Changing()
    _, forward, cotangents = forward_of(case)
    gradients = run_backward(case, forward, cotangents)
    assert cotangents["loss"].item() == 1.0
    assert not derived_of(gradients)["x"].requires_grad
    assert Access.CHANGE in {event.access for event in events_of(gradients)}


def test_a_backward_that_returns_something_is_refused():
    """It assigns, as torch's own do not."""

    class Returning(Square):
        def backward(self, t, d):
            return 2 * t.x

    case = Returning()
    _, forward, cotangents = forward_of(case)
    with pytest.raises(
        InvalidOutput, match="backward returned a float32 tensor; assign each gradient to `d.<name>`"
    ) as caught:
        run_backward(case, forward, cotangents)
    assert caught.value.location.line == first_line(Returning.backward)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.to_sparse(), r"d.x is sparse_coo, expected a dense tensor: assign its .to_dense\(\)"),
        (lambda x: x + 0j, "d.x is complex; gradients are compared for real tensors"),
        (
            lambda x: torch.empty_like(x, device="meta"),
            "d.x is on meta, its tensor on cpu: make it from tensors",
        ),
    ],
)
def test_a_gradient_that_cannot_be_compared_is_refused(spoil, message):
    """Where it was assigned."""

    class Spoilt(Square):
        def backward(self, t, d):
            super().backward(t, d)
            d.x = spoil(d.x)

    with pytest.raises(InvalidGradient, match=f"Spoilt: {message}") as caught:
        verify(Spoilt)
    assert caught.value.location.line == first_line(Spoilt.backward) + 2


def test_what_is_not_derived_is_handed_out_on_request():
    """And only then."""

    class Partial(Square):
        def backward(self, t, d):
            d.x = 2 * t.x * d.y

    case = Partial()
    _, forward, cotangents = forward_of(case)
    gradients = run_backward(case, forward, cotangents, lambda _: torch.ones(3))
    assert handed_out(gradients) == {"y"}
    assert list(derived_of(gradients)) == ["x"]


class Remembering(Square):
    """Keeps something of the forward for the backward, and something of the inputs for both."""

    def inputs(self, generator):
        self.order = torch.randperm(self.n, generator=generator)
        return super().inputs(generator)

    def forward(self, t):
        self.sine = t.x.sin()
        t.y = (self.sine * t.x)[self.order]
        t.loss = t.y.sum()
        return t.loss

    def backward(self, t, d):
        d.y = d.loss.expand_as(t.y)
        d.x = torch.zeros_like(t.x).index_add(0, self.order, d.y) * (self.sine.detach() + t.x * t.x.cos())


def test_what_a_pass_keeps_on_the_case_is_its_own():
    """The float64 backward sees what the float64 forward kept; the case itself stays as it was."""
    case = Remembering()
    report = verify(case)
    assert report.passed, str(report)
    assert vars(case) == {"n": 3}


class FreshMethods(Square):
    """Its methods are decorated."""

    @torch.no_grad()
    def inputs(self, generator):
        return super().inputs(generator)

    @torch.enable_grad()
    def forward(self, t):
        return super().forward(t)

    @torch.no_grad()
    def backward(self, t, d):
        super().backward(t, d)


def test_methods_may_be_decorated():
    """The rows still point into the user's code."""
    report = verify(FreshMethods)
    assert report.passed, str(report)
    assert report["x"].line == first_line(Square.backward) + 2
