"""The scalar cases: the figures they are known by, every oracle on every number, and mistakes that are caught."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from gradverify import Case, Gradients, Trace, verify
from gradverify.evaluation import run_forward
from gradverify.importer import load_file
from gradverify.inputs import draw_inputs
from gradverify.loader import cases_of
from gradverify.measurement import run_pass
from gradverify.oracles.difference import CentralDifference, ForwardDifference, Richardson
from gradverify.oracles.finite_difference import FiniteDifference
from gradverify.oracles.hearing import ORACLES, Claim, find_oracle, hear
from gradverify.oracles.problem import Problem
from gradverify.scalar import Value
from gradverify.trace import values_of
from gradverify.verdict import Verdict
from gradverify.witness import Stance

CASES = Path(__file__).parent.parent / "cases"
FILES = ("expression", "softmax_nll", "neuron", "op_mixes", "training")
SCALAR = {type(case).__name__: type(case) for file in FILES for case in cases_of(load_file(CASES / f"{file}.py"))}

# The value of each case, and its gradients by the inputs.
FIGURES = {
    "Expression": (6.336362190988558, {"a": -12.353553390593273, "b": 10.25699027111255, "c": 0.0625}),
    "Parabola": (-5.125, {"x": 0.0}),
    "ProductAndSum": (6.0, {"a": -3.0, "b": 2.0, "c": 1.0}),
    "SoftmaxNLL": (
        2.1755153626167147,
        {
            "logit0": 0.041772570515350445,
            "logit1": 0.8390245074625319,
            "logit2": 0.005653302662216329,
            "logit3": -0.8864503806400986,
        },
    ),
    "Neuron": (
        0.7071066904050358,
        {"w1": 1.0000002567688737, "x1": -1.5000003851533106, "x2": 0.5000001283844369, "w2": 0.0},
    ),
    "SecondMix": (24.70408163265306, {}),
}
FIGURES["NeuronByExponentials"] = FIGURES["Neuron"]
CASES_OF_RELU = {"FirstMix": {"x", "z", "square"}, "SecondMix": {"a", "b"}}


def inputs_of(case, dtype=torch.float64, seed=111111):
    return draw_inputs(case, seed, dtype, torch.device("cpu"), frozenset())


def judged(case):
    return run_pass(case, inputs_of(case), torch.float64, partial=False)


def numbers(tensors):
    return {name: tensor.item() for name, tensor in tensors.items()}


def close(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", SCALAR)
def test_every_gradient_is_right(name):
    """All of them are derived, and verified in float64."""
    report = verify(SCALAR[name])
    assert report.passed, str(report)
    assert report.dtype == "float64"
    assert report.derived == report.named == len(report.rows)


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures(name):
    """The value of the case and its gradients, to 1e-12."""
    value, gradients = FIGURES[name]
    seen = judged(SCALAR[name]())
    (output,) = seen.forward.outputs
    assert values_of(seen.forward.trace)[output].item() == close(value)
    assert numbers({input: seen.candidates[input] for input in gradients}) == close(gradients)


@pytest.mark.parametrize("name", [name for name in SCALAR if name != "Training"])
@pytest.mark.parametrize("oracle", [name for name in ORACLES if name != "autograd"])
def test_every_oracle_that_applies_agrees(name, oracle):
    """On inputs and intermediates; the complex step does not apply to what passes through relu, and says so."""
    case = SCALAR[name]()
    seen = judged(case)
    problem = Problem(case, inputs_of(case), seen.cotangents)
    claims = {
        one: Claim(seen.candidates[one], seen.reference[one], problem.allowed_for(one)) for one in seen.candidates
    }
    hearings = hear(case, inputs_of(case), seen.cotangents, claims, [find_oracle(oracle)])
    for one, (hearing,) in hearings.items():
        witness = hearing.candidate
        if oracle == "complex_step" and one in CASES_OF_RELU.get(name, ()):
            assert witness.stance is Stance.ABSENT
            assert "relu is not known to be analytic" in witness.reason
        else:
            assert witness.stance is Stance.AGREES, str(witness)
            assert witness.error < 1e-8 * max(1.0, abs(seen.reference[one].item())) * 10


def test_every_oracle_agrees_on_a_network():
    """Of its 41 parameters a few, and every one by the scalar engine and by dual numbers."""
    case = SCALAR["Training"]()
    seen = judged(case)
    problem = Problem(case, inputs_of(case), seen.cotangents)
    for name in problem.inputs.values:
        for oracle in ("scalar", "forward_mode"):
            assert find_oracle(oracle).check(problem, name, seen.candidates[name]).stance is Stance.AGREES
    for name in ("w_0_0_0", "b_0_3", "w_1_2_1", "w_2_0_3", "b_2_0", "n_2_0_1", "out_3_1_2"):
        for oracle in ("finite_difference", "complex_step"):
            assert find_oracle(oracle).check(problem, name, seen.candidates[name]).stance is Stance.AGREES


def errors_of_expression(scheme):
    """How far a difference scheme is off in each input, and its error bars."""
    case = SCALAR["Expression"]()
    problem = Problem(case, inputs_of(case))
    estimates = FiniteDifference(scheme=scheme).gradients(problem, "abc")
    exact = FIGURES["Expression"][1]
    errors = [abs(estimates[name].gradient.item() - exact[name]) for name in "abc"]
    return errors, [estimates[name].error.item() for name in "abc"]


def test_forward_differences_of_the_expression_are_off_by_as_much_as_stated():
    """At a step of 1e-6, to the three digits given, and within their error bars."""
    errors, bars = errors_of_expression(ForwardDifference(step=1e-6))
    for error, bar, expected in zip(errors, bars, (5.96e-06, 1.40e-06, 1.53e-08), strict=True):
        assert error == pytest.approx(expected, abs=10.0 ** (math.floor(math.log10(expected)) - 2) / 2)
        assert error <= bar


def test_central_differences_of_the_expression_are_off_by_rounding():
    """At a step of 1e-6 that is all that is left, a few 1e-9 at most; the error bars hold."""
    errors, bars = errors_of_expression(CentralDifference(step=1e-6))
    assert all(error <= min(5e-9, bar) for error, bar in zip(errors, bars, strict=True))


def test_richardson_on_the_expression():
    """Off by at most 1e-11 in each input, and within its error bar."""
    errors, bars = errors_of_expression(Richardson())
    for error, bar in zip(errors, bars, strict=True):
        assert error <= min(1e-11, bar)
        assert bar < 1e-8


def test_slope_of_a_parabola_at_its_vertex():
    """Zero, where a forward difference at 1e-7 shows its own step."""
    case = SCALAR["Parabola"]()
    problem = Problem(case, inputs_of(case))
    (estimate,) = FiniteDifference(scheme=ForwardDifference(step=1e-7)).gradients(problem, ["x"]).values()
    assert estimate.gradient.item() == pytest.approx(2.04e-07, abs=0.5e-9)
    assert judged(case).candidates["x"].item() == 0.0


def test_softmax_in_float32():
    """The loss that autograd has at that precision."""
    case = SCALAR["SoftmaxNLL"]()
    loss = run_forward(case, inputs_of(case, torch.float32), torch.float32).trace["loss"]
    assert loss.item() == 2.1755154132843018


def test_both_neurons_are_the_same():
    """Through tanh, and through (e^2n - 1) / (e^2n + 1)."""
    one, other = (judged(SCALAR[name]()) for name in ("Neuron", "NeuronByExponentials"))
    shared = sorted(one.candidates.keys() & other.candidates.keys())
    assert len(shared) == 8
    for name in shared:
        assert one.candidates[name].item() == close(other.candidates[name].item())


@pytest.mark.parametrize("name", CASES_OF_RELU)
def test_the_mixes_equal_those_of_torch(name):
    """In every gradient, bit for bit."""
    seen = judged(SCALAR[name]())
    assert numbers(seen.candidates) == {one: seen.reference[one].item() for one in seen.candidates}


def test_training_follows_torch_and_the_loss_falls_at_every_step():
    """20 steps along the hand-derived gradient, from the parameters of a seed; a network of torch's goes with it."""
    case = SCALAR["Training"]()
    parameters = numbers(inputs_of(case).values)
    weights = [
        torch.tensor(
            [[parameters[f"w_{k}_{j}_{i}"] for i in range(case.widths[k])] for j in range(case.widths[k + 1])],
            dtype=torch.float64,
            requires_grad=True,
        )
        for k in range(3)
    ]
    biases = [
        torch.tensor(
            [parameters[f"b_{k}_{j}"] for j in range(case.widths[k + 1])], dtype=torch.float64, requires_grad=True
        )
        for k in range(3)
    ]
    samples, targets = (torch.tensor(one, dtype=torch.float64) for one in (case.samples, case.targets))

    class Step(type(case)):
        def inputs(self, generator):
            return {name: torch.tensor(number, dtype=torch.float64) for name, number in parameters.items()}

    losses = []
    for _ in range(20):
        seen = judged(Step())
        losses.append(values_of(seen.forward.trace)["loss"].item())
        parameters = {name: number - 0.01 * seen.candidates[name].item() for name, number in parameters.items()}
        hidden = samples
        for weight, bias in zip(weights, biases, strict=True):
            hidden = torch.tanh(hidden @ weight.T + bias)
        loss = ((hidden.squeeze(1) - targets) ** 2).sum()
        assert losses[-1] == pytest.approx(loss.item(), rel=1e-10)
        tensors = [*weights, *biases]
        for tensor, gradient in zip(tensors, torch.autograd.grad(loss, tensors), strict=True):
            tensor.data -= 0.01 * gradient
        for k in range(3):
            for j in range(case.widths[k + 1]):
                assert parameters[f"b_{k}_{j}"] == pytest.approx(biases[k][j].item(), abs=1e-10)
                for i in range(case.widths[k]):
                    assert parameters[f"w_{k}_{j}_{i}"] == pytest.approx(weights[k][j, i].item(), abs=1e-10)
    assert all(after < before for before, after in pairwise(losses))


def power_overwrites(t: Trace, d: Gradients) -> None:
    d.a = d.root / (2 * t.root)


def reflected_subtraction_adds(t: Trace, d: Gradients) -> None:
    d.c = t.inverse**2 * d.inverse


def relu_is_decided_on_the_output(t: Trace, d: Gradients) -> None:
    d.a = d.a + d.d2 * (torch.relu(t.b + t.a) >= 0)


def a_second_use_is_forgotten(t: Trace, d: Gradients) -> None:
    d.c2 = d.c3


def only_the_diagonal(t: Trace, d: Gradients) -> None:
    d.logit1 = 0 * t.logit1


def gradients_are_not_reset(t: Trace, d: Gradients) -> None:
    d.b_0_0 = 2 * d.b_0_0


# Mistakes that engines of this kind have made, made by hand in a backward.
MISTAKES = [
    ("Expression", "a", power_overwrites),
    ("Expression", "c", reflected_subtraction_adds),
    ("SecondMix", "a", relu_is_decided_on_the_output),
    ("SecondMix", "c2", a_second_use_is_forgotten),
    ("SoftmaxNLL", "logit1", only_the_diagonal),
    ("Training", "b_0_0", gradients_are_not_reset),
]


def planted(name: str, mistake) -> type[Case]:
    case = SCALAR[name]

    class Planted(case):
        def backward(self, t: Trace, d: Gradients) -> None:
            super().backward(t, d)
            mistake(t, d)

    return Planted


@pytest.mark.parametrize(("name", "gradient", "mistake"), MISTAKES, ids=lambda one: getattr(one, "__name__", one))
def test_mistakes_are_caught(name, gradient, mistake):
    """By the verdict, and by every oracle that applies."""
    case = planted(name, mistake)
    report = verify(case)
    assert [row.name for row in report.failed_rows] == [gradient]
    assert report[gradient].verdict == Verdict.WRONG

    problem = Problem(case(), inputs_of(case()))
    candidate = judged(case()).candidates[gradient]
    stances = {oracle: find_oracle(oracle).check(problem, gradient, candidate).stance for oracle in ORACLES}
    assert stances.pop("complex_step") in (Stance.DISAGREES, Stance.ABSENT)
    assert set(stances.values()) == {Stance.DISAGREES}


def overwriting(self, exponent):
    """A power that is counted as if its base were used nowhere else: the planted mistake of an engine."""
    from gradverify.scalar.value import unary

    return unary("**", self.data**exponent, Value(self.data), exponent * self.data ** (exponent - 1))


@pytest.mark.parametrize(
    ("name", "gradient", "attribute", "broken"),
    [
        ("Expression", "a", "__pow__", overwriting),
        ("Expression", "c", "__rtruediv__", lambda self, other: self / other),
        ("SecondMix", "a", "relu", lambda self: self if max(self.data, 0.0) >= 0 else 0 * self),
        ("Neuron", "x1", "tanh", lambda self: self),
    ],
    ids=["power", "reflected division", "relu", "tanh"],
)
def test_a_scalar_engine_with_a_mistake_is_contradicted(monkeypatch, name, gradient, attribute, broken):
    """The oracles check each other: the right candidate shows the wrong engine."""
    case = SCALAR[name]()
    candidate = judged(case).candidates[gradient]
    scalar = find_oracle("scalar")
    assert scalar.check(Problem(case, inputs_of(case)), gradient, candidate).stance is Stance.AGREES
    monkeypatch.setattr(Value, attribute, broken)
    assert scalar.check(Problem(case, inputs_of(case)), gradient, candidate).stance is Stance.DISAGREES
