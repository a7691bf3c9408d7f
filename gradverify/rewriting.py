"""A case whose backward reads otherwise: the source of the method, and the case with an edited one in its place.

Nothing of the user's is changed: the edited method sits on a subclass, and keeps the file and the lines of the
original, its globals, closure, defaults and decorators.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
import linecache
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import CellType, CodeType, FunctionType
from typing import Any

from gradverify.case import Case
from gradverify.errors import GradverifyError
from gradverify.location import is_users, shorten
from gradverify.mutants import statements_of


class NoSource(GradverifyError):
    """The source of a method cannot be had, or no longer is what runs."""


@dataclass(frozen=True)
class Source:
    """The source of a case's backward.

    Attributes:
        attribute: what the class holds: the function, under its decorators.
        function: the function that the source defines.
        node: its syntax tree, as part of `module`.
        module: what has to be compiled for it to see the variables that it sees.
    """

    attribute: object
    function: FunctionType
    node: ast.FunctionDef
    module: ast.Module

    @property
    def file(self) -> str:
        """The user's file."""
        return self.function.__code__.co_filename

    @property
    def parameters(self) -> tuple[str, str]:
        """The names by which it knows the forward values and the gradients."""
        values, gradients = _parameters(self.attribute, self.function)
        return values, gradients

    @property
    def modules(self) -> set[str]:
        """The names that stand for modules in it."""
        variables = {**self.function.__globals__, **_filled(self.function)}
        return {name for name, value in variables.items() if isinstance(value, types.ModuleType)}


def read_backward(case: type[Case]) -> Source:
    """The source of a case's backward; an inherited one is that of the class that defines it.

    Raises:
        NoSource: if there is none to be had, with the reason.
    """
    attribute = inspect.getattr_static(case, "backward")
    bare = attribute.__func__ if isinstance(attribute, staticmethod) else attribute
    function = inspect.unwrap(bare)
    if not isinstance(function, FunctionType):
        raise NoSource(f"backward is no function written in Python, but an object of type {type(function).__name__}")
    code = function.__code__
    if code.co_name == "<lambda>":
        raise NoSource("backward is a lambda; write it as a method, `def backward(self, t, d):`")
    if not is_users(code.co_filename):
        raise NoSource("there is no backward derived by hand to edit: a candidate brings its own")
    if len(_parameters(attribute, function)) != 2:
        raise NoSource(
            f"backward is the function {code.co_name}{inspect.signature(function)}, expected (self, t, d): if a "
            "decorator made it, let it use functools.wraps"
        )
    tree = _parse(function)
    path = next(_paths(tree, function.__code__), None)
    if path is None:
        raise _changed(code)
    # The imports change how the rest is compiled: those of `__future__`, and that a name stands for a module.
    imports = [one for one in statements_of(tree.body) if isinstance(one, (ast.Import, ast.ImportFrom))]
    module = ast.Module([*imports, path[0]], type_ignores=[])
    source = Source(attribute, function, path[-1], module)
    if _compile(source, module) != code:
        raise _changed(code)
    _rewrapped(attribute, function, function)  # it must be possible, and raises where it is not
    return source


def with_backward(case: Case, source: Source, old: ast.stmt, new: ast.stmt) -> Case:
    """The case with one statement of its backward exchanged for another."""
    # A memo that knows the old statement already makes the copy hold the new one in its place.
    module = copy.deepcopy(source.module, {id(old): new})
    edited = _rebuilt(source.function, _compile(source, module))
    members = {
        "backward": _rewrapped(source.attribute, source.function, edited),
        **{name: getattr(type(case), name) for name in ("__module__", "__qualname__", "__doc__")},
    }
    subclass = types.new_class(
        type(case).__name__, (type(case),), exec_body=lambda namespace: namespace.update(members)
    )
    changed = copy.copy(case)
    object.__setattr__(changed, "__class__", subclass)  # a frozen case too
    return changed


@contextlib.contextmanager
def quoted_as(source: Source, old: ast.stmt, new: ast.stmt) -> Iterator[None]:
    """Let whoever quotes the user's file see the new statement where the old one stands, at the same lines.

    Of a compound statement the old header is seen: no gradient is assigned there.
    """
    file, spelt = source.file, ast.unparse(new)
    known = linecache.cache.get(file)
    if known is None or len(known) == 1 or "\n" in spelt or old.end_lineno is None:
        yield
        return
    size, modified, lines, path = known
    # Offsets count bytes of UTF-8.
    before = lines[old.lineno - 1].encode()[: old.col_offset].decode()
    after = lines[old.end_lineno - 1].encode()[old.end_col_offset :].decode()
    blank = ["\n"] * (old.end_lineno - old.lineno)
    edited = [*lines[: old.lineno - 1], before + spelt + after, *blank, *lines[old.end_lineno :]]
    # With the size and the time of the file, so that linecache does not look into it again.
    linecache.cache[file] = (size, modified, edited, path)
    try:
        yield
    finally:
        linecache.cache[file] = known


def _parameters(attribute: object, function: FunctionType) -> tuple[str, ...]:
    """The names of the positional parameters after `self`."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    return names if isinstance(attribute, staticmethod) else names[1:]


def _parse(function: FunctionType) -> ast.Module:
    file = function.__code__.co_filename
    linecache.checkcache(file)
    lines = linecache.getlines(file, function.__globals__)
    if not lines:
        raise NoSource(f"the source of backward is not to be had: {file} is no file that can be read")
    try:
        with warnings.catch_warnings():  # such as of an escape in a string: the import has told of it already
            warnings.simplefilter("ignore")
            return ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        raise _changed(function.__code__) from None


def _paths(tree: ast.AST, code: CodeType) -> Iterator[list[Any]]:
    """The nodes that lead to the definition of a function, itself the last."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef) and child.name == code.co_name:
            first = min([child.lineno, *(one.lineno for one in child.decorator_list)])
            if first == code.co_firstlineno:
                yield [child]
        for path in _paths(child, code):
            yield [child, *path]


def _changed(code: CodeType) -> NoSource:
    return NoSource(
        f"{shorten(code.co_filename)}:{code.co_firstlineno} no longer holds the {code.co_name} that runs: the file has "
        "changed since it was imported, or the import changed the function"
    )


def _compile(source: Source, module: ast.Module) -> CodeType:
    """The code of the function in a module that may have been edited."""
    code = source.function.__code__
    with warnings.catch_warnings():  # `1(x)` may be what an edit makes of a statement, on purpose
        warnings.simplefilter("ignore")
        compiled = compile(module, code.co_filename, "exec", dont_inherit=True)
    return next(_codes(compiled, code))


def _codes(outer: CodeType, wanted: CodeType) -> Iterator[CodeType]:
    for constant in outer.co_consts:
        if isinstance(constant, CodeType):
            if (constant.co_name, constant.co_firstlineno) == (wanted.co_name, wanted.co_firstlineno):
                yield constant
            yield from _codes(constant, wanted)


def _filled(function: FunctionType) -> dict[str, object]:
    """The variables that a function sees of the functions around it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # whether this raises is all there is to know
    except ValueError:
        return False
    return True


def _rebuilt(function: FunctionType, code: CodeType, cells: dict[str, CellType] | None = None) -> FunctionType:
    """The function with other code, or with other contents of its closure."""
    own = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)) | (cells or {})
    # A deleted assignment can turn a local variable into one of the function around it: unbound, as the local would be.
    closure = tuple(own.get(name, CellType()) for name in code.co_freevars)
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__annotations__ = function.__annotations__
    made.__qualname__ = function.__qualname__
    made.__module__ = function.__module__
    made.__dict__.update(function.__dict__)
    return made


def _rewrapped(attribute: object, function: FunctionType, edited: FunctionType) -> object:
    """What decorators made of a function, made of the edited one: each keeps what it wraps in its closure."""
    if attribute is function:
        return edited
    if isinstance(attribute, staticmethod):
        return staticmethod(_rewrapped(attribute.__func__, function, edited))  # type: ignore[arg-type]  # a function
    if isinstance(attribute, FunctionType):
        cells = {
            name: CellType(_rewrapped(value, function, edited))
            for name, value in _filled(attribute).items()
            if callable(value) and inspect.unwrap(value) is function
        }
        if cells:
            wrapper = _rebuilt(attribute, attribute.__code__, cells)
            wrapper.__wrapped__ = edited  # type: ignore[attr-defined]  # what functools.wraps sets
            return wrapper
    raise NoSource(
        f"what a decorator made of backward, of type {type(attribute).__name__}, does not show where it keeps the "
        "function; decorate a helper that backward calls instead"
    )
