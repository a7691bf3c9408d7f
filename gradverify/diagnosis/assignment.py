"""What a line of the user's code assigns to a gradient."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeGuard

from gradverify.diagnosis.subject import Subject
from gradverify.gradients import Gradients
from gradverify.location import Location
from gradverify.trace import Trace

# What the name of a tensor is made of: "h", name, f"h{i}", "h" + str(i).
_NAMING = (ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Name, ast.BinOp, ast.operator, ast.expr_context)


@dataclass(frozen=True)
class Assignment:
    """What one statement assigns: `d.h = expression`, or `d.h[mask] = expression`.

    `d.h += more` counts as `d.h = d.h + more`.
    """

    expression: ast.expr
    gradient: ast.expr
    mask: ast.expr | None = None

    @property
    def whole(self) -> ast.expr:
        """What the gradient is afterwards: `torch.where(mask, expression, d.h)` where a part of it is assigned."""
        if self.mask is None:
            return self.expression
        where = ast.parse("torch.where", mode="eval").body
        return ast.copy_location(ast.Call(where, [self.mask, self.expression, _read(self.gradient)], []), self.gradient)

    @property
    def parts(self) -> tuple[ast.expr, ...]:
        """What of that the user wrote."""
        return (self.expression,) if self.mask is None else (self.mask, self.expression)


def find_assignment(source: str | None, subject: Subject, name: str) -> Assignment | None:
    """The only assignment to a gradient in some source; None where there is none, or it is of another form."""
    try:
        tree = ast.parse(source or "")
    except SyntaxError:
        return None
    found = [one for node in ast.walk(tree) if (one := _assignment(node, subject, name)) is not None]
    return found[0] if len(found) == 1 else None


def find_computation(variable: str, before: Location) -> ast.expr | None:
    """What the last plain assignment to a variable, above a line of the same function, assigns."""
    tree = _parse_file("".join(linecache.getlines(before.file)))
    if tree is None:
        return None
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.lineno <= before.line <= (node.end_lineno or 0)
    ]
    if not functions:
        return None
    innermost = max(functions, key=lambda node: node.lineno)
    found = [node for node in ast.walk(innermost) if _assigns_variable(node, variable) and node.lineno < before.line]
    return max(found, key=lambda node: node.lineno).value if found else None


@lru_cache(maxsize=4)
def _parse_file(source: str) -> ast.Module | None:
    """The tree of a whole file, which nobody changes; of a long one a run with many mistakes asks again and again."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return None


def gradient_named(node: ast.AST, subject: Subject) -> str | None:
    """The name of the gradient that a node reads or writes, `d.h` or `d["h"]`; None for any other node."""
    return _name_of(node, subject, Gradients)


def value_named(node: ast.AST, subject: Subject) -> str | None:
    """The name of the forward tensor that a node reads, `t.h` or `t["h"]`; None for any other node."""
    return _name_of(node, subject, Trace)


def _name_of(node: ast.AST, subject: Subject, kind: type) -> str | None:
    if not isinstance(node, (ast.Attribute, ast.Subscript)) or not isinstance(node.value, ast.Name):
        return None
    if not isinstance(subject.variables.get(node.value.id), kind):
        return None
    if isinstance(node, ast.Attribute):
        return node.attr
    if not all(isinstance(one, _NAMING) for one in ast.walk(node.slice)):
        return None
    try:
        name = eval(compile(ast.Expression(node.slice), "<name>", "eval"), dict(subject.variables))
    except Exception:  # the name is made of what is no longer known
        return None
    return name if isinstance(name, str) else None


def _assignment(node: ast.AST, subject: Subject, name: str) -> Assignment | None:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if gradient_named(target, subject) == name:
                return Assignment(node.value, target)
            if isinstance(target, ast.Subscript) and gradient_named(target.value, subject) == name:
                return Assignment(node.value, target.value, target.slice)
    elif isinstance(node, ast.AnnAssign) and node.value and gradient_named(node.target, subject) == name:
        return Assignment(node.value, node.target)
    elif isinstance(node, ast.AugAssign) and gradient_named(node.target, subject) == name:
        total = ast.copy_location(ast.BinOp(_read(node.target), node.op, node.value), node)
        return Assignment(total, node.target)
    return None


def _assigns_variable(node: ast.AST, variable: str) -> TypeGuard[ast.Assign]:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [variable]


def _read(target: ast.expr) -> ast.expr:
    """A target as an expression."""
    return ast.copy_location(ast.parse(ast.unparse(target), mode="eval").body, target)
