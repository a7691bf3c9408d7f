"""What can be broken in a backward: every edit of one thing at a time, as changes of its syntax tree."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from gradverify.word import Word


class Kind(Word):
    """What an edit breaks."""

    OPERATOR = "operator"
    SIGN = "sign"
    CONSTANT = "constant"
    FACTOR = "factor dropped"
    TERM = "term dropped"
    ORDER = "operands swapped"
    TRANSPOSE = "transpose dropped"
    REDUCTION = "reduction"
    KEEPDIM = "keepdim"
    COMPARISON = "comparison"
    ACCUMULATION = "accumulation"
    DELETION = "statement deleted"
    TENSOR = "other tensor"


@dataclass(frozen=True)
class Mutant:
    """One thing broken.

    Attributes:
        kind: what is broken.
        line, last_line: the lines of the statement that holds it; of a compound statement those of its header.
        before: that statement, on one line; after: the same once it is broken, empty where it is deleted.
    """

    kind: Kind
    line: int
    last_line: int
    before: str
    after: str


@dataclass(frozen=True)
class Edit:
    """How a mutant is made: one statement takes the place of another, at the same lines."""

    mutant: Mutant
    old: ast.stmt
    new: ast.stmt


@dataclass(frozen=True)
class Names:
    """What the names in a backward stand for; the tree alone does not tell.

    Attributes:
        values: the name of the parameter that holds the forward values, `t`; gradients: the other one, `d`.
        value_twins: for a forward value, another of the same shape.
        gradient_twins: for a line and a gradient that is read there, another of the same shape that is derived
            by then.
        modules: the names of modules, such as `torch`: `torch.sum(x)` is no method of a tensor.
    """

    values: str
    gradients: str
    value_twins: Mapping[str, str] = field(default_factory=dict)
    gradient_twins: Mapping[tuple[int, str], str] = field(default_factory=dict)
    modules: Collection[str] = ("torch",)


def find_edits(function: ast.FunctionDef, names: Names) -> list[Edit]:
    """Every way to break one thing in a function, in the order of the source; none twice.

    What it defines inside (functions, classes) is left alone, as are the helpers that it calls: whether those
    are right is seen where their result is used.
    """
    found: list[Edit] = []
    seen: set[tuple[ast.stmt, str]] = set()
    for statement in statements_of(function.body):
        for kind, new in _broken(statement, names):
            ast.fix_missing_locations(ast.copy_location(new, statement))
            before, after = _text(statement), "" if isinstance(new, ast.Pass) else _text(new)
            if after == before or (statement, after) in seen:
                continue
            seen.add((statement, after))
            mutant = Mutant(kind, statement.lineno, _last_line(statement), before, after)
            found.append(Edit(mutant, statement, new))
    return found


def statements_of(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body and of the compound ones in it, in the order of the source.

    Functions and classes defined there are left out, with all that they hold.
    """
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        yield statement
        for name in ("body", "handlers", "cases", "orelse", "finalbody"):
            for part in getattr(statement, name, ()):
                yield from statements_of([part] if isinstance(part, ast.stmt) else part.body)


_Change = tuple[Kind, ast.expr]

_OPERATORS: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.Gt, ast.LtE),
    ast.LtE: (ast.Gt, ast.Lt),
    ast.Gt: (ast.Lt, ast.GtE),
    ast.GtE: (ast.Lt, ast.Gt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
# Before these a minus makes sense; a value that has one already loses it by an edit of its own.
_SIGNED = (ast.BinOp, ast.Attribute, ast.Subscript, ast.Call, ast.Name)
_UNSYMMETRIC = (ast.Sub, ast.Div, ast.FloorDiv, ast.MatMult, ast.Pow)

# Attributes, and methods, that give a tensor with its dimensions in another order.
_TRANSPOSED = frozenset({"T", "mT", "H", "mH"})
_TRANSPOSING = frozenset({"t", "transpose", "swapaxes", "swapdims", "permute", "adjoint", "movedim"})
_REDUCTIONS = {
    "sum": "mean",
    "mean": "sum",
    "nansum": "nanmean",
    "nanmean": "nansum",
    "prod": "sum",
    "amax": "amin",
    "amin": "amax",
    "max": "min",
    "min": "max",
    "logsumexp": "sum",
    "norm": "sum",
}
# Those that give positions change, but are not dropped: what they read is no substitute for an index.
_POSITIONS = {"argmax": "argmin", "argmin": "argmax"}
_METHODS: Mapping[str, tuple[Kind, str]] = {
    "add": (Kind.OPERATOR, "sub"),
    "add_": (Kind.OPERATOR, "sub_"),
    "sub": (Kind.OPERATOR, "add"),
    "sub_": (Kind.OPERATOR, "add_"),
    "mul": (Kind.OPERATOR, "div"),
    "mul_": (Kind.OPERATOR, "div_"),
    "div": (Kind.OPERATOR, "mul"),
    "div_": (Kind.OPERATOR, "mul_"),
    "gt": (Kind.COMPARISON, "lt"),
    "ge": (Kind.COMPARISON, "lt"),
    "lt": (Kind.COMPARISON, "gt"),
    "le": (Kind.COMPARISON, "gt"),
    "eq": (Kind.COMPARISON, "ne"),
    "ne": (Kind.COMPARISON, "eq"),
    **{name: (Kind.REDUCTION, other) for name, other in (_REDUCTIONS | _POSITIONS).items()},
}


def _broken(statement: ast.stmt, names: Names) -> Iterator[tuple[Kind, ast.stmt]]:
    for node in _expressions(statement):
        for kind, new in _changes(node, names):
            # A memo that knows the node already makes the copy hold the new one in its place.
            yield kind, copy.deepcopy(statement, {id(node): new})
    if isinstance(statement, ast.AugAssign):
        other = _OPERATORS.get(type(statement.op))
        if other is not None:
            yield Kind.OPERATOR, ast.AugAssign(statement.target, other(), statement.value)
        yield Kind.ACCUMULATION, ast.Assign([statement.target], statement.value)
    value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
    if isinstance(value, _SIGNED) and not _is_text(value):
        yield Kind.SIGN, copy.deepcopy(statement, {id(value): _negative(value)})
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)) or _is_call(statement):
        yield Kind.DELETION, ast.Pass()


def _is_call(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions of a statement, outer ones first; those of the statements inside it are theirs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            continue
        if isinstance(child, ast.expr):
            yield child
        yield from _expressions(child)


def _changes(node: ast.expr, names: Names) -> Iterator[_Change]:
    """Every way to break one expression; those inside it are broken in their turn."""
    if isinstance(node, ast.BinOp):
        yield from _change_binary(node)
    elif isinstance(node, ast.UnaryOp):
        yield from _change_unary(node)
    elif isinstance(node, ast.Constant):
        yield from _change_constant(node)
    elif isinstance(node, ast.Compare):
        yield from _change_compare(node)
    elif isinstance(node, ast.BoolOp):
        yield Kind.COMPARISON, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.Call):
        yield from _change_call(node, names)
    elif isinstance(node, (ast.Attribute, ast.Subscript)):
        yield from _change_access(node, names)


def _change_binary(node: ast.BinOp) -> Iterator[_Change]:
    left, op, right = node.left, node.op, node.right
    if _is_text(node):
        return
    other = _OPERATORS.get(type(op))
    if other is not None:
        yield Kind.OPERATOR, ast.BinOp(left, other(), right)
    if isinstance(op, (ast.Mult, ast.Div)):
        yield Kind.FACTOR, left
    if isinstance(op, ast.Mult):
        yield Kind.FACTOR, right
    if isinstance(op, (ast.Add, ast.Sub)):
        yield Kind.TERM, left
        yield Kind.TERM, right if isinstance(op, ast.Add) else _negative(right)
    if isinstance(op, _UNSYMMETRIC):
        yield Kind.ORDER, ast.BinOp(right, op, left)


def _change_unary(node: ast.UnaryOp) -> Iterator[_Change]:
    if isinstance(node.op, ast.USub):
        yield Kind.SIGN, node.operand
    elif isinstance(node.op, (ast.Not, ast.Invert)):
        yield Kind.COMPARISON, node.operand


def _change_constant(node: ast.Constant) -> Iterator[_Change]:
    value = node.value
    if isinstance(value, bool):  # an integer to Python
        return
    if isinstance(value, int):
        yield Kind.CONSTANT, ast.Constant(value + 1)
        yield Kind.CONSTANT, _number(value - 1)
    elif isinstance(value, float):
        # Doubled, so that an epsilon stays one.
        yield Kind.CONSTANT, ast.Constant(value * 2 if value else 1.0)


def _change_compare(node: ast.Compare) -> Iterator[_Change]:
    for position, op in enumerate(node.ops):
        for other in _COMPARISONS[type(op)]:
            ops = [*node.ops[:position], other(), *node.ops[position + 1 :]]
            yield Kind.COMPARISON, ast.Compare(node.left, ops, node.comparators)


def _change_access(node: ast.Attribute | ast.Subscript, names: Names) -> Iterator[_Change]:
    """Exchange `t.h` or `d.h` for another tensor of the same shape, or `x.T` for `x`."""
    holder = node.value.id if isinstance(node.value, ast.Name) else None
    if holder in (names.values, names.gradients):
        twin = _twin(node, holder == names.values, names)
        if twin is not None:
            yield Kind.TENSOR, twin
    elif isinstance(node, ast.Attribute) and node.attr in _TRANSPOSED:
        yield Kind.TRANSPOSE, node.value


def _twin(node: ast.Attribute | ast.Subscript, is_value: bool, names: Names) -> ast.expr | None:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node.slice, "value", None)
    if not isinstance(node.ctx, ast.Load) or not isinstance(name, str):
        return None
    other = names.value_twins.get(name) if is_value else names.gradient_twins.get((node.lineno, name))
    if other is None:
        return None
    if other.isidentifier():
        return ast.Attribute(node.value, other, node.ctx)
    return ast.Subscript(node.value, ast.Constant(other), node.ctx)


def _change_call(node: ast.Call, names: Names) -> Iterator[_Change]:
    for left, right in itertools.pairwise(range(len(node.args))):
        if not any(isinstance(node.args[one], (ast.Constant, ast.Starred)) for one in (left, right)):
            swapped = [*node.args[:left], node.args[right], node.args[left], *node.args[right + 1 :]]
            yield Kind.ORDER, ast.Call(node.func, swapped, node.keywords)
    function = node.func
    if not isinstance(function, ast.Attribute):
        return
    is_method = _root(function) not in names.modules
    operand = function.value if is_method else next(iter(node.args), None)
    if function.attr in _METHODS:
        kind, other = _METHODS[function.attr]
        yield kind, ast.Call(ast.Attribute(function.value, other, function.ctx), node.args, node.keywords)
    if operand is None:
        return
    if function.attr in _TRANSPOSING:
        yield Kind.TRANSPOSE, operand
    if function.attr in _REDUCTIONS:
        yield Kind.REDUCTION, operand
        yield from _change_keepdim(node, has_dimension=len(node.args) > (0 if is_method else 1))


def _change_keepdim(node: ast.Call, *, has_dimension: bool) -> Iterator[_Change]:
    given = {one.arg: one for one in node.keywords}
    keepdim = given.get("keepdim")
    if keepdim is None:
        if has_dimension or "dim" in given:
            added = ast.keyword("keepdim", ast.Constant(True))
            yield Kind.KEEPDIM, ast.Call(node.func, node.args, [*node.keywords, added])
    elif isinstance(keepdim.value, ast.Constant):
        flipped = ast.keyword("keepdim", ast.Constant(not keepdim.value.value))
        others = [flipped if one is keepdim else one for one in node.keywords]
        yield Kind.KEEPDIM, ast.Call(node.func, node.args, others)


def _negative(value: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.USub(), value)


def _number(value: int) -> ast.expr:
    return ast.Constant(value) if value >= 0 else _negative(ast.Constant(-value))


def _root(function: ast.expr) -> str | None:
    """The first name of `torch.linalg.norm`."""
    while isinstance(function, ast.Attribute):
        function = function.value
    return function.id if isinstance(function, ast.Name) else None


def _is_text(node: ast.expr) -> bool:
    """Whether an expression puts text together: `"h" + str(i)`, `"h%d" % i`."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _text(statement: ast.stmt) -> str:
    """A statement as Python spells it, on one line; of a compound one its header."""
    spelt = ast.unparse(statement)
    return spelt.partition("\n")[0] if _is_compound(statement) else spelt


def _last_line(statement: ast.stmt) -> int:
    if not _is_compound(statement):
        return statement.end_lineno or statement.lineno
    return max([statement.lineno, *(one.end_lineno or 0 for one in _expressions(statement))])


def _is_compound(statement: ast.stmt) -> bool:
    return hasattr(statement, "body") or hasattr(statement, "cases")
