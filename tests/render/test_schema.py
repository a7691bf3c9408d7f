"""The JSON Schema in the package: it says of every document what the reader says, and of every field what it means."""

from __future__ import annotations

import copy
import dataclasses
import json
from importlib.resources import files

import pytest
from deriving import derive_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from samples import ENVIRONMENT
from test_json import BROKEN, SAMPLES, changed, reports

from gradverify import report as report_module
from gradverify.errors import UsageError
from gradverify.render.json import read_json, render_json
from gradverify.verdict import Origin, Verdict
from snapshot import compare_with

FILE = files("gradverify") / "report.schema.json"
TEXT = FILE.read_text(encoding="utf-8") if FILE.is_file() else "{}"
SCHEMA = json.loads(TEXT)
VALIDATOR = Draft202012Validator(SCHEMA)


def dataclasses_of_a_report():
    """Every dataclass that a saved run holds."""
    found = {}
    pending = [report_module.Environment, report_module.Report]
    while pending:
        one = pending.pop()
        if one not in found.values():
            found[one.__name__] = one
            hints = " ".join(str(field.type) for field in dataclasses.fields(one))
            known = vars(__import__(one.__module__, fromlist=["x"])).values()
            pending += [kind for kind in known if dataclasses.is_dataclass(kind) and kind.__name__ in hints]
    return found


def test_the_file_is_what_the_dataclasses_say():
    """Each field, with its kind: one that is added or removed is noticed here."""
    derived = derive_schema(SCHEMA)
    compare_with(FILE, json.dumps(derived, indent=1) + "\n")


def test_every_field_is_in_the_schema_and_nothing_else_is():
    """Found without the derivation, which could forget one."""
    for name, kind in dataclasses_of_a_report().items():
        properties = set(SCHEMA["$defs"][name]["properties"]) - ({"passed"} if name == "Report" else set())
        assert properties == {field.name for field in dataclasses.fields(kind)}, name
    assert set(SCHEMA["$defs"]) == {"number", *dataclasses_of_a_report()}


def test_a_field_that_is_missing_from_the_file_is_noticed():
    """The twin."""
    planted = copy.deepcopy(SCHEMA)
    del planted["$defs"]["Row"]["properties"]["origin"]
    assert derive_schema(planted) != planted
    assert derive_schema(SCHEMA) == SCHEMA


def test_a_description_that_was_written_by_hand_is_kept():
    planted = copy.deepcopy(SCHEMA)
    planted["$defs"]["Row"]["properties"]["origin"]["description"] = "by hand"
    assert derive_schema(planted)["$defs"]["Row"]["properties"]["origin"]["description"] == "by hand"


def test_the_verdicts_and_origins_are_listed():
    assert SCHEMA["$defs"]["Row"]["properties"]["verdict"]["enum"] == [one.value for one in Verdict]
    assert [one.value for one in Origin] in [
        one.get("enum") for one in SCHEMA["$defs"]["Row"]["properties"]["origin"]["anyOf"]
    ]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert not [path for path in json.dumps(SCHEMA).split('"') if path == "additionalProperties: false"]


@pytest.mark.parametrize("given", SAMPLES)
def test_what_is_rendered_is_valid(given):
    VALIDATOR.validate(json.loads(render_json(given, ENVIRONMENT)))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(reports, max_size=2))
def test_whatever_is_rendered_is_valid(given):
    VALIDATOR.validate(json.loads(render_json(given, ENVIRONMENT)))


def is_json(text):
    try:
        return json.loads(text) is not None
    except (ValueError, RecursionError):
        return False


# A number that does not fit in 64 bits is a number to JSON.
REFUSED = [text for text, _ in BROKEN if is_json(text) and "0" * 300 not in text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_reader_refuses_is_invalid(text):
    with pytest.raises(ValidationError):
        VALIDATOR.validate(json.loads(text))


@pytest.mark.parametrize("name", ["case", "rows", "passed"])
def test_a_key_without_which_a_report_cannot_be_read_is_required(name):
    text = changed(["reports", 0, name], ...)
    is_needed = name in SCHEMA["$defs"]["Report"]["required"]
    assert VALIDATOR.is_valid(json.loads(text)) is not is_needed
    if name == "case":
        with pytest.raises(UsageError):
            read_json(text)


@pytest.mark.parametrize("path", [(), ("environment",), ("reports", 0), ("reports", 0, "rows", 0)])
def test_a_key_of_a_later_version_is_valid(path):
    """New keys keep the schema number."""
    VALIDATOR.validate(json.loads(changed([*path, "later"], {"any": ["thing"]})))


def test_every_field_of_the_documentation_says_what_it_means():
    """Those that the README shows; a field that comes later takes the words of its docstring, if it has some."""
    for name in ("Report", "Row", "Comparison", "Worst", "Failure", "Environment"):
        definition = SCHEMA["$defs"][name]
        assert definition["description"]
        silent = [key for key, one in definition["properties"].items() if "description" not in one]
        assert len(silent) < len(definition["properties"]) / 2, name
