"""The JSON Schema of a saved run, derived from the dataclasses that it holds."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from gradverify.render.json import SCHEMA
from gradverify.report import Environment, Report

_SIMPLE = {str: "string", int: "integer", bool: "boolean"}
_NUMBER = {
    "description": 'A number; one that is not finite is the string "nan", "inf" or "-inf".',
    "anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}],
}


def derive_schema(before: dict[str, Any]) -> dict[str, Any]:
    """The schema; descriptions are kept from the one before, and for new fields taken from the docstring."""
    definitions: dict[str, Any] = {"number": _NUMBER}
    described = {
        (name, key): one["description"]
        for name, definition in before.get("$defs", {}).items()
        for key, one in definition.get("properties", {}).items()
        if "description" in one
    }
    document = {
        "schema": {"description": "Raised when a document that was valid no longer is.", "const": SCHEMA},
        "environment": _schema_of(Environment, definitions),
        "reports": _schema_of(list[Report], definitions),
    }
    report = definitions["Report"]
    report["properties"]["passed"] = {"description": "Whether nothing failed.", "type": "boolean"}
    report["required"].append("passed")
    for name, definition in definitions.items():
        for key, one in definition.get("properties", {}).items():
            if (name, key) in described:
                one["description"] = described[name, key]
            definition["properties"][key] = {key: one[key] for key in sorted(one, key="description".__ne__)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A saved run of gradverify",
        "description": "What `gradverify run --json` and `pytest --gradverify-json` write. New keys may come with any "
        "version and keep the schema number.",
        "type": "object",
        "properties": document,
        "required": list(document),
        "$defs": dict(sorted(definitions.items())),
    }


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        schemas = [_schema_of(one, definitions) for one in arguments]
        simple = all(set(one) == {"type"} for one in schemas)
        return {"type": [one["type"] for one in schemas]} if simple else {"anyOf": schemas}
    if kind is type(None):
        return {"type": "null"}
    if dataclasses.is_dataclass(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # so that a kind that holds itself ends
            definitions[kind.__name__] = _fields_of(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    if origin is tuple and arguments[-1] is not Ellipsis:
        items = [_schema_of(one, definitions) for one in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in (tuple, list):
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    if kind is float:
        return {"$ref": "#/$defs/number"}
    if issubclass(kind, Enum):
        return {"enum": [one.value for one in kind]}
    return {"type": _SIMPLE[kind]}


def _fields_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints, described = get_type_hints(kind), _described(kind.__doc__)
    properties = {}
    for field in dataclasses.fields(kind):
        text = {"description": described[field.name]} if field.name in described else {}
        properties[field.name] = {**text, **_schema_of(hints[field.name], definitions)}
    required = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return {
        "description": kind.__doc__.split("\n\n")[0].replace("\n    ", " "),
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _described(docstring: str) -> dict[str, str]:
    """What the list of attributes of a docstring says of each."""
    _, _, listed = docstring.partition("Attributes:\n")
    entries = re.split(r"\n {8}(?=\w)", "\n" + listed.partition("\n\n")[0])
    found = {}
    for entry in entries:
        names, _, text = re.sub(r"\s+", " ", entry.strip()).partition(": ")
        if re.fullmatch(r"\w+(, \w+)*", names) and text:
            found.update(dict.fromkeys(names.split(", "), text))
    return found
