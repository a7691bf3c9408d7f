"""Networks of scalar neurons, small enough to follow every number.

A training step, with the gradients of the step before set back to zero first:

>>> import random
>>> from gradverify.scalar.nn import MLP
>>> samples = [(2.0, 3.0, -1.0), (3.0, -1.0, 0.5), (0.5, 1.0, 1.0), (1.0, 1.0, -1.0)]
>>> targets = [1.0, -1.0, -1.0, 1.0]
>>> model = MLP(3, [4, 4, 1], random.Random(0))
>>> losses = []
>>> for step in range(20):
...     predictions = [model(sample)[0] for sample in samples]
...     loss = sum((p - target) ** 2 for p, target in zip(predictions, targets, strict=True))
...     losses.append(loss.data)
...     model.zero_grad()
...     loss.backward()
...     for parameter in model.parameters():
...         parameter.data -= 0.01 * parameter.grad
>>> losses == sorted(losses, reverse=True)
True
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise

from gradverify.scalar.value import Value, dot

Nonlinearity = Callable[[Value], Value]


def linear(value: Value) -> Value:
    """The nonlinearity of a neuron that has none."""
    return value


class Module(ABC):
    """Something with parameters."""

    @abstractmethod
    def parameters(self) -> list[Value]:
        """What training changes, in a fixed order."""

    def zero_grad(self) -> None:
        """Forget the gradients of every parameter."""
        for parameter in self.parameters():
            parameter.grad = 0.0


class Neuron(Module):
    """nonlinearity(bias + sum of weight times input).

    Args:
        inputs: how many inputs it takes.
        generator: draws the weights, uniformly from -1 to 1; the bias starts at 0.
        nonlinearity: `Value.tanh`, `Value.relu`, `linear`, or any function of a Value.
    """

    def __init__(self, inputs: int, generator: random.Random, *, nonlinearity: Nonlinearity = Value.tanh) -> None:
        self.weights = [Value(generator.uniform(-1.0, 1.0)) for _ in range(inputs)]
        self.bias = Value(0.0)
        self.nonlinearity = nonlinearity

    def __call__(self, inputs: Sequence[Value | float]) -> Value:
        """The output for as many inputs as there are weights."""
        return self.nonlinearity(dot(self.weights, inputs, self.bias))

    def __repr__(self) -> str:
        name = getattr(self.nonlinearity, "__name__", repr(self.nonlinearity))
        return f"Neuron({len(self.weights)}, {name})"

    def parameters(self) -> list[Value]:
        """The weights, then the bias."""
        return [*self.weights, self.bias]


class Layer(Module):
    """Neurons side by side, all of which take the same inputs."""

    def __init__(
        self, inputs: int, outputs: int, generator: random.Random, *, nonlinearity: Nonlinearity = Value.tanh
    ) -> None:
        self.neurons = [Neuron(inputs, generator, nonlinearity=nonlinearity) for _ in range(outputs)]

    def __call__(self, inputs: Sequence[Value | float]) -> list[Value]:
        """One output a neuron."""
        return [neuron(inputs) for neuron in self.neurons]

    def __repr__(self) -> str:
        return f"Layer({', '.join(map(repr, self.neurons))})"

    def parameters(self) -> list[Value]:
        """Those of the first neuron, then those of the next."""
        return [parameter for neuron in self.neurons for parameter in neuron.parameters()]


class MLP(Module):
    """A multilayer perceptron: layers one after another.

    Args:
        inputs: how many inputs it takes.
        outputs: how many neurons each layer has, the last one's being the outputs.
        generator: draws the weights; the same seed makes the same network.
        nonlinearity: that of every neuron.
        output: that of the last layer, where it is another one.
    """

    def __init__(
        self,
        inputs: int,
        outputs: Sequence[int],
        generator: random.Random,
        *,
        nonlinearity: Nonlinearity = Value.tanh,
        output: Nonlinearity | None = None,
    ) -> None:
        if not outputs:
            raise ValueError("expected the sizes of at least one layer, as in MLP(3, [4, 4, 1], generator)")
        sizes = [inputs, *outputs]
        kinds = [nonlinearity] * (len(outputs) - 1) + [output or nonlinearity]
        self.layers = [
            Layer(*shape, generator, nonlinearity=kind) for shape, kind in zip(pairwise(sizes), kinds, strict=True)
        ]

    def __call__(self, inputs: Sequence[Value | float]) -> list[Value]:
        """The outputs of the last layer, a list also where there is one."""
        first, *others = self.layers
        values = first(inputs)
        for layer in others:
            values = layer(values)
        return values

    def __repr__(self) -> str:
        return f"MLP({', '.join(map(repr, self.layers))})"

    def parameters(self) -> list[Value]:
        """Those of the first layer, then those of the next."""
        return [parameter for layer in self.layers for parameter in layer.parameters()]
