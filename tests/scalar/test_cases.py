"""The founding scalar cases, to the digits they were stated with."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
import torch

from gradverify.scalar import Value
from gradverify.scalar.nn import MLP


def _close(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


def _expression(a, b, c):
    return -(a**3) + torch.sin(3 * b) - 1 / c + b**2.5 - a**0.5


GRADIENT = (-12.353553390593273, 10.25699027111255, 0.0625)


def test_expression():
    """Powers, a sine and a reciprocal, constants on either side."""
    inputs = [Value(2, "a"), Value(3, "b"), Value(4, "c")]
    result = _expression(*inputs)
    result.backward()
    assert result.data == _close(6.336362190988558)
    assert [x.grad for x in inputs] == _close(list(GRADIENT))


@pytest.mark.parametrize(
    ("difference", "errors"),
    [
        (lambda f, x, h: (f(x + h) - f(x)) / h, (5.96e-06, 1.40e-06, 1.53e-08)),
        (lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h), (7.6e-10, 2.9e-09, 2.9e-10)),
    ],
    ids=["forward", "central"],
)
def test_differences_of_the_expression_are_off_by_as_much_as_stated(difference, errors):
    """Finite differences of the engine's values, against the engine's gradients."""
    point = (2.0, 3.0, 4.0)
    for index, (slope, error) in enumerate(zip(GRADIENT, errors, strict=True)):

        def along(x, index=index):
            return _expression(*(Value(x) if i == index else Value(p) for i, p in enumerate(point))).data

        # Half a unit of the last digit stated.
        digit = 10.0 ** (math.floor(math.log10(error)) - (2 if error > 1e-8 else 1))
        assert abs(difference(along, point[index], 1e-6) - slope) == pytest.approx(error, abs=digit / 2)


def test_slope_of_a_parabola_at_its_vertex():
    """The slope is exactly 0, where a forward difference shows its own step."""

    def parabola(x):
        return 2 * x**2 + 3 * x - 4

    x = Value(-0.75)
    parabola(x).backward()
    assert x.grad == 0.0
    h = 1e-7
    assert (parabola(-0.75 + h) - parabola(-0.75)) / h == pytest.approx(2.04e-07, abs=0.5e-9)


def test_slope_in_a_term_of_its_own():
    """A sum hands its gradient on unchanged."""
    a, b, c = Value(2), Value(-3), Value(12)
    (a * b + c).backward()
    assert (a.grad, b.grad, c.grad) == (-3.0, 2.0, 1.0)


def test_softmax_and_negative_log_likelihood():
    """Written with torch's own functions."""
    logits = [Value(number) for number in (0, 3, -2, 1)]
    exponentials = [torch.exp(logit) for logit in logits]
    loss = -torch.log(exponentials[3] / sum(exponentials))
    loss.backward()
    assert loss.data == _close(2.1755153626167147)
    assert [logit.grad for logit in logits] == _close(
        [0.041772570515350445, 0.8390245074625319, 0.005653302662216329, -0.8864503806400986]
    )


def _through_exponentials(n):
    power = (2 * n).exp()
    return (power - 1) / (power + 1)


# The figures belong to the bias as float32 holds it, which is where torch.tensor puts it by default; to the double
# 6.881373587 belongs the output 0.70710678117678.
BIAS = torch.tensor(6.881373587).item()


@pytest.mark.parametrize("tanh", [Value.tanh, _through_exponentials])
def test_neuron(tanh):
    """The tangent as one operation, and made of exponentials."""
    x1, x2, w1, w2, b = Value(2), Value(0), Value(-3), Value(1), Value(BIAS)
    output = tanh(x1 * w1 + x2 * w2 + b)
    output.backward()
    assert output.data == _close(0.7071066904050358)
    assert [v.grad for v in (w1, x1, x2, w2)] == _close(
        [1.0000002567688737, -1.5000003851533106, 0.5000001283844369, 0.0]
    )


def _first_mix(x):
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    return [z, q, h, y]


def _second_mix(a, b):
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + (b + a).relu()
    d = d + 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g = g + 10.0 / f
    return [c, d, e, f, g]


@pytest.mark.parametrize(("mix", "inputs"), [(_first_mix, [-4.0]), (_second_mix, [-4.0, 2.0])])
def test_mixes_of_operations_equal_those_of_torch_in_every_value_and_gradient(mix, inputs):
    """Intermediates as well as inputs; a name assigned again is another value."""
    values = [Value(number) for number in inputs]
    named = mix(*values)
    named[-1].backward()

    tensors = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in inputs]
    expected = mix(*tensors)
    for tensor in expected:
        tensor.retain_grad()
    expected[-1].backward()

    assert [v.data for v in named] == [t.item() for t in expected]
    assert [v.grad for v in (*values, *named)] == _close([t.grad.item() for t in (*tensors, *expected)])


def test_result_of_the_second_mix():
    """The figure that this mix is known by."""
    a, b = Value(-4.0), Value(2.0)
    g = _second_mix(a, b)[-1]
    g.backward()
    assert g.data == _close(24.70408163265306)


SAMPLES = ((2.0, 3.0, -1.0), (3.0, -1.0, 0.5), (0.5, 1.0, 1.0), (1.0, 1.0, -1.0))
TARGETS = (1.0, -1.0, -1.0, 1.0)


def _train_by_torch(model, *, steps, rate):
    """The losses, and the parameters after each step, of the same network in float64 matrices."""
    layers = []
    for layer in model.layers:
        weights = [[w.data for w in neuron.weights] for neuron in layer.neurons]
        biases = [neuron.bias.data for neuron in layer.neurons]
        layers.append(tuple(torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (weights, biases)))
    samples, targets = (torch.tensor(t, dtype=torch.float64) for t in (SAMPLES, TARGETS))
    losses, history = [], []
    for _ in range(steps):
        hidden = samples
        for weights, biases in layers:
            hidden = torch.tanh(hidden @ weights.T + biases)
        loss = ((hidden.squeeze(1) - targets) ** 2).sum()
        losses.append(loss.item())
        tensors = [tensor for layer in layers for tensor in layer]
        for tensor, gradient in zip(tensors, torch.autograd.grad(loss, tensors), strict=True):
            tensor.data -= rate * gradient
        history.append(
            [
                p
                for weights, biases in layers
                for row, b in zip(weights, biases, strict=True)
                for p in (*row.tolist(), b.item())
            ]
        )
    return losses, history


def _train(model, *, steps, rate):
    losses, history = [], []
    for _ in range(steps):
        outputs = [model(sample)[0] for sample in SAMPLES]
        loss = sum((output - target) ** 2 for output, target in zip(outputs, TARGETS, strict=True))
        losses.append(loss.data)
        model.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            parameter.data -= rate * parameter.grad
        history.append([parameter.data for parameter in model.parameters()])
    return losses, history


@pytest.mark.parametrize("seed", range(3))
def test_training_follows_torch_and_the_loss_falls_at_every_step(seed):
    """After each step, not only after the last."""
    model = MLP(3, [4, 4, 1], random.Random(seed))
    expected_losses, expected_history = _train_by_torch(model, steps=20, rate=0.01)
    losses, history = _train(model, steps=20, rate=0.01)
    assert all(after < before for before, after in pairwise(losses))
    assert losses == pytest.approx(expected_losses, rel=1e-10, abs=1e-10)
    for parameters, expected in zip(history, expected_history, strict=True):
        assert parameters == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_training_that_does_not_reset_its_gradients_is_noticed(monkeypatch):
    """A planted bug: gradients of earlier steps are added to those of later ones."""
    monkeypatch.setattr(MLP, "zero_grad", lambda _: None)
    with pytest.raises(AssertionError):
        test_training_follows_torch_and_the_loss_falls_at_every_step(0)
