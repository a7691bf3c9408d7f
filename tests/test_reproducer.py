"""A failure as a script: what it imports, how small it gets, that it fails by itself, and what cannot be written."""

# ruff: noqa: ARG005 -- what is called takes arguments, needed or not

from __future__ import annotations

import itertools
import os
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gradverify
from gradverify import GradientMismatch
from gradverify.case import Case
from gradverify.cli import main
from gradverify.configuration import configurations
from gradverify.errors import UsageError
from gradverify.examination import examine
from gradverify.function_case import function_case
from gradverify.importer import load_file
from gradverify.loader import cases_of
from gradverify.reproducer import reproduce, shrink
from gradverify.settings import read_settings

KERNELS = textwrap.dedent(
    """
    import torch
    from torch.autograd import Function

    from gradverify import Case, FunctionCase, size


    class Tail(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, d):
            (x,) = ctx.saved_tensors
            gradient = 2 * x * d
            whole = x.shape[-1] // 8 * 8
            if whole:
                gradient[..., whole:] = 0  # planted
            return gradient


    class Strided(Tail):
        @staticmethod
        def backward(ctx, d):
            (x,) = ctx.saved_tensors
            return 2 * x.as_strided(x.shape, (x.shape[1], 1)) * d  # planted


    def draw(generator, rows=5, columns=20):
        return [torch.randn(rows, columns, generator=generator)]


    class TailCase(FunctionCase):
        rows: int = 5
        columns: int = 20
        scale: float = 1.0
        candidate = Tail.apply
        reference = torch.square

        def inputs(self, generator):
            return {"x": self.scale * torch.randn(self.rows, self.columns, generator=generator)}


    class Mean(Case):
        samples: int = size(default=24, multiple_of=4)

        def inputs(self, generator):
            return {"x": torch.randn(self.samples, generator=generator)}

        def forward(self, t):
            t.loss = t.x.mean()
            return t.loss

        def backward(self, t, d):
            d.x = d.loss.expand_as(t.x) / (len(t.x) + 1)  # planted


    class Trusting(Case):
        n: int = 20

        def inputs(self, generator):
            return {"x": torch.randn(self.n, generator=generator)}

        def forward(self, t):
            t.y = Tail.apply(t.x)
            return t.y

        def backward(self, t, d):
            d.x = Tail.backward(type("Context", (), {"saved_tensors": (t.x,)}), d.y)


    class Raises(FunctionCase):
        rows: int = 9
        reference = torch.square

        def candidate(self, x):
            if len(x) > 2:
                raise RuntimeError("too many rows")
            return x**2

        def inputs(self, generator):
            return {"x": torch.randn(self.rows, generator=generator)}
    """
)


def run_script(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, from another folder."""
    file = folder / "elsewhere" / "script.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(script, encoding="utf-8")
    path = os.pathsep.join([str(Path(gradverify.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([sys.executable, str(file)], capture_output=True, text=True, cwd=file.parent, env=environment)


def fails_here(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether it raises, run in this process, which spares the time to import torch."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = folder / "script.py"
    file.write_text(script, encoding="utf-8")
    try:
        runpy.run_path(str(file))
    except GradientMismatch:
        return True
    return False


def script_of(case: Case) -> str:
    """The script of a case that fails, in its first configuration."""
    configuration = configurations(case)[0]
    report = examine(case, configuration)
    assert not report.passed
    script = reproduce(case, configuration, report)
    assert len(script.splitlines()) <= 40
    return script


@pytest.fixture
def kernels(write: Any) -> Any:
    """The module above."""
    return load_file(write("kernels.py", KERNELS))


def called(script: str) -> str:
    """What it calls, on one line."""
    return " ".join(script[script.index("check(") :].split())


def test_a_case_is_written_at_its_smallest_sizes_and_fails_by_itself(kernels, tmp_path):
    """The tail is dropped only behind a whole block: eight columns and one more."""
    script = script_of(kernels.TailCase(rows=7))
    assert called(script).startswith(
        "check( TailCase(rows=1, columns=9), dtype='float32', device='cpu', seed=111111, )"
    )
    assert script.startswith(
        '"""TailCase[rows=1-columns=9-float32]: 1 of 2 gradients wrong; first: x (wrong) is off by '
    )
    done = run_script(script, tmp_path)
    assert done.returncode == 1
    assert "it is right except in column 8, where it is zero" in done.stderr


def test_other_fields_are_kept(kernels):
    """They are no sizes."""
    assert "TailCase(rows=1, columns=9, scale=2.5)" in called(script_of(kernels.TailCase(scale=2.5)))


def test_a_hand_derived_case_too(kernels, tmp_path, monkeypatch):
    """Within the bounds of its sizes."""
    script = script_of(next(case for case in cases_of(kernels) if type(case).__name__ == "Mean"))
    assert "Mean(samples=4)" in called(script)
    assert fails_here(script, tmp_path, monkeypatch)


def test_what_only_a_witness_sees(kernels, tmp_path, monkeypatch):
    """The script hears the same witnesses; without them it would not fail."""
    case = kernels.Trusting()
    (configuration,) = configurations(case, read_settings({"oracles": "finite_difference"}))
    report = examine(case, configuration)
    assert report["x"].verdict == "disputed"
    script = reproduce(case, configuration, report)
    assert "oracles=['autograd', 'finite_difference']" in called(script)
    assert fails_here(script, tmp_path, monkeypatch)
    assert examine(case, *configurations(case)).passed


def test_what_raises_too(kernels, tmp_path):
    """At the smallest sizes that raise the same."""
    script = script_of(kernels.Raises())
    assert "Raises(rows=3)" in called(script)
    assert "too many rows" in run_script(script, tmp_path).stderr


def test_a_call_with_a_function_that_draws_inputs(kernels, tmp_path, monkeypatch):
    """The script calls it with the sizes."""
    script = script_of(function_case(kernels.Tail.apply, inputs=kernels.draw, reference=torch.square))
    assert called(script).startswith(
        "check( Tail.apply, inputs=draw, reference=torch.square, sizes={'rows': 1, 'columns': 9}, dtype='float32',"
    )
    assert fails_here(script, tmp_path, monkeypatch)


def test_a_call_with_tensors(kernels, tmp_path, monkeypatch):
    """Dimensions of one length are shortened together, and what is left is written down, strides and all."""
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)).T
    script = script_of(function_case(kernels.Tail.apply, inputs=[x.bfloat16()], reference=torch.square))
    assert "inputs={'x': torch.tensor([[" in called(script)
    assert "dtype=torch.bfloat16" in called(script)
    assert fails_here(script, tmp_path, monkeypatch)


def test_strides_are_written_where_they_matter(kernels, tmp_path, monkeypatch):
    """A mistake may hang on how the numbers lie in memory."""
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).T
    script = script_of(function_case(kernels.Strided.apply, inputs=[x], reference=torch.square))
    assert "inputs={'x': torch.empty_strided((2, 2), (1, 2), dtype=torch.float32, device='cpu').copy_(" in called(
        script
    )
    assert fails_here(script, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("candidate", "reference", "inputs", "message"),
    [
        (lambda x: 2 * x, torch.square, [torch.ones(3)], "no script can import <lambda>: give it a name at the top"),
        ("Tail", lambda x: x**2, [torch.ones(2, 20)], "no script can import <lambda>"),
        ("Tail", torch.square, lambda generator: [torch.ones(2, 20)], "no script can import <lambda>"),
    ],
)
def test_what_no_script_can_import_is_told(kernels, candidate, reference, inputs, message):
    """Before anything runs."""
    candidate = kernels.Tail.apply if candidate == "Tail" else candidate
    with pytest.raises(UsageError, match=message):
        script_of(function_case(candidate, inputs=inputs, reference=reference))


def test_too_many_numbers_are_told():
    """Where even the smallest inputs that fail are large."""

    def planted(x: Tensor) -> Tensor:
        return x.cumsum(0)

    sys.modules[__name__].planted = planted  # type: ignore[attr-defined]  # a name at the top of this module
    sys.modules[__name__].reference = _cumulative  # type: ignore[attr-defined]  # the same
    case = function_case(planted, inputs=[torch.ones(300)], reference=_cumulative)
    with pytest.raises(UsageError, match="the smallest inputs that fail have 101 numbers, too many for a script"):
        script_of(case)


def _cumulative(x: Tensor) -> Tensor:
    return x.cumsum(0) + (x[100:].sum() if len(x) > 100 else 0)


class TestShrinking:
    """Sizes come down one after the other."""

    @pytest.mark.parametrize(
        ("fails", "smallest"),
        [
            (lambda sizes: True, {"a": 1, "b": 1}),
            (lambda sizes: sizes["a"] >= 37, {"a": 37, "b": 1}),
            (lambda sizes: sizes["a"] * sizes["b"] >= 50, {"a": 1, "b": 50}),
            (lambda sizes: sizes["a"] % 8 and sizes["a"] > 8, {"a": 9, "b": 1}),
            (lambda sizes: sizes == {"a": 100, "b": 50}, {"a": 100, "b": 50}),
        ],
    )
    def test_to_the_smallest_that_fail(self, fails, smallest):
        """By bisection, and never to some that pass."""
        asked = itertools.count()

        def counted(sizes):
            next(asked)
            return bool(fails(sizes))

        found = shrink({"a": 100, "b": 50}, {"a": range(1, 101), "b": range(1, 51)}, counted)
        assert found == smallest
        assert next(asked) <= 16

    def test_within_the_values_that_a_size_may_take(self):
        """Such as multiples of eight."""
        assert shrink({"n": 64}, {"n": range(8, 65, 8)}, lambda sizes: sizes["n"] > 20) == {"n": 24}


class TestCommandLine:
    """`gradverify run --reproducer FILE`."""

    def test_it_writes_the_first_failure(self, write, capsys, tmp_path):
        """And says so on stderr."""
        file = write("kernels.py", KERNELS)
        assert main(["run", f"{file}::TailCase", "--reproducer", "fails.py"]) == 1
        assert "TailCase[float32] fails by itself in fails.py" in capsys.readouterr().err
        assert "TailCase(rows=1, columns=9)" in (tmp_path / "fails.py").read_text(encoding="utf-8")

    def test_it_writes_nothing_where_nothing_fails(self, write, capsys, tmp_path):
        """And says so."""
        file = write("kernels.py", KERNELS.replace("gradient[..., whole:] = 0", "pass"))
        assert main(["run", f"{file}::TailCase", "--reproducer", "fails.py"]) == 0
        assert "nothing failed that could be reproduced: fails.py is not written" in capsys.readouterr().err
        assert not (tmp_path / "fails.py").exists()

    def test_a_file_that_cannot_be_written_is_told_at_once(self, write, capsys):
        """Before anything runs."""
        file = write("kernels.py", KERNELS)
        assert main(["run", str(file), "--reproducer", "missing/fails.py"]) == 4
        assert "missing/fails.py cannot be written" in capsys.readouterr().err
