"""The README's section on pytest: its files run, its tables are complete."""

import importlib.util
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
SECTION = README.partition("\n## In pytest\n")[2].partition("\n## ")[0]
FILES = dict(re.findall(r"^```python file=(\S+)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL))


def test_every_file_runs(project):
    """All pass, but the one whose mistake is planted, and the one that expects it."""
    for name, text in FILES.items():
        # The recipe for jaxtyping runs where somebody installed it.
        if "jaxtyping" not in text or importlib.util.find_spec("jaxtyping"):
            project.path.joinpath(name).write_text(text, encoding="utf-8")
    result = project.run("--gradverify-report=failed")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == outcomes["xfailed"] == 1
    assert outcomes["passed"] >= 9
    result.stdout.fnmatch_lines(["FAILED test_softmax.py::SoftmaxLoss*"])


def test_the_ids_of_cases_in_several_sizes(project):
    """Those that pytest lists."""
    for name in ("squares.py", "test_sizes.py"):
        project.path.joinpath(name).write_text(FILES[name], encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    assert project.run("-q", "--collect-only").outlines[:2] == shown.splitlines()


def test_every_option_and_setting_is_named(project):
    """Options from pytest's help, settings of the marker from its description."""
    text = project.run("--help").stdout.str()
    options = set(re.findall(r"--gradverify-\w+", text))
    assert options == set(re.findall(r"--gradverify-\w+", SECTION.partition("### Options")[2].partition("###")[0]))
    assert "`gradverify_paths`" in SECTION
    described = re.search(r"@pytest\.mark\.gradverify\(\*, (.*?)\)", project.run("--markers").stdout.str())
    named = re.search(r"@pytest\.mark\.gradverify\((.*?)\)", SECTION, re.DOTALL)
    assert described.group(1).split(", ") == [one.partition("=")[0].strip() for one in named.group(1).split(",")]


@pytest.mark.parametrize(
    "recipe", ["integration", "nightly", "Quarantine", "hypothesis", "jaxtyping", "`cmp`", "gradcheck"]
)
def test_the_recipes_are_there(recipe):
    """Each way of working that the plugin promises has one."""
    assert re.search(rf"^\*\*.*{recipe}.*\*\*", SECTION.partition("### Recipes")[2], re.MULTILINE)
