"""verify and check, end to end: the five founding cases, planted mistakes, settings, precisions."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import gallery
from gradverify import Case, GradientMismatch, Gradients, Trace, check, verify
from gradverify.case import sizes_of
from gradverify.configuration import Configuration, configurations
from gradverify.errors import GradverifyError, InvalidCase, UsageError
from gradverify.examination import examine
from gradverify.importer import load_file
from gradverify.loader import cases_of
from gradverify.settings import Settings
from gradverify.verdict import Verdict

CASES = Path(__file__).parent.parent / "cases"


def founding(name: str) -> type[Case]:
    for file in sorted(CASES.glob("*.py")):
        for case in cases_of(load_file(file)):
            if type(case).__name__ == name:
                return type(case)
    raise AssertionError(name)


# The number of gradients of each case, and its loss at the seed of the figures.
FOUNDING = {
    "LinearRegression": (8, 6.0275),
    "LogisticBCE": (13, 1.1765),
    "ReLU": (4, None),
    "ThreeLayerNet": (18, 0.12314),
    "L2Regularization": (7, None),
}


def planted(case: type[Case], name: str, change) -> type[Case]:
    """The case with one gradient changed once its backward is through, so that no other row is affected."""

    class Planted(case):
        def backward(self, t: Trace, d: Gradients) -> None:
            super().backward(t, d)
            d[name] = change(d[name])

    return Planted


@pytest.mark.parametrize("name", FOUNDING)
def test_the_founding_cases_pass(name):
    """Every gradient of every founding case is right, in each precision."""
    for dtype in ("float32", "float64", "bfloat16"):
        report = verify(founding(name), dtype=dtype)
        assert report.passed, str(report)
        assert report.derived == report.named == len(report.rows) == FOUNDING[name][0]


@pytest.mark.parametrize("name", [name for name, (_, loss) in FOUNDING.items() if loss])
def test_the_founding_losses(name):
    """The forward values are those of the published figures."""
    from gradverify.evaluation import run_forward
    from gradverify.inputs import draw_inputs
    from gradverify.trace import values_of

    case = founding(name)()
    inputs = draw_inputs(case, 111111, torch.float32, torch.device("cpu"), frozenset())
    loss = values_of(run_forward(case, inputs, torch.float32).trace)["loss"]
    assert loss.item() == pytest.approx(FOUNDING[name][1], rel=1e-4)


@pytest.mark.parametrize("name", ["LinearRegression", "L2Regularization"])
def test_gradients_without_rounding_of_their_own_are_exact(name):
    """Where the derivation takes autograd's own steps, the float32 gradients are equal bit for bit."""
    assert {row.verdict for row in verify(founding(name)).rows} == {Verdict.EXACT}


# Small enough to be verified fifty times in a test; the slow study takes the sizes as they are.
SMALL = {"samples": 10, "features": 5, "hidden1": 12, "hidden2": 14, "classes": 9}


@pytest.mark.parametrize("name", FOUNDING)
@pytest.mark.parametrize("sizes", [SMALL, pytest.param({}, marks=pytest.mark.slow)], ids=["small", "full"])
def test_a_factor_of_1_plus_1e_9_is_wrong(name, sizes):
    """On any one gradient; no tolerance would notice it."""
    case = founding(name)
    sizes = {size: value for size, value in sizes.items() if size in sizes_of(case())}
    for row in verify(case).rows:
        report = verify(planted(case, row.name, lambda gradient: gradient * (1 + 1e-9)), sizes=sizes)
        assert [one.name for one in report.failed_rows] == [row.name]
        assert report[row.name].verdict == Verdict.WRONG


def test_a_zero_gradient_of_h3_sum_is_wrong():
    """Its true gradient is below 1e-13, so that allclose passes zeros."""
    row = verify(planted(founding("ThreeLayerNet"), "h3_sum", torch.zeros_like))["h3_sum"]
    assert row.comparison.approximate
    assert row.verdict == Verdict.WRONG


def test_a_bias_gradient_with_a_dimension_kept_is_a_shape():
    """A comparison that broadcasts passes (1, 1) for (1,)."""
    row = verify(planted(founding("LogisticBCE"), "b", lambda gradient: gradient[None]))["b"]
    assert row.verdict == Verdict.SHAPE
    assert any("(1, 1)" in hint for hint in row.hints)


def test_relu_units_that_are_all_off_are_vacuous():
    """Their gradients are zero whatever the formula says, and the report says what to do about it."""

    class AllOff(founding("ReLU")):
        def inputs(self, generator):
            drawn = super().inputs(generator)
            return {"x": drawn["x"].abs(), "w": -drawn["w"].abs()}

    report = verify(AllOff)
    assert {row.name: row.verdict for row in report.rows} == {
        "res": Verdict.EXACT,
        "pre": Verdict.VACUOUS,
        "x": Verdict.VACUOUS,
        "w": Verdict.VACUOUS,
    }
    assert not report.passed
    assert "expected_zero" in Verdict.VACUOUS.sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUNDING)
def test_a_thousand_seeds_raise_no_false_alarm(name):
    """No clean gradient of the five is called anything that fails; relu's units may all be off, which is vacuous."""
    case = founding(name)
    for seed in range(1000):
        failed = {row.verdict for row in verify(case, seed=seed).failed_rows}
        assert failed <= ({Verdict.VACUOUS} if name == "ReLU" else set()), seed


@pytest.mark.slow
@pytest.mark.parametrize("case", gallery.RIGHT)
def test_three_hundred_seeds_of_hard_right_cases_pass(case):
    """Ties, kinks, -inf, saturation, long sums and cancellation."""
    for seed in range(300):
        report = verify(case, seed=seed)
        assert report.passed, str(report)


@pytest.mark.parametrize("case", gallery.RIGHT)
def test_hard_right_cases_pass(case):
    """Ties, kinks, -inf, saturation, long sums and cancellation raise no false alarm."""
    for seed in range(1 if case is gallery.LongSum else 5):
        report = verify(case, seed=seed)
        assert report.passed, str(report)


@pytest.mark.parametrize(("case", "name"), gallery.WRONG)
def test_their_wrong_twins_fail(case, name):
    """The same cases with a mistake planted are refused, and in the right row."""
    for seed in range(1 if issubclass(case, gallery.LongSum) else 5):
        report = verify(case, seed=seed)
        assert report[name].verdict == Verdict.WRONG
        assert report[name].line is not None


class Square(Case):
    """L = sum(x^2 * w): small enough to read the numbers."""

    __test__ = False

    n: int = 4

    def inputs(self, generator):
        return {"x": torch.arange(1.0, self.n + 1), "w": torch.ones(self.n)}

    def forward(self, t):
        t.y = t.x**2
        t.loss = (t.y * t.w).sum()
        return t.loss

    def backward(self, t, d):
        d.y = d.loss * t.w
        d.w = d.loss * t.y
        d.x = 2 * t.x * d.y


class Partial(Square):
    """Only one gradient is derived, from one that is not."""

    def backward(self, t, d):
        d.x = 2 * t.x * d.y


class ThirdWrong(Square):
    """One element is off."""

    def backward(self, t, d):
        super().backward(t, d)
        d.x = d.x + torch.tensor([0.0, 0.0, 0.5, 0.0], dtype=d.x.dtype)


def test_the_worst_element_is_shown():
    """Index, both values, and what would have been allowed."""
    worst = verify(ThirdWrong)["x"].worst
    assert worst.index == (2,)
    assert (worst.candidate, worst.reference) == (6.5, 6.0)
    assert 0 < worst.allowed < 1e-12


def test_a_missing_input_gradient_fails():
    """An input without a gradient was not verified; an intermediate without one is only counted."""

    class Forgotten(Square):
        def backward(self, t, d):
            d.x = 2 * t.x * d.loss * t.w

    report = verify(Forgotten)
    assert {row.name: row.verdict for row in report.failed_rows} == {"w": Verdict.MISSING}
    assert (report.derived, report.named) == (1, 3)


def test_partial_hands_out_the_reference():
    """One gradient can be derived at a time; what was handed out is marked, what is missing does not fail."""
    report = verify(Partial, partial=True)
    assert {row.name: (row.verdict, row.passed) for row in report.rows} == {
        "x": (Verdict.EXACT, True),
        "y": (Verdict.GIVEN, True),
        "w": (Verdict.MISSING, True),
    }
    assert report.passed


def test_without_partial_reading_it_is_an_error():
    """It names the line."""
    with pytest.raises(GradverifyError, match="Partial: d.y is read before it was derived") as caught:
        verify(Partial)
    assert caught.value.location.file == __file__


def test_known_failures_do_not_fail():
    """Until they pass: then the entry must go."""

    class Known(ThirdWrong):
        known = {("x", "float32"): "issue 123"}

    row = verify(Known)["x"]
    assert (row.verdict, row.passed) == (Verdict.KNOWN, True)
    assert "issue 123" in row.hints[0]
    assert not verify(Known, dtype="float64").passed

    class Mended(Square):
        known = {("x", "float32"): "issue 123"}

    row = verify(Mended)["x"]
    assert not row.passed
    assert "remove the entry" in row.hints[0]


@pytest.mark.parametrize(
    "settings", [{"known": {("X", "float32"): "why"}}, {"expected_zero": {"X"}}], ids=lambda value: next(iter(value))
)
def test_settings_name_gradients_that_exist(settings):
    """A name that no tensor has is an error, with the nearest one."""
    case = type("Typo", (Square,), settings)
    with pytest.raises(InvalidCase, match="names 'X'"):
        verify(case)


class CentredBias(Case):
    """b is subtracted again by the mean: its gradient is zero in exact arithmetic."""

    __test__ = False

    expected_zero = frozenset({"b"})

    def inputs(self, generator):
        return {"x": torch.randn(50, generator=generator), "b": torch.randn(1, generator=generator)}

    def forward(self, t):
        t.shifted = t.x + t.b
        t.centred = t.shifted - t.shifted.mean()
        t.y = torch.tanh(t.centred)
        return t.y

    def backward(self, t, d):
        d.centred = d.y * (1 - t.y**2)
        d.shifted = d.centred - d.centred.mean()
        d.x = d.shifted
        d.b = d.shifted.sum().reshape(1)


def test_an_expected_zero_passes():
    """Both autograd's and the hand-derived gradient are rounding errors of zero."""
    assert verify(CentredBias).passed


def test_an_unexpected_zero_is_inconclusive():
    """The difference of two rounding errors says nothing, and the remedy names the setting."""

    class Unexpected(CentredBias):
        expected_zero = None

    row = verify(Unexpected)["b"]
    assert row.verdict in (Verdict.INCONCLUSIVE, Verdict.VACUOUS, Verdict.EXACT)
    assert "expected_zero" in Verdict.INCONCLUSIVE.sentence


def test_an_expected_zero_that_is_not_zero_is_wrong():
    """A candidate that is not zero, and a setting that lists what is not."""
    assert verify(planted(CentredBias, "b", lambda gradient: gradient + 1e-3))["b"].verdict == Verdict.WRONG

    class Listed(Square):
        expected_zero = {"x"}

    assert verify(Listed)["x"].verdict == Verdict.WRONG


class InFloat32(Square):
    """Computed in float32 whatever the pass."""

    def inputs(self, generator):
        return {"x": torch.randn(200, generator=generator), "w": torch.randn(200, generator=generator)}

    def backward(self, t, d):
        super().backward(t, d)
        d.x = (2 * t.x.float() * d.y.float()).to(t.x.dtype)


def test_float32_inside_is_imprecise():
    """It passes, visibly, and fails under strict."""
    row = verify(InFloat32)["x"]
    assert (row.verdict, row.passed) == (Verdict.IMPRECISE, True)
    assert "float32 inside" in row.hints[0]
    assert not verify(InFloat32, strict=True).passed


class Unstable(Case):
    """The variance as E[x^2] - E[x]^2 loses its digits in float32 when the mean is large, and only there."""

    __test__ = False

    def inputs(self, generator):
        return {"x": 3000 + torch.randn(100, generator=generator)}

    def forward(self, t):
        t.y = torch.nn.functional.layer_norm(t.x, t.x.shape)
        return t.y

    def backward(self, t, d):
        variance = (t.x**2).mean() - t.x.mean() ** 2 + 1e-5
        normal = (t.x - t.x.mean()) / variance.sqrt()
        d.x = (d.y - d.y.mean() - normal * (d.y * normal).mean()) / variance.sqrt()


def test_a_formula_that_is_only_wrong_in_float32_fails():
    """In float64 it agrees; the working precision is the second question."""
    report = verify(Unstable)
    assert not report.passed
    assert "float32" in report["x"].hints[-1]


class NanInFloat32(Case):
    """exp overflows in float32 but not in float64."""

    __test__ = False

    def inputs(self, generator):
        return {"x": torch.linspace(-100.0, 100.0, 50)}

    def forward(self, t):
        t.y = torch.logaddexp(t.x, torch.zeros_like(t.x))
        return t.y

    def backward(self, t, d):
        e = t.x.exp()
        d.x = d.y * e / (1 + e)


def test_a_gradient_that_is_nan_in_float32_is_nonfinite():
    """inf / inf: the verdict has a name of its own, and the element is shown."""
    row = verify(NanInFloat32)["x"]
    assert row.verdict == Verdict.NONFINITE
    assert row.worst.index[0] > 40


def test_elements_whose_reference_is_not_finite_are_left_out_and_counted():
    """sqrt at zero has an infinite slope; the other elements are still judged."""

    class Root(Case):
        def inputs(self, generator):
            return {"x": torch.tensor([0.0, 1.0, 4.0])}

        def forward(self, t):
            t.y = t.x.sqrt().sum()
            return t.y

        def backward(self, t, d):
            d.x = d.y * 0.5 / t.x.sqrt()

    assert verify(Root).passed
    assert verify(Root)["x"].nonfinite == 1
    assert verify(planted(Root, "x", lambda gradient: -gradient))["x"].verdict == Verdict.WRONG


def test_quick_says_what_it_cannot_see():
    """It refuses a wrong sign, and lets a factor of 1 + 1e-9 pass, within the resolution that it shows."""
    assert verify(Square, quick=True).passed
    assert "cannot see" in verify(Square, quick=True).notes[0]
    assert not verify(planted(Square, "x", lambda gradient: -gradient), quick=True).passed
    blind = verify(planted(Square, "x", lambda gradient: gradient * (1 + 1e-9)), quick=True)
    assert blind.passed
    assert blind["x"].resolution > 1e-9


@pytest.mark.parametrize("case", [one for one in gallery.RIGHT if one is not gallery.LongSum])
def test_quick_raises_no_false_alarm(case):
    """Noise is measured in float32 where more than a few roundings differ."""
    report = verify(case, quick=True)
    assert report.passed, str(report)


def test_check_raises_with_the_whole_story_in_its_first_line():
    """Case, how many of how many, the first wrong one, and where."""
    with pytest.raises(GradientMismatch) as caught:
        check(ThirdWrong)
    first = str(caught.value).splitlines()[0]
    assert "ThirdWrong" in first
    assert "1 of 3" in first
    assert "x" in first
    assert "wrong" in first
    assert f"test_verification.py:{caught.value.report['x'].line}" in first
    assert check(Square).passed


def test_sizes_and_seed_are_recorded():
    """They identify the report."""
    report = verify(Square, sizes={"n": 7}, seed=5)
    assert report.sizes == {"n": 7}
    assert report.seed == 5
    assert report["x"].shape == (7,)
    with pytest.raises(UsageError, match="no size 'm'"):
        verify(Square, sizes={"m": 7})


@pytest.mark.parametrize("argument", [Trace, 3, "cases", lambda: None], ids=["class", "number", "text", "lambda"])
def test_only_cases_are_verified(argument):
    """Anything else is told what was expected."""
    with pytest.raises(UsageError, match="expected a Case"):
        verify(argument)


def test_an_unknown_device_or_dtype_is_refused():
    """Before anything runs."""
    with pytest.raises(UsageError, match="not a floating dtype"):
        verify(Square, dtype="int32")
    with pytest.raises(UsageError, match="cannot be used here"):
        verify(Square, device="cuda:77")


def test_configurations_merge_in_order():
    """Command line over case over ini file over what gradverify starts from."""

    class Two(Square):
        dtypes = ("float32", "float64")
        seeds = 3

    assert [(one.dtype, one.seed) for one in configurations(Two())] == [("float32", 3), ("float64", 3)]
    (one,) = configurations(Two(), Settings(dtypes=("bfloat16",)), Settings(seeds=(9,), strict=True))
    assert (one.dtype, one.seed, one.settings.strict) == ("bfloat16", 3, True)
    assert one.settings.partial is False


def test_examine_turns_errors_into_reports():
    """So that a broken case never hides the others; the user's own traceback is kept."""

    class Broken(Square):
        def backward(self, t, d):
            raise RuntimeError("no idea")

    report = examine(Broken(), Configuration("float32", "cpu", 0))
    assert not report.passed
    assert report.error.kind == "CaseRaised"
    assert report.error.file == __file__
    assert "no idea" in report.error.message
    assert "in backward" in report.error.traceback
    assert "gradverify/scope.py" not in report.error.traceback


def test_the_default_dtype_is_restored():
    """Also when the case raises."""

    class Broken(Square):
        def forward(self, t):
            raise RuntimeError("no idea")

    verify(Square, dtype="bfloat16")
    with pytest.raises(GradverifyError):
        verify(Broken, dtype="float64")
    assert torch.get_default_dtype() == torch.float32


class Cumulated(Case):
    """Two outputs, one of which is used to compute the other: its gradient is its cotangent plus what flows back."""

    __test__ = False

    def inputs(self, generator):
        return {"x": torch.randn(5, generator=generator)}

    def forward(self, t):
        t.y = t.x**2
        t.z = t.y.sin()
        return t.y, t.z

    def backward(self, t, d):
        d.y = d.y + d.z * t.y.cos()
        d.x = 2 * t.x * d.y


def test_an_output_that_is_used_inside_is_judged_when_written():
    """Forgetting the cotangent that it starts from is caught."""
    assert verify(Cumulated).passed
    assert verify(Cumulated).named == 2

    class Forgotten(Cumulated):
        def backward(self, t, d):
            d.y = d.z * t.y.cos()
            d.x = 2 * t.x * d.y

    assert {row.name for row in verify(Forgotten).failed_rows} == {"y", "x"}


def test_a_forward_value_changed_by_the_backward_does_not_disturb_the_reference():
    """The classic trick of editing the probabilities in place is right, and is judged as right."""

    class InPlace(Case):
        def inputs(self, generator):
            return {"logits": torch.randn(6, 4, generator=generator), "label": torch.arange(6) % 4}

        def forward(self, t):
            t.probs = t.logits.softmax(1)
            t.loss = -t.probs[torch.arange(6), t.label].log().sum()
            return t.loss

        def backward(self, t, d):
            gradient = t.probs
            gradient[torch.arange(6), t.label] -= 1
            d.logits = gradient * d.loss

    assert verify(InPlace).passed


def test_rows_are_data():
    """A report can be replaced field by field, as frozen dataclasses can, and needs no torch to be read."""
    report = verify(Square)
    assert dataclasses.replace(report, rows=()).rows == ()
    assert not any(isinstance(value, Tensor) for row in report.rows for value in vars(row).values())
    assert sys.getsizeof(report) < 1000
