"""A case with an edited backward: everything else of it stays, and nothing of the user's changes."""

import ast
import functools
import importlib.util
import traceback
from types import SimpleNamespace

import pytest
import torch

from gradverify import Case
from gradverify.function_case import FunctionCase
from gradverify.location import Location, is_users, statement
from gradverify.rewriting import NoSource, quoted_as, read_backward, with_backward

FACTOR = 2


class Plain(Case):
    """A case whose backward only computes with numbers: `t` and `d` are simple namespaces here."""

    __test__ = False
    n: int = 3

    def inputs(self, generator):
        return {}

    def forward(self, t):
        return t.x

    def backward(self, t, d):
        d.x = t.x + self.n * FACTOR


class Inherited(Plain):
    """The backward is that of the base class."""


class Super(Plain):
    """`super()` needs the class that the method was written in."""

    def backward(self, t, d):
        super().backward(t, d)
        d.x = d.x + 1


class Mangled(Plain):
    """A private name is another one outside of its class."""

    def backward(self, t, d):
        d.x = self.__twice(t.x) + 1

    def __twice(self, x):
        return 2 * x


class Static(Plain):
    """No `self`."""

    @staticmethod
    def backward(t, d):
        d.x = t.x + 1


class Defaulted(Plain):
    """Further parameters with defaults."""

    def backward(self, t, d, /, *, shift=5):
        d.x = t.x + shift


class WithoutGrad(Plain):
    """A decorator of torch's, which is a function around this one."""

    @torch.no_grad()
    def backward(self, t, d):
        d.grad_enabled = torch.is_grad_enabled()
        d.x = t.x + 1


def doubled(function):
    @functools.wraps(function)
    def wrapper(self, t, d):
        function(self, t, d)
        d.x *= 2

    return wrapper


class TwiceDecorated(Plain):
    """Two decorators, each around the next."""

    @doubled
    @doubled
    def backward(self, t, d):
        d.x = t.x + 1


def make_local():
    shift = 10

    class Local(Plain):
        def backward(self, t, d):
            d.x = t.x + shift

    return Local


class SeveralLines(Plain):
    """A statement over several lines, in a compound one."""

    def backward(self, t, d):
        if self.n:
            d.x = (
                t.x
                + 1
            )  # fmt: skip


def mutated(case, edit):
    """The case with the operators `+` of its backward edited by a function of the tree's node."""
    source = read_backward(type(case))
    (statement,) = [
        node
        for node in ast.walk(source.node)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Add)
    ]
    value = edit(statement.value)
    new = ast.fix_missing_locations(ast.copy_location(ast.Assign(statement.targets, value), statement))
    return with_backward(case, source, statement, new)


def subtract(node):
    return ast.BinOp(node.left, ast.Sub(), node.right)


def run(case, x=100):
    t, d = SimpleNamespace(x=x), SimpleNamespace()
    case.backward(t, d)
    return d.x


@pytest.mark.parametrize(
    ("cls", "before", "after"),
    [
        (Plain, 106, 94),
        (Inherited, 106, 94),
        (Super, 107, 105),
        (Mangled, 201, 199),
        (Static, 101, 99),
        (Defaulted, 105, 95),
        (WithoutGrad, 101, 99),
        (TwiceDecorated, 404, 396),
        (make_local(), 110, 90),
        (SeveralLines, 101, 99),
    ],
)
def test_an_edited_backward_sees_what_the_original_sees(cls, before, after):
    """Globals, closure, `super()`, private names, defaults and decorators; the original still gives its own result."""
    case = cls()
    changed = mutated(case, subtract)
    assert run(changed) == after
    assert run(case) == run(cls()) == before


def test_a_decorator_still_does_its_work():
    """`torch.no_grad` is in force in the edited backward."""
    d = SimpleNamespace()
    mutated(WithoutGrad(), subtract).backward(SimpleNamespace(x=1), d)
    assert d.grad_enabled is False


def test_the_case_keeps_its_name_and_its_sizes():
    """It is a subclass under the same name, and another object."""
    case = Plain(n=7)
    changed = mutated(case, subtract)
    assert type(changed) is not Plain
    assert isinstance(changed, Plain)
    assert repr(changed) == repr(case) == "Plain(n=7)"
    assert (type(changed).__name__, type(changed).__module__) == ("Plain", __name__)


def test_what_an_edited_backward_raises_points_at_the_user_s_file():
    """At the very line of the statement."""

    def call(node):
        return ast.Call(ast.Name("undefined_function", ast.Load()), [], [])

    with pytest.raises(NameError) as caught:
        run(mutated(SeveralLines(), call))
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    source = read_backward(SeveralLines)
    assert frame.filename == __file__ == source.file
    assert is_users(frame.filename)
    assert frame.lineno == source.node.lineno + 2
    assert frame.name == "backward"


def test_who_quotes_the_file_sees_the_edited_statement():
    """At the same lines, with what else stands there; afterwards the original again, and the file never changed."""
    source = read_backward(SeveralLines)
    (old,) = [node for node in ast.walk(source.node) if isinstance(node, ast.Assign)]
    new = ast.parse("d.x = t.y").body[0]
    where = Location(source.file, old.lineno, "backward")
    following = Location(source.file, old.end_lineno + 8, "mutated")
    original, behind = statement(where), statement(following)
    with quoted_as(source, old, new):
        assert statement(where) == "d.x = t.y  # fmt: skip"
        assert statement(following) == behind
    assert statement(where) == original
    assert "+ 1" in original


def test_of_a_compound_statement_the_original_is_quoted():
    """It is broken in its header, where no gradient is assigned."""
    source = read_backward(SeveralLines)
    old = source.node.body[0]
    where = Location(source.file, old.lineno, "backward")
    with quoted_as(source, old, ast.parse("if other:\n    pass\nelse:\n    pass").body[0]):
        assert statement(where) == "if self.n:"


def test_a_local_variable_that_is_no_longer_assigned_is_unbound():
    """Also where the function around the class has one of that name: an edit reaches out of the backward nowhere."""

    def make():
        g = 10

        class Local(Plain):
            def backward(self, t, d):
                g = t.x + 1
                d.x = g

        return Local, g

    case = make()[0]()
    source = read_backward(type(case))
    statement = source.node.body[0]
    changed = with_backward(case, source, statement, ast.copy_location(ast.Pass(), statement))
    with pytest.raises(NameError, match="'g'"):
        run(changed)


def test_the_names_that_stand_for_modules_and_parameters_are_known():
    """`torch.sum(x)` is no method of a tensor called torch."""
    source = read_backward(Static)
    assert source.parameters == ("t", "d")
    assert {"torch", "ast", "functools"} <= source.modules
    assert "FACTOR" not in source.modules


class Candidate(FunctionCase):
    __test__ = False
    candidate = torch.sin

    def inputs(self, generator):
        return {}


class Lambda(Plain):
    backward = lambda *_: None  # noqa: E731  # this is what is refused


class BuiltIn(Plain):
    backward = print


def hidden(function):
    return lambda *arguments: function(*arguments)


def hiding(function):
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


class HiddenByWrapper(Plain):
    @hiding
    def backward(self, t, d):
        d.x = t.x


class HiddenByLambda(Plain):
    @hidden
    def backward(self, t, d):
        d.x = t.x


class Opaque:
    """A decorator that keeps what it wraps out of any closure."""

    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __get__(self, instance, owner):
        return functools.partial(self.__wrapped__, instance)


class DecoratedByObject(Plain):
    @Opaque
    def backward(self, t, d):
        d.x = t.x


def executed():
    namespace = {}
    exec("def backward(self, t, d):\n    d.x = t.x", namespace)
    return type("Executed", (Plain,), {"backward": namespace["backward"]})


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Candidate, "there is no backward derived by hand to edit: a candidate brings its own"),
        (Lambda, "backward is a lambda; write it as a method"),
        (BuiltIn, "backward is no function written in Python, but an object of type builtin_function"),
        (HiddenByLambda, "backward is a lambda"),
        (HiddenByWrapper, r"backward is the function wrapper\(\*arguments\), expected \(self, t, d\): if a decorator"),
        (DecoratedByObject, "what a decorator made of backward, of type Opaque, does not show where it keeps"),
        (executed(), "the source of backward is not to be had: <string> is no file that can be read"),
    ],
)
def test_a_backward_without_source_is_refused_with_the_reason(cls, message):
    """And with what would mend it, where something would."""
    with pytest.raises(NoSource, match=message):
        read_backward(cls)


SOURCE = """
from __future__ import annotations
import os
from gradverify import Case

class Written(Case):
    def inputs(self, generator): ...
    def forward(self, t): ...
    def backward(self, t, d):
        d.x = os.path.join(t.x, "a")
"""


def load(path):
    spec = importlib.util.spec_from_file_location("written", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "edited",
    [
        SOURCE.replace('"a"', '"b"'),
        SOURCE.replace("class", "\nclass"),
        SOURCE.replace("backward", "backwards"),
        SOURCE.replace("d.x =", "d.x = ("),
    ],
)
def test_a_file_that_has_changed_since_it_was_imported_is_refused(tmp_path, edited):
    """What would be edited is not what runs."""
    path = tmp_path / "written.py"
    path.write_text(SOURCE)
    module = load(path)
    assert read_backward(module.Written).modules == {"os"}
    path.write_text(edited)
    with pytest.raises(NoSource, match="no longer holds the backward that runs: the file has changed"):
        read_backward(module.Written)
