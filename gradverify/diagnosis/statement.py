"""The statement that wrote a gradient, with what it saw, so that it can be evaluated again with something changed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradverify.diagnosis.assignment import find_assignment, find_computation, gradient_named
from gradverify.diagnosis.purity import is_pure
from gradverify.diagnosis.subject import Subject
from gradverify.diagnosis.trial import Handed, Trial
from gradverify.gradients import Access, Gradients
from gradverify.location import statement
from gradverify.trace import Trace


@dataclass(frozen=True)
class Statement:
    """An assignment to one gradient.

    Attributes:
        expression: what the gradient is afterwards.
        parts: of that, what the user wrote.
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

    def evaluate(self, like: Tensor) -> Tensor | None:
        """What it assigns, on right gradients; None where it cannot be evaluated."""
        with self.trial(like, self.gradients) as trial:
            return trial.evaluate(self.expression)


def parse_statement(source: str | None, subject: Subject) -> Statement | None:
    """The assignment to the subject's gradient in some source; None where it cannot be evaluated without harm."""
    assignment = find_assignment(source, subject, subject.name)
    if assignment is None:
        return None
    expression, parts, place = assignment.whole, assignment.parts, ""
    if isinstance(expression, ast.Name) and subject.written_at is not None:
        # `d.h = dh` says nothing by itself: what matters is how dh was computed.
        computed = find_computation(expression.id, subject.written_at)
        if computed is not None:
            place = f"where `{expression.id}` is computed, "
            expression, parts = computed, (computed,)
    variables = {"torch": torch, **subject.variables}
    if not is_pure(expression, variables):
        return None
    gradients = {name: one for name, one in subject.references.items() if name != subject.name}
    parsed = Statement(
        expression,
        parts,
        variables,
        forward=_holders(subject, Trace),
        backward=_holders(subject, Gradients),
        gradients=gradients,
        locals=_locals(expression, subject),
        place=place,
    )
    if any(gradient_named(node, subject) == subject.name for node in ast.walk(expression)):
        before = _added_to(parsed, subject) if assignment.mask is None else _assigned_before(source, subject)
        if before is None:
            return None
        gradients[subject.name] = before
    return parsed


def _added_to(parsed: Statement, subject: Subject) -> Tensor | None:
    """What a gradient held before its own statement added to it: what remains of it without the rest."""
    own = [node for node in ast.walk(parsed.expression) if gradient_named(node, subject) == subject.name]
    if len(own) > 1 or not _is_summand(parsed.expression, own[0]):
        return None
    nothing = {**parsed.gradients, subject.name: torch.zeros_like(subject.candidate)}
    with parsed.trial(subject.candidate, nothing) as trial:
        rest = trial.evaluate(parsed.expression)
    return subject.candidate - rest if rest is not None and rest.shape == subject.candidate.shape else None


def _assigned_before(source: str | None, subject: Subject) -> Tensor | None:
    """What a gradient was assigned before a part of it was."""
    earlier = statement(subject.written_at) if subject.written_at else None
    parsed = parse_statement(earlier, subject) if earlier != source else None
    return parsed.evaluate(subject.candidate) if parsed else None


def _holders(subject: Subject, kind: type) -> frozenset[str]:
    return frozenset(name for name, value in subject.variables.items() if isinstance(value, kind))


def _locals(expression: ast.expr, subject: Subject) -> dict[str, str]:
    """The variables of an expression that were assigned to a gradient, `d.h = dh`, before the statement ran.

    They hold what the pass computed, which may have been wrong.
    """
    read = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    tensors = {name for name in read if isinstance(subject.variables.get(name), Tensor)}
    found: dict[str, str] = {}
    for event in subject.events_before if tensors else ():
        if event.access is Access.WRITE and event.name != subject.name:
            assigned = find_assignment(statement(event.location), subject, event.name)
            if assigned and isinstance(assigned.whole, ast.Name) and assigned.whole.id in tensors:
                found[assigned.whole.id] = event.name
    return found


def _is_summand(expression: ast.expr, part: ast.AST) -> bool:
    """Whether an expression is the part plus, or minus, something else."""
    if expression is part:
        return True
    if not isinstance(expression, ast.BinOp):
        return False
    if isinstance(expression.op, ast.Add):
        return _is_summand(expression.left, part) or _is_summand(expression.right, part)
    return isinstance(expression.op, ast.Sub) and _is_summand(expression.left, part)
