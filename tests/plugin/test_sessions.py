"""The ways in which people run pytest: in several processes, after a failure, beside other plugins."""

import json

import pytest

from plugin.project import DOUBLED, LINEAR

PROJECT = {
    # The process that only gathers what the others found needs no torch for it.
    "conftest": """
import sys

def pytest_unconfigure(config):
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        print("\\ntorch in the controller:", "torch" in sys.modules)
""",
    "models": LINEAR + DOUBLED,
    "test_models": """
import pytest
import models
from models import Doubled, Linear

CASES = [Linear(samples=2), Linear(samples=3)]

class TestGroup:
    class Inside(Linear): pass

    class InsideAndWrong(Doubled): pass

@pytest.mark.xfail(reason="planted")
class Expected(Doubled): pass

class Misspelt(Linear):
    def backward(self, t, d): d.nonsense = t.h

def test_cmp(gradverify):
    x = models.torch.ones(3, requires_grad=True)
    (2 * x).sum().backward()
    gradverify.cmp("x", models.torch.ones(3), x)
""",
}
OUTCOMES = {"passed": 3, "failed": 3, "xfailed": 1}


def document_of(project, name):
    """The JSON file as data."""
    return json.loads(project.path.joinpath(name).read_text())


def test_two_processes_tell_the_same_as_one(project):
    """The same failures, the same section, the same JSON and JUnit properties."""
    project.write(**PROJECT)
    alone = project.run("--gradverify-json=one.json")
    alone.assert_outcomes(**OUTCOMES)
    spread = project.run_alone("-n2", "--gradverify-json=two.json", "--junitxml=two.xml")
    spread.assert_outcomes(**OUTCOMES)
    assert document_of(project, "one.json") == document_of(project, "two.json")
    spread.stdout.fnmatch_lines(["torch in the controller: False"])
    assert project.path.joinpath("two.xml").read_text().count('name="gradverify"') == 7
    for result in (alone, spread):
        result.stdout.fnmatch_lines_random(
            [
                "E   Misspelt[[]float32]: d.nonsense: *",
                "E   InsideAndWrong[[]float32]: 1 of 3 gradients wrong; first: W*",
                "E *test_cmp[[]float32]: 1 of 1 gradient wrong; first: x *",
                "gradverify: 16 gradients in 7 reports: 13 exact, 3 wrong, 1 error",
            ]
        )


def test_after_a_failure(project):
    """`--lf` runs what failed, `--ff` first; `-x` stops there."""
    project.write(test_models=LINEAR + DOUBLED + "\n\nclass Third(Linear): pass\n")
    project.run().assert_outcomes(passed=2, failed=1)
    project.run("--lf").assert_outcomes(failed=1)
    project.run("-x").assert_outcomes(passed=1, failed=1)
    first = next(line for line in project.run("--ff", "-v").outlines if "::" in line)
    assert first.startswith("test_models.py::Doubled[float32] FAILED")


def test_benchmarks_alone(project):
    """`--benchmark-only` skips cases, as it skips every other test."""
    project.write(test_models=LINEAR, test_speed="def test_speed(benchmark): benchmark(sum, [1, 2])\n")
    result = project.run("--benchmark-only", plugins=("benchmark",))
    result.assert_outcomes(passed=1, skipped=1)
    project.run("--benchmark-skip", plugins=("benchmark",)).assert_outcomes(passed=1, skipped=1)


@pytest.mark.parametrize("seed", [1, 2])
def test_in_a_random_order(project, seed):
    """pytest-randomly shuffles the cases, and their inputs stay those of their seed."""
    project.write(test_models=LINEAR + DOUBLED + "\n\nclass Third(Linear): pass\n")
    project.run("--gradverify-json=plain.json").assert_outcomes(passed=2, failed=1)
    arguments = (f"--randomly-seed={seed}", "--gradverify-json=shuffled.json")
    project.run(*arguments, plugins=("randomly",)).assert_outcomes(passed=2, failed=1)
    assert document_of(project, "plain.json") == document_of(project, "shuffled.json")


def test_an_interrupted_session_tells_what_it_found(project):
    """Ctrl-C ends the session; the section and the file hold what was done."""
    project.write(
        test_models=LINEAR + "\n\nclass Second(Linear):\n    def inputs(self, generator): raise KeyboardInterrupt\n"
    )
    result = project.run("--gradverify-json=out.json")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["gradverify: 3 gradients in 1 report: 3 exact"])
    assert len(document_of(project, "out.json")["reports"]) == 1
