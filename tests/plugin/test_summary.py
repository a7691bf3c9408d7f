"""The section at the end of a session, the JSON file and the properties in JUnit files."""

import json
from xml.etree import ElementTree

import pytest

from gradverify.examination import examine
from gradverify.importer import load_file
from gradverify.loader import cases_of
from gradverify.render.json import read_json
from gradverify.render.table import render_table
from gradverify.verification import verify
from plugin.project import DOUBLED, LINEAR

MODELS = LINEAR + DOUBLED


def section_of(result):
    """The lines of the section, without its title."""
    lines = result.outlines
    titles = [number for number, line in enumerate(lines) if line.strip("= ") == "gradverify"]
    assert len(titles) <= 1
    if not titles:
        return []
    rest = lines[titles[0] + 1 :]
    return rest[: next(number for number, line in enumerate(rest) if line.startswith("="))]


def test_a_line_a_report_and_one_total_line(project):
    """While the reports are few, each has its line."""
    project.write(test_models=MODELS)
    doubled, linear, total = section_of(project.run())
    assert doubled.startswith("Doubled[float32]: 1 of 3 gradients wrong; first: W (wrong) is off by")
    assert (
        linear
        == "Linear[float32]: 3 of 3 gradients right (3 of 3 named tensors derived) · samples=4 · cpu · seed 111111"
    )
    assert total == "gradverify: 6 gradients in 2 reports: 5 exact, 1 wrong"


def test_no_section_without_cases(project):
    """Nobody who did not ask for it sees gradverify."""
    project.write(test_it="def test_it(): ...\n")
    result = project.run()
    result.stdout.no_fnmatch_line("*gradverify: *")
    assert section_of(result) == []


def test_five_hundred_cases_stay_readable(project, monkeypatch):
    """Those that passed are counted; only what failed has a line."""
    seen = {}

    def examine_once(case, configuration):
        if type(case) not in seen:
            seen[type(case)] = examine(case, configuration)
        return seen[type(case)]

    monkeypatch.setattr("gradverify.examination.examine", examine_once)
    project.write(
        models=MODELS,
        test_models="from models import Doubled, Linear\n"
        "CASES = [Doubled, *(Linear(samples=number) for number in range(1, 501))]\n",
    )
    result = project.run("-q")
    result.assert_outcomes(passed=500, failed=1)
    doubled, total = section_of(result)
    assert doubled.startswith("Doubled[float32]: 1 of 3 gradients wrong")
    assert total == "gradverify: 1503 gradients in 501 reports: 1502 exact, 1 wrong"
    assert len(result.outlines) < 40


def test_many_that_did_not_simply_pass_are_cut(project):
    """A failed one is never among those cut away."""
    known = '    known = {("W", "float32"): "planted"}\n'
    project.write(
        models=MODELS,
        test_a="from models import Doubled\n\nclass Known(Doubled):\n    __test__ = False\n"
        + known
        + "\nCASES = [Known(samples=number) for number in range(1, 15)]\n",
        test_b="from models import Doubled\nCASES = [Doubled]\n",
    )
    result = project.run()
    result.assert_outcomes(passed=14, failed=1)
    lines = section_of(result)
    assert lines[0].startswith("Doubled[float32]: 1 of 3 gradients wrong")
    assert len(lines) == 12
    assert lines[-2] == "... and 5 more; --gradverify-report=all shows every table"
    assert lines[-1] == "gradverify: 45 gradients in 15 reports: 30 exact, 1 wrong, 14 known"


def test_report_failed(project):
    """Only what failed has a line; an expected failure has none."""
    project.write(test_models=MODELS + "\nimport pytest\n\n@pytest.mark.xfail\nclass Expected(Doubled): pass\n")
    doubled, total = section_of(project.run("--gradverify-report=failed"))
    assert doubled.startswith("Doubled[float32]")
    assert total == "gradverify: 9 gradients in 3 reports: 7 exact, 2 wrong"


def test_report_none(project):
    """No section; the failures stay."""
    project.write(test_models=MODELS)
    result = project.run("--gradverify-report=none")
    assert section_of(result) == []
    result.stdout.fnmatch_lines(["E   Doubled[[]float32]: 1 of 3 gradients wrong*"])


@pytest.mark.parametrize("way", ["--gradverify-report=all", "gradverify_report = all"])
def test_report_all_shows_the_tables_of_the_command_line(project, way):
    """Of one case, all that `gradverify run` shows."""
    project.write(test_models=LINEAR)
    arguments = [way] if way.startswith("-") else []
    if not arguments:
        project.ini(way)
    lines = section_of(project.run(*arguments, "-k", "Linear"))
    (case,) = cases_of(load_file(project.path / "test_models.py"))
    assert lines[:-1] == [*render_table(verify(case)).splitlines(), ""]


def test_format(project):
    """That of every table, in the section and in failures."""
    project.write(test_models=MODELS)
    result = project.run("--gradverify-report=all", "--gradverify-format=github")
    assert sum(line.startswith("| gradient ") for line in result.outlines) == 3


def test_markdown(project):
    """The section is Markdown; the first line of a failure stays the story, which pytest repeats at the end."""
    project.write(test_models=MODELS)
    result = project.run("--gradverify-report=all", "--gradverify-format=markdown")
    assert any(line.startswith("### Doubled[float32]: 1 of") for line in section_of(result))
    assert any(line.startswith("<details><summary>Linear[float32]: ") for line in section_of(result))
    assert any(line.startswith("E   Doubled[float32]: ") for line in result.outlines)
    assert any(" - Doubled[float32]: " in line for line in result.outlines if line.startswith("FAILED"))


def test_colours_are_those_of_pytest(project):
    """Red, yellow and green, where pytest itself colours; an expected failure is yellow."""
    project.write(test_models=MODELS + "\nimport pytest\n\n@pytest.mark.xfail\nclass Expected(Doubled): pass\n")
    lines = project.run("--color=yes").outlines
    for colour, start in {31: "Doubled", 33: "Expected", 32: "Linear"}.items():
        assert any(line.startswith(f"\x1b[{colour}m{start}[float32]: ") for line in lines)
    assert any(line.startswith("\x1b[31mgradverify: ") for line in lines)
    assert any(line.startswith("\x1b[1m\x1b[31mE   Doubled[float32]: ") for line in lines)
    assert not any("\x1b" in line for line in project.run("--color=no").outlines)


def test_what_a_test_only_looked_at_is_no_failure(project):
    """A test may plant a mistake and pass."""
    project.write(
        models=MODELS, test_it="from models import Doubled\n\ndef test_it(gradverify): gradverify.verify(Doubled)\n"
    )
    result = project.run("--color=yes")
    result.assert_outcomes(passed=1)
    assert any(line.startswith("\x1b[33mDoubled[float32]: ") for line in result.outlines)


@pytest.mark.parametrize("way", ["--gradverify-json=out.json", "gradverify_json = out.json"])
def test_json_holds_every_report(project, way):
    """In an order that does not depend on the order of the tests; the file can be read back."""
    project.write(test_models=MODELS + "\n\nclass Broken(Linear):\n    def backward(self, t, d): d.nonsense = t.h\n")
    arguments = [way] if way.startswith("-") else []
    if not arguments:
        project.ini(way)
    project.run(*arguments).assert_outcomes(passed=1, failed=2)
    environment, reports = read_json(project.path.joinpath("out.json").read_text())
    assert environment.devices.keys() == {"cpu"}
    assert [(one.case, one.passed) for one in reports] == [("Broken", False), ("Doubled", False), ("Linear", True)]
    assert reports[0].error.kind == "UnknownName"


def test_json_of_a_session_without_cases(project):
    """A file without reports, so that whoever waits for one finds it; --collect-only leaves the last one alone."""
    project.write(test_it="def test_it(): ...\n")
    file = project.path / "out.json"
    project.run("--gradverify-json=out.json")
    assert read_json(file.read_text())[1] == []
    file.write_text("kept")
    project.run("--gradverify-json=out.json", "--collect-only")
    assert file.read_text() == "kept"


def test_json_that_cannot_be_written_is_told_and_fails_the_session(project):
    """The tests' own outcome is shown all the same, and no part of a file stays behind."""
    project.write(
        conftest="import shutil\n\n"
        "def pytest_runtest_teardown(item): shutil.rmtree(item.config.rootpath / 'reports')\n",
        test_models=LINEAR,
    )
    project.path.joinpath("reports").mkdir()
    result = project.run("--gradverify-json=reports/out.json")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["gradverify: *out.json cannot be written: *", "*1 passed*"])


def test_junit_holds_a_json_string_a_test(project):
    """A property, readable like the file."""
    project.write(test_models=MODELS + "    seeds = [1, 2]\n", test_it="def test_it(): ...\n")
    project.run("--junitxml=out.xml")
    properties = {
        case.get("name"): [one.get("value") for one in case.iter("property") if one.get("name") == "gradverify"]
        for case in ElementTree.parse(project.path / "out.xml").iter("testcase")
    }
    assert {name: len(values) for name, values in properties.items()} == {
        "Linear[float32]": 1,
        "Doubled[float32]": 1,
        "test_it": 0,
    }
    assert [one.seed for one in read_json(properties["Doubled[float32]"][0])[1]] == [1, 2]
    assert "\n" not in properties["Linear[float32]"][0]


def test_a_test_that_is_run_again_is_told_once(project):
    """With its last attempt; a rerun runs the phases of an item again."""
    project.write(
        conftest="""
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for attempt in range(2):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            item.ihook.pytest_runtest_logreport(report=report)
    return True
""",
        test_models=LINEAR,
        test_it="from test_models import Linear\n\ndef test_it(gradverify): gradverify.check(Linear)\n",
    )
    result = project.run("--gradverify-json=out.json")
    assert len(json.loads(project.path.joinpath("out.json").read_text())["reports"]) == 2
    assert section_of(result)[-1] == "gradverify: 6 gradients in 2 reports: 6 exact"
