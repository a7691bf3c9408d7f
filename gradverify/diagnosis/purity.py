"""Whether an expression can be evaluated again without doing anything but giving its value."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from types import ModuleType

from torch import Tensor

from gradverify.gradients import Gradients
from gradverify.trace import Trace

# What statements on tensors call: functions without side effects, by name or by the module they come from.
_BUILTINS = frozenset({"abs", "bool", "float", "int", "len", "list", "max", "min", "range", "round", "sum", "tuple"})
_MODULES = ("torch", "math", "numpy")
# Whatever changes a tensor, a list, a generator or a setting, or draws numbers.
_IMPURE = re.compile(
    r".*[^_]_|set_.*|.*seed.*|backward|save|load|compile|register_.*|append|extend|insert|pop|update|clear"
    r"|.*rand.*|.*normal|bernoulli.*|multinomial|poisson|exponential|.*dropout.*|.*shuffle.*"
)
_IMPURE_OPTIONS = frozenset({"out", "inplace", "generator"})
_IMPURE_NODES = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom, ast.Lambda)
# What has methods that are as pure as their names.
_VALUES = (Tensor, tuple, str, int, float)


def is_pure(expression: ast.expr, variables: Mapping[str, object]) -> bool:
    """Whether evaluating an expression has no effect; a function of the user's may have any."""
    for node in ast.walk(expression):
        if isinstance(node, _IMPURE_NODES):
            return False
        if isinstance(node, ast.Call) and not _is_pure_call(node, variables):
            return False
    return True


def _is_pure_call(call: ast.Call, variables: Mapping[str, object]) -> bool:
    if any(option.arg in _IMPURE_OPTIONS for option in call.keywords):
        return False
    if isinstance(call.func, ast.Name):
        if call.func.id not in variables:
            return call.func.id in _BUILTINS
        module = getattr(variables[call.func.id], "__module__", None)
        return _is_of_modules(module) and not _IMPURE.fullmatch(call.func.id)
    if not isinstance(call.func, ast.Attribute) or _IMPURE.fullmatch(call.func.attr):
        return False
    owner = _resolve(call.func.value, variables)
    if isinstance(owner, ModuleType):
        return _is_of_modules(owner.__name__)
    return owner is None or isinstance(owner, _VALUES)


def _resolve(node: ast.expr, variables: Mapping[str, object]) -> object:
    """What a dotted name stands for; None for any other expression, whose value is a tensor or a number."""
    if isinstance(node, ast.Name):
        return variables.get(node.id, node)
    if not isinstance(node, ast.Attribute):
        return None
    owner = _resolve(node.value, variables)
    if owner is None or isinstance(owner, (Trace, Gradients, Tensor)):
        return None
    return getattr(owner, node.attr, node)


def _is_of_modules(name: str | None) -> bool:
    return name is not None and name.split(".")[0] in _MODULES
