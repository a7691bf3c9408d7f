"""The small changes that turn an expression into one that its author may have meant."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar


class Effort(IntEnum):
    """How large a slip an edit supposes; the smallest that mends a statement is believed."""

    TOKEN = 0  # one symbol for another: an operator, a constant, a name
    SYMBOL = 1  # a symbol too few or too many: a minus, a transpose, an operand that is not needed
    CALL = 2  # a call, an exponent or a complement is missing, or a call is one too many
    FACTOR = 3  # one of several terms lacks a factor


# What a node may have been meant to be.
Meant = Iterator[tuple[Effort, ast.expr]]


@dataclass(frozen=True)
class Change:
    """One kind of slip.

    Attributes:
        meant: what a node may have been meant to be, if this slip was made there.
        reason: what the user is told first, where the edit does not speak for itself.
    """

    meant: Callable[[ast.expr], Meant]
    reason: str = ""


@dataclass(frozen=True)
class Edit:
    """A change of one node.

    Attributes:
        effort: how large it is.
        old: the node, a part of the expression as it stands.
        new: what is in its place.
        expression: the whole expression, changed.
        reason: what the user is told first.
        original: the whole expression, as it stands.
    """

    effort: Effort
    old: ast.expr
    new: ast.expr
    expression: ast.expr
    reason: str
    original: ast.expr

    def __str__(self) -> str:
        before, after = self.quotes
        return f"{self.reason}`{before}` should be `{after}`"

    @property
    def quotes(self) -> tuple[str, str]:
        """What is changed and what it is changed to, with so much around it that it can be found in the statement."""
        old, new = self.old, self.new
        while old is not self.original and (number_of(old) is not None or _count(self.original, old) > 1):
            around = _parent(self.original, old)
            old, new = around, _replaced(around, old, new)
        return ast.unparse(old), ast.unparse(new)


# A product of matrices before one of elements: where both fit, as for a column and a row, it is what is meant.
_OPERATORS = (ast.Add, ast.Sub, ast.MatMult, ast.Mult, ast.Div)
_COMPARISONS = (ast.Gt, ast.Lt, ast.GtE, ast.LtE, ast.Eq, ast.NotEq)
# Functions that are taken for one another.
_RELATED = (
    ("sum", "mean", "prod", "amax", "amin"),
    ("max", "min"),
    ("argmax", "argmin"),
    ("sin", "cos"),
    ("sinh", "cosh"),
    ("exp", "log"),
    ("tanh", "sigmoid"),
    ("sqrt", "rsqrt"),
    ("sqrt", "square"),
    ("triu", "tril"),
    ("zeros_like", "ones_like"),
    ("maximum", "minimum"),
    ("expand_as", "view_as"),
)
_REDUCTIONS = frozenset({"sum", "mean", "amax", "amin", "max", "min", "prod", "std", "var", "norm", "logsumexp"})
_TRANSPOSES = frozenset({"T", "mT", "H", "mH"})
_TRANSPOSING = frozenset({"t", "transpose", "permute", "swapaxes", "swapdims", "movedim"})
# The powers that derivatives are made of: squares and roots, those in denominators, and one more of each.
_EXPONENTS = (2, -1, -2, 3, 0.5, -0.5)


def edits_of(
    expression: ast.expr, parts: Sequence[ast.expr], changes: Sequence[Change], efforts: Collection[Effort]
) -> list[Edit]:
    """Every edit of one node, the smallest first; of equal ones those of the first change, and of the outermost node.

    Args:
        expression: what is edited.
        parts: of it that are.
        changes: the slips that are supposed, the likeliest first.
        efforts: how large they may be.
    """
    nodes = [node for part in parts for node in _expressions(part)]
    found = [
        Edit(effort, node, new, _replaced(expression, node, _located(new, node)), change.reason, expression)
        for change in changes
        for node in nodes
        for effort, new in change.meant(node)
        if effort in efforts
    ]
    return sorted(found, key=lambda edit: edit.effort)


def drop_sign(node: ast.expr) -> Meant:
    """A minus, or a `~`, too many."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield Effort.TOKEN, node.operand


def add_sign(node: ast.expr) -> Meant:
    """A minus that is missing."""
    if number_of(node) is None and not isinstance(node, (ast.Constant, ast.Compare)):
        yield Effort.SYMBOL, ast.UnaryOp(ast.USub(), node)


def change_transpose(node: ast.expr) -> Meant:
    """A transpose too many, or one missing; or the factors of a product of matrices exchanged."""
    if isinstance(node, ast.Attribute) and node.attr in _TRANSPOSES:
        yield Effort.TOKEN, node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TRANSPOSING:
        yield Effort.TOKEN, node.func.value
    elif number_of(node) is None and not isinstance(node, (ast.Constant, ast.Compare)):
        yield Effort.SYMBOL, _attribute(node, "T")
        yield Effort.SYMBOL, _attribute(node, "mT")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield Effort.TOKEN, ast.BinOp(node.right, node.op, node.left)


def change_operator(node: ast.expr) -> Meant:
    """Another operator, or the operands exchanged."""
    if not isinstance(node, ast.BinOp):
        return
    for operator in _OPERATORS:
        # `1 * x` is how nobody writes x: there an operand is one too many.
        is_idle = operator is ast.Mult and number_of(node.left) == 1
        if not isinstance(node.op, operator) and not is_idle:
            yield Effort.TOKEN, ast.BinOp(node.left, operator(), node.right)
    # Only to a plain exponent: a power of two sizes could be a number of a million digits.
    if not isinstance(node.op, ast.Pow) and number_of(node.right) is not None:
        yield Effort.TOKEN, ast.BinOp(node.left, ast.Pow(), node.right)
    if isinstance(node.op, (ast.Sub, ast.Div)):
        yield Effort.TOKEN, ast.BinOp(node.right, node.op, node.left)


def drop_operand(node: ast.expr) -> Meant:
    """An operand that is one too many."""
    if isinstance(node, ast.BinOp):
        yield Effort.SYMBOL, node.left
        is_complement = isinstance(node.op, ast.Sub) and number_of(node.left) == 1
        if not isinstance(node.op, ast.Sub) or is_complement:
            yield Effort.SYMBOL, node.right
        if isinstance(node.op, ast.Sub):
            yield Effort.SYMBOL, ast.UnaryOp(ast.USub(), node.right)


def change_comparison(node: ast.expr) -> Meant:
    """Another comparison."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for operator in _COMPARISONS:
            if not isinstance(node.ops[0], operator):
                yield Effort.TOKEN, ast.Compare(node.left, [operator()], node.comparators)


def change_constant(node: ast.expr) -> Meant:
    """Another number: one more or less, a small one, the opposite, the double, the half, the inverse."""
    value = number_of(node)
    if value is None:
        return
    small = (0, 1, 2) if value >= 0 else (-1, -2, 0)
    for other in dict.fromkeys((value + 1, value - 1, *small)):
        if other != value:
            yield Effort.TOKEN, _constant(other)
    for other in (2 * value, value / 2, value + 0.5, value - 0.5, *((-value, 1 / value) if value > 0 else ())):
        yield Effort.SYMBOL, _constant(int(other) if isinstance(value, int) and float(other).is_integer() else other)


def change_reduction(node: ast.expr) -> Meant:
    """A reduction over other dimensions, or with or without `keepdim`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _REDUCTIONS):
        return
    others = [one for one in node.keywords if one.arg != "keepdim"]
    toggled = others if len(others) < len(node.keywords) else [*others, _KEEPDIM]
    yield Effort.TOKEN, ast.Call(node.func, node.args, toggled)
    yield Effort.SYMBOL, ast.Call(node.func, [], node.keywords)
    for dim in (0, 1, 2, -1):
        yield Effort.SYMBOL, ast.Call(node.func, [_constant(dim)], node.keywords)
        yield Effort.SYMBOL, ast.Call(node.func, [_constant(dim)], toggled)


def change_call(node: ast.expr) -> Meant:
    """A function for a related one, arguments exchanged, or a call too many."""
    if not isinstance(node, ast.Call):
        return
    if isinstance(node.func, ast.Attribute):
        for names in _RELATED:
            for other in names if node.func.attr in names else ():
                if other != node.func.attr:
                    yield Effort.TOKEN, ast.Call(_attribute(node.func.value, other), node.args, node.keywords)
        yield Effort.CALL, node.func.value
    for number in range(len(node.args) - 1):
        exchanged = [*node.args[:number], node.args[number + 1], node.args[number], *node.args[number + 2 :]]
        yield Effort.SYMBOL, ast.Call(node.func, exchanged, node.keywords)
    for argument in node.args:
        yield Effort.CALL, argument


def add_call(node: ast.expr) -> Meant:
    """A missing exponent, complement, comparison with zero, or sum."""
    if isinstance(node, (ast.Constant, ast.Compare, ast.UnaryOp)):
        return
    if not isinstance(node, ast.BinOp):
        for exponent in _EXPONENTS:
            yield Effort.CALL, ast.BinOp(node, ast.Pow(), _constant(exponent))
        yield Effort.CALL, ast.BinOp(_constant(1), ast.Sub(), node)
        yield Effort.CALL, ast.Compare(node, [ast.Gt()], [_constant(0)])
    for dim in (0, 1, -1):
        for name in ("sum", "mean"):
            for keywords in ([_KEEPDIM], []):
                yield Effort.CALL, ast.Call(_attribute(node, name), [_constant(dim)], keywords)


def terms_of(expression: ast.expr) -> list[ast.expr]:
    """The terms of a sum, or the expression itself where it is none."""
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, (ast.Add, ast.Sub)):
        return [*terms_of(expression.left), *terms_of(expression.right)]
    return [expression]


def reduced_in(expression: ast.expr) -> list[ast.expr]:
    """What is summed, averaged or the like anywhere in an expression, where a method does it."""
    calls = (node.func for node in ast.walk(expression) if isinstance(node, ast.Call))
    return [func.value for func in calls if isinstance(func, ast.Attribute) and func.attr in _REDUCTIONS]


# The slips that can be supposed of any expression, the likeliest first.
STRUCTURAL = (
    Change(drop_sign),
    Change(change_transpose),
    Change(change_operator),
    Change(change_comparison),
    Change(change_reduction),
    Change(change_constant),
    Change(change_call),
    Change(drop_operand),
    Change(add_sign, "a minus is missing: "),
    Change(add_call),
)

_KEEPDIM = ast.keyword("keepdim", ast.Constant(True))
_Node = TypeVar("_Node", bound=ast.AST)


def _expressions(expression: ast.expr) -> Iterator[ast.expr]:
    """The nodes that can be changed by themselves: not the names of modules and functions."""
    yield expression
    if number_of(expression) is not None or _is_read(expression):
        return
    children: list[ast.AST] = []
    for field, value in ast.iter_fields(expression):
        children += value if isinstance(value, list) else [value]
        if isinstance(expression, ast.Call) and field == "func":
            # A function is called by its name; what a method is called on is an operand.
            children[-1:] = [value.value] if isinstance(value, ast.Attribute) else []
    for child in children:
        if isinstance(child, ast.keyword):
            child = child.value
        if isinstance(child, ast.expr):
            yield from _expressions(child)


def _replaced(tree: _Node, old: ast.expr, new: ast.expr) -> _Node:
    """The tree with one node replaced; what does not change is shared."""
    if tree is old:
        return new  # type: ignore[return-value]  # an expression stands in for an expression
    changed = tree
    for field, value in ast.iter_fields(tree):
        other = value
        if isinstance(value, list):
            other = [_replaced(one, old, new) if isinstance(one, ast.AST) else one for one in value]
            other = value if all(one is was for one, was in zip(other, value, strict=True)) else other
        elif isinstance(value, ast.AST):
            other = _replaced(value, old, new)
        if other is not value:
            changed = copy.copy(tree) if changed is tree else changed
            setattr(changed, field, other)
    return changed


def _count(tree: ast.expr, part: ast.expr) -> int:
    """How often what looks like a part stands in a tree."""
    text = ast.dump(part)
    return sum(isinstance(node, ast.expr) and ast.dump(node) == text for node in ast.walk(tree))


def _parent(tree: ast.expr, part: ast.expr) -> ast.expr:
    """The smallest expression around a part of another."""
    holding = [one for one in ast.walk(tree) if isinstance(one, ast.expr) and any(n is part for n in _below(one))]
    return min(holding, key=lambda one: sum(1 for _ in ast.walk(one)))


def _below(node: ast.expr) -> Iterator[ast.AST]:
    walk = ast.walk(node)
    next(walk)
    return walk


def _located(new: ast.expr, old: ast.expr) -> ast.expr:
    """A new node, and what is new in it, at the place of the old one: nothing is compiled without a place."""
    if "lineno" not in new.__dict__:
        ast.copy_location(new, old)
        for child in ast.iter_child_nodes(new):
            if isinstance(child, ast.expr):
                _located(child, old)
            elif isinstance(child, ast.keyword):
                _located(child.value, old)
                ast.copy_location(child, old)
    return new


def _is_read(node: ast.expr) -> bool:
    """Whether a node is one thing, such as `t.h`; in `x.T` the variable counts by itself."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr not in _TRANSPOSES


def _constant(value: float) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def number_of(node: ast.AST) -> float | None:
    """The value of a number, also of a negative one; None for any other node."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = number_of(node.operand)
        return None if value is None or value < 0 else -value
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return node.value
    return None


def _attribute(node: ast.expr, name: str) -> ast.Attribute:
    return ast.Attribute(node, name, ast.Load())
