"""Where something happened: the user's own line, whoever stands between, and the whole statement there."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import sys
import textwrap
import threading
import warnings
from abc import ABC
from types import CodeType

import pytest
import torch

import gradverify
from gradverify import location
from gradverify.location import (
    UNKNOWN,
    Location,
    called_by_gradverify,
    caller,
    caller_stack,
    caller_variables,
    is_users,
    raised_at,
    raised_by_gradverify,
    shorten,
    statement,
)

PACKAGE = os.path.join(os.path.dirname(gradverify.__file__), "imagined.py")
TORCH = os.path.join(os.path.dirname(torch.__file__), "imagined.py")


def here(offset: int = 0) -> int:
    """The line of the caller."""
    return sys._getframe(1).f_lineno + offset


def passing_through(file: str, name: str = "call"):
    """A function of another file that calls what it is given, with the rest of the arguments."""
    names: dict[str, object] = {}
    exec(compile(f"def {name}(function, *rest):\n    return function(*rest)\n", file, "exec"), names)
    return names[name]


in_package = passing_through(PACKAGE)
in_torch = passing_through(TORCH)
in_library = passing_through(contextlib.__file__)
in_mode = passing_through(PACKAGE, "__torch_function__")


@pytest.mark.parametrize(
    ("file", "users"),
    [
        (__file__, True),
        ("<string>", True),
        ("<stdin>", True),
        ("<ipython-input-3-5f2e>", True),
        ("/tmp/ipykernel_17/2871.py", True),
        (os.path.join(os.path.dirname(os.__file__), "site-packages", "somebody", "loss.py"), True),
        ("/usr/lib/python3/dist-packages/somebody/loss.py", True),
        # A folder that only starts like the package is another one.
        (os.path.dirname(gradverify.__file__) + "_extra/loss.py", True),
        (PACKAGE, False),
        (TORCH, False),
        (torch.nn.functional.__file__, False),
        (contextlib.__file__, False),
        ("<frozen abc>", False),
        ("<frozen importlib._bootstrap>", False),
    ],
)
def test_whose_file_it_is(file, users):
    """gradverify's, torch's and Python's own files are not the user's; everything else is."""
    assert is_users(file) == users


def test_torch_is_known_wherever_it_was_built(monkeypatch):
    """A checkout that was built in place lies in no site-packages."""
    spec = importlib.util.spec_from_file_location("torch", "/home/me/pytorch/torch/__init__.py")
    assert is_users("/home/me/pytorch/torch/_tensor.py")
    with monkeypatch.context() as patch:
        patch.setattr(location, "find_spec", lambda _: spec)
        location._torch_folder.cache_clear()
        assert not is_users("/home/me/pytorch/torch/_tensor.py")
        assert is_users("/home/me/pytorch/torchvision/ops.py")
    location._torch_folder.cache_clear()


def test_without_torch_the_rest_is_still_known(monkeypatch):
    """Saved reports are read where torch is not installed."""
    with monkeypatch.context() as patch:
        patch.setattr(location, "find_spec", lambda _: None)
        location._torch_folder.cache_clear()
        assert is_users(__file__)
        assert not is_users(PACKAGE)
    location._torch_folder.cache_clear()


@pytest.mark.parametrize("through", [in_package, in_torch, in_library, in_mode])
def test_the_caller_is_the_users_innermost_line(through):
    """Frames of gradverify, torch and Python between the user and us are passed by."""
    assert through(caller) == Location(__file__, here(), "test_the_caller_is_the_users_innermost_line")


def test_the_caller_within_a_comprehension_a_lambda_and_a_decorator():
    """Each is the line that was written, whatever frame Python gives it."""

    @functools.wraps(caller)
    def decorated():
        return in_package(caller)

    written = here()
    assert [in_package(caller).line for _ in range(2)] == [written + 1] * 2
    assert (lambda: in_package(caller))().line == written + 2
    assert decorated().line == written - 2


BASE = """
class Base(ABC):
    def __init_subclass__(cls):
        seen.append(caller())
"""


def test_the_caller_in_a_class_statement():
    """The metaclass that calls `__init_subclass__` is Python's, the class statement is the user's."""
    names = {"ABC": ABC, "caller": caller, "seen": []}
    exec(compile(BASE, PACKAGE, "exec"), names)

    class Derived(names["Base"]):
        line = here(-1)

    assert names["seen"] == [Location(__file__, Derived.line, "test_the_caller_in_a_class_statement")]


def test_where_nobody_is_to_be_found():
    """A thread that gradverify itself started has no line of the user's."""
    seen = []
    inner = passing_through(PACKAGE)
    thread = threading.Thread(target=inner, args=(seen.append, UNKNOWN))
    thread.start()
    thread.join()
    assert seen == [UNKNOWN]
    assert str(UNKNOWN) == "<unknown>:0"


def test_the_variables_of_the_caller():
    """Locals go before globals."""
    here_only = "local"
    PACKAGE = "shadowed"  # the name of a global
    seen = in_package(caller_variables)
    assert (seen["here_only"], seen["PACKAGE"], seen["TORCH"]) == (here_only, PACKAGE, TORCH)


def helper(function):
    return function()


def code_of(function) -> CodeType:
    return function.__code__


def test_the_stack_runs_to_the_outermost_code():
    """Innermost first; what lies beyond the outermost code is left out."""

    def backward():
        return helper(lambda: in_package(caller_stack, code_of(backward)))

    line = here(-2)
    names = [one.function for one in backward()]
    assert names == ["<lambda>", "helper", "backward"]
    assert backward()[0].line == backward()[-1].line == line


def test_without_an_outermost_code_the_stack_ends_at_our_own_frame():
    """gradverify called the user, and whoever called gradverify is not asked for."""

    def backward():
        return in_package(caller_stack)

    assert [one.function for one in in_package(backward)] == ["backward"]
    # A torch mode of ours is no such end: the call that it handles is the user's.
    assert [one.function for one in in_package(lambda: in_mode(backward))] == ["backward", "<lambda>"]


def chain(through, innermost):
    """Call a function through the functions of other files, the first outermost."""
    for one in reversed(through):
        innermost = functools.partial(one, innermost)
    return innermost()


@pytest.mark.parametrize(
    ("through", "ours"), [((in_package,), True), ((in_package, in_torch), True), ((in_torch,), False), ((), False)]
)
def test_whose_call_a_mode_handles(through, ours):
    """The first frame that is ours or the user's decides; torch's are passed by."""
    assert chain((*through, in_mode), called_by_gradverify) == ours


def boom():
    raise ValueError("planted")


@pytest.mark.parametrize(
    ("through", "ours"),
    [
        ((in_package,), False),
        ((in_package, in_mode), False),
        ((in_torch,), False),
    ],
)
def test_what_the_user_raises_is_the_users(through, ours):
    """However it was called."""
    with pytest.raises(ValueError, match="planted") as caught:
        chain(through, boom)
    assert raised_at(caught.value.__traceback__) == Location(__file__, boom.__code__.co_firstlineno + 1, "boom")
    assert raised_by_gradverify(caught.value.__traceback__) == ours


@pytest.mark.parametrize(
    ("through", "ours"),
    [
        ((in_package,), True),
        ((in_package, in_torch), True),
        ((in_package, in_library), True),
        # An operation of the user's that torch refuses, while our mode handles the call.
        ((in_mode,), False),
        ((in_torch,), False),
    ],
)
def test_what_is_raised_in_our_own_calls_is_ours(through, ours):
    """Without a frame of the user's between, the mistake is gradverify's."""
    with pytest.raises(ValueError, match="invalid literal") as caught:
        chain(through, functools.partial(int, "planted"))
    assert raised_by_gradverify(caught.value.__traceback__) == ours


def test_no_traceback_is_nowhere():
    """An exception that was never raised."""
    assert raised_at(None) is None
    assert not raised_by_gradverify(None)


def test_a_path_is_shortened_inside_the_working_folder_only(tmp_path, monkeypatch):
    """And left as it is outside it, on another drive, or where the working folder has gone."""
    monkeypatch.chdir(tmp_path)
    inside, outside = str(tmp_path / "cases" / "a.py"), str(tmp_path.parent / "b.py")
    assert shorten(inside) == os.path.join("cases", "a.py")
    assert str(Location(inside, 7, "f")) == os.path.join("cases", "a.py") + ":7"
    assert shorten(outside) == outside
    assert shorten("<string>") == "<string>"
    for error in (ValueError("on mount 'D:'"), FileNotFoundError("no working folder")):

        def fail(path, error=error):
            raise error

        monkeypatch.setattr(os.path, "relpath", fail)
        assert shorten(inside) == inside


SOURCE = '''\
def backward(self, t, d):
    """The first line
    and the second."""
    d.a = t.x * 2
    d.b = torch.cat(
        [
            t.x,
        ],
    )
    if t.x.sum() > 0: d.c = t.x
    if t.x.sum() > 0: d.c = (
        t.x
    )
    if (
        t.x.sum() > 0
        and d.a.sum() > 0
    ):
        # why
        d.d = 1
    else:
        d.d = 2
    for name in ("e", "f"): d[name] = t.x; d.g = t.x
    put = lambda name, value: d.__setitem__(
        name, value)
    with torch.no_grad():
        d.h = [
            t.x for _ in range(3)
        ][0]
    try:
        d.i = t.x
    except ValueError:
        d.i = t.y
    match t.mode:
        case "sum":
            d.j = t.x

    @torch.no_grad()
    def inner(g,
              h=t.x):
        return g
    d.k = """{
        not a statement }"""
'''
QUOTES = {
    1: "def backward(self, t, d):",
    4: "d.a = t.x * 2",
    5: "d.b = torch.cat(\n    [\n        t.x,\n    ],\n)",
    7: "d.b = torch.cat(\n    [\n        t.x,\n    ],\n)",
    10: "if t.x.sum() > 0: d.c = t.x",
    11: "if t.x.sum() > 0: d.c = (\n    t.x\n)",
    12: "if t.x.sum() > 0: d.c = (\n    t.x\n)",
    # Of a compound statement the header, without what is inside.
    15: "if (\n    t.x.sum() > 0\n    and d.a.sum() > 0\n):",
    19: "d.d = 1",
    21: "d.d = 2",
    22: 'for name in ("e", "f"): d[name] = t.x; d.g = t.x',
    24: "put = lambda name, value: d.__setitem__(\n    name, value)",
    25: "with torch.no_grad():",
    27: "d.h = [\n    t.x for _ in range(3)\n][0]",
    29: "try:",
    30: "d.i = t.x",
    33: "match t.mode:",
    35: "d.j = t.x",
    39: "def inner(g,\n          h=t.x):",
    40: "return g",
    42: 'd.k = """{\n    not a statement }"""',
    36: None,
    99: None,
    0: None,
}


@pytest.mark.parametrize("line", QUOTES)
def test_the_whole_statement_is_quoted(tmp_path, line):
    """Whatever line of it was running, and no more than it; nothing where there is none."""
    file = tmp_path / "sample.py"
    file.write_text(SOURCE)
    assert statement(Location(str(file), line, "backward")) == QUOTES[line]


@pytest.mark.parametrize("source", [None, "d.x = (\n", "d.x = 1\0"], ids=["missing", "unfinished", "null byte"])
def test_nothing_is_quoted_where_the_source_is_not_to_be_had(tmp_path, source):
    """A file that has gone, or that no longer parses."""
    file = tmp_path / "sample.py"
    if source is not None:
        file.write_text(source)
    assert statement(Location(str(file), 1, "backward")) is None
    assert statement(Location("<string>", 1, "backward")) is None


def test_quoting_says_nothing_of_its_own(tmp_path):
    """The import of the file has already warned of an escape; a quote is no second occasion."""
    file = tmp_path / "sample.py"
    file.write_text('pattern = "\\d"\n')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert statement(Location(str(file), 1, "<module>")) == 'pattern = "\\d"'
    assert caught == []


def test_a_file_that_changed_is_read_again(tmp_path):
    """As a notebook's cell, or a file edited between two runs of a session."""
    file = tmp_path / "sample.py"
    file.write_text("d.x = 1\n")
    assert statement(Location(str(file), 1, "f")) == "d.x = 1"
    file.write_text(
        textwrap.dedent("""\
        d.x = (
            2)
    """)
    )
    os.utime(file, (1, 1))
    assert statement(Location(str(file), 2, "f")) == "d.x = (\n    2)"


def test_the_line_of_a_class_is_that_of_its_first_decorator(tmp_path):
    """Nested ones by their qualified name; of two of one name the last, which is the one that lives."""
    file = tmp_path / "classes.py"
    file.write_text(
        "import functools\n"
        "class A:\n"
        "    class B: ...\n"
        "def make():\n"
        "    class C: ...\n"
        "    return C\n"
        "@functools.total_ordering\n"
        "class D: ...\n"
        "if True:\n"
        "    class A: ...\n"
    )
    lines = {name: location.class_line(str(file), name) for name in ("A", "A.B", "make.<locals>.C", "D", "E")}
    assert lines == {"A": 10, "A.B": 3, "make.<locals>.C": 5, "D": 7, "E": None}
    assert location.class_line("<nowhere>", "A") is None


def test_a_file_is_parsed_once_for_all_that_is_asked_of_it(tmp_path, monkeypatch):
    """And again once it has changed."""
    file = tmp_path / "long.py"
    file.write_text("a = 1\nb = (\n    2\n)\n")
    parsed = []
    parse = location.ast.parse
    monkeypatch.setattr(location.ast, "parse", lambda source: parsed.append(source) or parse(source))
    for line in (1, 2, 3, 4):
        location.statement(location.Location(str(file), line, "f"))
    assert len(parsed) == 1
    file.write_text("a = 1  # longer than before\n")
    assert location.statement(location.Location(str(file), 1, "f")) == "a = 1  # longer than before"
    assert len(parsed) == 2
