"""The edits that need to know which tensors there are: one for another, a factor more, another size."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from torch import Tensor

from gradverify.case import Case
from gradverify.diagnosis.assignment import gradient_named, value_named
from gradverify.diagnosis.edits import Change, Effort, Meant, number_of, reduced_in, terms_of
from gradverify.diagnosis.sample import broadcasts_to
from gradverify.diagnosis.statement import Statement
from gradverify.diagnosis.subject import Subject

_Key = tuple[str, str]


@dataclass(frozen=True)
class _Known:
    """A tensor that the statement could have named."""

    expression: ast.expr
    value: Tensor


class Swaps:
    """The changes of one statement that put other tensors in."""

    def __init__(self, subject: Subject, parsed: Statement) -> None:
        self._subject = subject
        terms = terms_of(parsed.expression)
        self._summed = [*(terms if len(terms) > 1 else ()), *reduced_in(parsed.expression)]
        self._terms = terms
        self._reads_gradient = bool(parsed.locals) or any(
            gradient_named(node, subject) is not None for node in ast.walk(parsed.expression)
        )
        self._known: dict[_Key, _Known] = {}
        for holder in sorted(parsed.forward)[:1]:
            for name, value in subject.values.items():
                self._known["t", name] = _Known(_read(holder, name), value)
        for holder in sorted(parsed.backward)[:1]:
            for name in sorted(subject.derived_before & subject.references.keys()):
                self._known["d", name] = _Known(_read(holder, name), subject.references[name])
        for name, local in parsed.variables.items():
            if isinstance(local, Tensor):
                self._known["local", name] = _Known(ast.Name(name, ast.Load()), local)
        self._cases = {name for name, one in parsed.variables.items() if isinstance(one, Case)}

    @property
    def changes(self) -> tuple[Change, ...]:
        """To be added to the changes that need no tensors."""
        return (
            Change(self.swap_tensor),
            Change(self.swap_size),
            Change(self.add_upstream, "the upstream gradient is ignored: "),
            Change(self.add_factor),
        )

    def swap_tensor(self, node: ast.expr) -> Meant:
        """Another tensor, of the same shape or of one that broadcasts with it."""
        key = self._key(node)
        if key not in self._known:
            return
        own = self._known[key].value.shape
        for (kind, name), other in self._known.items():
            shape = other.value.shape
            is_alike = broadcasts_to(shape, own) or broadcasts_to(own, shape)
            # A gradient of the wrong shape may well come from a tensor of the wrong shape.
            if (kind, name) == key or not (is_alike or (len(shape) == len(own) and not self._subject.has_shape)):
                continue
            alike = shape == own and (kind == key[0] or name == key[1])
            effort = Effort.TOKEN if alike else Effort.SYMBOL if shape == own else Effort.CALL
            yield effort, other.expression

    def swap_size(self, node: ast.expr) -> Meant:
        """Another size of the case."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in self._cases:
            own = self._subject.sizes.get(node.attr)
            for name, size in self._subject.sizes.items() if own is not None else ():
                if size != own:
                    yield Effort.TOKEN, ast.Attribute(node.value, name, ast.Load())

    def add_upstream(self, node: ast.expr) -> Meant:
        """An upstream gradient, where the statement reads none."""
        if self._reads_gradient or number_of(node) is not None or isinstance(node, ast.Compare):
            return
        for (kind, _), other in self._known.items():
            if kind == "d":
                yield Effort.SYMBOL, ast.BinOp(node, ast.MatMult(), other.expression)
                yield Effort.SYMBOL, ast.BinOp(other.expression, ast.MatMult(), node)
                yield Effort.SYMBOL, ast.BinOp(node, ast.Mult(), other.expression)
                if isinstance(node, ast.Call):
                    yield Effort.SYMBOL, other.expression  # ones in its place

    def add_factor(self, node: ast.expr) -> Meant:
        """A factor, or a division, that one of several terms lacks, or what is summed; or a product of matrices."""
        is_summed = any(node is one for one in self._summed)
        is_term = any(node is one for one in self._terms)
        for (kind, _), other in self._known.items() if is_summed or is_term else ():
            one, shape = other.expression, other.value.shape
            if is_summed:
                yield Effort.FACTOR, ast.BinOp(one, ast.Mult(), node)
                yield Effort.FACTOR, ast.BinOp(ast.BinOp(ast.Constant(1), ast.Sub(), one), ast.Mult(), node)
                yield Effort.FACTOR, ast.BinOp(node, ast.Div(), one)
            if is_term and len(shape) > 1:
                turned = one if kind == "d" else ast.Attribute(one, "mT" if len(shape) > 2 else "T", ast.Load())
                yield Effort.FACTOR, ast.BinOp(turned, ast.MatMult(), node)
                yield Effort.FACTOR, ast.BinOp(node, ast.MatMult(), turned)

    def _key(self, node: ast.expr) -> _Key:
        value, gradient = value_named(node, self._subject), gradient_named(node, self._subject)
        if value is not None:
            return "t", value
        if gradient is not None:
            return "d", gradient
        return "local", node.id if isinstance(node, ast.Name) else ""


def _read(holder: str, name: str) -> ast.expr:
    if name.isidentifier():
        return ast.Attribute(ast.Name(holder, ast.Load()), name, ast.Load())
    return ast.Subscript(ast.Name(holder, ast.Load()), ast.Constant(name), ast.Load())
