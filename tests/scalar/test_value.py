"""Value: what operations compute, what `backward` brings, and what a Value is to the rest of Python."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradverify.scalar import UnsupportedOperation, Value
from gradverify.scalar.value import dot, ordered, unary

# Each operation is safe for any two numbers, so that programs of them can be drawn at random. torch's functions
# work on Values too, so that one program runs on both engines.
OPERATIONS = {
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: x - y,
    "x * y": lambda x, y: x * y,
    "x / (y^2 + 1)": lambda x, y: x / (y * y + 1),
    "2 + x": lambda x, _: 2 + x,
    "1.5 - x": lambda x, _: 1.5 - x,
    "0.5 * x": lambda x, _: 0.5 * x,
    "3 / (x^2 + 2)": lambda x, _: 3 / (x**2 + 2),
    "x - 3": lambda x, _: x - 3,
    "x / 4": lambda x, _: x / 4,
    "-x": lambda x, _: -x,
    "|x|": lambda x, _: abs(x),
    "x^3 / (1 + x^2)": lambda x, _: x**3 / (1 + x**2),
    "(x^2 + 1)^-1.5": lambda x, _: (x * x + 1) ** -1.5,
    "2^tanh x": lambda x, _: 2 ** torch.tanh(x),
    "(x^2 + 1)^sin y": lambda x, y: (x * x + 1) ** torch.sin(y),
    "exp(sin x)": lambda x, _: torch.exp(torch.sin(x)),
    "log(x^2 + 0.1)": lambda x, _: torch.log(x * x + 0.1),
    "sqrt(x^2 + 0.1)": lambda x, _: torch.sqrt(x * x + 0.1),
    "cos x": lambda x, _: torch.cos(x),
    "tanh x": lambda x, _: torch.tanh(x),
    "sigmoid x": lambda x, _: torch.sigmoid(x),
    "relu x": lambda x, _: torch.relu(x),
}

# A step applies an operation to two of the numbers there are so far, counted from the last.
steps = st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 5), st.integers(0, 5)), min_size=1)
numbers = st.lists(st.floats(-3, 3), min_size=3, max_size=3)


def _run(program, inputs):
    pool = list(inputs)
    for operation, first, second in program:
        pool.append(OPERATIONS[operation](pool[-1 - first % len(pool)], pool[-1 - second % len(pool)]))
    return pool[-1]


def _gradients_by_torch(program, inputs):
    leaves = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in inputs]
    result = _run(program, leaves)
    result.backward()
    return result.item(), [0.0 if leaf.grad is None else leaf.grad.item() for leaf in leaves]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(steps, numbers)
def test_random_programs_agree_with_torch_in_float64(program, inputs):
    """Values are used several times and constants are mixed in, as in real forwards."""
    leaves = [Value(number) for number in inputs]
    result = _run(program, leaves)
    result.backward()
    data, gradients = _gradients_by_torch(program, inputs)
    assert result.data == pytest.approx(data, rel=1e-12, abs=1e-12)
    # Sums of terms that cancel have an error in the scale of the terms, which grow with the program: 1e-12 of the
    # largest derivative that appears on the way.
    scale = max(1.0, *(abs(value.grad) for value in ordered(result)))
    assert [leaf.grad for leaf in leaves] == pytest.approx(gradients, rel=1e-12, abs=1e-12 * scale)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_agrees_with_torch_alone(operation):
    """The random programs reach each operation; this names the one that fails."""
    program = [(operation, 0, 1)]
    for inputs in ([0.3, 1.7], [-1.2, 0.4], [2.5, -0.6]):
        leaves = [Value(number) for number in inputs]
        result = _run(program, leaves)
        result.backward()
        data, gradients = _gradients_by_torch(program, inputs)
        assert (result.data, [leaf.grad for leaf in leaves]) == (
            pytest.approx(data, rel=1e-14),
            pytest.approx(gradients, rel=1e-13, abs=1e-15),
        )


def test_the_comparison_with_torch_notices_a_wrong_operation(monkeypatch):
    """A planted bug: the derivative of the sine has the wrong sign."""
    monkeypatch.setattr(Value, "sin", lambda self: unary("sin", np.sin(self.data), self, -np.cos(self.data)))
    with pytest.raises(AssertionError):
        test_every_operation_agrees_with_torch_alone("exp(sin x)")


def test_a_value_used_twice_gets_both_contributions():
    """Within one operation, and in two."""
    x = Value(3.0)
    (x * x + x).backward()
    assert x.grad == 7.0


def test_gradients_accumulate_over_calls_and_over_results():
    """Each call adds its own derivatives once, to intermediates too."""
    x = Value(2.0)
    shared = x * x
    first, second = shared * 3, shared * 5
    first.backward()
    assert (x.grad, shared.grad) == (12.0, 3.0)
    second.backward()
    assert (x.grad, shared.grad) == (12.0 + 20.0, 3.0 + 5.0)
    first.backward()
    assert (x.grad, shared.grad, first.grad) == (32.0 + 12.0, 8.0 + 3.0, 2.0)


def test_a_result_gets_the_gradient_1_and_values_beside_it_get_none():
    """Only what the result was computed from is touched."""
    x, y = Value(2.0), Value(3.0)
    aside = x * y
    result = x + 1
    result.backward()
    assert (result.grad, x.grad, y.grad, aside.grad) == (1.0, 1.0, 0.0, 0.0)


def test_a_training_step_between_forward_and_backward_changes_no_gradient():
    """The local derivatives are taken in the forward."""
    x, weight = Value(2.0), Value(5.0)
    result = x * weight
    weight.data = 100.0
    result.backward()
    assert x.grad == 5.0


def test_a_backward_that_was_interrupted_leaves_nothing_behind_for_the_next():
    """Marks and flows of the traversal belong to one call."""

    class Interrupted(float):
        def __mul__(self, other):
            raise KeyboardInterrupt

        __rmul__ = __mul__

    x = Value(2.0)
    broken = unary("broken", 1.0, x * x, Interrupted(1.0))
    with pytest.raises(KeyboardInterrupt):
        broken.backward()
    x.grad = 0.0
    (x * x * x).backward()
    assert x.grad == 12.0


def test_backward_on_a_constant_says_that_it_was_not_computed():
    """A loss rebuilt from a number has lost its computation."""
    with pytest.raises(ValueError, match="backward on Value") as caught:
        Value(3.0, label="c").backward()
    assert str(caught.value) == (
        "backward on Value(3.0, grad=0.0, label='c'), which was not computed from any Value, so that there is nothing "
        "to differentiate: call it on the result of a computation"
    )


def test_sums_start_from_zero():
    """sum() adds the first element to the number 0, which comes first."""
    values = [Value(1.0), Value(2.0), Value(3.0)]
    total = sum(values)
    assert isinstance(total, Value)
    total.backward()
    assert (total.data, [value.grad for value in values]) == (6.0, [1.0, 1.0, 1.0])


def test_a_dot_product_equals_the_sum_it_stands_for():
    """The value bit for bit, since it adds in the same order."""
    weights, inputs, bias = [Value(0.1), Value(-0.7), Value(0.3)], [Value(1.3), 2.5, Value(-0.2)], Value(0.05)
    fused = dot(weights, inputs, bias).tanh()
    fused.backward()
    leaves = [*weights, inputs[0], inputs[2], bias]
    gradients = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = 0.0
    spelt_out = (bias + weights[0] * inputs[0] + weights[1] * inputs[1] + weights[2] * inputs[2]).tanh()
    spelt_out.backward()
    assert fused.data == spelt_out.data
    assert gradients == pytest.approx([leaf.grad for leaf in leaves], rel=1e-15)


def test_a_dot_product_of_unequal_lengths_is_refused():
    """Rather than cut to the shorter of the two."""
    with pytest.raises(ValueError, match=r"^expected 1 inputs, one a weight, got 2$"):
        dot([Value(1.0)], [1.0, 2.0], Value(0.0))


def test_a_dot_product_with_a_tensor_is_refused():
    """As every operation refuses it."""
    with pytest.raises(UnsupportedOperation, match=r"^dot: expected a Value, an int or a float, got torch\.Tensor"):
        dot([Value(1.0)], [torch.tensor(1.0)], Value(0.0))


CHAIN = """
import gc
from gradverify.scalar import Value
from gradverify.scalar.value import dot
x = Value(1.0)
for length, link in ((1_000_000, lambda y: -y), (100_000, lambda y: dot([x], [y], x))):
    y = x
    for _ in range(length):
        y = link(y)
    y.backward()
    del y
    gc.collect()
print(x.grad)
"""


def test_a_chain_of_a_million_is_differentiated_and_freed():
    """In a process of its own, because freeing a chain by recursion would overflow the C stack, which kills."""
    done = subprocess.run([sys.executable, "-c", CHAIN], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    # A million sign changes give 1. A link y' = x y + x has dy'/dx = dy/dx + y + 1 at x = 1, where y counts from 1.
    assert float(done.stdout) == 1 + 1 + sum(y + 1 for y in range(1, 100_001))


def test_a_value_shows_its_number_its_gradient_and_its_label():
    """The label where there is one."""
    x = Value(2, label="x1")
    (x * 3).backward()
    assert repr(x) == "Value(2.0, grad=3.0, label='x1')"
    assert repr(Value(0.5)) == "Value(0.5, grad=0.0)"


def test_edges_hold_the_local_derivatives():
    """One edge a parent, in the order of the operands."""
    x, y = Value(2.0), Value(3.0)
    assert x.edges == ()
    assert [(parent is x, slope) for parent, slope in (-x).edges] == [(True, -1.0)]
    assert [(parent is x, slope) for parent, slope in (x * y).edges] == [(True, 3.0), (False, 2.0)]
    assert [slope for _, slope in dot([x], [y], Value(1.0)).edges] == [1.0, 3.0, 2.0]


@settings(derandomize=True, deadline=None)
@given(st.floats(), st.floats())
def test_comparisons_are_those_of_the_numbers(a, b):
    """With another Value or a number, infinities and not-a-number included."""
    left, right = Value(a), Value(b)
    for one, other in ((left, right), (left, b), (a, right)):
        assert (one < other, one <= other, one > other, one >= other, one == other, one != other) == (
            a < b,
            a <= b,
            a > b,
            a >= b,
            a == b,
            a != b,
        )
    assert bool(left) == bool(a)


def test_hashing_goes_by_identity_so_that_equal_variables_are_two_keys():
    """As for tensors, whose == compares numbers too."""
    a, b = Value(1.0), Value(1.0)
    assert a == b
    assert len({a, b}) == 2
    assert {a: "a", b: "b"}[b] == "b"


def test_a_value_is_unequal_to_what_is_no_number():
    """Python's answer for objects of other types."""
    assert Value(1.0) != "1.0"
    assert Value(1.0) != None  # noqa: E711  # the operator is what is tested


def test_a_network_can_be_copied():
    """The copy has gradients of its own."""
    x = Value(2.0, label="x")
    twin = copy.deepcopy([x, x * x])
    twin[1].backward()
    assert (twin[0].grad, twin[0].label, x.grad) == (4.0, "x", 0.0)


ITEM = "; .item() makes a number of a tensor or array of one element"
TENSOR = f"expected a Value, an int or a float, got torch.Tensor{ITEM}"
x = Value(1.0)
REFUSED = {
    "a tensor on the right": (lambda: x + torch.ones(2), f"+: {TENSOR}"),
    "a tensor on the left": (lambda: torch.ones(2) * x, f"*: {TENSOR}"),
    "a tensor minus a Value": (lambda: torch.ones(2) - x, f"-: {TENSOR}"),
    "a tensor divided": (lambda: torch.ones(2) / x, f"/: {TENSOR}"),
    "a Value divided by a tensor": (lambda: x / torch.ones(2), f"/: {TENSOR}"),
    "a tensor as exponent": (lambda: x ** torch.ones(2), f"**: {TENSOR}"),
    "a tensor as base": (lambda: torch.ones(2) ** x, f"**: {TENSOR}"),
    "a tensor compared": (lambda: x < torch.ones(1), f"<: {TENSOR}"),
    "a tensor compared for equality": (lambda: x == torch.ones(1), f"==: {TENSOR}"),
    "a tensor on the left compared for equality": (lambda: torch.ones(1) == x, f"==: {TENSOR}"),
    "a tensor as data": (
        lambda: Value(torch.tensor(1.0)),
        f"Value(data): expected an int or a float, got torch.Tensor{ITEM}",
    ),
    "an array": (lambda: np.ones(2) * x, f"*: expected a Value, an int or a float, got numpy.ndarray{ITEM}"),
    "a short float": (lambda: x - np.float32(2), f"-: expected a Value, an int or a float, got numpy.float32{ITEM}"),
    "a text": (lambda: x * "2", "*: expected a Value, an int or a float, got str"),
    "a text on the left of a difference": (lambda: "2" - x, "-: expected a Value, an int or a float, got str"),
    "a text as data": (lambda: Value("2"), "Value(data): expected an int or a float, got str"),
    "a text as exponent": (lambda: x ** "2", "**: expected a Value, an int or a float, got str"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_operand_of_another_type_is_refused_with_the_remedy(name):
    """On either side, of every operation."""
    attempt, message = REFUSED[name]
    with pytest.raises(UnsupportedOperation) as caught:
        attempt()
    assert str(caught.value) == message


def test_a_double_of_numpy_is_a_float():
    """It is one in Python's own sense too."""
    assert (np.float64(2.0) * Value(3.0)).data == 6.0


def test_the_engine_works_where_torch_is_not_installed():
    """Importing torch is made to fail."""
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import random\n"
        "from gradverify.scalar import Value, to_dot\n"
        "from gradverify.scalar.nn import MLP\n"
        "(output,) = MLP(2, [3, 1], random.Random(0))([1.0, 2.0])\n"
        "output.backward(); to_dot(output)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
