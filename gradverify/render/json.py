"""Reports as a JSON document, and back; the README says what each name means."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

from gradverify.errors import UsageError, did_you_mean
from gradverify.report import Environment, Report

# Raised when a document that was valid no longer is; a new key is no such change.
SCHEMA = 1

# Other documents of gradverify, by a key that only they have.
_OTHERS = {
    "benchmarks": "gradverify bench",
    "cases": "gradverify list",
    "changes": "gradverify diff",
    "studies": "gradverify mutate",
}

# JSON has no spelling of its own for these.
# How much of a value that does not fit a message quotes: enough to find it in the file.
_LONGEST = 40
_NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def render_json(reports: Iterable[Report], environment: Environment) -> str:
    """The document of some reports: ASCII, indented, with every non-finite number as a string."""
    document = {
        "schema": SCHEMA,
        "environment": _plain(environment),
        "reports": [{**_plain(report), "passed": report.passed} for report in reports],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def read_json(text: str) -> tuple[Environment, list[Report]]:
    """The environment and the reports of a document, exactly as they were rendered.

    Raises:
        UsageError: if the text is no such document; the message names the key that is at fault.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"this is no JSON: {error}; expected what `gradverify run --json FILE` writes; was the file cut short?"
        ) from None
    if not isinstance(document, dict) or "schema" not in document:
        raise UsageError(
            "this is no saved run of gradverify: it has no `schema`; `gradverify run --json FILE` writes one"
        )
    for key, command in _OTHERS.items():
        if key in document and "reports" not in document:
            raise UsageError(
                f"this was written by `{command}`, and holds no reports; `gradverify run --json FILE` writes them"
            )
    schema = document["schema"]
    if type(schema) is not int or schema != SCHEMA:
        newer = type(schema) is int and schema > SCHEMA
        remedy = "upgrade gradverify to read it" if newer else "write it again with this version of gradverify"
        raise UsageError(f"the document has schema {schema!r}, this version of gradverify reads {SCHEMA}; {remedy}")
    for key in ("environment", "reports"):
        if key not in document:
            raise UsageError(f"the document has no `{key}`; was the file cut short or edited?")
    environment = _read(Environment, document["environment"], "environment")
    reports = _read(list[Report], document["reports"], "reports")
    for number, report in enumerate(reports):
        if report.graph is not None and report.graph.defect is not None:
            raise UsageError(f"reports[{number}].graph {report.graph.defect}; was the file edited?")
    return environment, reports


def plain(value: Any) -> Any:
    """Part of a report as what JSON has, as a document holds it."""
    return _plain(value)


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and numbers as what JSON has."""
    if dataclasses.is_dataclass(value):
        values = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {
            field.name: _plain(one)
            for field, one in values
            if one is not None or not field.metadata.get("optional", False)
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _read(kind: Any, value: Any, path: str) -> Any:
    """A value of the annotated kind; `path` says in messages where in the document it is."""
    origin, arguments, has_fields = _anatomy(kind)
    if origin in (Union, types.UnionType):
        return _read_any(arguments, value, path)
    if has_fields:
        return _read_fields(kind, _expect(dict, value, path), path)
    if origin in (dict, Mapping):
        return {key: _read(arguments[1], one, f"{path}.{key}") for key, one in _expect(dict, value, path).items()}
    if origin in (tuple, list):
        items = _expect(list, value, path)
        kinds = [arguments[0]] * len(items) if origin is list or arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(items):
            _refuse(f"a list of {len(kinds)}", value, path)
        return origin(
            _read(each, one, f"{path}[{number}]") for number, (each, one) in enumerate(zip(kinds, items, strict=True))
        )
    if issubclass(kind, Enum):
        return _read_member(kind, value, path)
    if kind is float:
        return _read_number(value, path)
    return _expect(kind, value, path)


@functools.cache  # a run of a thousand cases asks millions of times
def _anatomy(kind: Any) -> tuple[Any, tuple[Any, ...], bool]:
    return get_origin(kind), get_args(kind), dataclasses.is_dataclass(kind)


def _read_fields(kind: Any, values: dict[str, Any], path: str) -> Any:
    fields = _fields_of(kind)
    for name, _, is_optional in fields:
        if name not in values and not is_optional:
            raise UsageError(f"{path} has no `{name}`; was the file edited?")
    # A key that this version does not know comes from a later one, and is left out.
    known = {name: _read(each, values[name], f"{path}.{name}") for name, each, _ in fields if name in values}
    return kind(**known)


@functools.cache  # annotations are strings, which take longer to evaluate than a row to read
def _fields_of(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """The fields of a dataclass: name, annotation, whether it has a default."""
    hints, missing = get_type_hints(kind), dataclasses.MISSING
    return tuple(
        (one.name, hints[one.name], one.default is not missing or one.default_factory is not missing)
        for one in dataclasses.fields(kind)
    )


def _read_any(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    """A value of the first of several kinds that takes it; most are one kind or None."""
    if value is None and type(None) in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not type(None))
    for kind in others:
        with contextlib.suppress(UsageError):
            return _read(kind, value, path)
    return _read(last, value, path)


def _read_member(kind: type[Enum], value: Any, path: str) -> Enum:
    members = {member.value: member for member in kind}
    if not isinstance(value, str) or value not in members:
        raise UsageError(f"{path} is {_spell(value)}, no {kind.__name__.lower()}; {did_you_mean(str(value), members)}")
    return members[value]


def _read_number(value: Any, path: str) -> float:
    if isinstance(value, str) and value in _NONFINITE:
        return _NONFINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse("a number", value, path)
    try:
        return float(value)
    except OverflowError:
        _refuse("a number that fits in 64 bits", value, path)


def _expect(kind: type, value: Any, path: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        _refuse(_NAMES[kind], value, path)
    return value


_NAMES = {dict: "an object", list: "a list", str: "a string", int: "an integer", bool: "true or false"}


def _refuse(expected: str, value: Any, path: str) -> NoReturn:
    raise UsageError(f"{path} is {_spell(value)}, expected {expected}; was the file edited?")


def _spell(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
