"""Reports as JSON and back: nothing is lost, and a broken document is told where it is broken."""

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import CRASHED, DETAILED, ENVIRONMENT, SHAPE, WRONG, comparison, report, row

from gradverify.errors import UsageError
from gradverify.graph import Edge, Graph, Kind, Node
from gradverify.render.json import SCHEMA, _plain, _read, read_json, render_json
from gradverify.report import Comparison, Environment, Failure, Report, Row, Worst
from gradverify.verdict import Origin, Verdict
from gradverify.witness import Stance, Witness

SAMPLES = [
    [],
    [report(row("W"), SHAPE, WRONG, notes=("quick",)), CRASHED],
    [report(row("W", origin=Origin.INTRODUCED, comparison=None, file=None, line=None, source=None))],
    [report(row("データ\n\ud800"))],
    [report(*(row(f"d{i}", verdict=verdict, passed=not verdict.fails) for i, verdict in enumerate(Verdict)))],
]


GRAPH = Graph(
    (
        Node("n0", "<x>", Kind.INPUT, shape=(3,), value_norm=math.nan, gradient_norm=math.inf, origin=Origin.INHERITED),
        Node("n1", "tanh", Kind.OPERATION),
        Node("v0", "", Kind.OUTPUT, data=1.5, grad=0.0, verdict=Verdict.WRONG, passed=False, file="a.py", line=3),
    ),
    (Edge("n0", "n1", inherited=True), Edge("n1", "v0", label="0.5")),
    ("mask",),
)


def test_a_graph_is_written_where_there_is_one():
    """It is read again; a report without one has no key for it, which most readers never heard of."""
    reports = [report(row("W"), graph=GRAPH), report(row("W"))]
    text = render_json(reports, ENVIRONMENT)
    assert same(read_json(text)[1], reports)
    assert [("graph" in one) for one in json.loads(text)["reports"]] == [True, False]


def same(left, right):
    """Equality under which nan equals itself."""
    return repr(left) == repr(right)


@pytest.mark.parametrize("reports", SAMPLES)
def test_reading_is_the_inverse_of_rendering(reports):
    environment, read = read_json(render_json(reports, ENVIRONMENT))
    assert environment == ENVIRONMENT
    assert same(read, reports)


floats = st.floats()
optional = st.none() | floats
texts = st.text(st.characters(exclude_categories=()), max_size=8)
shapes = st.lists(st.integers(0, 9), max_size=3).map(tuple)
comparisons = st.builds(
    Comparison,
    shape=shapes,
    candidate_shape=shapes,
    dtype=texts,
    candidate_dtype=texts,
    numel=st.integers(0),
    exact=st.booleans(),
    approximate=st.booleans(),
    maxdiff=floats,
    index=st.none() | shapes,
    candidate=floats,
    reference=floats,
    max_ulp=st.none() | st.integers(0),
    relative_error=floats,
    differing=st.integers(0),
    candidate_nonfinite=st.integers(0),
    reference_nonfinite=st.integers(0),
)
rows = st.builds(
    Row,
    name=texts,
    shape=shapes,
    dtype=texts,
    verdict=st.sampled_from(Verdict),
    passed=st.booleans(),
    origin=st.none() | st.sampled_from(Origin),
    file=st.none() | texts,
    line=st.none() | st.integers(1),
    source=st.none() | texts,
    hints=st.lists(texts, max_size=2).map(tuple),
    accuracy=optional,
    resolution=optional,
    coverage=optional,
    nonfinite=st.integers(0),
    worst=st.none() | st.builds(Worst, shapes, floats, floats, optional),
    comparison=st.none() | comparisons,
    witnesses=st.lists(
        st.builds(
            Witness,
            oracle=texts,
            stance=st.sampled_from(Stance),
            error=floats,
            evaluations=st.integers(0),
            reason=texts,
            index=st.none() | shapes,
            claimed=floats,
            measured=floats,
        ),
        max_size=2,
    ).map(tuple),
)
reports = st.builds(
    Report,
    case=texts,
    dtype=texts,
    device=texts,
    seed=st.integers(),
    sizes=st.dictionaries(texts, st.integers(), max_size=2),
    rows=st.lists(rows, max_size=2).map(tuple),
    derived=st.integers(0),
    named=st.integers(0),
    notes=st.lists(texts, max_size=2).map(tuple),
    error=st.none() | st.builds(Failure, texts, texts, st.none() | texts, st.none() | st.integers(), st.none() | texts),
)


@given(st.lists(reports, max_size=2))
def test_reading_is_the_inverse_of_rendering_whatever_the_report(several):
    text = render_json(several, ENVIRONMENT)
    assert text.isascii()
    assert same(read_json(text)[1], several)


def test_the_names_are_those_of_the_documentation():
    document = json.loads(render_json([report(WRONG)], ENVIRONMENT))
    assert list(document) == ["schema", "environment", "reports"]
    assert document["schema"] == SCHEMA == 1
    (one,) = document["reports"]
    assert {"case", "dtype", "device", "seed", "sizes", "passed", "error", "rows", "derived", "named", "notes"} <= set(
        one
    )
    (first,) = one["rows"]
    assert {"name", "shape", "dtype", "verdict", "passed", "origin", "file", "line", "source", "hints"} <= set(first)
    assert {"accuracy", "resolution", "coverage", "nonfinite", "worst", "comparison", "witnesses"} <= set(first)
    assert set(first["worst"]) == {"index", "candidate", "reference", "allowed"}
    numbers = {"exact", "approximate", "maxdiff", "max_ulp", "relative_error", "differing"}
    assert numbers <= set(first["comparison"])
    assert first["verdict"] == "wrong"


@pytest.mark.parametrize(("one", "passed"), [(report(row()), True), (report(WRONG), False), (CRASHED, False)])
def test_each_report_says_whether_it_passed(one, passed):
    assert json.loads(render_json([one], ENVIRONMENT))["reports"][0]["passed"] is passed


def test_numbers_that_are_not_finite_are_strings():
    odd = report(row(accuracy=math.inf, resolution=-math.inf, comparison=comparison(maxdiff=math.nan)))
    (one,) = json.loads(render_json([odd], ENVIRONMENT), parse_constant=pytest.fail)["reports"]
    (first,) = one["rows"]
    assert (first["accuracy"], first["resolution"], first["comparison"]["maxdiff"]) == ("inf", "-inf", "nan")


def changed(path, value):
    """A valid document with the value at a path replaced, or removed where the value is `...`."""
    document = json.loads(render_json([report(WRONG)], ENVIRONMENT))
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document)


ROW = ("reports", 0, "rows", 0)

BROKEN = [
    ("", "this is no JSON: .*; was the file cut short?"),
    (render_json([], ENVIRONMENT)[:-20], "this is no JSON: .*; was the file cut short?"),
    ("[" * 100_000, "this is no JSON: "),
    ("[]", "no saved run of gradverify: it has no `schema`"),
    ('{"reports": []}', "no saved run of gradverify: it has no `schema`"),
    (
        '{"schema": 1, "studies": []}',
        "was written by `gradverify mutate`, and holds no reports; `gradverify run --json",
    ),
    ('{"schema": 1, "cases": []}', "was written by `gradverify list`, and holds no reports"),
    ('{"schema": 1, "benchmarks": []}', "was written by `gradverify bench`, and holds no reports"),
    (changed(["schema"], 2), "has schema 2, this version of gradverify reads 1; upgrade gradverify"),
    (changed(["schema"], 0), "has schema 0, this version of gradverify reads 1; write it again"),
    (changed(["schema"], True), "has schema True"),
    (changed(["schema"], "1"), "has schema '1'"),
    (changed(["reports"], ...), "the document has no `reports`"),
    (changed(["environment"], ...), "the document has no `environment`"),
    (changed(["reports"], {}), "^reports is {}, expected a list"),
    (changed(["environment", "threads"], "two"), 'environment.threads is "two", expected an integer'),
    (changed(["reports", 0, "case"], ...), r"reports\[0\] has no `case`"),
    (changed(["reports", 0, "sizes"], {"n": 1.5}), r"reports\[0\].sizes.n is 1.5, expected an integer"),
    (changed(["reports", 0, "seed"], True), r"reports\[0\].seed is true, expected an integer"),
    (changed([*ROW, "verdict"], "wrnog"), r"reports\[0\].rows\[0\].verdict is \"wrnog\", .*did you mean 'wrong'"),
    (changed([*ROW, "origin"], "elsewhere"), r"rows\[0\].origin is \"elsewhere\", no origin"),
    (changed([*ROW, "passed"], 1), r"rows\[0\].passed is 1, expected true or false"),
    (changed([*ROW, "shape"], [1, None]), r"rows\[0\].shape\[1\] is null, expected an integer"),
    (changed([*ROW, "accuracy"], "good"), r"rows\[0\].accuracy is \"good\", expected a number"),
    (changed([*ROW, "accuracy"], True), r"rows\[0\].accuracy is true, expected a number"),
    (changed([*ROW, "accuracy"], 10**400), r"rows\[0\].accuracy is 1000.*\.\.\., expected a number that fits"),
    (changed([*ROW, "worst"], [1]), r"rows\[0\].worst is \[1\], expected an object"),
    (changed([*ROW, "name"], ["x"] * 1000), r"rows\[0\].name is \[.{0,45}\.\.\., expected a string"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_document_is_told_where(text, message):
    with pytest.raises(UsageError, match=message):
        read_json(text)


def test_the_document_that_the_broken_ones_are_made_of_is_valid():
    read_json(changed(["schema"], 1))


def test_a_key_of_a_later_version_is_passed_over():
    text = changed([*ROW, "colour"], "blue")
    assert same(read_json(text)[1], [report(WRONG)])


def test_an_optional_key_of_a_later_version_may_be_absent_in_an_earlier_document():
    (one,) = read_json(changed([*ROW, "hints"], ...))[1]
    assert one.rows[0].hints == ()


def test_neither_direction_imports_torch():
    code = (
        "import sys; from gradverify.render.json import read_json, render_json; "
        "read_json(sys.stdin.read()); sys.exit('torch' in sys.modules)"
    )
    document = render_json([report(WRONG)], Environment("1", "2", "3", "x", 1))
    done = subprocess.run([sys.executable, "-c", code], input=document, text=True, check=False)
    assert done.returncode == 0


@dataclasses.dataclass(frozen=True)
class Later:
    """Fields of kinds that a report does not have yet."""

    pair: tuple[str, float]
    grid: tuple[tuple[float, ...], ...]
    either: int | str
    maybe: float | None = None
    inner: Mapping[str, tuple[Worst, ...]] = dataclasses.field(default_factory=dict)
    origins: tuple[Origin | None, ...] = ()


LATER = Later(("a", math.inf), ((1.0, -math.inf), ()), "b", 2.0, {"k": (Worst((1,), 1.0, math.inf, None),)}, (None,))


def test_fields_of_any_kind_are_read_by_their_annotation():
    """A field that is added to a dataclass of the report needs no line in the reader."""
    plain = json.loads(json.dumps(_plain(LATER)))
    assert _read(Later, plain, "later") == LATER
    assert _read(Later, {**plain, "either": 3, "maybe": None}, "later").either == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pair": ["a"]}, r'later.pair is \["a"\], expected a list of 2'),
        ({"grid": [[1.0], ["x"]]}, r'later.grid\[1\]\[0\] is "x", expected a number'),
        ({"either": 1.5}, "later.either is 1.5, expected a string"),
        ({"inner": {"k": [{}]}}, r"later.inner.k\[0\] has no `index`"),
    ],
)
def test_a_fault_in_such_a_field_is_told_where(changes, message):
    """The twin."""
    with pytest.raises(UsageError, match=message):
        _read(Later, {**json.loads(json.dumps(_plain(LATER))), **changes}, "later")


def test_details_are_written_where_there_are_some_and_come_back():
    """A row without them has no such key; what is not finite is spelt out."""
    text = render_json([report(DETAILED, row())], ENVIRONMENT)
    first, second = json.loads(text)["reports"][0]["rows"]
    assert "details" not in second
    assert first["details"]["context"]["lines"][0] == "    d.X = d.logits @ t.W.T"
    assert first["details"]["heat_map"]["cells"][3] == ["inf"]
    assert first["details"]["ulps"] == [3, 2, 1, 0, 0, 4]
    assert read_json(text)[1][0].rows[0] == DETAILED
