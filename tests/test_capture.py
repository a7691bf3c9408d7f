"""The guard of a float64 pass: lets through whatever the pass made, refuses what came rounded from outside."""

from __future__ import annotations

import numpy
import pytest
import torch
import torch.utils.checkpoint
from torch.nn import functional

from gradverify import Case, verify
from gradverify.capture import CaptureGuard
from gradverify.errors import CapturedTensor, CaseRaised
from gradverify.evaluation import draw_cotangents, run_backward, run_forward
from gradverify.gradients import derived_of
from gradverify.inputs import draw_inputs
from gradverify.trace import values_of
from test_location import in_package

WEIGHT = torch.tensor([0.1, 0.2, 0.3])
LAYER = torch.nn.Linear(3, 3)
INDEX = torch.tensor([2, 0])
MASK = torch.tensor([True, False, True])
DOUBLE = torch.ones(3, dtype=torch.float64)


class Half(torch.autograd.Function):
    """A kernel that computes in float32 whatever it is given."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        low = x.float()
        return (low * low).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Weighs(torch.autograd.Function):
    """One that brings a weight of its own."""

    @staticmethod
    def forward(_, x):
        return x * WEIGHT

    @staticmethod
    def backward(_, gradient):
        return gradient


def cast_and_view(x):
    low = x.float()
    return (low[None].T.contiguous().view(-1)[1:] + low.new_ones(2)).sum() + low.numpy().sum()


def cast_in_place(x):
    low = torch.empty(3, dtype=torch.float32)
    low.copy_(x).add_(1)
    torch.exp(low, out=low)
    return low.unbind()[0] + low.max(0).values


FINE = {
    "arithmetic": lambda x: (x * 2.5).sum().item(),
    "constants": lambda x: x + torch.tensor([0.1, 0.2, 0.3]) + torch.arange(3) + torch.zeros_like(x),
    "another double": lambda x: x * DOUBLE,
    "integers": lambda x: x[INDEX] + functional.embedding(INDEX, x[:, None])[0],
    "booleans": lambda x: torch.where(MASK, x, 0).masked_fill(~MASK, 1.0),
    "functional": lambda x: (
        functional.gelu(functional.layer_norm(x, (3,))) + functional.softmax(x, 0) + functional.dropout(x, 0.0)
    ),
    "einsum": lambda x: torch.einsum("i,j->ij", x, x),
    "linear algebra": lambda x: torch.linalg.solve(torch.eye(3) * 2, x),
    "cast and view": cast_and_view,
    "cast in place": cast_in_place,
    "made in float32": lambda x: x + torch.ones(3, dtype=torch.float32) + torch.rand(3, dtype=torch.float16),
    "several results": lambda x: sum(x.float().chunk(3)) + torch.stack([x.bfloat16(), x.bfloat16()])[1],
    "autograd.Function": Half.apply,
    "checkpoint": lambda x: torch.utils.checkpoint.checkpoint(lambda y: y.float() * 2, x, use_reentrant=False) + 1,
    "vmap": lambda x: torch.func.vmap(lambda one: one.float() * 2)(x) + 1,
    "func.grad": lambda x: torch.func.grad(lambda one: (one.float() ** 2).sum())(x) + 1,
    "jacrev": lambda x: torch.func.jacrev(lambda one: one.float() ** 2)(x).float() + 1,
    "numpy": lambda x: torch.tensor(numpy.float32([1, 2, 3])) + x,
    "a layer made here": lambda x: torch.nn.Linear(3, 2)(x),
    "kwargs and lists": lambda x: torch.cat(tensors=[x.float(), x.float()]),
    "sparse": lambda x: torch.sparse.mm(torch.eye(3, dtype=torch.float32).to_sparse().double(), x[:, None]),
}
CAPTURED = {
    "arithmetic": lambda x: x * WEIGHT,
    "reflected": lambda x: WEIGHT - x,
    "matmul": lambda x: x @ WEIGHT,
    "a view of it": lambda x: x[:2] * WEIGHT[1:],
    "in a list": lambda x: torch.cat([x, WEIGHT]),
    "keyword": lambda x: functional.linear(x, torch.eye(3), bias=WEIGHT),
    "a layer from outside": lambda x: LAYER(x),
    "in place": lambda x: x.clone().add_(WEIGHT),
    "alone": lambda _: WEIGHT.exp(),
    "autograd.Function": Weighs.apply,
    "vmap": lambda x: torch.func.vmap(lambda one: one * WEIGHT)(x),
    "comprehension": lambda x: [x * one for one in (WEIGHT,)],
}


@pytest.mark.parametrize("code", FINE.values(), ids=FINE)
def test_what_the_pass_made_itself_is_let_through(code):
    """Whatever its precision, through views, casts, in-place writes, transforms and containers."""
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        with CaptureGuard(torch.float64, [x]):
            code(x)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("code", CAPTURED.values(), ids=CAPTURED)
def test_what_came_rounded_from_outside_is_refused(code):
    """With the precision, the shape, the line and the two remedies."""
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        with CaptureGuard(torch.float64, [x]), pytest.raises(CapturedTensor) as caught:
            code(x)
    finally:
        torch.set_default_dtype(torch.float32)
    message = str(caught.value)
    assert "a float32 tensor of shape (3" in message
    assert "return it from `inputs`" in message
    assert "keep it on `self`" in message
    assert caught.value.location.file == __file__


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_lower_precision_is_refused(dtype):
    """Each was rounded once and for all."""
    outside = torch.ones(2).to(dtype)
    with CaptureGuard(torch.float64, []), pytest.raises(CapturedTensor, match=f"a {str(dtype)[6:]} tensor of shape"):
        outside.sum()


def test_inputs_of_lower_precision_are_known():
    """And whatever is admitted later, with its views."""
    given, later = torch.ones(3), torch.ones(3)
    guard = CaptureGuard(torch.float64, [given])
    guard.admit([later, None, 3.0])
    with guard:
        assert (given[1:] + later[:2]).tolist() == [2.0, 2.0]
    # A second time round it still knows them, and what was made meanwhile.
    with guard:
        given.sum()
    with guard, pytest.raises(CapturedTensor):
        WEIGHT.sum()


def test_other_passes_need_no_guard():
    """A constant of the module is as precise as they are."""
    assert not CaptureGuard(torch.float32, []).is_needed
    assert CaptureGuard(torch.float64, []).is_needed


def test_our_own_calls_are_not_the_users():
    """Handing out a reference of lower precision, say, while the user's backward runs."""
    outside = torch.ones(3)
    with CaptureGuard(torch.float64, []):
        handed_out = in_package(torch.clone, outside)
        assert (handed_out * 2).tolist() == [2.0, 2.0, 2.0]
        with pytest.raises(CapturedTensor):
            outside.clone()


class Scaled(Case):
    """y = x * w for a w that is no input; subclasses say where it comes from."""

    __test__ = False

    def weight(self):
        return torch.tensor([0.1, 0.2, 0.3])

    def inputs(self, generator):
        return {"x": torch.randn(3, generator=generator)}

    def forward(self, t):
        t.y = t.x * self.weight()
        return t.y

    def backward(self, t, d):
        d.x = d.y * self.weight()


class FromTheModule(Scaled):
    def weight(self):
        return WEIGHT


class FromTheClass(Scaled):
    kept = torch.tensor([0.1, 0.2, 0.3])

    def weight(self):
        return self.kept


class FromTheInstance(Scaled):
    def __init__(self):
        self.table = {"weights": [torch.tensor([0.1, 0.2, 0.3])]}

    def weight(self):
        return self.table["weights"][0]


class FromAModule(Scaled):
    def __init__(self):
        self.layer = torch.nn.Linear(3, 1)

    def weight(self):
        return self.layer.weight[0].detach()


class FromTheForward(Scaled):
    def forward(self, t):
        self.seen = t.x.float().exp()
        t.y = t.x * self.weight()
        return t.y

    def weight(self):
        return self.seen.detach().to(torch.get_default_dtype())


@pytest.mark.parametrize("case", [Scaled, FromTheClass, FromTheInstance, FromAModule, FromTheForward])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_constant_on_the_case_is_converted(case, dtype):
    """Whether the class, the instance, a container, a module or the forward itself keeps it there."""
    report = verify(case, dtype=dtype)
    assert report.passed, str(report)


def test_a_constant_of_the_module_is_told_of():
    """With the name of the case and the line where it is used."""
    with pytest.raises(CapturedTensor, match="FromTheModule: a float32 tensor") as caught:
        verify(FromTheModule)
    assert caught.value.location.line == Scaled.forward.__code__.co_firstlineno + 1


class CastOutput(Scaled):
    """A loss in float32 whatever the rest: its cotangent is float32 too."""

    def forward(self, t):
        t.y = t.x**2
        t.low = t.y.float()
        t.loss = t.low.sum()
        return t.loss

    def backward(self, t, d):
        d.low = d.loss.expand_as(t.low)
        d.y = d.low.to(t.y.dtype)
        d.x = 2 * t.x * d.y


class CastPartly(CastOutput):
    def backward(self, t, d):
        d.y = d.low.to(t.y.dtype)


class CastWrongly(CastOutput):
    def backward(self, t, d):
        super().backward(t, d)
        d.y = d.y * 1.01


@pytest.mark.parametrize(
    ("case", "partial", "failed"), [(CastOutput, False, []), (CastPartly, True, []), (CastWrongly, False, ["y"])]
)
def test_a_cast_within_the_case_is_its_own_affair(case, partial, failed):
    """Cotangents and references of lower precision belong to the pass, in every rerun of the backward."""
    report = verify(case, partial=partial)
    assert [row.name for row in report.failed_rows] == failed


def test_a_backward_knows_the_values_of_a_forward_that_was_not_watched():
    """What is recorded belongs to the pass, whether or not the guard saw it made."""
    case = CastOutput()
    inputs = draw_inputs(case, 1, torch.float32, torch.device("cpu"), frozenset())
    forward = run_forward(case, inputs, torch.float64, guarded=False)
    gradients = run_backward(case, forward, draw_cotangents(inputs, forward))
    assert torch.equal(derived_of(gradients)["x"], 2 * values_of(forward.trace)["x"])


def test_the_users_own_error_in_a_guarded_pass_stays_the_users():
    """The guard lies between the user's operation and torch's complaint."""

    class Misshapen(Scaled):
        def forward(self, t):
            t.y = t.x @ torch.ones(7)
            return t.y

    with pytest.raises(CaseRaised, match="forward raised RuntimeError in the float64 pass") as caught:
        verify(Misshapen, dtype="float64")
    assert caught.value.location.line == Misshapen.forward.__code__.co_firstlineno + 1
