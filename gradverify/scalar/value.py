"""Value: a number that remembers what it was computed from, and the local derivatives that came with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gradverify.scalar import functions, torch_functions
from gradverify.scalar.errors import refusal
from gradverify.scalar.fragment import render_value


class Value:
    """A float64 number in a computation that can be differentiated.

    Every operation makes a new Value that holds its parents and the derivatives by them, as numbers, taken at
    that moment: changing `data` afterwards, as a training step does, cannot corrupt a later `backward`.

    `==`, `<` and the others compare the numbers, and truth is being other than zero, as it is for torch's tensors:
    a forward that branches takes the same branch on both. Hashing goes by identity, as there: two variables of
    equal value are two keys.

    Attributes:
        data: the number.
        grad: the derivative of whatever `backward` was called on, accumulated over the calls; 0 before.
        label: a name to show.
        operation: what it was computed by; empty for a Value made by hand.
    """

    # Two parents have slots of their own, because nearly every Value has one or two: with a tuple of parents and one
    # of derivatives to each, forward and backward of a network were measured to take twice as long.
    __slots__ = (
        "_first",
        "_first_slope",
        "_flow",
        "_mark",
        "_other_slopes",
        "_others",
        "_second",
        "_second_slope",
        "data",
        "grad",
        "label",
        "operation",
    )
    data: float
    grad: float
    label: str
    operation: str
    _first: Value | None
    _first_slope: float
    _second: Value | None
    _second_slope: float
    _others: tuple[Value, ...]
    _other_slopes: tuple[float, ...]
    _flow: float  # what one `backward` brings here, apart from `grad`, which keeps what earlier ones brought
    _mark: object  # how far the traversal that is under way has come with this Value

    # NumPy would otherwise spread an operation with an array over its elements, in silence.
    __array_ufunc__ = None

    def __init__(self, data: float, label: str = "") -> None:
        if not isinstance(data, (int, float)):
            raise refusal("Value(data)", data, expected="an int or a float")
        self.data = float(data)
        self.grad = 0.0
        self.label = label
        self.operation = ""
        self._first = self._second = self._mark = None
        self._others = ()

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return f"Value({self.data}, grad={self.grad}{label})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        parents = ((_title(one), one.data, slope) for one, slope in self.edges)
        return render_value(_title(self), self.data, self.grad, parents)

    @property
    def edges(self) -> tuple[tuple[Value, float], ...]:
        """The parents, each with the derivative of this Value by it; a parent used twice comes twice."""
        found = []
        if self._first is not None:
            found.append((self._first, self._first_slope))
        if self._second is not None:
            found.append((self._second, self._second_slope))
        if self._others:
            found.extend(zip(self._others, self._other_slopes, strict=True))
        return tuple(found)

    def backward(self) -> None:
        """Add to the `grad` of every Value that this one was computed from its derivative by it, and 1 to its own.

        Nothing recurses, so that the length of a computation is limited by memory alone. Further calls, on this
        Value or on another that shares some of its computation, accumulate: each adds its own derivatives, once.

        Raises:
            ValueError: if it was not computed from anything.
        """
        if self._first is None:
            raise ValueError(
                f"backward on {self!r}, which was not computed from any Value, so that there is nothing to "
                "differentiate: call it on the result of a computation"
            )
        order = ordered(self)
        for node in order:
            node._flow = 0.0
        self._flow = 1.0
        for node in reversed(order):
            flow = node._flow
            node.grad += flow
            first = node._first
            if first is not None:
                first._flow += flow * node._first_slope
                second = node._second
                if second is not None:
                    second._flow += flow * node._second_slope
                elif node._others:
                    for other, slope in zip(node._others, node._other_slopes, strict=True):
                        other._flow += flow * slope

    def __add__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return binary("+", self.data + other.data, self, 1.0, other, 1.0)
        if isinstance(other, (int, float)):
            return unary("+", self.data + other, self, 1.0)
        raise refusal("+", other)

    __radd__ = __add__

    def __sub__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return binary("-", self.data - other.data, self, 1.0, other, -1.0)
        if isinstance(other, (int, float)):
            return unary("-", self.data - other, self, 1.0)
        raise refusal("-", other)

    def __rsub__(self, other: float) -> Value:
        return unary("-", _number("-", other) - self.data, self, -1.0)

    def __mul__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            left, right = self.data, other.data
            return binary("*", left * right, self, right, other, left)
        if isinstance(other, (int, float)):
            return unary("*", self.data * other, self, other)
        raise refusal("*", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Value | float) -> Value:
        quotient, slope, divisor_slope = functions.divide(self.data, _number("/", other))
        if isinstance(other, Value):
            return binary("/", quotient, self, slope, other, divisor_slope)
        return unary("/", quotient, self, slope)

    def __rtruediv__(self, other: float) -> Value:
        quotient, _, slope = functions.divide(_number("/", other), self.data)
        return unary("/", quotient, self, slope)

    def __pow__(self, exponent: Value | float) -> Value:
        """A constant exponent takes any base that has a real power; a Value as exponent takes a positive base."""
        if isinstance(exponent, Value):
            data, exponent_slope = functions.exponential(self.data, exponent.data)
            _, slope = functions.power(self.data, exponent.data)
            return binary("**", data, self, slope, exponent, exponent_slope)
        data, slope = functions.power(self.data, _number("**", exponent))
        return unary(f"**{exponent}", data, self, slope)

    def __rpow__(self, base: float) -> Value:
        data, slope = functions.exponential(_number("**", base), self.data)
        return unary(f"{base}**", data, self, slope)

    def __neg__(self) -> Value:
        return unary("neg", -self.data, self, -1.0)

    def __abs__(self) -> Value:
        return _apply("abs", functions.absolute, self)

    def exp(self) -> Value:
        """The exponential; OverflowError where it is no float."""
        return _apply("exp", functions.exp, self)

    def log(self) -> Value:
        """The natural logarithm; ValueError for what is not positive."""
        return _apply("log", functions.log, self)

    def sqrt(self) -> Value:
        """The square root; ValueError for a negative number. The derivative at 0 is infinite."""
        return _apply("sqrt", functions.sqrt, self)

    def sin(self) -> Value:
        """The sine of an angle in radians."""
        return _apply("sin", functions.sin, self)

    def cos(self) -> Value:
        """The cosine of an angle in radians."""
        return _apply("cos", functions.cos, self)

    def tanh(self) -> Value:
        """The hyperbolic tangent; no argument overflows."""
        return _apply("tanh", functions.tanh, self)

    def sigmoid(self) -> Value:
        """1 / (1 + e^-x); no argument overflows."""
        return _apply("sigmoid", functions.sigmoid, self)

    def relu(self) -> Value:
        """The larger of the number and 0. The derivative at 0 is taken as 0, as torch takes it."""
        return _apply("relu", functions.relu, self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Value, int, float)):
            return self.data == _number("==", other)
        if hasattr(other, "item"):  # a tensor or an array, which would compare element by element
            raise refusal("==", other)
        return NotImplemented

    __hash__ = object.__hash__

    def __lt__(self, other: Value | float) -> bool:
        return self.data < _number("<", other)

    def __le__(self, other: Value | float) -> bool:
        return self.data <= _number("<=", other)

    def __gt__(self, other: Value | float) -> bool:
        return self.data > _number(">", other)

    def __ge__(self, other: Value | float) -> bool:
        return self.data >= _number(">=", other)

    def __bool__(self) -> bool:
        return bool(self.data)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., object],
        types: Iterable[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Any:
        """What torch calls for `torch.sin(value)`."""
        return torch_functions.call(func, args, kwargs or {}, (Value, int, float))


def unary(operation: str, data: float, parent: Value, slope: float) -> Value:
    """A Value computed from one other; `slope` is its derivative by it."""
    # Setting the slots here, past __init__, was measured to take two thirds of the time of calling the class.
    node: Value = object.__new__(Value)
    node.data = data
    node.grad = 0.0
    node.label = ""
    node.operation = operation
    node._first = parent
    node._first_slope = slope
    node._second = node._mark = None
    node._others = ()
    return node


def binary(operation: str, data: float, first: Value, first_slope: float, second: Value, second_slope: float) -> Value:
    """A Value computed from two others, each with the derivative by it."""
    node: Value = object.__new__(Value)
    node.data = data
    node.grad = 0.0
    node.label = ""
    node.operation = operation
    node._first = first
    node._first_slope = first_slope
    node._second = second
    node._second_slope = second_slope
    node._mark = None
    node._others = ()
    return node


def dot(weights: Sequence[Value], inputs: Sequence[Value | float], bias: Value) -> Value:
    """The bias plus each weight times its input, added from the left, as a single Value.

    Raises:
        ValueError: if there are not as many inputs as weights.
        UnsupportedOperation: if an input is neither a Value nor a number.
    """
    if len(weights) != len(inputs):
        raise ValueError(f"expected {len(weights)} inputs, one a weight, got {len(inputs)}")
    data = bias.data
    parents, slopes = list(weights), []
    moving, moving_slopes = [], []
    for weight, value in zip(weights, inputs, strict=True):
        number = _number("dot", value)
        data += weight.data * number
        slopes.append(number)
        if isinstance(value, Value):
            moving.append(value)
            moving_slopes.append(weight.data)
    node = unary("dot", data, bias, 1.0)
    node._others = (*parents, *moving)
    node._other_slopes = (*slopes, *moving_slopes)
    return node


def ordered(root: Value) -> list[Value]:
    """The Values that `root` was computed from, and `root`, each once and after its parents."""
    # Marks of this very traversal: whatever an earlier one left behind, interrupted or not, means nothing to it.
    opened, closed = object(), object()
    order = []
    stack = [root]
    while stack:
        node = stack.pop()
        if node._mark is opened:
            node._mark = closed
            order.append(node)
        elif node._mark is not closed:
            node._mark = opened
            stack.append(node)
            if node._first is not None:
                stack.append(node._first)
            if node._second is not None:
                stack.append(node._second)
            elif node._others:
                stack.extend(node._others)
    return order


def _title(value: Value) -> str:
    """The label and the operation, as far as there are some."""
    return " ".join(part for part in (value.label, value.operation) if part)


def _apply(operation: str, function: Callable[[float], tuple[float, float]], parent: Value) -> Value:
    data, slope = function(parent.data)
    return unary(operation, data, parent, slope)


def _number(operation: str, operand: Value | float) -> float:
    if isinstance(operand, Value):
        return operand.data
    if isinstance(operand, (int, float)):
        return operand
    raise refusal(operation, operand)
