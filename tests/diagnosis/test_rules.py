"""Every rule of diagnosis knows its mistake, planted in a real case, and is silent on one that only looks like it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from diagnosis.formulas import (
    Activations,
    Attention,
    BatchNorm,
    CrossEntropy,
    CumulativeSum,
    Embedding,
    LayerNorm,
    LSTMStep,
    Outer,
    Residual,
    RMSNorm,
    SelfAttention,
)
from diagnosis.founding import L2Regularization, LinearRegression, ReLU, ThreeLayerNet
from diagnosis.planted import plant, subjects
from gradverify import Case
from gradverify.diagnosis.accumulation import (
    Assigned,
    LostDuplicates,
    MissingContribution,
    MissingUse,
    WrongContribution,
)
from gradverify.diagnosis.edits import Effort
from gradverify.diagnosis.factors import MissingFactor, UpstreamIgnored, WrongAxis
from gradverify.diagnosis.identity import OtherTensor
from gradverify.diagnosis.jacobian import NormalisationMeans, SoftmaxSum
from gradverify.diagnosis.layout import Backwards, KeptDimension, NotExpanded, NotSummed, SummedAway, Transposed
from gradverify.diagnosis.pattern import OnlyInPart, ReversedMask
from gradverify.diagnosis.repair import Repair
from gradverify.diagnosis.rules import RULES, diagnose
from gradverify.diagnosis.scale import Averaged, ConstantFactor, WrongSign, Zero
from gradverify.diagnosis.sharing import Overwritten, ReadTooEarly, SpoiltUpstream


@dataclass(frozen=True)
class Slip:
    """A mistake in the backward of a case, the rule that it is for, and what that says.

    Attributes:
        rule: a class of RULES.
        case: the case; old, new: what of its backward is exchanged.
        name: of the gradient that is wrong then.
        sentence: what the rule says; None for a near miss.
        effort: which Repair is meant.
    """

    rule: type
    case: type[Case]
    old: str
    new: str
    name: str
    sentence: str | None = None
    effort: Effort | None = None

    def __str__(self) -> str:
        return f"{self.rule.__name__}-{(self.new or f'no {self.old}').strip().splitlines()[-1]}"


NORMALISED = "d.raw - d.raw.mean(-1, keepdim=True) - t.raw * (d.raw * t.raw).mean(-1, keepdim=True)"
SOFTMAX = "t.weights * (d.weights - (t.weights * d.weights).sum(1, keepdim=True))"
DIFF = "d.diff = t.var_inv * d.raw + 2 * t.diff * d.diff2"
TANH = "d.a = d.tanh * (1 - t.tanh**2)"
REVERSED = "d.total.flip(1).cumsum(1).flip(1)"
TABLE = "torch.zeros_like(t.table).index_add(0, t.index, d.rows)"
FINISH = "    d.c2 = d.c2 + d.inner * (1 - t.inner**2)\n    d.f = d.c2 * t.c\n"
DOUBLED = "    g = d.out\n    g *= 2\n    d.act = {}\n    g *= 3\n"

PLANTED = (
    Slip(
        Overwritten,
        Residual,
        "d.x = d.out.clone()",
        "d.x = d.out",
        "out",
        "it is right when it is assigned, and then changed in place at FILE:8, as part of d.x, whose storage it "
        "shares: write `d.x = d.x + ...` there",
    ),
    Slip(
        SpoiltUpstream,
        Residual,
        "    d.act = d.out\n",
        DOUBLED.format("d.out"),
        "act",
        "its own statement is right, but d.out, which it reads, was changed in place after FILE:2: clone it before",
    ),
    Slip(
        ReadTooEarly,
        LSTMStep,
        FINISH,
        "\n".join(reversed(FINISH.splitlines())) + "\n",
        "f",
        "its own statement is right, but d.c2, which it reads, is not finished there: it is written again at FILE:5; "
        "move this statement below",
    ),
    Slip(
        ReadTooEarly,
        LSTMStep,
        FINISH.splitlines()[0] + "\n",
        "",
        "f",
        "its own statement is right, but d.c2, which it reads, still holds its upstream gradient alone: t.c2 is used "
        "inside too, so add that contribution first",
    ),
    Slip(
        Repair,
        LayerNorm,
        "(d.out * t.raw).sum(0)",
        "(d.out * t.x).sum(0)",
        "gain",
        "`t.x` should be `t.raw`",
        Effort.TOKEN,
    ),
    Slip(
        Repair,
        BatchNorm,
        "(t.var + 1e-5) ** -1.5",
        "(t.var + 1e-5) ** -0.5",
        "var",
        "`(t.var + 1e-05) ** (-0.5)` should be `(t.var + 1e-05) ** (-1.5)`",
        Effort.TOKEN,
    ),
    Slip(
        Repair,
        LSTMStep,
        "d.h = d.gates @ t.U.T",
        "d.h = d.gates @ t.W.T",
        "h",
        "`t.W` should be `t.U`",
        Effort.CALL,
    ),
    Slip(
        Repair,
        Activations,
        TANH,
        "d.a = d.tanh * (1 - t.tanh)",
        "a",
        "`t.tanh` should be `t.tanh ** 2`",
        Effort.CALL,
    ),
    Slip(
        Repair,
        L2Regularization,
        "2 * t.W * d.W_2",
        "2 * d.W_2",
        "W",
        "`2 * d.W_2` should be `t.W * (2 * d.W_2)`",
        Effort.FACTOR,
    ),
    Slip(
        KeptDimension,
        BatchNorm,
        "d.bias = d.out.sum(0)",
        "d.bias = d.out.sum(0, keepdim=True)",
        "bias",
        "its values are right, but its shape is (1, 5) where its tensor has (5,): drop `keepdim`, or reshape it",
    ),
    Slip(
        NotExpanded,
        BatchNorm,
        "d.var.expand_as(t.diff2) / (n - 1)",
        "d.var / (n - 1)",
        "diff2",
        "its values are right, but it is not expanded from (1, 5) to (9, 5)",
    ),
    Slip(
        NotSummed, BatchNorm, "(d.out * t.raw).sum(0)", "d.out * t.raw", "gain", "the sum over dimension 0 is missing"
    ),
    Slip(WrongSign, LinearRegression, "d.pred = -d.diff", "d.pred = d.diff", "pred", "its sign is wrong"),
    Slip(
        Averaged,
        LSTMStep,
        "d.b = d.gates.sum(0)",
        "d.b = d.gates.mean(0)",
        "b",
        "it is averaged over the 3 elements to which the forward broadcast its tensor in `gates`: they have to be "
        "summed",
    ),
    Slip(
        ConstantFactor,
        CrossEntropy,
        " / self.samples",
        "",
        "logits",
        "every element is 8 times what it should be (8 is `samples`): a factor 1/8 is missing, or 8 is one too many",
    ),
    Slip(
        ConstantFactor,
        BatchNorm,
        " / (n - 1)",
        "",
        "diff2",
        "every element is 8 times what it should be (8 is 9 - 1, and 9 is `samples`): a factor 1/8 is missing, or 8 is "
        "one too many",
    ),
    Slip(
        ConstantFactor,
        BatchNorm,
        " / (n - 1)",
        " / n",
        "diff2",
        "every element is 8/9 times what it should be (9 is `samples`): a factor 9/8 is missing, or 8/9 is one "
        "too many",
    ),
    Slip(
        ConstantFactor,
        Activations,
        "d.c = d.square * 2 * t.c",
        "d.c = d.square * t.c",
        "c",
        "every element is 1/2 times what it should be: a factor 2 is missing, or 1/2 is one too many",
    ),
    Slip(
        ConstantFactor,
        Activations,
        TANH,
        "d.a = d.tanh * (1 - t.tanh**2) * 1.00001",
        "a",
        "every element is 1.00001 times what it should be",
    ),
    Slip(
        Transposed,
        Attention,
        "d.out @ t.v.T",
        "(d.out @ t.v.T).T",
        "weights",
        "it is transposed: a `.T` is missing or one too many",
    ),
    Slip(
        Backwards,
        CumulativeSum,
        REVERSED,
        "d.total.flip(1).cumsum(1)",
        "x",
        "it is backwards along dimension 1: a `flip(1)` is missing or one too many",
    ),
    Slip(
        Backwards,
        CumulativeSum,
        REVERSED,
        REVERSED + ".roll(1, 1)",
        "x",
        "it is one place off along dimension 1: every element is one index too late",
    ),
    Slip(
        Assigned,
        Residual,
        "d.x += 2 * t.x * d.square",
        "d.x = 2 * t.x * d.square",
        "x",
        "it is assigned where it should be added to: what d.x held before is lost; write `d.x = d.x + ...`",
    ),
    Slip(
        MissingContribution,
        ThreeLayerNet,
        "t.h3_sum_inv * d.probs + d.h3_sum",
        "t.h3_sum_inv * d.probs",
        "h3",
        "the contribution through `h3_sum` (SumBackward1) is missing",
    ),
    Slip(
        MissingContribution,
        SelfAttention,
        "d.x += d.scores @ t.x",
        "d.x += 2 * d.scores @ t.x",
        "x",
        "the contribution through `scores` (MmBackward0) is counted twice",
    ),
    Slip(
        MissingContribution,
        Residual,
        "d.x += 2 * t.x * d.square",
        "d.x -= 2 * t.x * d.square",
        "x",
        "the contribution through `square` (PowBackward0) has the wrong sign",
    ),
    Slip(
        MissingUse,
        SelfAttention,
        "    d.x += d.scores.T @ t.x\n",
        "",
        "x",
        "the contribution through `scores` (MmBackward0) is missing",
    ),
    Slip(
        LostDuplicates,
        Embedding,
        TABLE,
        "torch.zeros_like(t.table).index_copy(0, t.index, d.rows)",
        "table",
        "what t.index picks several times is assigned where it should be added up: of its gradients only one counts; "
        "use `index_add` or `index_put(..., accumulate=True)`",
    ),
    Slip(
        WrongContribution,
        L2Regularization,
        "2 * t.W * d.W_2",
        "2 * d.W_2",
        "W",
        "in the contribution through `W_2` (PowBackward0): the factor t.W is missing",
    ),
    Slip(
        WrongContribution,
        BatchNorm,
        "d.x = d.diff + d.mean / n",
        "d.x = d.diff + d.mean",
        "x",
        "in the contribution through `mean` (SumBackward1): every element is 9 times what it should be (9 is "
        "`samples`): a factor 1/9 is missing, or 9 is one too many",
    ),
    Slip(
        WrongContribution,
        Outer,
        "d.scaled * t.u[:, None] + d.shifted",
        "d.scaled * t.u + d.shifted",
        "m",
        "in the contribution through `scaled` (MulBackward0): t.u is used along dimension 1, and belongs along "
        "dimension 0",
    ),
    Slip(
        UpstreamIgnored,
        Activations,
        TANH,
        "d.a = 1 - t.tanh**2",
        "a",
        "the upstream gradient is ignored: d.tanh is missing as a factor",
    ),
    Slip(
        UpstreamIgnored,
        Activations,
        TANH,
        "d.a = d.tanh.sum() * (1 - t.tanh**2)",
        "a",
        "the upstream gradient d.tanh is used as one number, its sum or mean; each element has its own",
    ),
    Slip(
        MissingFactor,
        Activations,
        "d.b = d.sigmoid * t.sigmoid * (1 - t.sigmoid)",
        "d.b = d.sigmoid * t.sigmoid",
        "b",
        "the factor (1 - t.sigmoid) is missing",
    ),
    Slip(MissingFactor, Activations, TANH, "d.a = d.tanh", "a", "the factor (1 - t.tanh**2) is missing"),
    Slip(
        MissingFactor, Activations, "d.c = d.square * 2 * t.c", "d.c = 2 * d.square", "c", "the factor t.c is missing"
    ),
    Slip(
        MissingFactor,
        ThreeLayerNet,
        "d.outputs = d.logits / t.outputs",
        "d.outputs = d.logits",
        "outputs",
        "a division by t.outputs is missing, or that factor is one too many",
    ),
    Slip(
        MissingFactor,
        Activations,
        "d.c = d.square * 2 * t.c",
        "d.c = d.square * 2 * t.c**2",
        "c",
        "the factor t.c is one too many, or a division by it is missing",
    ),
    Slip(
        MissingFactor,
        Activations,
        "d.c = d.square * 2 * t.c",
        "d.c = d.square * 2 * t.c.square() * t.c",
        "c",
        "a division by t.square is missing, or that factor is one too many",
    ),
    Slip(MissingFactor, LayerNorm, f"scale * ({NORMALISED})", f"({NORMALISED})", "x", "the factor scale is missing"),
    Slip(
        MissingFactor,
        Outer,
        "(d.scaled * t.m).sum(1)",
        "(d.scaled * t.m).sum(1) * t.v**2",
        "u",
        "the factor t.v**2 is one too many, or a division by it is missing",
    ),
    Slip(
        WrongAxis,
        Outer,
        "d.rows[:, None].expand_as(t.scaled)",
        "d.rows.expand_as(t.scaled)",
        "scaled",
        "the upstream gradient d.rows is used along dimension 1, and belongs along dimension 0",
    ),
    Slip(
        SoftmaxSum,
        Attention,
        SOFTMAX,
        "t.weights * d.weights",
        "scores",
        "the sum in softmax's derivative is missing: subtract p * (...).sum(1, keepdim=True), where p is t.weights",
    ),
    Slip(
        SoftmaxSum,
        Attention,
        SOFTMAX,
        "t.weights * (1 - t.weights) * d.weights",
        "scores",
        "only the diagonal of softmax's Jacobian is used, p * (1 - p): in place of (1 - p), subtract "
        "p * (...).sum(1, keepdim=True), where p is t.weights",
    ),
    Slip(
        SoftmaxSum,
        Attention,
        SOFTMAX,
        "t.weights * (d.weights - d.weights.sum(1, keepdim=True))",
        "scores",
        "the sum in softmax's derivative is missing, or another than it should be: subtract "
        "p * (...).sum(1, keepdim=True), where p is t.weights",
    ),
    Slip(
        NormalisationMeans,
        LayerNorm,
        NORMALISED,
        "d.raw",
        "x",
        "the mean and the variance over dimension 1 are taken for constants: subtract the gradient's own mean, and its "
        "projection on the normalised input",
    ),
    Slip(
        NormalisationMeans,
        LayerNorm,
        NORMALISED,
        "d.raw - t.raw * (d.raw * t.raw).mean(-1, keepdim=True)",
        "x",
        "the mean over dimension 1 is taken for a constant: subtract the gradient's own mean over it",
    ),
    Slip(
        NormalisationMeans,
        RMSNorm,
        "(d.out - t.out * (d.out * t.out).mean(1, keepdim=True))",
        "d.out",
        "x",
        "the mean square over dimension 1 is taken for a constant: subtract the gradient's projection on the "
        "normalised input",
    ),
    Slip(
        ReversedMask,
        ReLU,
        "d.res * (t.pre > 0)",
        "d.res.where(t.pre < 0, 0.0)",
        "pre",
        "it passes d.res exactly where it should be stopped, and stops it elsewhere: the comparison is the wrong way "
        "round",
    ),
    Slip(
        Zero,
        Activations,
        TANH,
        "d.a = torch.zeros_like(t.a)",
        "a",
        "it is zero everywhere, as if nothing depended on its tensor",
    ),
    Slip(
        SummedAway,
        CumulativeSum,
        "d.total = d.out * t.w",
        "d.total = (d.out * t.w).sum(0).expand_as(t.total)",
        "total",
        "it is summed over dimension 0, where its tensor has an element for each index",
    ),
    Slip(
        OnlyInPart,
        Activations,
        TANH,
        "d.a = torch.cat([(d.tanh * (1 - t.tanh**2))[:, :-1], torch.zeros(4, 1)], 1)",
        "a",
        "it is right except in column 5, where it is zero",
    ),
    Slip(
        OnlyInPart,
        LSTMStep,
        "[di, df, dg, do]",
        "[df, di, dg, do]",
        "gates",
        "it is right except in the first 10 columns",
    ),
    Slip(
        OnlyInPart,
        Activations,
        "d.f = d.relu * (t.f > 0)",
        "d.f = d.relu",
        "f",
        "it is right except where t.f <= 0, where it should be zero",
    ),
    Slip(
        OtherTensor,
        LSTMStep,
        "d.i = d.c2 * t.g",
        "d.i = d.f",
        "i",
        "it equals the gradient of `f`: it is not that of `i`",
    ),
    Slip(
        OtherTensor,
        CumulativeSum,
        REVERSED,
        "d.total",
        "x",
        "it equals the gradient of `total`: what leads from there to `x` is missing",
    ),
    Slip(
        OtherTensor,
        LSTMStep,
        "d.i = d.c2 * t.g",
        "d.i = t.g",
        "i",
        "it equals the forward value t.g: it is not a gradient",
    ),
)

NEAR = (
    # Changed in place, but wrong before that already; wrong by itself, not because of what it reads.
    Slip(SpoiltUpstream, Residual, "    d.act = d.out\n", DOUBLED.format("5 * d.out"), "act"),
    Slip(Overwritten, Activations, "d.f = d.relu * (t.f > 0)", "d.f = 2 * d.relu\n    d.f[t.f <= 1] = 0", "f"),
    Slip(
        ReadTooEarly,
        LSTMStep,
        FINISH,
        FINISH.splitlines()[1].replace("t.c", "t.c2") + "\n" + FINISH.splitlines()[0] + "\n",
        "f",
    ),
    # No symbol makes it right: an epsilon forgotten, and a sine that nobody meant.
    Slip(Repair, BatchNorm, "(t.var + 1e-5) ** -1.5", "t.var ** -1.5", "var"),
    Slip(Repair, Outer, "d.rows[:, None].expand_as(t.scaled)", "d.rows.sin().expand_as(t.scaled)", "scaled"),
    # The shape is wrong, and the values are too.
    Slip(KeptDimension, BatchNorm, "d.bias = d.out.sum(0)", "d.bias = 3 * d.out.sum(0, keepdim=True)", "bias"),
    Slip(NotExpanded, BatchNorm, "d.var.expand_as(t.diff2) / (n - 1)", "d.var / n", "diff2"),
    Slip(NotSummed, BatchNorm, "(d.out * t.raw).sum(0)", "d.out * t.diff", "gain"),
    # The sign is wrong in one half; the factor is another in every row.
    Slip(WrongSign, LinearRegression, "d.pred = -d.diff", "d.pred = -d.diff.abs()", "pred"),
    Slip(Averaged, LSTMStep, "d.b = d.gates.sum(0)", "d.b = torch.einsum('bg->g', d.gates) / self.width", "b"),
    Slip(ConstantFactor, CrossEntropy, "self.samples", "(1 + torch.arange(self.samples))[:, None]", "logits"),
    # Transposed too early, rolled too far.
    Slip(Transposed, Attention, "d.out @ t.v.T", "(d.out @ t.v).T", "weights"),
    Slip(Backwards, CumulativeSum, REVERSED, "d.total.flip(1).cumsum(1).roll(2, 1)", "x"),
    # What is assigned, or left over, is no contribution.
    Slip(Assigned, Residual, "d.x += 2 * t.x * d.square", "d.x = 3 * t.x * d.square", "x"),
    Slip(Assigned, SelfAttention, "    d.x += d.scores.T @ t.x\n", "", "x"),
    Slip(MissingContribution, ThreeLayerNet, "t.h3_sum_inv * d.probs + d.h3_sum", "3 * t.h3_sum_inv * d.probs", "h3"),
    Slip(MissingUse, SelfAttention, "    d.x += d.scores.T @ t.x\n", "    d.x += d.scores.T @ t.x.sin()\n", "x"),
    Slip(LostDuplicates, Embedding, TABLE, "torch.zeros_like(t.table).index_copy(0, t.index.roll(1), d.rows)", "table"),
    Slip(WrongContribution, L2Regularization, "2 * t.W * d.W_2", "d.W_2.cos()", "W"),
    # The upstream gradient is there, in a form that no factor makes up for.
    Slip(UpstreamIgnored, Activations, TANH, "d.a = 1 - t.tanh**3", "a"),
    Slip(UpstreamIgnored, Activations, TANH, "d.a = d.tanh**2 * (1 - t.tanh**2)", "a"),
    Slip(MissingFactor, Activations, TANH, "d.a = d.tanh * (1 - t.tanh**2 / 3)", "a"),
    Slip(MissingFactor, ThreeLayerNet, "d.logits / t.outputs", "d.logits / (t.outputs + 0.1)", "outputs"),
    Slip(WrongAxis, Outer, "d.rows[:, None].expand_as(t.scaled)", "d.rows.sin().expand_as(t.scaled)", "scaled"),
    Slip(SoftmaxSum, Attention, SOFTMAX, "t.weights**2 * d.weights", "scores"),
    Slip(SoftmaxSum, LayerNorm, NORMALISED, "d.raw", "x"),
    Slip(NormalisationMeans, LayerNorm, NORMALISED, "d.raw * t.raw", "x"),
    Slip(NormalisationMeans, Attention, SOFTMAX, "t.weights * d.weights", "scores"),
    Slip(ReversedMask, ReLU, "d.res * (t.pre > 0)", "2 * d.res.where(t.pre < 0, 0.0)", "pre"),
    Slip(Zero, Activations, TANH, "d.a = torch.zeros_like(t.a).index_fill(1, torch.tensor([0]), 1.0)", "a"),
    Slip(SummedAway, CumulativeSum, "d.total = d.out * t.w", "d.total = (d.out * t.w).cumsum(0)", "total"),
    # Wrong in most places, so that what is right says nothing.
    Slip(
        OnlyInPart, Activations, TANH, "d.a = torch.cat([(d.tanh * (1 - t.tanh**2))[:, :1], torch.zeros(4, 5)], 1)", "a"
    ),
    Slip(OtherTensor, LSTMStep, "d.i = d.c2 * t.g", "d.i = 2 * d.f + 0 * d.c2", "i"),
)


def explained(slip: Slip) -> tuple[str | None, str | None]:
    """What the rule says of a slip, and what all of them do."""
    case = plant(slip.case, slip.old, slip.new)
    subject = subjects(case)[slip.name]
    rules = [rule for rule in RULES if type(rule) is slip.rule]
    if slip.effort is not None:
        rules = [rule for rule in rules if slip.effort in rule._efforts]
    sentence = next((said for rule in rules if (said := rule.explain(subject)) is not None), None)
    file = case.backward.__code__.co_filename
    return sentence and sentence.replace(file, "FILE"), diagnose(subject)


@pytest.mark.parametrize("slip", PLANTED, ids=str)
def test_the_mistake_is_named(slip):
    """The rule says its sentence; whichever is asked first, there is a hint."""
    sentence, hint = explained(slip)
    assert sentence == slip.sentence
    assert hint is not None


@pytest.mark.parametrize("slip", NEAR, ids=str)
def test_a_near_miss_is_not(slip):
    """The rule is silent on what only looks like its mistake."""
    assert explained(slip)[0] is None


def test_every_rule_is_tested():
    rules = {type(rule) for rule in RULES}
    assert rules == {slip.rule for slip in PLANTED}
    assert rules == {slip.rule for slip in NEAR}
