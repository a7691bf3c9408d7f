"""FunctionCase: a candidate and a reference written as a case, found, listed and run like any other."""

# ruff: noqa: ARG005 -- what is called takes arguments, needed or not

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function

from gradverify import Case, FunctionCase, size, verify
from gradverify.case import settings_of, sizes_of, with_sizes
from gradverify.cli import main
from gradverify.errors import InvalidCase, InvalidInputs, UsageError
from gradverify.function_case import function_case
from gradverify.verdict import Verdict

pytest_plugins = "pytester"


class Square(Function):
    """x^2, with its own backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * d


def square(x: Tensor) -> Tensor:
    """The same in plain torch."""
    return x**2


class Drawn(FunctionCase):
    """The inputs of every case here."""

    __test__ = False
    rows: int = 3

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {"x": torch.randn(self.rows, 5, generator=generator)}


class TestWriting:
    """Candidate and reference can be written in several ways."""

    def test_as_what_is_called(self):
        """A plain function among the attributes of a class is no method."""

        class Attributes(Drawn):
            candidate = Square.apply
            reference = square

        assert verify(Attributes).passed

    def test_as_methods(self):
        """They are given the inputs, and see the fields."""

        class Methods(Drawn):
            factor: float = 3.0

            def candidate(self, x: Tensor) -> Tensor:
                return self.factor * Square.apply(x)

            def reference(self, x: Tensor) -> Tensor:
                return self.factor * square(x)

        assert verify(Methods(factor=0.5, rows=2)).passed

    def test_as_static_methods(self):
        """As Python has them."""

        class Static(Drawn):
            @staticmethod
            def candidate(x: Tensor) -> Tensor:
                return Square.apply(x)

            @staticmethod
            def reference(self: Tensor) -> Tensor:
                return square(self)

        assert verify(Static).passed

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
    def test_as_properties_that_make_modules(self, dtype):
        """From the sizes, with parameters drawn from the seed, in the working dtype."""

        class Modules(Drawn):
            features: int = 5

            @property
            def candidate(self) -> nn.Module:
                return nn.Linear(self.features, 2)

            @property
            def reference(self) -> nn.Module:
                return nn.Linear(self.features, 2)

        report = verify(Modules, dtype=dtype)
        assert report.passed, str(report)
        assert [(row.name, row.dtype) for row in report.rows] == [
            ("output", dtype),
            ("input", dtype) if "input" in [row.name for row in report.rows] else ("x", dtype),
            ("weight", dtype),
            ("bias", dtype),
        ]
        assert verify(Modules, dtype=dtype)["weight"].comparison == report["weight"].comparison

    def test_a_module_as_an_attribute_takes_the_working_dtype(self):
        """It stays as it is all the same."""

        class Attribute(Drawn):
            dtypes = ("float32", "bfloat16", "float64")
            candidate = nn.Linear(5, 2)
            reference = nn.Linear(5, 2)

        for dtype in Attribute.dtypes:
            assert verify(Attribute, dtype=dtype)["weight"].dtype == dtype
        assert Attribute.candidate.weight.dtype == torch.float32

    def test_what_is_made_in_another_dtype_keeps_it(self):
        """bfloat16 inputs with a float32 weight."""

        class Mixed(FunctionCase):
            candidate = lambda x, w: (x * w).to(x.dtype)  # noqa: E731  # as users write it
            reference = lambda x, w: (x * w).to(x.dtype)  # noqa: E731

            def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
                return {
                    "x": torch.randn(3, 5, generator=generator).bfloat16(),
                    "w": torch.randn(5, generator=generator),
                }

        assert [row.dtype for row in verify(Mixed).rows] == ["bfloat16", "bfloat16", "float32"]

    def test_parameters_as_a_method(self):
        """They map those of the candidate to those of the reference."""

        class Renamed(Drawn):
            @property
            def candidate(self) -> nn.Module:
                return nn.Linear(5, 2)

            @property
            def reference(self) -> nn.Module:
                return nn.Sequential(nn.Linear(5, 2))

            def parameters(self, own: dict[str, Tensor]) -> dict[str, Tensor]:
                return {f"0.{name}": tensor for name, tensor in own.items()}

        assert verify(Renamed).passed

    def test_options_and_outputs(self):
        """Are attributes too."""

        class Optional(Drawn):
            options = {"dim": 1}
            outputs = ("top", "place")
            candidate = torch.max
            reference = lambda x, dim: (x.max(dim).values, x.argmax(dim))  # noqa: E731  # as users write it

        assert [row.name for row in verify(Optional).rows] == ["top", "place", "x"]

    def test_without_a_reference(self):
        """The forward is differentiated numerically."""

        class Alone(Drawn):
            candidate = Square.apply

        report = verify(Alone)
        assert report.passed
        assert report.notes[0].startswith("there is no reference")


class TestBeingACase:
    """What works on a case works on this one."""

    def test_sizes_and_settings(self):
        """Fields, bounds, class attributes."""

        class Sized(Drawn):
            columns: int = size(default=8, multiple_of=4)
            dtypes = ("bfloat16",)
            seeds = range(2)
            candidate = Square.apply
            reference = square

        assert isinstance(Sized(), Case)
        assert sizes_of(Sized(rows=4)) == {"rows": 4, "columns": 8}
        assert settings_of(Sized).dtypes == ("bfloat16",)
        with pytest.raises(UsageError, match="columns"):
            with_sizes(Sized(), {"columns": 7})
        assert verify(Sized, sizes={"rows": 7})["x"].shape == (7, 5)

    def test_a_wrong_one_fails(self):
        """The twin."""

        class Wrong(Drawn):
            candidate = lambda x: Square.apply(x) + x - x.detach()  # noqa: E731  # as users write it
            reference = square

        report = verify(Wrong)
        assert [(row.name, row.verdict) for row in report.failed_rows] == [("x", Verdict.WRONG)]

    def test_it_is_incomplete_without_a_candidate(self):
        """And says so."""
        with pytest.raises(InvalidCase, match="Drawn does not define candidate"):
            Drawn()

    def test_reserved_names_are_no_fields(self):
        """An annotation makes a field of an attribute."""
        with pytest.raises(InvalidCase, match="Annotated: write `options = ...` without annotation"):

            class Annotated(Drawn):
                options: dict[str, object] = None  # type: ignore[assignment]  # what the test is about
                candidate = Square.apply

    def test_it_has_no_steps_to_run(self):
        """What works step by step is told so."""

        class Right(Drawn):
            candidate = Square.apply
            reference = square

        for method in (lambda: Right().forward(None), lambda: Right().backward(None, None)):
            with pytest.raises(InvalidCase, match="Right is a FunctionCase: its candidate brings its own backward"):
                method()

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            (None, "inputs returned a NoneType; expected a mapping"),
            ({"x": 3}, "no input has a gradient: .* got x \\(3\\)"),
        ],
    )
    def test_inputs_that_are_none(self, returned, message):
        """Point at the method that returned them."""

        class Empty(FunctionCase):
            candidate = Square.apply
            reference = square

            def inputs(self, generator: torch.Generator) -> Any:
                return returned

        with pytest.raises(InvalidInputs, match=message) as caught:
            verify(Empty)
        assert caught.value.location.line == Empty.inputs.__code__.co_firstlineno

    def test_a_candidate_that_is_none(self):
        """There is nothing to verify."""

        class Nothing(Drawn):
            candidate = None

        with pytest.raises(UsageError, match="Nothing: candidate is None"):
            verify(Nothing)


class TestMadeFromACall:
    """What `verify` makes of a candidate is a case as well."""

    def test_it_has_the_name_of_the_candidate(self):
        """That of the Function behind `apply`, of the class of a module."""
        named = {
            "square": square,
            "Square": Square.apply,
            "Linear": nn.Linear(5, 2),
            "softmax": torch.softmax,
            "<lambda>": lambda x: x,
        }
        for name, candidate in named.items():
            assert type(function_case(candidate, inputs=[torch.ones(2)])).__name__ == name

    def test_its_dtype_and_device_are_those_of_the_inputs(self):
        """The coarsest among them and the parameters."""
        inputs = [torch.ones(5, dtype=torch.float16), torch.ones(5)]
        settings = settings_of(function_case(square, inputs=inputs))
        assert (settings.dtypes, settings.devices) == (("float16",), ("cpu",))
        assert settings_of(function_case(nn.Linear(5, 2).bfloat16(), inputs=lambda generator: [])).dtypes == (
            "bfloat16",
        )

    def test_its_sizes_are_the_arguments_of_the_function(self):
        """With their bounds, and without those that only it names."""

        def draw(
            generator: torch.Generator, rows: int = size(default=8, multiple_of=4), *, columns: int
        ) -> list[Tensor]:
            return [torch.randn(rows, columns, generator=generator)]

        case = function_case(square, inputs=draw, reference=square, sizes={"columns": 3})
        assert sizes_of(case) == {"rows": 8, "columns": 3}
        with pytest.raises(UsageError, match="rows"):
            with_sizes(case, {"rows": 7})


MODULE = textwrap.dedent(
    """
    import torch
    from torch.autograd import Function

    from gradverify import FunctionCase


    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, d):
            (x,) = ctx.saved_tensors
            return FACTOR * x * d


    class SquareCase(FunctionCase):
        dtypes = ("float32", "bfloat16")
        rows: int = 3
        candidate = Square.apply
        reference = torch.square

        def inputs(self, generator):
            return {"x": torch.randn(self.rows, 5, generator=generator)}
    """
)


@pytest.mark.parametrize(("factor", "passed"), [("2", True), ("3", False)])
def test_the_shell_runs_it(factor: str, passed: bool, write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With sizes and seeds, one report a dtype."""
    file = write("kernels.py", MODULE.replace("FACTOR", factor))
    code = main(["run", str(file), "--size", "rows=2", "--format", "json", "--seed", "5"])
    reports = json.loads(capsys.readouterr().out)["reports"]
    assert code == (0 if passed else 1)
    assert [(one["case"], one["dtype"], one["sizes"], one["passed"]) for one in reports] == [
        ("SquareCase", dtype, {"rows": 2}, passed) for dtype in ("float32", "bfloat16")
    ]


def test_the_shell_lists_it(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Like any case."""
    file = write("kernels.py", MODULE.replace("FACTOR", "2"))
    assert main(["list", str(file)]) == 0
    assert "SquareCase  rows=3   float32, bfloat16  kernels.py:20" in capsys.readouterr().out


def test_pytest_collects_it(pytester: pytest.Pytester) -> None:
    """An item a dtype, the wrong one with its table."""
    wrong = MODULE.replace("FACTOR", "3").replace("SquareCase", "WrongCase")
    pytester.makepyfile(test_right=MODULE.replace("FACTOR", "2"), test_wrong=wrong)
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*WrongCase[[]float32[]]: 1 of 2 gradients wrong; first: x (wrong) is off by*"])


def test_importing_it_does_not_import_torch() -> None:
    """What finds cases needs it."""
    source = (Path(__file__).parents[1] / "gradverify" / "function_case.py").read_text(encoding="utf-8")
    before_functions = source.split("def ")[0]
    assert "\nimport torch" not in before_functions


def test_a_failure_prints_a_script_that_fails_by_itself(write, capsys, tmp_path) -> None:
    """At the smallest sizes; the first line names the mistake. None where it passes, or where nothing is shown."""
    file = write("kernels.py", MODULE.replace("FACTOR", "3"))
    assert main(["run", str(file), "--dtype", "float32"]) == 1
    out = capsys.readouterr().out
    assert "SquareCase[float32]: 1 of 2 gradients wrong; first: x (wrong) is off by " in out.splitlines()[0]
    assert "kernels.py:14: every element is 3/2 times what it should be" in out.splitlines()[0]
    opening = (
        "SquareCase[float32] fails by itself, at the smallest sizes that still fail (--reproducer FILE writes this):"
    )
    assert out.count(opening) == 1
    script = out.split(f"{opening}\n\n")[1].split("\n\n1 failed in")[0]
    assert "check(\n    SquareCase(rows=1),\n    dtype='float32'," in script
    assert len(script.splitlines()) <= 40
    alone = tmp_path / "alone.py"
    alone.write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, str(alone)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "GradientMismatch: SquareCase[rows=1-float32]: 1 of 2 gradients wrong" in done.stderr
    for arguments in (["--report", "none"], ["--format", "json"], ["--reproducer", str(tmp_path / "written.py")]):
        assert main(["run", str(file), *arguments]) == 1
        assert "fails by itself, at" not in capsys.readouterr().out
    assert main(["run", str(write("right.py", MODULE.replace("FACTOR", "2")))]) == 0
    assert "by itself" not in capsys.readouterr().out


def test_what_breaks_a_backward_refuses_it(write, capsys) -> None:
    """There is no hand-derived statement to break."""
    file = write("kernels.py", MODULE.replace("FACTOR", "2"))
    assert main(["mutate", str(file)]) == 1
    shown = "".join(capsys.readouterr())
    assert "there is no backward derived by hand to edit: a candidate brings its own" in shown
