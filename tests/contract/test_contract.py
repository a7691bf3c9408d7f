"""The audit as a whole: when it runs, what it touches, and what it does where it cannot tell."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function

from contract import planted
from contract.planted import made, saving, scaled, square
from gradverify import Case, FunctionCase, GradientMismatch, Report, check, verify
from gradverify.configuration import configurations
from gradverify.contract import rules
from gradverify.reproducer import reproduce
from gradverify.verdict import Observance

X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
W = torch.linspace(0.5, 2.0, 4)


def clause_of(report: Report, rule: str) -> Any:
    return next(clause for clause in report.contract if clause.rule == rule)


class Cubes(Function):
    """At the top of a module, so that a script can import it; it works in place where it can."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return d.contiguous().mul_(3 * x * x)


def cube(x: Tensor) -> Tensor:
    return x**3


class TestWhen:
    """Every candidate is audited, unless the run is quick."""

    def test_by_default(self):
        """A clause for every rule, in their order."""
        report = verify(cube, inputs=[X], reference=cube)
        assert [clause.rule for clause in report.contract] == [rule.name for rule in rules()]
        assert len({rule.name for rule in rules()}) == len(rules())

    def test_not_where_it_is_quick(self):
        """Which runs the working precision once."""
        assert verify(cube, inputs=[X], reference=cube, quick=True).contract == ()

    def test_a_function_case(self):
        """As any other candidate."""

        class Right(FunctionCase):
            candidate = cube
            reference = cube

            def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
                return {"x": torch.randn(4, generator=generator)}

        assert len(verify(Right).contract) == len(rules())

    def test_not_a_case_with_steps(self):
        """It has no backward of its own."""

        class Steps(Case):
            def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
                return {"x": torch.randn(4, generator=generator)}

            def forward(self, t: Any) -> Tensor:
                t.y = t.x * 2
                return t.y

            def backward(self, t: Any, d: Any) -> None:
                d.x = d.y * 2

        report = verify(Steps)
        assert report.passed
        assert report.contract == ()

    def test_not_where_no_upstream_gradient_fits(self):
        """Outputs of another shape end the judgement."""
        assert verify(lambda x: x[:1], inputs=[X], reference=cube).contract == ()

    def test_check_raises_at_a_broken_clause(self):
        """Though every gradient is right."""
        with pytest.raises(
            GradientMismatch, match=r"2 gradients right, but the backward breaks the contract: cotangent"
        ):
            check(Cubes.apply, inputs=[X], reference=cube)


class TestWhatItTouches:
    """Nothing that belongs to the user."""

    def test_modules_and_their_buffers(self):
        """Neither values, nor gradients, nor running statistics."""
        module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        before = {name: value.clone() for name, value in module.state_dict().items()}
        marks = {name: torch.ones_like(parameter) for name, parameter in module.named_parameters()}
        for name, parameter in module.named_parameters():
            parameter.grad = marks[name]
        assert verify(module, inputs=[X], reference=nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))).contract
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
        assert all(parameter.grad is marks[name] for name, parameter in module.named_parameters())
        assert all(bool((mark == 1).all()) for mark in marks.values())

    def test_parameters_that_a_function_holds(self):
        """They are no inputs, and their `.grad` is their owner's."""
        weight = nn.Parameter(W.clone())
        assert verify(lambda x: x * weight, inputs=[X], reference=lambda x: x * weight).contract
        assert weight.grad is None

    def test_inputs(self):
        """Neither their values nor their `.grad`, whether they need one or not."""
        x = X.clone().requires_grad_()
        verify(Cubes.apply, inputs=[x], reference=cube)
        assert torch.equal(x, X)
        assert x.grad is None

    def test_the_class_of_a_function(self):
        """It is watched on the node of one call."""
        before = dict(vars(Cubes))
        verify(Cubes.apply, inputs=[X], reference=cube)
        assert dict(vars(Cubes)) == before

    def test_the_warnings_of_a_batch_of_size_zero_are_not_the_users(self):
        """Warnings are errors here."""
        assert verify(lambda x: x.var(0), inputs=[X], reference=lambda x: x.var(0)).passed


class TestErrors:
    """What a candidate raises is a clause, and the others are tried all the same."""

    def test_an_error_where_there_must_be_none(self):
        """Names the exception, the statement, the line and the remedy."""
        report = verify(made(saving(scaled), planted.needs_all), inputs=[X, W], reference=scaled)
        assert len(report.contract) == len(rules())
        clause = clause_of(report, "subsets of requires_grad")
        assert clause.observance is Observance.BROKEN
        assert "the candidate's backward raised IndexError at `raise IndexError(" in clause.seen
        assert "ctx.needs_input_grad" in clause.remedy
        assert clause.file == planted.__file__

    def test_an_error_that_comes_late(self):
        """Every rule tells it, and none is lost."""
        calls = 0

        def wearing_out(ctx: Any, d: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            if calls > 12:
                raise RuntimeError("worn out")
            return planted.right_square(ctx, d)

        report = verify(made(saving(square), wearing_out), inputs=[X], reference=square)
        assert report.failed_rows == ()
        assert len(report.contract) == len(rules())
        assert {clause.rule for clause in report.broken_clauses} >= {"cotangent layout", "repeatability"}
        assert all("worn out" in clause.seen for clause in report.broken_clauses)

    def test_a_detached_output(self):
        """There is nothing to try; the row tells that the gradient is missing."""
        report = verify(lambda x: cube(x).detach(), inputs=[X], reference=cube)
        assert {clause.observance for clause in report.contract} == {Observance.INAPPLICABLE}


class TestRepeatability:
    """Bits that change from call to call are noted, and fail under `strict`."""

    @pytest.mark.parametrize("strict", [False, True])
    def test_sums_in_another_order(self, strict):
        """As atomic additions make them."""
        inputs = [torch.randn(301, generator=torch.Generator().manual_seed(1))]
        report = verify(
            planted.order_by_chance(), inputs=inputs, reference=lambda x: x.sum() * x.detach(), strict=strict
        )
        clause = clause_of(report, "repeatability")
        assert clause.observance is (Observance.BROKEN if strict else Observance.NOTED)
        assert clause.passed is not strict
        assert "in other bits" in clause.seen

    def test_the_same_bits(self):
        """The twin."""
        assert verify(cube, inputs=[X], reference=cube, strict=True).passed


class TestWithoutReference:
    """The candidate is held against itself."""

    @pytest.mark.parametrize(
        ("backward", "observance"),
        [
            (planted.right_square, Observance.KEPT),
            (planted.half_a_graph, Observance.BROKEN),
            (planted.without_a_graph, Observance.BROKEN),
        ],
    )
    def test_double_backward_by_difference_quotients(self, backward, observance):
        """Of its own gradients, in float64."""
        report = verify(made(saving(square), backward, twice=True), inputs=[X])
        assert clause_of(report, "double backward").observance is observance

    def test_layouts(self):
        """Need no reference."""
        report = verify(made(saving(square), planted.ignores_strides_of_d), inputs=[X])
        assert [clause.rule for clause in report.broken_clauses] == ["cotangent layout"]


def test_an_op_of_torch_library():
    """Is watched like a Function."""

    @torch.library.custom_op("gradverify_contract::twice", mutates_args=())
    def twice(x: Tensor) -> Tensor:
        return x * 2

    def backward(ctx: Any, d: Tensor) -> Tensor:
        return d.contiguous().mul_(2)

    twice.register_autograd(backward)
    report = verify(twice, inputs=[X], reference=lambda x: x * 2)
    assert report.failed_rows == ()
    assert "cotangent unchanged" in {clause.rule for clause in report.broken_clauses}
    assert clause_of(report, "raw shape").observance is Observance.KEPT


def test_a_mistake_in_the_rows_is_not_told_twice():
    """A gradient that is wrong anywhere is wrong on ties and in double backward too."""
    report = verify(
        made(saving(square), lambda ctx, d: 3 * ctx.saved_tensors[0] * d, twice=True), inputs=[X], reference=square
    )
    assert [row.name for row in report.failed_rows] == ["input0"]
    assert report.broken_clauses == ()


def test_a_kernel_that_computes_in_less_is_not_blamed_for_its_rounding():
    """In a float64 run, float32 inside is a clause of its own, and the layouts are right to float32."""

    def normalised(x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt((wide**2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype)

    report = verify(
        normalised, inputs=[X.double()], reference=lambda x: x * torch.rsqrt((x**2).mean(-1, keepdim=True) + 1e-5)
    )
    assert [clause.rule for clause in report.broken_clauses] == ["float64 throughout"]


def test_a_large_candidate_is_tried_on_fewer_rows_where_that_says_as_much():
    """Of a tensor of 2^18 elements the rules of layout see 2^15."""
    sizes = set()

    def spy(x: Tensor, w: Tensor) -> Tensor:
        sizes.add(x.numel())
        return x * w

    report = verify(spy, inputs=[torch.randn(2**10, 2**8), torch.ones(2**8)], reference=scaled)
    assert report.passed, str(report)
    assert {2**15, 2**18, 0} <= sizes


def test_a_broken_clause_has_a_reproducer(tmp_path):
    """At the smallest sizes at which it is broken."""

    class Cubed(FunctionCase):
        rows: int = 6
        candidate = Cubes.apply
        reference = cube

        def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
            return {"x": torch.randn(self.rows, 3, generator=generator)}

    globals()["Cubed"] = Cubed
    Cubed.__qualname__ = "Cubed"
    case = Cubed()
    configuration = configurations(case)[0]
    script = reproduce(case, configuration, verify(case))
    assert "breaks the contract: cotangent unchanged" in script
    assert "Cubed(rows=1)" in script
