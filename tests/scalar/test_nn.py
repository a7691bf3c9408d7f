"""Networks: the same network from the same seed, values that follow from the weights, errors at the shapes."""

from __future__ import annotations

import doctest
import random

import pytest

from gradverify.scalar import Value, nn
from gradverify.scalar.nn import MLP, Layer, Neuron, linear


def test_a_neuron_is_its_nonlinearity_of_bias_plus_weighted_inputs():
    """Inputs are Values or numbers."""
    neuron = Neuron(2, random.Random(0), nonlinearity=Value.relu)
    first, second = neuron.weights
    first.data, second.data, neuron.bias.data = 2.0, -3.0, 0.5
    assert neuron([1.0, Value(0.25)]).data == 0.5 + 2.0 - 0.75
    assert neuron([0.0, 1.0]).data == 0.0


def test_the_same_seed_makes_the_same_network_and_draws_from_nothing_else():
    """The generator is the only source of randomness."""
    state = random.getstate()
    first, second = (MLP(3, [4, 2], random.Random(7)) for _ in range(2))
    assert [p.data for p in first.parameters()] == [p.data for p in second.parameters()]
    assert random.getstate() == state


def test_weights_are_drawn_from_minus_1_to_1_and_biases_start_at_0():
    """A thousand weights reach both ends."""
    neuron = Neuron(1000, random.Random(0))
    *weights, bias = (parameter.data for parameter in neuron.parameters())
    assert (min(weights) < -0.9, max(weights) > 0.9, max(map(abs, weights)) <= 1, bias) == (True, True, True, 0.0)


def test_parameters_come_layer_by_layer_neuron_by_neuron_and_the_bias_last():
    """The order is part of the interface: optimisers keep state by it."""
    model = MLP(2, [3, 1], random.Random(0))
    assert len(model.parameters()) == 3 * (2 + 1) + 1 * (3 + 1)
    assert model.parameters()[2] is model.layers[0].neurons[0].bias
    assert model.parameters()[-1] is model.layers[1].neurons[0].bias


def test_a_network_may_end_in_another_nonlinearity():
    """As a regression does; the representation names each neuron's."""
    model = MLP(2, [3, 1], random.Random(0), nonlinearity=Value.relu, output=linear)
    assert repr(model) == ("MLP(Layer(Neuron(2, relu), Neuron(2, relu), Neuron(2, relu)), Layer(Neuron(3, linear)))")


def test_outputs_are_a_list_also_where_there_is_one():
    """One return type."""
    assert [len(MLP(2, [3, n], random.Random(0))([1.0, 2.0])) for n in (1, 2)] == [1, 2]


def test_zero_grad_forgets_the_gradients_of_every_parameter():
    """Gradients accumulate until then."""
    layer = Layer(2, 2, random.Random(0))
    sum(layer([1.0, 2.0])).backward()
    assert all(parameter.grad for parameter in layer.parameters())
    layer.zero_grad()
    assert not any(parameter.grad for parameter in layer.parameters())


def test_a_sample_of_another_length_is_refused():
    """Rather than cut to the shorter of the two."""
    with pytest.raises(ValueError, match=r"^expected 3 inputs, one a weight, got 2$"):
        MLP(3, [4, 1], random.Random(0))([1.0, 2.0])


def test_a_network_without_layers_is_refused():
    """The message shows a call that works."""
    with pytest.raises(ValueError, match=r"^expected the sizes of at least one layer, as in MLP\(3, \[4, 4, 1\], "):
        MLP(3, [], random.Random(0))


def test_the_training_loop_of_the_documentation_runs():
    """The loss falls at every step of it."""
    assert doctest.testmod(nn).failed == 0
