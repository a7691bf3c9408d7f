"""Candidates that bring their own backward: how they are called, named and judged, and what is refused."""

# ruff: noqa: ARG004, ARG005 -- candidates and their references take the same arguments, needed or not
from __future__ import annotations

import functools
import inspect
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from gradverify import FunctionCase, GradientMismatch, check, verify
from gradverify.candidate import Conditions, Cotangent, draw_cotangents, draw_pair, run
from gradverify.errors import (
    CaseRaised,
    EmptyTensor,
    GradverifyError,
    InvalidInputs,
    InvalidOutput,
    NotDeterministic,
    UsageError,
)
from gradverify.function_case import function_case
from gradverify.verdict import Verdict

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


class RmsNorm(Function):
    """x / rms(x) * w, with its sums in float32, as kernels have them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, eps: float = 1e-5) -> Tensor:
        scale = torch.rsqrt((x.float() ** 2).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, w, scale)
        return (x.float() * scale * w.float()).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, None]:
        x, w, scale = ctx.saved_tensors
        g, h = d.float() * w.float(), x.float() * scale
        dx = scale * (g - h * (g * h).mean(-1, keepdim=True))
        return dx.to(x.dtype), (d.float() * h).sum(0).to(w.dtype), None


class RmsNormForgetful(RmsNorm):
    """Planted: the mean term is left out."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, None]:
        x, w, scale = ctx.saved_tensors
        g, h = d.float() * w.float(), x.float() * scale
        return (scale * g).to(x.dtype), (d.float() * h).sum(0).to(w.dtype), None


class BFloat16Only(RmsNorm):
    """A kernel compiled for bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, eps: float = 1e-5) -> Tensor:
        if x.dtype != torch.bfloat16:
            raise TypeError("expected bfloat16")
        return RmsNorm.forward(ctx, x, w, eps)


class BFloat16OnlyForgetful(BFloat16Only):
    """Planted: the mean term is left out."""

    backward = RmsNormForgetful.backward


def rms_norm(x: Tensor, w: Tensor, eps: float = 1e-5) -> Tensor:
    """The same in plain torch."""
    wide = x.float()
    return (wide * torch.rsqrt((wide**2).mean(-1, keepdim=True) + eps) * w.float()).to(x.dtype)


def double(x: Tensor) -> Tensor:
    return 2 * x


def refuses(x: Tensor) -> Tensor:
    """What never works."""
    raise ValueError("no")


class Scaled(Function):
    """2 x, with one mistake or another in its backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        return 2 * d


X, W = drawn(6, 40), drawn(40, seed=1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_a_function_of_its_own_backward_passes_and_its_twin_does_not(dtype):
    """Without a tolerance, in every precision; what is right is not blamed."""
    report = verify(RmsNorm.apply, inputs=[X, W], reference=rms_norm, dtype=dtype)
    assert report.failed_rows == ()
    casts = ["float64 throughout"] if dtype == "float64" else []
    assert [clause.rule for clause in report.broken_clauses] == casts, str(report)
    report = verify(RmsNormForgetful.apply, inputs=[X, W], reference=rms_norm, dtype=dtype)
    assert [row.name for row in report.failed_rows] == ["x"]
    assert report["x"].verdict is Verdict.WRONG


def test_a_wrong_gradient_points_at_the_backward_and_an_output_at_the_forward():
    """Also where the Function is called by a plain function."""
    report = verify(lambda x, w: RmsNormForgetful.apply(x, w), inputs=[X, W], reference=rms_norm)
    line = inspect.unwrap(RmsNormForgetful.backward).__code__.co_firstlineno
    assert report["x"].file == __file__
    assert report["x"].line == line
    assert verify(RmsNormForgetful.apply, inputs=[X, W], reference=rms_norm)["output"].line == (
        RmsNorm.forward.__code__.co_firstlineno
    )


def test_a_wrong_gradient_is_diagnosed():
    """By the rules that work on hand-derived ones."""
    report = verify(RmsNormForgetful.apply, inputs=[X, W], reference=rms_norm)
    assert "the mean square over dimension 1 is taken for a constant" in report["x"].hints[0]


def test_check_raises_with_the_report():
    """And returns it where everything is right."""
    assert check(RmsNorm.apply, inputs=[X, W], reference=rms_norm).passed
    with pytest.raises(GradientMismatch, match=r"RmsNormForgetful\[float32\]: 1 of 3 gradients wrong; first: x"):
        check(RmsNormForgetful.apply, inputs=[X, W], reference=rms_norm)


class TestNames:
    """Rows are named by the mapping, else by the signature, else by place."""

    def names(self, candidate: Any, reference: Any, inputs: Any, **arguments: Any) -> list[str]:
        return [row.name for row in verify(candidate, inputs=inputs, reference=reference, **arguments).rows]

    @pytest.mark.parametrize(
        ("candidate", "names"),
        [
            (RmsNorm.apply, ["x", "w"]),
            (rms_norm, ["x", "w"]),
            (functools.partial(rms_norm, eps=1e-5), ["x", "w"]),
            (lambda *tensors: rms_norm(*tensors), ["input0", "input1"]),
        ],
    )
    def test_by_the_signature(self, candidate, names):
        """Of the forward behind `apply`, the context left out."""
        assert self.names(candidate, rms_norm, [X, W]) == ["output", *names]

    def test_of_a_builtin_by_place(self):
        """It has no signature to tell."""
        assert self.names(torch.mul, lambda a, b: a * b, [X, W]) == ["output", "input0", "input1"]

    def test_by_the_mapping(self):
        """Whose order is that of the call."""
        assert self.names(rms_norm, rms_norm, {"a": X, "b": W}) == ["output", "a", "b"]

    def test_of_several_outputs(self):
        """By place, by the fields of a named tuple, by the keys of a mapping, or as `outputs` says."""

        def two(x: Tensor) -> tuple[Tensor, Tensor]:
            return x + 1, x * 3

        def mapped(x: Tensor) -> dict[str, Tensor]:
            return {"y": x + 1, "z": x * 3}

        assert self.names(two, two, [X]) == ["output0", "output1", "x"]
        assert self.names(mapped, mapped, [X]) == ["y", "z", "x"]
        assert self.names(torch.linalg.slogdet, torch.linalg.slogdet, [drawn(3, 3)])[:2] == ["output0", "output1"]
        assert self.names(two, two, [X], outputs=("y", "z")) == ["y", "z", "x"]

    def test_none_passes_an_output_over(self):
        """And outputs beyond those named are nobody's concern."""

        def three(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return x.mean(), x * 3, x**2

        def one(x: Tensor) -> tuple[Tensor, Tensor]:
            return x.amax(), x * 3

        assert self.names(three, one, [X], outputs=(None, "y")) == ["y", "x"]

    def test_an_op_of_torch_library(self):
        """By its schema, whether it is called as it was made or through torch.ops."""

        @torch.library.custom_op("gradverify_tests::twice", mutates_args=())
        def twice(tensor: Tensor, factor: float) -> Tensor:
            return tensor * factor

        twice.register_autograd(lambda ctx, d: (d * 2, None), setup_context=lambda ctx, inputs, output: None)
        for op in (twice, torch.ops.gradverify_tests.twice, torch.ops.gradverify_tests.twice.default):
            report = verify(op, inputs=[X, 2.0], reference=lambda tensor, factor: tensor * factor)
            assert report.passed, str(report)
            assert report.case == "twice"
            assert [row.name for row in report.rows] == ["output", "tensor"]


class TestInputs:
    """What can be given, and what becomes of it."""

    def test_none_booleans_and_numbers_pass_through(self):
        """None of them is a row."""

        def masked(x: Tensor, mask: Tensor, bias: Tensor | None, power: int, rows: Tensor) -> Tensor:
            assert bias is None
            return (x.where(mask, 0) ** power)[rows]

        mask, rows = X > 0, torch.tensor([0, 2, 2])
        report = verify(masked, inputs=[X, mask, None, 3, rows], reference=masked)
        assert report.passed
        assert [row.name for row in report.rows] == ["output", "x"]

    def test_options_go_to_both(self):
        """As keyword arguments."""
        assert verify(rms_norm, inputs=[X, W], reference=rms_norm, options={"eps": 0.5}).passed
        report = verify(rms_norm, inputs=[X, W], reference=lambda x, w, eps: rms_norm(x, w), options={"eps": 0.5})
        assert {row.verdict for row in report.rows} == {Verdict.WRONG}

    def test_constants_are_no_rows(self):
        """Floating inputs that have no gradient."""
        report = verify(rms_norm, inputs=[X, W], reference=rms_norm, constants={"w"})
        assert [row.name for row in report.rows] == ["output", "x"]

    def test_mixed_precisions_are_kept(self):
        """bfloat16 x with a float32 weight; each gradient has the dtype of its tensor."""
        seen = []

        def spy(x: Tensor, w: Tensor) -> Tensor:
            seen.append((x.dtype, w.dtype))
            return RmsNorm.apply(x, w)

        report = verify(spy, inputs=[X.bfloat16(), W], reference=rms_norm)
        assert report.passed
        assert report.dtype == "bfloat16"
        assert [row.dtype for row in report.rows] == ["bfloat16", "bfloat16", "float32"]
        assert set(seen) == {(torch.bfloat16, torch.float32), (torch.float64, torch.float64)}

    def test_a_dtype_converts_all(self):
        """Where it is not the one given."""
        report = verify(RmsNorm.apply, inputs=[X.bfloat16(), W], reference=rms_norm, dtype=torch.float16)
        assert {row.dtype for row in report.rows} == {"float16"}

    def test_a_function_draws_them_from_seed_and_sizes(self):
        """Its own defaults are the sizes."""

        def draw(generator: torch.Generator, rows: int = 3, columns: int = 5) -> list[Tensor]:
            return [torch.randn(rows, columns, generator=generator)]

        report = verify(double, inputs=draw, reference=double, sizes={"columns": 7}, seed=3)
        assert report.sizes == {"rows": 3, "columns": 7}
        assert report["x"].shape == (3, 7)
        assert report.seed == 3

    def test_they_are_left_as_they_are(self):
        """By a candidate that writes on a copy, and by the library."""
        before = X.clone().requires_grad_()
        verify(lambda x: x.detach().zero_() + x, inputs=[before], reference=lambda x: x * 1, constants=())
        assert torch.equal(before, X)
        assert before.grad is None

    @pytest.mark.parametrize(
        ("inputs", "error", "message"),
        [
            (X, InvalidInputs, r"a single tensor is inputs=\[x\]; got a Tensor"),
            ([[X, X]], InvalidInputs, "'x' is a list that holds tensors"),
            ([X.to(torch.complex64)], InvalidInputs, "'x' is complex"),
            ([X.to_sparse()], InvalidInputs, "'x' is sparse_coo"),
            ([torch.zeros(0, 3)], EmptyTensor, r"no elements \(shape \(0, 3\)\)"),
            ([torch.arange(3)], InvalidInputs, r"no input has a gradient: .* got x \(a int64 tensor\)"),
        ],
    )
    def test_what_cannot_be_given(self, inputs, error, message):
        """Is told with what to give in its place."""
        with pytest.raises(error, match=message):
            verify(double, inputs=inputs, reference=double)

    def test_an_unknown_constant(self):
        """The nearest name is told."""
        with pytest.raises(
            InvalidInputs, match=r"`constants` names 'weigth', which is no input; did you mean 'weight'"
        ):
            verify(rms_norm, inputs={"x": X, "weight": W}, reference=rms_norm, constants={"weigth"})

    def test_a_size_without_a_value(self):
        """There is nothing to draw with."""
        with pytest.raises(UsageError, match=r"'rows' has no value: give it a default, or pass sizes=\{'rows': ...\}"):
            verify(double, inputs=lambda generator, rows: [torch.ones(rows)], reference=double)


class Linear(nn.Module):
    """An affine map that counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(drawn(3, 5)), nn.Parameter(drawn(3))
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return (x @ self.weight.T + self.bias) * self.frozen


class LinearScaled(Linear):
    """Planted: the gradient of the weight is off by 2, and the forward is right."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (x @ self.weight.T - (x @ self.weight.T).detach())


class TestModules:
    """Parameters are rows by their names, and nothing of a module is changed."""

    def test_every_trained_parameter_is_a_row(self):
        """In its own module's names; frozen ones are none."""
        report = verify(Linear(), inputs=[drawn(4, 5)], reference=Linear())
        assert report.passed, str(report)
        assert [row.name for row in report.rows] == ["output", "x", "weight", "bias"]
        assert report.case == "Linear"

    def test_a_wrong_gradient_of_a_parameter(self):
        """The twin."""
        report = verify(LinearScaled(), inputs=[drawn(4, 5)], reference=Linear())
        assert [row.name for row in report.failed_rows] == ["x", "weight"]

    def test_both_run_on_the_parameters_of_the_candidate(self):
        """Those of the reference may have any values."""
        other = Linear()
        other.weight.data.mul_(17)
        assert verify(Linear(), inputs=[drawn(4, 5)], reference=other).passed

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_neither_module_is_changed(self, dtype):
        """Neither parameters nor buffers, nor do they have a gradient afterwards."""
        modules = [Linear(), Linear()]
        before = [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]
        verify(modules[0], inputs=[drawn(4, 5)], reference=modules[1], dtype=dtype)
        for module, state in zip(modules, before, strict=True):
            assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
            assert all(parameter.grad is None for parameter in module.parameters())
            assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}

    def test_batch_norm_in_training(self):
        """Its running statistics are a buffer that it writes on."""
        norm = nn.BatchNorm1d(5)
        report = verify(
            norm,
            inputs=[drawn(8, 5)],
            reference=lambda x, weight, bias: functional.batch_norm(x, None, None, weight, bias, True),
            parameters=dict,
        )
        assert report.passed, str(report)
        assert int(norm.num_batches_tracked) == 0

    def test_a_reference_function_takes_the_parameters_by_keyword(self):
        """As `parameters` maps them."""
        report = verify(
            nn.Linear(5, 3),
            inputs=[drawn(4, 5)],
            reference=functional.linear,
            parameters=lambda own: {**own},
            dtype="float32",
        )
        assert report.passed, str(report)
        assert [row.name for row in report.rows] == ["output", "input", "weight", "bias"]

    @pytest.mark.parametrize(
        ("reference", "parameters", "message"),
        [
            (functional.linear, None, r"a module with parameters \(weight, bias\), its reference a function"),
            (nn.Bilinear(2, 2, 3), None, r"gives 'weight' the shape \(3, 5\), in the reference it has \(3, 2, 2\)"),
            (nn.Sequential(nn.Linear(5, 3)), None, "'bias', which the reference has not; did you mean '0.bias'"),
            (nn.Linear(5, 3), lambda own: {"weight": own["weight"]}, "'bias', which is not given"),
            (nn.Linear(5, 3), lambda own: [*own], "parameters returned a list; expected a mapping"),
        ],
    )
    def test_parameters_that_do_not_fit(self, reference, parameters, message):
        """Are told by name, with the argument that mends it."""
        with pytest.raises(UsageError, match=message):
            verify(nn.Linear(5, 3), inputs=[drawn(4, 5)], reference=reference, parameters=parameters)

    def test_an_input_with_the_name_of_a_parameter(self):
        """Two rows cannot have one name."""
        with pytest.raises(InvalidInputs, match="'weight' is the name of an input and of a parameter of the module"):
            verify(nn.Linear(5, 3), inputs={"weight": drawn(4, 5)}, reference=nn.Linear(5, 3))


class TestPrecision:
    """What runs in float64, what cannot, and what only seems to."""

    def test_a_kernel_of_one_dtype_is_judged_at_that_dtype(self):
        """By the largest and the root mean square error, and the report says what it could not see."""
        inputs = {"x": X.bfloat16(), "w": W.bfloat16()}
        report = verify(BFloat16Only.apply, inputs=inputs, reference=rms_norm)
        assert report.passed, str(report)
        assert report["x"].resolution > 2**-9
        assert "judged in bfloat16 alone" in report.notes[-1]
        assert 'raised TypeError at `raise TypeError("expected bfloat16")`: expected bfloat16' in report.notes[-1]
        planted = verify(BFloat16OnlyForgetful.apply, inputs=inputs, reference=rms_norm)
        assert [row.name for row in planted.failed_rows] == ["x"]
        assert "times that of the reference" in planted["x"].hints[0]

    def test_a_gradient_of_one_element_is_pooled_over_seeds(self):
        """Luck decides a ratio of two errors on one element: no right kernel fails by it."""

        def only(x: Tensor, b: Tensor) -> Tensor:
            if x.dtype != torch.bfloat16:
                raise TypeError("expected bfloat16")
            return (x + b) ** 2

        for seed in range(3):
            inputs = {"x": drawn(20, dtype=torch.bfloat16, seed=seed), "b": drawn(1, dtype=torch.bfloat16)}
            report = verify(only, inputs=inputs, reference=lambda x, b: (x + b) ** 2, seed=seed)
            assert report.passed, str(report)

    def test_casts_in_a_float64_run_are_no_mistake_at_another_precision(self):
        """The formula is judged without them, as sharply as any other."""
        assert verify(RmsNorm.apply, inputs=[X, W], reference=rms_norm)["x"].resolution < 1e-11

    def test_casts_are_told_where_float64_is_asked_for(self):
        """They lose the digits that its user expects."""
        report = verify(RmsNorm.apply, inputs=[X.double(), W.double()], reference=rms_norm)
        assert {row.verdict for row in report.rows} == {Verdict.IMPRECISE}
        assert "casts to a lower precision inside although its inputs are float64" in report["x"].hints[0]
        assert not verify(RmsNorm.apply, inputs=[X.double(), W.double()], reference=rms_norm, strict=True).passed

    def test_an_epsilon_behind_casts_is_noticed(self):
        """Its effect is far below float32's own errors there."""

        def sloppy(x: Tensor, w: Tensor) -> Tensor:
            return rms_norm(x, w, eps=1.001e-5)

        report = verify(sloppy, inputs=[X, W], reference=rms_norm)
        assert {row.verdict for row in report.rows} == {Verdict.WRONG}

    def test_float32_inside_an_op_that_no_mode_reaches(self):
        """A double input comes out with the digits of float32: right, and said to be imprecise."""

        class Inside(Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor) -> Tensor:
                return torch.from_numpy(x.detach().numpy().astype("float32") * 3).to(x.dtype)

            @staticmethod
            def backward(ctx: Any, d: Tensor) -> Tensor:
                return torch.from_numpy(d.numpy().astype("float32") * 3).to(d.dtype)

        report = verify(Inside.apply, inputs=[X / 7], reference=lambda x: x * 3)
        assert report.passed, str(report)
        report = verify(Inside.apply, inputs=[X.double() / 7], reference=lambda x: x * 3)
        assert report["output"].verdict is Verdict.IMPRECISE
        assert "computed in float32 inside" in report["output"].hints[0]

    def test_a_candidate_that_is_wrong_in_float64_alone(self):
        """It is wrong there, and told how to be judged where it is used."""

        def broken(x: Tensor) -> Tensor:
            return x * (2 if x.dtype == torch.float32 else 3)

        report = verify(broken, inputs=[X], reference=double)
        assert {row.verdict for row in report.rows} == {Verdict.WRONG}
        assert "a candidate that does not support it should raise there" in report["x"].hints[-1]

    def test_quick_runs_the_working_precision_alone(self):
        """And says so."""
        seen = []
        report = verify(lambda x: seen.append(x.dtype) or 2 * x, inputs=[X], reference=double, quick=True)
        assert report.passed
        assert set(seen) == {torch.float32}
        assert "it was not tried (quick)" in report.notes[-1]

    def test_the_default_dtype_is_what_the_user_has(self):
        """At the working precision nothing is changed; in float64 it is that."""
        seen = []
        verify(
            lambda x: seen.append((x.dtype, torch.get_default_dtype())) or 2 * x,
            inputs=[X.bfloat16()],
            reference=double,
        )
        assert set(seen) == {(torch.bfloat16, torch.float32), (torch.float64, torch.float64)}
        assert torch.get_default_dtype() == torch.float32


class TestOutputs:
    """Outputs are judged too."""

    def test_a_wrong_value(self):
        """By the same rule."""
        report = verify(lambda x: 2.000001 * x, inputs=[X], reference=double)
        assert {row.verdict for row in report.rows} == {Verdict.WRONG}

    def test_integers_are_compared_as_values(self):
        """Whatever their width."""

        def top(x: Tensor) -> tuple[Tensor, Tensor]:
            return x * 2, x.argmax(-1).int()

        def plain(x: Tensor) -> tuple[Tensor, Tensor]:
            return x * 2, x.argmax(-1)

        assert verify(top, inputs=[X], reference=plain, outputs=("y", "place")).passed
        report = verify(lambda x: (x * 2, x.argmin(-1)), inputs=[X], reference=plain, outputs=("y", "place"))
        assert [row.name for row in report.failed_rows] == ["place"]

    def test_numbers_and_undifferentiable_tensors_are_values(self):
        """Such as a norm that was detached."""
        report = verify(
            lambda x: (2 * x, x.detach().norm(), len(x)), inputs=[X], reference=lambda x: (2 * x, x.norm().detach(), 6)
        )
        assert report.passed, str(report)
        assert [row.name for row in report.rows] == ["output0", "output1", "output2", "x"]

    def test_another_shape_ends_the_judgement(self):
        """There is no upstream gradient that fits both."""
        report = verify(lambda x: 2 * x[:, :1], inputs=[X], reference=double)
        assert [(row.name, row.verdict) for row in report.rows] == [("output", Verdict.SHAPE)]
        assert report["output"].hints == ("its shape is (6, 1), that of the reference's (6, 40)",)
        assert report.notes == ("no gradient was judged, since output has not the shape of the reference's",)

    def test_another_dtype(self):
        """The working precision is part of what a candidate promises."""
        report = verify(lambda x: 2 * x.float(), inputs=[X.bfloat16()], reference=double)
        assert report["output"].verdict is Verdict.DTYPE
        assert "it is float32, the reference's bfloat16: let both return the same dtype" in report["output"].hints[0]

    def test_counts_that_differ(self):
        """Are told with the argument that mends them."""
        with pytest.raises(
            InvalidOutput, match=r"returned output0, output1, the reference output: .* outputs=\(\"y\", None\)"
        ):
            verify(lambda x: (2 * x, x), inputs=[X], reference=double)
        with pytest.raises(InvalidOutput, match=r"`outputs` names 2 outputs \(y, z\), but the candidate returned 1"):
            verify(double, inputs=[X], reference=double, outputs=("y", "z"))

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            (lambda x: "text", "the reference returned a str as 'output'"),
            (lambda x: (2 * x).detach(), "no output of the reference has a gradient"),
            (lambda x: (2 * x).to_sparse(), "the reference returned a torch.float64 tensor, torch.sparse_coo"),
        ],
    )
    def test_a_reference_that_returns_nothing_to_judge_by(self, returned, message):
        """Is told so."""
        with pytest.raises(InvalidOutput, match=message):
            verify(double, inputs=[X], reference=returned)

    def test_a_name_for_an_output_and_an_input(self):
        """Two rows cannot have one name."""
        with pytest.raises(UsageError, match="'output' is the name of an output and of an input"):
            verify(double, inputs={"output": X}, reference=double)


class TestGradients:
    """What a backward can leave out, and what it can do to others."""

    def test_none_where_the_reference_is_not_zero(self):
        """Is missing, and not merely zero."""

        class Forgets(Scaled):
            backward = staticmethod(lambda ctx, d: None)

        row = verify(Forgets.apply, inputs=[X], reference=double)["x"]
        assert row.verdict is Verdict.MISSING
        assert "backward gives None for it" in row.hints[0]

    def test_a_detached_forward(self):
        """The same."""
        row = verify(lambda x: (2 * x).detach(), inputs=[X], reference=double)["x"]
        assert row.verdict is Verdict.MISSING

    def test_an_input_that_nothing_depends_on(self):
        """Belongs to the constants."""
        row = verify(lambda x, z: 2 * x, inputs=[X, W], reference=lambda x, z: 2 * x)["z"]
        assert row.verdict is Verdict.VACUOUS
        assert "list it in `constants`" in row.hints[0]

    def test_a_backward_that_writes_on_its_upstream_gradient(self):
        """Harms no row: that it must not is a clause of the contract."""

        class Writes(Scaled):
            backward = staticmethod(lambda ctx, d: d.mul_(2))

        report = verify(Writes.apply, inputs=[X], reference=double)
        assert report.failed_rows == ()
        assert "cotangent unchanged" in {clause.rule for clause in report.broken_clauses}

    def test_a_backward_that_returns_the_same_buffer_every_time(self):
        """Nor this."""
        buffers: dict[torch.dtype, Tensor] = {}

        def reuses(ctx: Any, d: Tensor) -> Tensor:
            return torch.mul(d, 2, out=buffers.setdefault(d.dtype, torch.empty_like(d)))

        class Reuses(Scaled):
            backward = staticmethod(reuses)

        report = verify(Reuses.apply, inputs=[X], reference=double)
        assert report.failed_rows == ()
        assert "next call" in {clause.rule for clause in report.broken_clauses}

    @pytest.mark.parametrize(
        ("backward", "kind"),
        [
            (lambda ctx, d: 2 * d + 1e-9 * (d.count_nonzero() == 1), Cotangent.ONE_HOT),
            (lambda ctx, d: 2 * d + 1e-9 * (d.abs() == 1).all(), Cotangent.ALTERNATING),
            (lambda ctx, d: torch.where(d.abs() > 1000, 0, 2 * d), Cotangent.WIDE),
        ],
    )
    def test_a_mistake_that_one_kind_of_upstream_gradient_shows(self, backward, kind):
        """The row says which."""

        class Wrong(Scaled):
            pass

        Wrong.backward = staticmethod(backward)
        report = verify(Wrong.apply, inputs=[X], reference=double)
        assert report["x"].verdict is Verdict.WRONG
        assert report["x"].hints[-1] == f"shown by an upstream gradient that is {kind}"

    def test_upstream_gradients_have_the_dtype_of_their_output_and_fit_in_it(self):
        """Each kind is another one, the same for a seed."""
        output = {"y": drawn(8, 9, dtype=torch.float16)}
        seen = [draw_cotangents(kind, output, 5)["y"] for kind in Cotangent]
        assert all(one.dtype == torch.float16 and one.isfinite().all() for one in seen)
        assert int(seen[1].count_nonzero()) == 1
        assert torch.equal(seen[2].flatten()[:3], torch.tensor([1, -1, 1], dtype=torch.float16))
        assert float(seen[3].abs().max() / seen[3].abs().min()) > 2**8
        assert all(
            torch.equal(one, draw_cotangents(kind, output, 5)["y"]) for kind, one in zip(Cotangent, seen, strict=True)
        )


class TestRepetition:
    """A first call is not looked at; the next two are compared."""

    def test_the_first_call_may_tune_itself(self):
        """Whatever it returns, no row is judged by it; that it differs is a clause of the contract."""
        calls = 0

        def tuned(x: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return 2 * x if calls > 1 else 5 * x

        report = verify(tuned, inputs=[X], reference=double)
        assert report.failed_rows == ()
        assert [clause.rule for clause in report.broken_clauses] == ["first call"]

    def test_sums_in_another_order_are_said(self):
        """As atomic additions make them; they are no mistake."""
        calls = 0

        def atomic(x: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return 2 * x * (1 + calls % 2 * torch.finfo(x.dtype).eps)

        report = verify(atomic, inputs=[X], reference=double)
        assert report.passed, str(report)
        assert report.notes[0].startswith("two calls on the same inputs gave output apart by up to ")

    def test_random_numbers_are_refused(self):
        """With what to do about them."""
        with pytest.raises(
            NotDeterministic, match=r"two calls .* gave different values of output: draw the randomness"
        ):
            verify(functional.dropout, inputs=[X], reference=double)


class TestStandalone:
    """Without a reference the forward itself says what its gradient should be."""

    def test_a_right_backward_and_its_twin(self):
        """By finite differences in float64."""
        assert verify(RmsNorm.apply, inputs=[X, W]).passed
        report = verify(RmsNormForgetful.apply, inputs=[X, W])
        assert [row.name for row in report.failed_rows] == ["x"]
        assert "finite_difference disagrees at" in report["x"].hints[0]

    def test_it_says_what_was_not_judged(self):
        """The values, and the working precision."""
        (note,) = verify(double, inputs=[X]).notes
        assert note.startswith("there is no reference: the gradients in float64 were held against finite differences")

    def test_a_gradient_of_zeros(self):
        """Proves nothing."""
        assert verify(lambda x: 0 * x, inputs=[X])["x"].verdict is Verdict.VACUOUS

    def test_what_does_not_run_in_float64_is_refused(self):
        """Numerical derivatives have no digits elsewhere."""
        with pytest.raises(
            UsageError, match=r"need the candidate in float64, .* expected bfloat16; pass reference=..."
        ):
            verify(BFloat16Only.apply, inputs=[X.bfloat16(), W.bfloat16()])

    def test_casts_are_undone_for_the_sake_of_the_derivative(self):
        """What rounds inside has none."""
        assert verify(lambda x, w: rms_norm(x, w).bfloat16(), inputs=[X, W]).passed


class TestSettings:
    """They mean what they mean of a hand-derived gradient."""

    def test_known_and_expected_zero(self):
        """A failure that is known does not fail; a gradient that is zero in exact arithmetic may be rounding."""

        class Known(FunctionCase):
            known = {("x", "float32"): "issue 1"}
            candidate = lambda x: Scaled.apply(x) + 0.001 * x  # noqa: E731  # as users write it
            reference = lambda x: Scaled.apply(x) + 0.001 * x.detach()  # noqa: E731

            def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
                return {"x": torch.randn(3, generator=generator)}

        report = verify(Known)
        assert report["x"].verdict is Verdict.KNOWN
        assert report.passed

        class Shifted(FunctionCase):
            expected_zero = {"b"}
            candidate = lambda x, b: torch.softmax(x + b, -1)  # noqa: E731
            reference = lambda x, b: torch.exp(x + b - torch.logsumexp(x + b, -1, keepdim=True))  # noqa: E731

            def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
                return {"x": torch.randn(3, 7, generator=generator), "b": torch.randn(1, generator=generator)}

        assert verify(Shifted).passed, str(verify(Shifted))

    def test_a_setting_of_an_unknown_row(self):
        """The nearest one is told."""

        class Misspelt(FunctionCase):
            expected_zero = {"outputs"}
            candidate = double
            reference = double

            def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
                return {"x": torch.randn(3, generator=generator)}

        with pytest.raises(
            GradverifyError, match=r"`expected_zero` names 'outputs', which is no row; did you mean 'output'"
        ):
            verify(Misspelt)


class TestErrors:
    """What is no candidate, and what a candidate raises."""

    @pytest.mark.parametrize(
        ("candidate", "reference", "message"),
        [
            (Scaled, double, "the candidate is the class Scaled: pass Scaled.apply"),
            (double, Scaled, "the reference is the class Scaled: pass Scaled.apply"),
            (nn.ReLU, double, r"the candidate is the class ReLU: pass ReLU\(...\)"),
            (3, double, r"expected a Case or a subclass of it, or a candidate and its inputs, .* got 3"),
            (double, 3, "the reference is 3: expected a function, a module"),
        ],
    )
    def test_what_cannot_be_called(self, candidate, reference, message):
        """Is told with what can."""
        with pytest.raises(UsageError, match=message):
            verify(candidate, inputs=[X], reference=reference)

    def test_a_candidate_without_inputs(self):
        """A Case brings its own; a function does not."""
        with pytest.raises(UsageError, match=r"as in verify\(f, inputs=\[x\], reference=g\)"):
            verify(double)

    def test_a_case_with_inputs(self):
        """It has its own."""
        case = function_case(double, inputs=[X], reference=double)
        with pytest.raises(UsageError, match="reference= belongs to a candidate; double is a Case and has its own"):
            verify(case, reference=double)

    @pytest.mark.parametrize(
        ("candidate", "message"),
        [
            (refuses, r"^refuses: the candidate raised ValueError at `raise ValueError\(\"no\"\)`: no"),
            (torch.linalg.inv, "^linalg_inv: the candidate raised RuntimeError: "),
        ],
    )
    def test_what_the_candidate_raises_is_told(self, candidate, message):
        """With its own traceback, also where torch raises without a line of Python between."""
        with pytest.raises(CaseRaised, match=message) as caught:
            verify(candidate, inputs=[X], reference=double)
        assert isinstance(caught.value.__cause__, (ValueError, RuntimeError))

    def test_what_its_backward_raises(self):
        """Such as the engine, of a gradient that no sum makes fit."""

        class Misshapen(Scaled):
            backward = staticmethod(lambda ctx, d: d.T)

        with pytest.raises(
            CaseRaised, match="the candidate's backward raised RuntimeError: .*invalid gradient at index 0"
        ):
            verify(Misshapen.apply, inputs=[X], reference=double)

    def test_a_reference_that_does_not_run(self):
        """Is told as such."""
        with pytest.raises(CaseRaised, match='the reference raised ValueError at `raise ValueError\\("no"\\)`: no'):
            verify(double, inputs=[X], reference=refuses)


def test_conditions_reach_the_python_of_a_backward():
    """Casts there are undone too, and nothing is left behind."""
    seen = []

    class Casts(Scaled):
        @staticmethod
        def backward(ctx: Any, d: Tensor) -> Tensor:
            seen.append(d.float().dtype)
            return 2 * d

    pair = draw_pair(function_case(Casts.apply, inputs=[X], reference=double), 0, torch.float32, CPU, frozenset())
    arguments = pair.arguments.to(torch.float64)
    for conditions in Conditions:
        called = run(pair.candidate, arguments.fresh(), None, conditions)
        called.gradients({"output": torch.ones_like(X)})
    assert seen == [torch.float32, torch.float32, torch.float64]
    assert torch.get_default_dtype() == torch.float32


def test_the_compiler_is_not_imported():
    """torch wraps the methods of a mode for it, at a price of two seconds."""
    if "torch._dynamo" in sys.modules:
        pytest.skip("another test has imported it")
    verify(RmsNorm.apply, inputs=[X, W], reference=rms_norm)
    assert "torch._dynamo" not in sys.modules


def accumulating(dtype: torch.dtype, *, native: bool = False) -> Any:
    """x * w whose gradient of w is summed up row by row in some dtype; native takes bfloat16 x and nothing else."""

    class Scale(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
            if native and x.dtype != torch.bfloat16:
                raise TypeError("expected bfloat16")
            ctx.save_for_backward(x, w)
            return (x.float() * w.float()).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor]:
            x, w = ctx.saved_tensors
            total = torch.zeros_like(w, dtype=dtype)
            for row, upstream in zip(x, d, strict=True):
                total = total + (upstream.float() * row.float()).to(dtype)
            return (d.float() * w.float()).to(x.dtype), total.to(w.dtype)

    return Scale.apply


def scaled(x: Tensor, w: Tensor) -> Tensor:
    return (x.float() * w.float()).to(x.dtype)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("weight", [torch.float32, torch.bfloat16])
def test_a_sum_of_many_rows_in_bfloat16_is_wrong_whatever_the_dtype_of_the_weight(native, weight):
    """Also where the candidate takes float64, since it casts that to bfloat16; a sum in float32 is right."""
    inputs = [drawn(512, 16, dtype=torch.bfloat16), drawn(16, seed=1, dtype=weight)]
    wrong = verify(accumulating(torch.bfloat16, native=native), inputs=inputs, reference=scaled)
    assert [row.name for row in wrong.failed_rows] == ["w"]
    assert verify(accumulating(torch.float32, native=native), inputs=inputs, reference=scaled).passed


@pytest.mark.parametrize("native", [False, True])
def test_a_float32_gradient_no_better_than_bfloat16_is_told_and_passes(native):
    """A sum of few rows in bfloat16 is off by one rounding of what it was given."""
    inputs = [drawn(12, 16, dtype=torch.bfloat16), drawn(16, seed=1)]
    report = verify(accumulating(torch.bfloat16, native=native), inputs=inputs, reference=scaled)
    assert report.passed
    assert report["w"].verdict is Verdict.IMPRECISE
    assert report["w"].accuracy > 1000
    assert report["x"].verdict in (Verdict.EXACT, Verdict.OK)


def test_a_reference_with_a_backward_of_its_own_is_told():
    """Held against itself, a mistake is none."""
    report = verify(RmsNormForgetful.apply, inputs=[drawn(4, 8), drawn(8)], reference=RmsNormForgetful.apply)
    assert report.passed
    assert report.notes[-1].startswith("the reference has a backward of its own, that of RmsNormForgetful: ")
    assert not verify(functional.relu, inputs=[drawn(4, 8)], reference=torch.relu).notes


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    {
        "a tensor as the reference": (
            {"inputs": [drawn(3)], "reference": drawn(3)},
            UsageError,
            "the reference is a float32 tensor: expected a function, a module, Function.apply or an op",
        ),
        "inputs without a generator": (
            {"inputs": lambda: [drawn(3)], "reference": torch.tanh},
            UsageError,
            r"inputs: a function that draws them is given a torch\.Generator first",
        ),
        "a numpy array": (
            {"inputs": [drawn(3).numpy()], "reference": torch.tanh},
            InvalidInputs,
            r"got \w+ \(a numpy\.ndarray: torch\.as_tensor\(\.\.\.\) makes a tensor of it\)",
        ),
    }.values(),
    ids=lambda one: None,
)
def test_what_is_no_argument_is_refused_with_the_remedy(arguments, error, message):
    with pytest.raises(error, match=message):
        verify(torch.tanh, **arguments)


def test_parameters_that_raise_are_told():
    """With the user's own line."""
    with pytest.raises(CaseRaised, match="`parameters` raised KeyError"):
        verify(nn.Linear(3, 2), inputs=[drawn(3)], reference=nn.Linear(3, 2), parameters=lambda p: {"w": p["w"]})


def test_inputs_that_are_nowhere_finite_are_told():
    """Not as if the gradient were zero."""
    report = verify(torch.tanh, inputs=[drawn(3) * torch.nan], reference=torch.tanh)
    assert not report.passed
    assert "is not finite anywhere in the reference, so that nothing was tried" in str(report).splitlines()[0]


def test_a_norm_over_the_first_dimension_is_no_false_alarm():
    """Signs that alternate along the last dimension alone are constant along the first: its gradient is zero then."""

    def standardised(x, w):
        return (x - x.mean(0)) * torch.rsqrt(x.var(0, correction=0) + 1e-5) * w

    def batch_norm(x, w):
        return functional.batch_norm(x, None, None, w, training=True)

    for dtype in ("float32", "bfloat16", "float64"):
        report = verify(batch_norm, inputs=[drawn(6, 8), drawn(8, seed=1)], reference=standardised, dtype=dtype)
        assert report.passed, str(report)


def test_alternating_upstream_gradients_alternate_along_every_dimension():
    """And cancel in a sum along any of them."""
    (one,) = draw_cotangents(Cotangent.ALTERNATING, {"y": torch.zeros(2, 4, 6)}, seed=0).values()
    for dim in range(3):
        assert one.sum(dim).abs().max() == 0
    assert one.abs().min() == 1


def test_what_is_zero_for_one_kind_of_upstream_gradient_is_judged_by_its_terms():
    """Of a centred mean, for the loss of a sum, only rounding is left; a candidate that leaves more is wrong."""

    class Centred(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, leak: float) -> Tensor:
            ctx.leak = leak
            return x - x.mean(0)

        @staticmethod
        def backward(ctx: Any, d: Tensor) -> tuple[Tensor, None]:
            return d - d.sum(0) * (1 / 3) * (1 + ctx.leak), None

    def centred(x: Tensor, leak: float) -> Tensor:
        return x - x.mean(0)

    assert verify(Centred.apply, inputs=[drawn(3, 4), 0.0], reference=centred).passed
    assert not verify(Centred.apply, inputs=[drawn(3, 4), 1e-9], reference=centred).passed
