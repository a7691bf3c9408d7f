"""Mistakes that engines of this kind have made: each check passes here, and fails on the engine with the mistake."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gradverify.scalar import Value, graph, to_dot
from gradverify.scalar.value import ordered, unary


def _power_is_accumulated():
    """Of x, which is used in a product before it is raised and in a sum afterwards."""
    x = Value(3.0)
    (x * 5.0 + x**2 + x).backward()
    assert x.grad == 5.0 + 6.0 + 1.0


def _overwriting_backward(self):
    for node in ordered(self):
        node.grad = 0.0
    self.grad = 1.0
    for node in reversed(ordered(self)):
        for parent, slope in node.edges:
            if node.operation.startswith("**"):
                parent.grad = node.grad * slope
            else:
                parent.grad += node.grad * slope


def _power_overwrites(monkeypatch):
    monkeypatch.setattr(Value, "backward", _overwriting_backward)


def _reflected_subtraction_subtracts():
    x = Value(2.0)
    difference = 10 - x
    difference.backward()
    assert (difference.data, x.grad) == (8.0, -1.0)


def _reflected_subtraction_adds(monkeypatch):
    monkeypatch.setattr(Value, "__rsub__", lambda self, other: other + self)


def _tanh_takes_any_number():
    for number in (356.0, 1e4, -1e4):
        x = Value(number)
        result = x.tanh()
        result.backward()
        assert result.data == math.copysign(1.0, number)
        assert 0.0 <= x.grad < 1e-300


def _tanh_by_exponentials(self):
    power = (2 * self).exp()
    return (power - 1) / (power + 1)


def _tanh_overflows(monkeypatch):
    monkeypatch.setattr(Value, "tanh", _tanh_by_exponentials)


def _relu_is_decided_on_the_input():
    for number, slope in ((-2.0, 0.0), (0.0, 0.0), (2.0, 1.0)):
        x = Value(number)
        x.relu().backward()
        assert x.grad == slope


def _relu_by_its_output(self):
    output = max(self.data, 0.0)
    return unary("relu", output, self, 1.0 if output >= 0 else 0.0)


def _relu_is_decided_on_the_output(monkeypatch):
    monkeypatch.setattr(Value, "relu", _relu_by_its_output)


def _backward_takes_long_computations():
    x = Value(1.0)
    total = x
    for _ in range(10_000):
        total = total + x
    total.backward()
    assert x.grad == 10_001.0


def _ordered_by_recursion(root):
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent, _ in node.edges:
                visit(parent)
            order.append(node)

    visit(root)
    return order


def _backward_recurses(monkeypatch):
    monkeypatch.setattr("gradverify.scalar.value.ordered", _ordered_by_recursion)


def _a_list_can_be_summed():
    x = Value(2.0)
    total = sum([x, x * x])
    total.backward()
    assert (total.data, x.grad) == (6.0, 5.0)


def _there_is_no_reflected_add(monkeypatch):
    monkeypatch.delattr(Value, "__radd__")


def _a_logarithm_of_nothing_is_explained():
    for number in (0.0, -1.0):
        with pytest.raises(ValueError, match=r"^log\(-?\d\.0\): expected a positive number"):
            Value(number).log()


def _a_logarithm_is_left_to_the_library(monkeypatch):
    monkeypatch.setattr(Value, "log", lambda self: unary("log", math.log(self.data), self, 1 / self.data))


def _drawing_needs_no_program():
    with pytest.MonkeyPatch.context() as bare:
        bare.setenv("PATH", "")
        assert graph.to_dot(Value(1.0) + Value(2.0)).startswith("digraph {")


def _drawn_by_graphviz(root):
    return subprocess.run(["dot", "-Tdot"], input=to_dot(root), capture_output=True, text=True, check=True).stdout


def _drawing_calls_graphviz(monkeypatch):
    monkeypatch.setattr(graph, "to_dot", _drawn_by_graphviz)


def _a_second_backward_adds_the_same_again():
    x = Value(3.0)
    result = (x * x) * 2.0
    result.backward()
    result.backward()
    assert x.grad == 12.0 + 12.0


def _backward_by_what_grad_holds(self):
    self.grad = 1.0
    for node in reversed(ordered(self)):
        for parent, slope in node.edges:
            parent.grad += node.grad * slope


def _intermediates_hand_on_what_they_accumulated(monkeypatch):
    monkeypatch.setattr(Value, "backward", _backward_by_what_grad_holds)


@dataclass(frozen=True)
class Mistake:
    """A check, the mistake that it is there for, and what that mistake looks like."""

    check: Callable[[], None]
    plant: Callable[[pytest.MonkeyPatch], None]
    symptom: type[BaseException] = AssertionError


MISTAKES = {
    "power overwrites a gradient": Mistake(_power_is_accumulated, _power_overwrites),
    "reflected subtraction returns a sum": Mistake(_reflected_subtraction_subtracts, _reflected_subtraction_adds),
    "tanh through e^2x overflows": Mistake(_tanh_takes_any_number, _tanh_overflows, OverflowError),
    "relu decided on the output": Mistake(_relu_is_decided_on_the_input, _relu_is_decided_on_the_output),
    "backward recurses": Mistake(_backward_takes_long_computations, _backward_recurses, RecursionError),
    "no reflected add": Mistake(_a_list_can_be_summed, _there_is_no_reflected_add, TypeError),
    "logarithm without a clear error": Mistake(
        _a_logarithm_of_nothing_is_explained, _a_logarithm_is_left_to_the_library
    ),
    "drawing needs graphviz": Mistake(_drawing_needs_no_program, _drawing_calls_graphviz, FileNotFoundError),
    "a second backward hands on the first": Mistake(
        _a_second_backward_adds_the_same_again, _intermediates_hand_on_what_they_accumulated
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_engine_does_not_make_the_mistake(name):
    """The check alone."""
    MISTAKES[name].check()


@pytest.mark.parametrize("name", MISTAKES)
def test_the_check_catches_the_mistake(name, monkeypatch):
    """The same check, on the engine with the mistake planted."""
    mistake = MISTAKES[name]
    mistake.plant(monkeypatch)
    with pytest.raises(mistake.symptom):
        mistake.check()
