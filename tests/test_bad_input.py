"""Bad input, a line of the table each: the error's class, the case, the line it points at, and the remedy."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gradverify import Case, Gradients, Report, Trace, check, verify
from gradverify.configuration import configurations
from gradverify.errors import GradverifyError
from gradverify.examination import examine


class Affine(Case):
    """The right case of which each bad one is a change: L = sum(relu(x w + b))."""

    __test__ = False

    n: int = 4

    def inputs(self, generator: torch.Generator) -> dict[str, Tensor]:
        return {
            "x": torch.randn(self.n, 3, generator=generator),
            "w": torch.randn(3, generator=generator),
            "b": torch.randn(1, generator=generator),
        }

    def forward(self, t: Trace) -> Tensor:
        t.preact = t.x @ t.w + t.b
        t.h = torch.relu(t.preact)
        t.loss = t.h.sum()
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.h = d.loss.expand_as(t.h)
        d.preact = d.h * (t.preact > 0)
        d.x = d.preact[:, None] * t.w
        d.w = t.x.T @ d.preact
        d.b = d.preact.sum()[None]


# Each bad line ends with this mark; it is the line that the error must point at.
HERE = "# <-"


class GradientNameMistyped(Affine):
    def backward(self, t, d):
        super().backward(t, d)
        d.preactt = d.h  # <-


class GradientReadMistyped(Affine):
    def backward(self, t, d):
        d.h = d.loss.expand_as(t.h)
        d.x = d.preact_[:, None] * t.w  # <-


class ValueReadMistyped(Affine):
    def backward(self, t, d):
        d.w = t.X.T @ d.loss  # <-


class GradientOfAConstant(Affine):
    constants = "x"  # an input, but not a differentiated one

    def backward(self, t, d):
        super().backward(t, d)


class FloatAsGradient(Affine):
    def backward(self, t, d):
        super().backward(t, d)
        d.b = 1.0  # <-


class FloatInForward(Affine):
    def forward(self, t):
        t.scale = 0.5  # <-
        return super().forward(t)


class FloatAsInput(Affine):
    def inputs(self, generator):  # <-
        return {**super().inputs(generator), "scale": 0.5}


class AssignedTwice(Affine):
    def forward(self, t):
        t.preact = t.x @ t.w + t.b
        t.h = torch.relu(t.preact)
        t.h = t.h + 1  # <-
        t.loss = t.h.sum()
        return t.loss


class AssignedInALoop(Affine):
    def forward(self, t):
        for _ in range(3):
            t.step = t.x * 2  # <-
        return super().forward(t)


class ListOfTensors(Affine):
    def forward(self, t):
        t.parts = [t.x, t.x]  # <-
        return super().forward(t)


class Underscore(Affine):
    def forward(self, t):
        t._hidden = t.x * 2  # <-
        return super().forward(t)


class ReturnsNothing(Affine):
    def forward(self, t):  # <-
        super().forward(t)


class ReturnsANumber(Affine):
    def forward(self, t):  # <-
        return super().forward(t).item()


class ReturnsUnnamed(Affine):
    def forward(self, t):  # <-
        return super().forward(t) / 2


class ChangedInPlace(Affine):
    def forward(self, t):
        t.preact = t.x @ t.w + t.b
        t.h = t.preact.relu_()
        t.loss = t.preact.sum()  # <-
        return t.loss


class ChangedInPlaceUnread(Affine):
    def forward(self, t):
        t.preact = t.x @ t.w + t.b  # <-
        hidden = t.preact
        hidden.relu_()
        t.loss = hidden.sum()
        return t.loss


class BackwardRaises(Affine):
    def backward(self, t, d):
        self.helper(t, d)

    def helper(self, t, d):
        d.h = t.x @ t.x  # <-


class ShapeRaisesLater(Affine):
    def backward(self, t, d):
        d.h = d.loss.expand_as(t.h)
        d.preact = (d.h * (t.preact > 0))[:, None]  # <-
        d.b = d.preact.sum()[None]
        d.x = d.preact @ t.w[None]
        d.w = t.x @ d.preact


class ShapeInALocalRaisesLater(Affine):
    def backward(self, t, d):
        dh = torch.ones_like(t.h)
        dpreact = (dh * (t.preact > 0))[None]
        d.preact = dpreact  # <-
        dw = t.x.T @ dpreact
        d.w = dw


class DtypeRaisesLater(Affine):
    def backward(self, t, d):
        d.h = d.loss.expand_as(t.h)
        d.preact = t.preact > 0  # <-
        d.w = t.x.T @ d.preact


class RaisesByItself(Affine):
    """The shape of d.b is wrong too, but nothing comes of that."""

    def backward(self, t, d):
        d.h = d.loss.expand_as(t.h)
        d.preact = d.h * (t.preact > 0)
        d.b = d.preact.sum()
        d.w = t.x.T @ d.preact[:1]  # <-


class ForwardRaises(Affine):
    def forward(self, t):
        t.preact = t.x @ t.w.view(
            2, 2
        ) + t.b  # fmt: skip
        return t.preact


class InputsRaise(Affine):
    def inputs(self, generator):
        return {"x": torch.randn(self.m, generator=generator)}  # <-


class BackwardReturns(Affine):
    def backward(self, t, d):  # <-
        return t.w


class DetachedOutput(Affine):
    def forward(self, t):
        t.loss = (t.x.detach() @ t.w.detach()).sum()  # <-
        return t.loss


class IntegerOutput(Affine):
    def forward(self, t):
        t.label = (t.x @ t.w).argmax()  # <-
        return t.label


class RandomForward(Affine):
    def forward(self, t):
        t.preact = t.x @ t.w + t.b
        t.h = torch.nn.functional.dropout(t.preact)  # <-
        t.loss = t.h.sum()
        return t.loss


class IntegerInputs(Affine):
    def inputs(self, generator):  # <-
        return {"x": torch.ones(2, 3, dtype=torch.int64)}


class InputsAreNoMapping(Affine):
    def inputs(self, generator):  # <-
        return torch.ones(2)


class EmptyInput(Affine):
    def inputs(self, generator):  # <-
        return {**super().inputs(generator), "x": torch.ones(0, 3)}


class EmptyIntermediate(Affine):
    def forward(self, t):
        t.none = t.x[100:]  # <-
        return super().forward(t)


class ReadTooEarly(Affine):
    def backward(self, t, d):
        d.preact = d.h * (t.preact > 0)  # <-


CAPTURED = torch.tensor([1.0, 2.0, 3.0])


class Captured(Affine):
    def forward(self, t):
        t.x2 = t.x * CAPTURED  # <-
        return super().forward(t)


class ConstantMistyped(Affine):
    constants = "X"

    def inputs(self, generator):  # <-
        return super().inputs(generator)


class ZeroMistyped(Affine):
    expected_zero = "bias"

    def backward(self, t, d):  # <-
        super().backward(t, d)


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a bad case is told: the class of the error, what is wrong with what, and how to mend it."""

    case: type[Case]
    kind: str
    problem: str
    remedy: str
    line: Callable[[], int] | None = None


def line_in(method, offset: int) -> Callable[[], int]:
    return lambda: method.__code__.co_firstlineno + offset


TABLE = [
    Expected(GradientNameMistyped, "UnknownName", "d.preactt: the forward has no tensor", "did you mean 'preact'?"),
    Expected(GradientReadMistyped, "UnknownName", "d.preact_: the forward has no tensor", "did you mean 'preact'?"),
    Expected(ValueReadMistyped, "UnknownName", "t has no tensor 'X'", "known names: x, w, b, preact, h, loss"),
    Expected(
        GradientOfAConstant,
        "NotDifferentiable",
        "t.x has no gradient: it is an integer or boolean tensor, is listed in `constants`",
        "remove d.x",
        line_in(Affine.backward, 3),
    ),
    Expected(FloatAsGradient, "NotATensor", "d.b: expected a tensor, got 1.0", "torch.full_like(t.b, ...)"),
    Expected(FloatInForward, "NotATensor", "t.scale: expected a tensor, got 0.5", "keep it in a local variable"),
    Expected(FloatAsInput, "InvalidInputs", "inputs: 'scale' is 0.5, expected a tensor", "torch.tensor(...) makes one"),
    Expected(AssignedTwice, "AssignedTwice", "t.h is assigned twice, first at ", "such as t.h2"),
    Expected(AssignedInALoop, "AssignedTwice", "t.step is assigned twice", 't[f"step{i}"] in a loop'),
    Expected(ListOfTensors, "NotATensor", "t.parts: expected a tensor, got a list", 't[f"parts{i}"] = ... in a loop'),
    Expected(Underscore, "InvalidName", "must not start with an underscore", 'write t["_hidden"] or rename it'),
    Expected(ReturnsNothing, "InvalidOutput", "forward returned nothing", "`return t.loss`"),
    Expected(ReturnsANumber, "InvalidOutput", "expected a tensor assigned to t", "or a tuple of such"),
    Expected(ReturnsUnnamed, "InvalidOutput", "a tensor of shape () that has no name", "assign it, `t.loss = ...`"),
    Expected(ChangedInPlace, "ChangedInPlace", "t.preact, recorded at ", "compute a new tensor"),
    Expected(ChangedInPlaceUnread, "ChangedInPlace", "was changed in place afterwards", "compute a new tensor"),
    Expected(
        BackwardRaises,
        "CaseRaised",
        "backward raised RuntimeError in the float32 pass at `d.h = t.x @ t.x",
        "mat1 and mat2 shapes cannot be multiplied (4x3 and 4x3)",
    ),
    Expected(
        ShapeRaisesLater,
        "CaseRaised",
        "d.preact has shape (4, 1) where its tensor has (4,); then at ",
        ": backward raised RuntimeError in the float32 pass at `d.w = t.x @ d.preact`: mat1 and mat2 shapes",
    ),
    Expected(
        ShapeInALocalRaisesLater,
        "CaseRaised",
        "d.preact has shape (1, 4) where its tensor has (4,); then at ",
        ": backward raised RuntimeError in the float32 pass at `dw = t.x.T @ dpreact`: mat1 and mat2 shapes",
    ),
    Expected(
        DtypeRaisesLater,
        "CaseRaised",
        "d.preact is bool where its tensor is float32; then at ",
        ": backward raised RuntimeError in the float32 pass at `d.w = t.x.T @ d.preact`",
    ),
    Expected(
        RaisesByItself,
        "CaseRaised",
        "backward raised RuntimeError in the float32 pass at `d.w = t.x.T @ d.preact[:1]",
        "size mismatch",
    ),
    Expected(
        ForwardRaises,
        "CaseRaised",
        "forward raised RuntimeError in the float32 pass at `t.preact = t.x @ t.w.view( 2, 2 ) + t.b",
        "shape '[2, 2]' is invalid for input of size 3",
        line_in(ForwardRaises.forward, 1),
    ),
    Expected(InputsRaise, "CaseRaised", "inputs raised AttributeError", "has no attribute 'm'"),
    Expected(BackwardReturns, "InvalidOutput", "backward returned a float32 tensor", "assign each gradient to"),
    Expected(DetachedOutput, "InvalidOutput", "the output t.loss (float32) has no gradient", "without detach, no_grad"),
    Expected(IntegerOutput, "InvalidOutput", "the output t.label (int64) has no gradient", "or integer operations"),
    Expected(RandomForward, "NotDeterministic", "gave different values of t.h", "draw the randomness in `inputs`"),
    Expected(IntegerInputs, "InvalidInputs", "no input has a gradient", "at least one must be a floating tensor"),
    Expected(InputsAreNoMapping, "InvalidInputs", "inputs returned a float32 tensor", "a mapping such as {'x': x}"),
    Expected(EmptyInput, "EmptyTensor", "'x' has no elements (shape (0, 3))", "choose sizes of at least 1"),
    Expected(EmptyIntermediate, "EmptyTensor", "t.none has no elements (shape (0, 3))", "choose sizes that leave it"),
    Expected(ReadTooEarly, "NotDerived", "d.h is read before it was derived", "or set `partial = True`"),
    Expected(Captured, "CapturedTensor", "a float32 tensor of shape (3,) from outside the case", "keep it on `self`"),
    Expected(ConstantMistyped, "InvalidInputs", "`constants` names 'X', which is no input", "inputs: x, w, b"),
    Expected(ZeroMistyped, "InvalidCase", "`expected_zero` names 'bias', which is no tensor", "known names: x, w, b"),
]


def marked_line(case: type[Case]) -> int:
    """The line of a bad case that carries the mark."""
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    start = source.index(f"class {case.__name__}(Affine):")
    return next(number for number, line in enumerate(source[start:], start + 1) if line.endswith(HERE))


def examined(case: Case) -> Report:
    return examine(case, configurations(case)[0])


@pytest.mark.parametrize("expected", TABLE, ids=lambda one: one.case.__name__)
def test_bad_input_is_told_with_the_case_the_line_and_the_remedy(expected):
    """As an error where one case is verified, and as data where many are."""
    line = expected.line() if expected.line else marked_line(expected.case)
    with pytest.raises(GradverifyError) as caught:
        verify(expected.case)
    error = caught.value
    assert type(error).__name__ == expected.kind
    assert str(error).startswith(f"{expected.case.__name__}: ")
    assert expected.problem in error.message
    assert expected.remedy in error.message
    assert (error.location.file, error.location.line) == (__file__, line)
    assert re.search(rf"test_bad_input\.py:{line}\)$", str(error))

    report = examined(expected.case())
    failure = report.error
    assert (report.case, report.passed, report.rows) == (expected.case.__name__, False, ())
    assert (failure.kind, failure.message) == (expected.kind, error.message)
    assert (failure.file, failure.line) == (__file__, line)
    assert (failure.traceback is not None) == (expected.kind == "CaseRaised")


def test_the_right_case_passes():
    """The twin of them all."""
    report = check(Affine)
    assert report.passed
    assert [row.name for row in report.rows] == ["h", "preact", "x", "w", "b"]


def test_the_users_own_traceback_is_kept():
    """As Python prints it, from backward to the line that raised, and nothing of gradverify or torch."""
    with pytest.raises(GradverifyError) as caught:
        verify(BackwardRaises)
    assert isinstance(caught.value.__cause__, RuntimeError)
    shown = examined(BackwardRaises()).error.traceback
    assert shown.startswith("Traceback (most recent call last):\n")
    assert re.findall(r"line \d+, in (\w+)", shown) == ["backward", "helper"]
    assert "d.h = t.x @ t.x" in shown
    assert shown.splitlines()[-1].startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")


def test_an_error_of_the_sizes_is_told():
    """A size that is out of its bounds, of another type, or that `valid` refuses."""
    for case, message in [
        (Affine(n=0), "Affine.n = 0 is less than the least that it may be, 1"),
        (Affine(n=2.5), "Affine.n: expected an integer, got 2.5"),
    ]:
        assert (examined(case).error.kind, examined(case).error.message) == ("UsageError", message)
        with pytest.raises(GradverifyError, match=re.escape(message)):
            verify(case)
    with pytest.raises(GradverifyError, match="Affine has no size 'm'; known names: n"):
        verify(Affine, sizes={"m": 3})


def test_what_is_no_case_is_refused():
    """A function, a class, an instance of another."""
    for one in (torch.relu, Affine.forward, int, 3, None):
        with pytest.raises(GradverifyError, match="expected a Case or a subclass of it.* got"):
            verify(one)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "float31"}, "'float31' is not a floating dtype that can be verified; it is one of float32"),
        ({"dtype": torch.int32}, "'int32' is not a floating dtype"),
        ({"device": "meta"}, "the device 'meta' cannot be used here: "),
        ({"device": "nowhere"}, "the device 'nowhere' cannot be used here: "),
        ({"device": "cuda:99"}, "the device 'cuda:99' cannot be used here: "),
        ({"seed": "one"}, "seeds: expected an integer or several, got 'one'"),
        ({"seed": 2**70}, "does not fit in 64 bits"),
        ({"strict": 1}, "strict: expected True or False, got 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    """With what would."""
    with pytest.raises(GradverifyError, match=re.escape(message)):
        verify(Affine, **arguments)


def test_one_broken_case_hides_no_other():
    """What the user got wrong is a report like any other; the next case runs as if nothing had been."""
    reports = [examined(case()) for case in (BackwardRaises, Captured, RandomForward, Affine, InputsRaise, Affine)]
    assert [report.passed for report in reports] == [False, False, False, True, False, True]
    assert torch.get_default_dtype() == torch.float32
