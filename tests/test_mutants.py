"""What can be broken in a backward, edit by edit."""

import ast
import textwrap

import pytest

from gradverify.mutants import Edit, Kind, Names, find_edits

NAMES = Names(
    values="t",
    gradients="d",
    value_twins={"x": "y", "h": "enc.0"},
    gradient_twins={(2, "h"): "g"},
    modules={"torch", "np"},
)

# A statement, a kind of edit, and all that it makes of the statement.
TABLE = [
    ("d.x = a + b", Kind.OPERATOR, ["d.x = a - b"]),
    ("d.x = a - b", Kind.OPERATOR, ["d.x = a + b"]),
    ("d.x = a * b", Kind.OPERATOR, ["d.x = a / b"]),
    ("d.x = a / b", Kind.OPERATOR, ["d.x = a * b"]),
    ("d.x = a ** b", Kind.OPERATOR, ["d.x = a * b"]),
    ("d.x = a @ b", Kind.OPERATOR, ["d.x = a * b"]),
    ("d.x = a & b", Kind.OPERATOR, ["d.x = a | b"]),
    ("d.x += a", Kind.OPERATOR, ["d.x -= a"]),
    ("d.x.add_(a)", Kind.OPERATOR, ["d.x.sub_(a)"]),
    ("d.x = torch.mul(a, b)", Kind.OPERATOR, ["d.x = torch.div(a, b)"]),
    ("d.x = -a", Kind.SIGN, ["d.x = a"]),
    ("d.x = a", Kind.SIGN, ["d.x = -a"]),
    ("d.x: Tensor = a", Kind.SIGN, ["d.x: Tensor = -a"]),
    ("d.x = -a * b", Kind.SIGN, ["d.x = a * b", "d.x = -(-a * b)"]),
    ("d.x = (a, b)", Kind.SIGN, []),
    ("d.x = a.sum(-2)", Kind.SIGN, ["d.x = a.sum(2)", "d.x = -a.sum(-2)"]),
    ("d.x = 2 * a", Kind.CONSTANT, ["d.x = 3 * a", "d.x = 1 * a"]),
    ("d.x = 0 * a", Kind.CONSTANT, ["d.x = 1 * a", "d.x = -1 * a"]),
    ("d.x = 1e-05 * a", Kind.CONSTANT, ["d.x = 2e-05 * a"]),
    ("d.x = 0.0 + a", Kind.CONSTANT, ["d.x = 1.0 + a"]),
    ("d.x = a.clone(True)", Kind.CONSTANT, []),
    ("d['h0'] = a", Kind.CONSTANT, []),
    ("d.x = a * b", Kind.FACTOR, ["d.x = a", "d.x = b"]),
    ("d.x = a / b", Kind.FACTOR, ["d.x = a"]),
    ("d.x = a + b", Kind.TERM, ["d.x = a", "d.x = b"]),
    ("d.x = a - b", Kind.TERM, ["d.x = a", "d.x = -b"]),
    ("d.x = a @ b", Kind.ORDER, ["d.x = b @ a"]),
    ("d.x = a - b", Kind.ORDER, ["d.x = b - a"]),
    ("d.x = a * b", Kind.ORDER, []),
    ("d.x = torch.where(c, a, b)", Kind.ORDER, ["d.x = torch.where(a, c, b)", "d.x = torch.where(c, b, a)"]),
    ("d.x = a.scatter(1, i, b)", Kind.ORDER, ["d.x = a.scatter(1, b, i)"]),
    ("d.x = f(*a, b)", Kind.ORDER, []),
    ("d.x = t.w.T @ a", Kind.TRANSPOSE, ["d.x = t.w @ a"]),
    ("d.x = a.mT", Kind.TRANSPOSE, ["d.x = a"]),
    ("d.x = a.transpose(0, 1)", Kind.TRANSPOSE, ["d.x = a"]),
    ("d.x = torch.permute(a, (1, 0))", Kind.TRANSPOSE, ["d.x = a"]),
    ("d.x = t.T", Kind.TRANSPOSE, []),
    ("d.x = a.sum(0)", Kind.REDUCTION, ["d.x = a.mean(0)", "d.x = a"]),
    ("d.x = torch.mean(a, 0)", Kind.REDUCTION, ["d.x = torch.sum(a, 0)", "d.x = a"]),
    ("d.x = torch.linalg.norm(a)", Kind.REDUCTION, ["d.x = torch.linalg.sum(a)", "d.x = a"]),
    ("d.x = a.argmax(1)", Kind.REDUCTION, ["d.x = a.argmin(1)"]),
    ("d.x = a.sum(0)", Kind.KEEPDIM, ["d.x = a.sum(0, keepdim=True)"]),
    ("d.x = a.sum(dim=0)", Kind.KEEPDIM, ["d.x = a.sum(dim=0, keepdim=True)"]),
    ("d.x = a.sum(0, keepdim=True)", Kind.KEEPDIM, ["d.x = a.sum(0, keepdim=False)"]),
    ("d.x = torch.sum(a, 0)", Kind.KEEPDIM, ["d.x = torch.sum(a, 0, keepdim=True)"]),
    ("d.x = torch.sum(a)", Kind.KEEPDIM, []),
    ("d.x = a.sum()", Kind.KEEPDIM, []),
    ("d.x = a > 0", Kind.COMPARISON, ["d.x = a < 0", "d.x = a >= 0"]),
    ("d.x = a <= 0", Kind.COMPARISON, ["d.x = a > 0", "d.x = a < 0"]),
    ("d.x = a == b", Kind.COMPARISON, ["d.x = a != b"]),
    ("d.x = a.gt(0)", Kind.COMPARISON, ["d.x = a.lt(0)"]),
    ("d.x = ~a", Kind.COMPARISON, ["d.x = a"]),
    ("d.x = a and b", Kind.COMPARISON, ["d.x = a or b"]),
    ("d.x += a", Kind.ACCUMULATION, ["d.x = a"]),
    ("d.x[i] -= a", Kind.ACCUMULATION, ["d.x[i] = a"]),
    ("d.x = a", Kind.DELETION, [""]),
    ("d.x += a", Kind.DELETION, [""]),
    ("d.x.index_add_(0, i, a)", Kind.DELETION, [""]),
    ("pass", Kind.DELETION, []),
    ("'a docstring'", Kind.DELETION, []),
    ("d.z = t.x * 2", Kind.TENSOR, ["d.z = t.y * 2"]),
    ("d.z = t['x'] * 2", Kind.TENSOR, ["d.z = t.y * 2"]),
    ("d.z = t.h", Kind.TENSOR, ["d.z = t['enc.0']"]),
    ("d.z = d.h", Kind.TENSOR, ["d.z = d.g"]),
    ("d.z = t[f'h{i}']", Kind.TENSOR, []),
    ("d.x = other.x", Kind.TENSOR, []),
]


def edits_of(body: str, names: Names = NAMES) -> list[Edit]:
    """The edits of a backward with this body, whose first statement is on line 2."""
    return find_edits(parse(body), names)


def parse(body: str) -> ast.FunctionDef:
    source = "def backward(self, t, d):\n" + textwrap.indent(body, "    ")
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    return function


@pytest.mark.parametrize(("statement", "kind", "expected"), TABLE)
def test_each_kind_of_edit_breaks_a_statement_in_its_ways(statement, kind, expected):
    """Exactly these, in this order; a kind that does not apply makes none."""
    assert [edit.mutant.after for edit in edits_of(statement) if edit.mutant.kind is kind] == expected


def test_text_is_no_arithmetic():
    """A name that is put together is not taken apart: `"h" + i` is no sum of gradients."""
    kinds = {edit.mutant.kind for edit in edits_of("name = 'h' + str(i)\nother = f'h{i}'\nthird = 'h%d' % i")}
    assert kinds == {Kind.DELETION}


def test_compound_statements_are_broken_in_their_header_and_in_their_body():
    """The header on its own line; nothing of the body counts to it."""
    found = [edit.mutant for edit in edits_of("while n > 0:\n    n -= 1\nelse:\n    d.x = a")]
    header = [(one.line, one.last_line, one.after) for one in found if one.kind is Kind.COMPARISON]
    assert header == [(2, 2, "while n < 0:"), (2, 2, "while n >= 0:")]
    assert {one.line for one in found} == {2, 3, 5}


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("for i in range(n):\n    d.x = a", {3}),
        ("if flag:\n    d.x = a\nelif other:\n    d.x = b", {3, 5}),
        ("try:\n    d.x = a\nexcept E:\n    d.x = b\nfinally:\n    d.x = c", {3, 5, 7}),
        ("with torch.no_grad():\n    d.x = a", {3}),
        ("match n:\n    case 1:\n        d.x = a", {4}),
        ("def helper():\n    return a + b\nclass C:\n    x = a + b\nd.x = a", {6}),
    ],
)
def test_every_statement_but_those_of_inner_functions_can_be_deleted(body, lines):
    """In whatever it is nested."""
    assert {edit.mutant.line for edit in edits_of(body) if edit.mutant.kind is Kind.DELETION} == lines


def test_a_mutant_keeps_the_lines_of_its_statement():
    """Of one over several lines too, so that what it raises points into the user's file."""
    edits = edits_of("d.x = torch.where(\n    c > 0,\n    a,\n    b,\n)")
    assert {(edit.mutant.line, edit.mutant.last_line) for edit in edits} == {(2, 6)}
    for edit in edits:
        lines = {node.lineno for node in ast.walk(edit.new) if isinstance(node, (ast.expr, ast.stmt))}
        assert lines <= {2, 3, 4, 5}, edit.mutant.after
        (comparison,) = [node for node in ast.walk(edit.new) if isinstance(node, ast.Compare)] or [None]
        assert comparison is None or comparison.lineno in (2, 3)


def test_the_original_is_left_as_it_was():
    """Making the mutants changes nothing of the tree that they are made of, its locations included."""
    function = parse("d.x = (a *\n    b).sum(0)\nd.x += 1 - a")
    before = ast.dump(function, include_attributes=True)
    assert find_edits(function, NAMES)
    assert ast.dump(function, include_attributes=True) == before


def test_no_mutant_is_made_twice_or_is_the_original():
    """Two edits that give the same text are one."""
    texts = [edit.mutant.after for edit in edits_of("d.x = a * a - a")]
    assert len(texts) == len(set(texts))
    assert "d.x = a * a - a" not in texts


def test_the_same_source_gives_the_same_mutants():
    """In the same order."""
    body = "d.x = 2 * t.x.T @ d.h\nd.y = d.h.sum(0) - t.h"
    assert [edit.mutant for edit in edits_of(body)] == [edit.mutant for edit in edits_of(body)]


def test_without_twins_no_tensor_is_exchanged():
    """What has the same shape is known from a run alone."""
    kinds = {edit.mutant.kind for edit in edits_of("d.z = t.x * d.h", Names("t", "d"))}
    assert Kind.TENSOR not in kinds


def test_every_mutant_is_python():
    """Each edit of each statement of the table compiles."""
    for statement, _, _ in TABLE:
        function = parse(statement)
        for edit in find_edits(function, NAMES):
            function.body[0] = edit.new
            compile(ast.Module([function], []), "<mutant>", "exec")
