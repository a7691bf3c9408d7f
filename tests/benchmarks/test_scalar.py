"""The scalar engine against micrograd: forward and backward of one network over 100 samples, with the same values."""

from __future__ import annotations

import random

import pytest

from gradverify.scalar import Value
from gradverify.scalar.nn import MLP, linear

micrograd = pytest.importorskip("micrograd.nn")

SIZES = [16, 16, 1]
GENERATOR = random.Random(0)
SAMPLES = [[GENERATOR.uniform(-1, 1), GENERATOR.uniform(-1, 1)] for _ in range(100)]
TARGETS = [1.0 if x * y > 0 else -1.0 for x, y in SAMPLES]


def _parameters():
    return [p.data for p in MLP(2, SIZES, random.Random(1)).parameters()]


def _micrograd():
    model = micrograd.MLP(2, SIZES)
    for parameter, number in zip(model.parameters(), _parameters(), strict=True):
        parameter.data = number
    return model, model


def _node_for_node():
    """Micrograd's own network, with its parameters made Values: a node for every product and every sum."""
    model, _ = _micrograd()
    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.w = [Value(weight.data) for weight in neuron.w]
            neuron.b = Value(neuron.b.data)
    return model, model


def _gradverify():
    """The network that gradverify brings: a node for every weighted sum."""
    model = MLP(2, SIZES, random.Random(1), nonlinearity=Value.relu, output=linear)
    return model, lambda sample: model(sample)[0]


ENGINES = {"micrograd": _micrograd, "gradverify, node for node": _node_for_node, "gradverify": _gradverify}


def _step(model, predict):
    model.zero_grad()
    loss = sum((predict(sample) - target) ** 2 for sample, target in zip(SAMPLES, TARGETS, strict=True))
    loss.backward()
    return [loss.data, *(parameter.grad for parameter in model.parameters())]


@pytest.fixture(scope="module")
def fastest():
    """The shortest time of each engine in this run."""
    return {}


@pytest.mark.benchmark(group="scalar engines: MLP(2, [16, 16, 1]), 100 samples, forward and backward")
@pytest.mark.parametrize("engine", ENGINES)
def test_forward_and_backward(benchmark, fastest, engine, capsys):
    """The loss and all 337 gradients are micrograd's; the ratio of the times is printed."""
    expected = _step(*_micrograd())
    model, predict = ENGINES[engine]()
    assert _step(model, predict) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    benchmark(_step, model, predict)
    if benchmark.stats is not None:  # None with --benchmark-disable
        fastest[engine] = benchmark.stats.stats.min
        if len(fastest) == len(ENGINES):
            with capsys.disabled():
                for name, time in fastest.items():
                    ratio = fastest["micrograd"] / time
                    print(f"\n{name}: {time * 1e3:.1f} ms, {ratio:.1f} times as fast as micrograd", end="")
