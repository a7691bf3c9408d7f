"""The statement that wrote a gradient, parsed, so that it can be evaluated again with something changed."""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from gradverify.diagnosis.subject import Subject
from gradverify.diagnosis.trial import Handed, Trial
from gradverify.location import Location, statement
from gradverify.trace import Access, Gradients, Trace

# What a statement may call and still be evaluated again: functions without side effects.
_BUILTINS = frozenset({"abs", "bool", "float", "int", "len", "list", "max", "min", "range", "round", "sum", "tuple"})
_MODULES = ("torch", "math", "numpy")
_IMPURE = re.compile(
    r".*[^_]_|set_.*|.*seed.*|backward|save|load|compile|register_.*|append|extend|insert|pop|update|clear"
    r"|.*rand.*|.*normal|bernoulli.*|multinomial|poisson|exponential|.*dropout.*|.*shuffle.*"
)
_IMPURE_OPTIONS = frozenset({"out", "inplace", "generator"})
_IMPURE_NODES = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom, ast.Lambda)


@dataclass(frozen=True)
class Statement:
    """An assignment to one gradient, `d.h = ...`; `d.h += ...` counts as `d.h = d.h + ...`.

    Attributes:
        expression: what is assigned.
        parts: of it, those that the user wrote.
        variables: what the statement saw.
        forward, backward: the variables that hold the trace and the gradients.
        gradients: what it could read from the latter, each as it should be.
        locals: the variables that hold such a gradient too, each with the gradient's name.
        place: what the user is told where the expression is that of another line; else empty.
    """

    expression: ast.expr
    parts: tuple[ast.expr, ...]
    variables: Mapping[str, object]
    forward: frozenset[str]
    backward: frozenset[str]
    gradients: Mapping[str, Tensor]
    locals: Mapping[str, str]
    place: str = ""

    def trial(self, like: Tensor, gradients: Mapping[str, Tensor], values: Mapping[str, Tensor] | None = None) -> Trial:
        """Where its expression, and others in its place, are evaluated.

        Args:
            like: a tensor of the dtype and on the device of the pass.
            gradients: what is read from the gradients.
            values: what is read from the trace; its own values where not given.
        """
        variables = {**self.variables, **dict.fromkeys(self.backward, Handed(gradients))}
        variables.update({local: gradients[name] for local, name in self.locals.items()})
        if values is not None:
            variables.update(dict.fromkeys(self.forward, Handed(values)))
        return Trial(variables, like.dtype, like.device)


def parse_statement(source: str | None, subject: Subject) -> Statement | None:
    """The assignment to the subject's gradient in some source; None where it cannot be evaluated without harm.

    `d.h[mask] = value` is parsed as `torch.where(mask, value, d.h)`, with what `d.h` was assigned before.
    """
    assigned = _assigned(source, subject, subject.name)
    place = ""
    if isinstance(assigned, ast.Name) and subject.written_at is not None:
        # `d.h = dh` says nothing by itself: what matters is how dh was computed.
        computed = _computed(assigned.id, subject.written_at)
        if computed is not None:
            place = f"where `{assigned.id}` is computed, "
            assigned = computed
    if assigned is None:
        return None
    masked = isinstance(assigned, _Masked)
    variables = {"torch": torch, **subject.variables}
    expression = assigned.as_where() if isinstance(assigned, _Masked) else assigned
    if not _is_pure(expression, variables):
        return None
    gradients = {name: one for name, one in subject.references.items() if name != subject.name}
    parsed = Statement(
        expression,
        (assigned.mask, assigned.value) if isinstance(assigned, _Masked) else (expression,),
        variables,
        forward=_holders(subject, Trace),
        backward=_holders(subject, Gradients),
        gradients=gradients,
        locals=_locals(expression, subject),
        place=place,
    )
    if any(gradient_named(node, subject) == subject.name for node in ast.walk(expression)):
        before = _assigned_before(source, subject) if masked else _added_to(parsed, subject)
        if before is None:
            return None
        gradients[subject.name] = before
    return parsed


def _added_to(parsed: Statement, subject: Subject) -> Tensor | None:
    """What a gradient held before its own statement added to it: what remains of it without the rest."""
    own = [
        node
        for node in ast.walk(parsed.expression)
        if isinstance(node, ast.expr) and gradient_named(node, subject) == subject.name
    ]
    if len(own) > 1 or not _is_summand(parsed.expression, own[0]):
        return None
    nothing = {**parsed.gradients, subject.name: torch.zeros_like(subject.candidate)}
    with parsed.trial(subject.candidate, nothing) as trial:
        rest = trial.evaluate(parsed.expression)
    return subject.candidate - rest if rest is not None and rest.shape == subject.candidate.shape else None


def _assigned_before(source: str | None, subject: Subject) -> Tensor | None:
    """What a gradient was assigned before one of its parts was."""
    earlier = statement(subject.written_at) if subject.written_at else None
    parsed = parse_statement(earlier, subject) if earlier != source else None
    if parsed is None:
        return None
    with parsed.trial(subject.candidate, parsed.gradients) as trial:
        return trial.evaluate(parsed.expression)


def gradient_named(node: ast.AST, subject: Subject) -> str | None:
    """The name of the gradient that a node reads or writes, `d.h` or `d["h"]`; None for any other node."""
    return _name_of(node, subject, _holders(subject, Gradients))


def value_named(node: ast.AST, subject: Subject) -> str | None:
    """The name of the forward tensor that a node reads, `t.h` or `t["h"]`; None for any other node."""
    return _name_of(node, subject, _holders(subject, Trace))


def _holders(subject: Subject, kind: type) -> frozenset[str]:
    return frozenset(name for name, value in subject.variables.items() if isinstance(value, kind))


def _name_of(node: ast.AST, subject: Subject, holders: frozenset[str]) -> str | None:
    if not isinstance(node, (ast.Attribute, ast.Subscript)):
        return None
    if not (isinstance(node.value, ast.Name) and node.value.id in holders):
        return None
    if isinstance(node, ast.Attribute):
        return node.attr
    if not all(
        isinstance(
            one, (ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Name, ast.BinOp, ast.operator, ast.expr_context)
        )
        for one in ast.walk(node.slice)
    ):
        return None
    try:
        name = eval(compile(ast.Expression(node.slice), "<name>", "eval"), dict(subject.variables))
    except Exception:  # a name that depends on what is no longer known
        return None
    return name if isinstance(name, str) else None


@dataclass(frozen=True)
class _Masked:
    """An assignment to a part of a gradient."""

    gradient: ast.expr
    mask: ast.expr
    value: ast.expr

    def as_where(self) -> ast.expr:
        """What the gradient is afterwards."""
        read = ast.parse(ast.unparse(self.gradient), mode="eval").body
        where = ast.parse("torch.where", mode="eval").body
        return ast.copy_location(ast.Call(where, [self.mask, self.value, read], []), self.gradient)


def _assigned(source: str | None, subject: Subject, name: str) -> ast.expr | _Masked | None:
    """What the only assignment to a gradient in some source assigns."""
    try:
        tree = ast.parse(source or "")
    except SyntaxError:
        return None
    found = [value for node in ast.walk(tree) if (value := _value_assigned(node, subject, name)) is not None]
    return found[0] if len(found) == 1 else None


def _computed(variable: str, before: Location) -> ast.expr | None:
    """What the last plain assignment to a variable above a line of its function assigns."""
    try:
        tree = ast.parse("".join(linecache.getlines(before.file)))
    except (SyntaxError, ValueError):
        return None
    holding = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.lineno <= before.line <= (node.end_lineno or 0)
    ]
    if not holding:
        return None
    found = [
        node
        for node in ast.walk(max(holding, key=lambda node: node.lineno))
        if isinstance(node, ast.Assign) and node.lineno < before.line and _is_variable(node.targets, variable)
    ]
    return max(found, key=lambda node: node.lineno).value if found else None


def _is_variable(targets: list[ast.expr], variable: str) -> bool:
    return len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id == variable


def _value_assigned(node: ast.AST, subject: Subject, name: str) -> ast.expr | _Masked | None:
    if isinstance(node, ast.Assign) and any(gradient_named(one, subject) == name for one in node.targets):
        return node.value
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        target = node.targets[0]
        if gradient_named(target.value, subject) == name:
            return _Masked(target.value, target.slice, node.value)
    if isinstance(node, ast.AnnAssign) and gradient_named(node.target, subject) == name:
        return node.value
    if isinstance(node, ast.AugAssign) and gradient_named(node.target, subject) == name:
        read = ast.parse(ast.unparse(node.target), mode="eval").body
        return ast.copy_location(ast.BinOp(read, node.op, node.value), node)
    return None


def _locals(expression: ast.expr, subject: Subject) -> dict[str, str]:
    """The variables of an expression that were assigned to a gradient, `d.h = dh`, before the statement ran.

    They hold what the pass computed, which may have been wrong.
    """
    read = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    tensors = {name for name in read if isinstance(subject.variables.get(name), Tensor)}
    found: dict[str, str] = {}
    for event in subject.events_before if tensors else ():
        if event.access is Access.WRITE and event.name != subject.name:
            assigned = _assigned(statement(event.location), subject, event.name)
            if isinstance(assigned, ast.Name) and assigned.id in tensors:
                found[assigned.id] = event.name
    return found


def _is_summand(expression: ast.expr, part: ast.expr) -> bool:
    """Whether an expression is the part plus, or minus, something else."""
    if expression is part:
        return True
    if not isinstance(expression, ast.BinOp):
        return False
    if isinstance(expression.op, ast.Add):
        return _is_summand(expression.left, part) or _is_summand(expression.right, part)
    return isinstance(expression.op, ast.Sub) and _is_summand(expression.left, part)


def _is_pure(expression: ast.expr, variables: Mapping[str, object]) -> bool:
    """Whether evaluating an expression again, changed or not, has no effect but its value."""
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
        known = variables.get(call.func.id)
        if known is None:
            return call.func.id in _BUILTINS
        return _is_of_modules(getattr(known, "__module__", None)) and not _IMPURE.fullmatch(call.func.id)
    if not isinstance(call.func, ast.Attribute) or _IMPURE.fullmatch(call.func.attr):
        return False
    owner = _resolve(call.func.value, variables)
    if isinstance(owner, ModuleType):
        return _is_of_modules(owner.__name__)
    return owner is None or isinstance(owner, (Tensor, tuple, str, int, float))


def _resolve(node: ast.expr, variables: Mapping[str, object]) -> object:
    """What a dotted name stands for; None for any other expression, whose value is a tensor or a number."""
    if isinstance(node, ast.Name):
        return variables.get(node.id, node)
    if isinstance(node, ast.Attribute):
        owner = _resolve(node.value, variables)
        if owner is None or isinstance(owner, (Trace, Gradients, Tensor)):
            return None
        return getattr(owner, node.attr, node)
    return None


def _is_of_modules(name: str | None) -> bool:
    return name is not None and name.split(".")[0] in _MODULES
