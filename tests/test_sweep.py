"""A sweep finds what the sizes of a case hide; which sizes it takes, and what it says where there are none."""

# ruff: noqa: ARG004 -- a forward and a backward are given a context, needed or not
from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from gradverify import Case, FunctionCase, GradientMismatch, check, size, verify
from gradverify.case import sizes_of
from gradverify.errors import CaseRaised, UsageError
from gradverify.sweep import sweep_sizes


class Sized(Case):
    """Its methods are never run."""

    __test__ = False

    def inputs(self, generator): ...
    def forward(self, t): ...
    def backward(self, t, d): ...


class Matrix(Sized):
    rows: int = 8
    columns: int = 8


class Convolution(Sized):
    batch: int = 2
    height: int = 8
    width: int = 8
    kernel: int = 3
    stride: int = 1
    padding: int = 0

    def valid(self):
        return min(self.height, self.width) + 2 * self.padding >= self.kernel


class Heads(Sized):
    heads: int = 2
    width: int = size(16, low=8, multiple_of=8)

    def valid(self):
        return self.width % self.heads == 0


def swept(case: Case, count: int) -> list[tuple[int, ...]]:
    return [tuple(sizes_of(one).values()) for one in sweep_sizes(case, count).cases]


@pytest.mark.parametrize("cls", [Matrix, Convolution, Heads], ids=lambda cls: cls.__name__)
def test_the_case_itself_comes_first_and_no_combination_twice(cls):
    """Every run takes the same ones, and a longer sweep begins as a shorter one does."""
    combinations = swept(cls(), 20)
    assert combinations[0] == tuple(sizes_of(cls()).values())
    assert len(set(combinations)) == 20
    assert swept(cls(), 20) == combinations
    assert swept(cls(), 6) == combinations[:6]


def test_it_takes_ones_and_sizes_that_all_differ_and_both_sides_of_a_power_of_two():
    """In so many combinations as anybody has the patience for."""
    combinations = swept(Matrix(), 10)
    assert (1, 1) in combinations
    assert sum(rows != columns for rows, columns in combinations) >= 7
    assert any(rows == columns > 1 for rows, columns in combinations[1:])
    values = set(itertools.chain.from_iterable(combinations))
    assert values & {2, 3, 5, 7, 13, 17}
    assert values & {32, 64}
    assert values & {33, 65}


def test_bounds_and_valid_are_kept():
    """A size is a multiple of what it says; a combination that does not fit is none."""
    for heads, width in swept(Heads(), 30):
        assert width >= 8
        assert width % 8 == 0
        assert width % heads == 0
    for _, height, width, kernel, _, padding in swept(Convolution(), 30):
        assert min(height, width) + 2 * padding >= kernel


def test_a_stride_of_two_and_a_padding_are_tried_early():
    """In the first combination of sizes that all differ; without the other a little later."""
    combinations = swept(Convolution(), 4)
    assert any(stride == 2 for *_, stride, _ in combinations)
    assert any(padding > 0 for *_, padding in combinations)
    later = swept(Convolution(), 16)
    assert any(padding == 0 and stride > 1 for *_, stride, padding in later)
    assert any(padding > 0 and stride == 1 for *_, stride, padding in later)


def test_sizes_stay_small_together():
    """Their product is bounded, but for the case's own."""

    class Large(Sized):
        a: int = 50
        b: int = 50
        c: int = 50
        d: int = 50

    products = [a * b * c * d for a, b, c, d in swept(Large(), 50)]
    assert max(products) == products[0]
    small = [a * b * c * d for a, b, c, d in swept(type("Small", (Large,), {})(a=5, b=5, c=5, d=5), 50)]
    assert max(small) <= 2**16


def test_fewer_combinations_than_asked_for_are_told():
    """With how many there are."""

    class Blocks(Sized):
        n: int = size(64, low=64, multiple_of=64)

    found = sweep_sizes(Blocks(), 100)
    assert [one.n for one in found.cases] == [64, 128, 192, 320, 256, 512, 448, 384]
    assert found.notes == ("sweep: 8 combinations of the sizes of Blocks exist, not 100",)

    class Square(Sized):
        rows: int = 4
        columns: int = 4

        def valid(self):
            return self.rows == self.columns

    found = sweep_sizes(Square(), 100)
    assert len(found.cases) == 67
    assert found.notes == ("sweep: 67 combinations of the sizes of Square exist, not 100",)


def test_a_case_without_sizes_says_so():
    """And is run as it is."""
    found = sweep_sizes(Sized(), 5)
    assert len(found.cases) == 1
    assert found.notes == (
        "sweep: Sized has no sizes: its inputs have only one shape, so that there is nothing to vary",
    )


def test_what_cannot_be_made_is_passed_over_and_told():
    """What the case's own code raises is quoted."""

    class Even(Sized):
        n: int = 4

        def __post_init__(self):
            if self.n % 2:
                raise ValueError("n has to be even")

    found = sweep_sizes(Even(), 40)
    assert {one.n % 2 for one in found.cases} == {0}
    assert found.notes == (
        "sweep: 33 combinations of the sizes of Even exist, not 40",
        "sweep: 34 combinations were passed over because Even cannot be made at them; at n=1 it raised ValueError: n "
        "has to be even",
    )


def test_sizes_that_are_held_stay():
    """Those that the user gave."""
    found = sweep_sizes(Matrix(rows=3), 10, held={"rows"})
    assert {one.rows for one in found.cases} == {3}
    assert len({one.columns for one in found.cases}) == 10
    assert "no size that is not held" in sweep_sizes(Matrix(), 3, held={"rows", "columns"}).notes[0]


@pytest.mark.parametrize("count", [0, -1, 2.0, "3", True])
def test_a_count_that_is_none_is_refused(count):
    with pytest.raises(UsageError, match=r"sweep: expected how many combinations of sizes to run, 1 or more; got"):
        sweep_sizes(Matrix(), count)


def test_what_valid_raises_is_told():
    """It is the case's mistake, and no size that does not fit."""

    class Raising(Sized):
        n: int = 4

        def valid(self):
            return 12 // (self.n - 1) > 0

    with pytest.raises(CaseRaised, match="valid raised ZeroDivisionError"):
        sweep_sizes(Raising(), 5)


class Doubled(Function):
    """Each subclass plants one mistake."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2


class DropsTail(Doubled):
    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        gradient = 2 * d
        whole = d.shape[-1] // 32 * 32
        if whole:
            gradient[..., whole:] = 0
        return gradient


class TransposedIfSquare(Doubled):
    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        return 2 * d.T.contiguous().view(d.shape)


class StepsByRows(Doubled):
    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        rows, columns = d.shape
        return 2 * torch.as_strided(d.contiguous(), (rows, columns), (rows if rows < columns else columns, 1))


class AverageOfOne(Doubled):
    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        return 2 * d * (2 if d.shape[0] == 1 else 1)


def matrix(generator: torch.Generator, rows: int = 8, columns: int = 8) -> list[Tensor]:
    return [torch.randn(rows, columns, generator=generator)]


def row(generator: torch.Generator, rows: int = 1, columns: int = 8) -> list[Tensor]:
    return [torch.randn(rows, columns, generator=generator)]


def times_two(x: Tensor) -> Tensor:
    return x * 2


@pytest.mark.parametrize("planted", [DropsTail, StepsByRows, AverageOfOne], ids=lambda planted: planted.__name__)
def test_a_mistake_that_the_own_sizes_hide_is_found(planted):
    """With what fails in the first line; the right twin passes."""
    assert verify(planted.apply, inputs=matrix, reference=times_two).passed
    with pytest.raises(GradientMismatch) as caught:
        check(planted.apply, inputs=matrix, reference=times_two, sweep=5)
    report = caught.value.report
    assert [row.name for row in report.failed_rows] == ["x"]
    assert report.resized
    first = str(caught.value).splitlines()[0]
    shown = "-".join(f"{name}={report.sizes[name]}" for name in report.resized)
    assert first.startswith(f"{planted.__name__}[{shown}-float32]: 1 of 2 gradients wrong; first: x (wrong)")
    assert verify(times_two, inputs=matrix, reference=times_two, sweep=5).passed


def test_a_transposed_gradient_hidden_by_a_single_row_is_found():
    """Of one row, a matrix has the same numbers in the same order as its transpose."""
    assert verify(TransposedIfSquare.apply, inputs=row, reference=times_two).passed
    assert not verify(TransposedIfSquare.apply, inputs=row, reference=times_two, sweep=4).passed


class Pooled(Case):
    """Windows summed over.   y_o = sum_k x_(o * stride + k - padding)"""

    __test__ = False
    length: int = 9
    kernel: int = 3
    stride: int = 3
    padding: int = 1

    def valid(self):
        return self.length + 2 * self.padding >= self.kernel

    def inputs(self, generator):
        return {"x": torch.randn(2, self.length, generator=generator)}

    def forward(self, t):
        t.padded = functional.pad(t.x, (self.padding, self.padding))
        t.y = t.padded.unfold(-1, self.kernel, self.stride).sum(-1)
        return t.y

    def backward(self, t, d):
        d.padded = self.scatter(torch.zeros_like(t.padded), d.y)
        d.x = d.padded[:, self.padding : t.padded.shape[-1] - self.padding]

    def scatter(self, gradient, upstream):
        for k in range(self.kernel):
            gradient[:, k : k + self.stride * upstream.shape[-1] : self.stride] += upstream
        return gradient


class OverwritesOverlaps(Pooled):
    def scatter(self, gradient, upstream):
        for k in range(self.kernel):
            gradient[:, k : k + self.stride * upstream.shape[-1] : self.stride] = upstream
        return gradient


class CutsByOne(Pooled):
    """Without padding nothing is left."""

    padding: int = size(1, low=0)

    def backward(self, t, d):
        d.padded = self.scatter(torch.zeros_like(t.padded), d.y)
        d.x = d.padded[:, self.padding : -self.padding]


class OnlyStrideThree(Pooled):
    def scatter(self, gradient, upstream):
        for k in range(self.kernel):
            gradient[:, k : k + 3 * upstream.shape[-1] : 3] += upstream[:, : len(gradient[0, k::3])]
        return gradient


@pytest.mark.parametrize("planted", [OverwritesOverlaps, CutsByOne, OnlyStrideThree], ids=lambda one: one.__name__)
def test_a_hand_derived_case_is_swept_alike(planted):
    """Overlapping windows, no padding, another stride."""
    assert verify(planted).passed
    report = verify(planted, sweep=12)
    assert not report.passed
    assert report.resized
    assert verify(Pooled, sweep=12).passed


class TailCase(FunctionCase):
    __test__ = False
    rows: int = 8
    columns: int = 8
    candidate = DropsTail.apply
    reference = times_two

    def inputs(self, generator):
        return {"x": torch.randn(self.rows, self.columns, generator=generator)}


def test_a_function_case_is_swept_alike():
    assert verify(TailCase).passed
    assert not verify(TailCase, sweep=4).passed


def test_the_report_names_every_combination_that_was_run():
    """And those that failed among them; it is the first of these, or that of the case's own sizes."""
    report = verify(times_two, inputs=matrix, reference=times_two, sweep=3)
    assert report.sizes == {"rows": 8, "columns": 8}
    assert report.notes[-1] == (
        "sweep: 3 combinations of sizes were run, (rows, columns) = (8, 8), (1, 1), (33, 2); all of them passed"
    )
    report = verify(AverageOfOne.apply, inputs=matrix, reference=times_two, sweep=3)
    assert report.sizes == {"rows": 1, "columns": 1}
    assert report.notes[-1].endswith("(33, 2); 1 of them failed: (1, 1)")


def test_sizes_that_verify_is_given_are_held():
    """But for one that has no other value to start from."""
    report = verify(times_two, inputs=matrix, reference=times_two, sizes={"rows": 3}, sweep=3)
    assert "(3, 8), (3, 1), (3, 33)" in report.notes[-1]
    report = verify(
        times_two, inputs=lambda g, n: [torch.randn(n, generator=g)], reference=times_two, sizes={"n": 3}, sweep=3
    )
    assert "(n) = (3), (1), (2)" in report.notes[-1]


def test_inputs_that_raise_refuse_their_sizes():
    """Where a function draws them there is no `valid`."""

    def even(generator, n=8):
        if n % 2:
            raise ValueError("n has to be even")
        return [torch.randn(n, generator=generator)]

    report = verify(times_two, inputs=even, reference=times_two, sweep=4)
    assert report.passed
    assert "because times_two cannot be made at them; at n=1 it raised ValueError: n has to be even" in report.notes[-1]


def test_a_candidate_that_raises_at_other_sizes_fails_and_hides_nothing():
    """The report says what to do where the sizes do not fit."""

    def picky(x):
        if x.shape[0] == 33:
            raise ValueError("my own words")
        return x * 2

    report = verify(picky, inputs=matrix, reference=times_two, sweep=5)
    assert report.error.message.endswith("my own words")
    assert report.sizes["rows"] == 33
    assert "1 of them failed: (33, 2)" in report.notes[-2]
    assert report.notes[-1].startswith("sweep: if these sizes do not fit each other, say so: ")


def test_tensors_have_no_other_sizes():
    with pytest.raises(UsageError, match=r"pass a function, inputs=f\(generator, n=8, m=3\)"):
        verify(times_two, inputs=[torch.ones(3)], reference=times_two, sweep=3)


def test_a_case_without_sizes_is_verified_with_a_note():
    class Plain(FunctionCase):
        candidate = times_two
        reference = times_two

        def inputs(self, generator):
            return {"x": torch.randn(3, generator=generator)}

    report = verify(Plain, sweep=3)
    assert report.passed
    assert "has no sizes" in report.notes[-1]


def test_what_is_degenerate_at_other_sizes_does_not_fail():
    """A softmax of one element has no gradient; at the case's own sizes that would be no test."""

    def inputs(generator, n=3):
        return [torch.randn(1, n, generator=generator)]

    def softmax(x):
        return x.softmax(-1)

    report = verify(softmax, inputs=inputs, reference=softmax, sweep=4)
    assert report.passed
    assert report.notes[-1].endswith("all of them passed; of some gradients nothing could be told at (1)")
    report = verify(softmax, inputs=inputs, reference=softmax, sizes={"n": 1}, sweep=4)
    assert report["x"].verdict == "vacuous"
    assert not report.passed
