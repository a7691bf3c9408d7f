"""`--gradverify-benchmark`: two more items a case, what they tell pytest-benchmark, and what stops them."""

import json

import pytest

from plugin.project import DOUBLED, LINEAR, ids_of

WANTED = "--gradverify-benchmark"
CANDIDATE = """
from gradverify import FunctionCase

class Twice(FunctionCase):
    candidate = lambda x: x + x
    reference = lambda x: 2 * x

    def inputs(self, generator):
        return {"x": torch.randn(3, generator=generator)}

class Alone(Twice):
    reference = None
"""
SIZES = LINEAR + "\n\nCASES = [Linear(samples=7)]\n"


@pytest.fixture
def timed(project):
    """Run the session with pytest-benchmark; gives what it wrote of its benchmarks, and the result."""

    def run(*arguments):
        result = project.run(WANTED, "--benchmark-json=out.json", *arguments, plugins=("benchmark",))
        file = project.path / "out.json"
        return json.loads(file.read_text()) if file.stat().st_size else {"benchmarks": []}, result

    return run


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        (LINEAR, ["Linear[float32]", "Linear[manual]", "Linear[autograd]"]),
        (
            SIZES,
            [
                *("Linear[float32]", "Linear[manual]", "Linear[autograd]"),
                *("Linear[samples=7-float32]", "Linear[samples=7-manual]", "Linear[samples=7-autograd]"),
            ],
        ),
        (
            LINEAR + "    dtypes = ['float32', 'float64']\n",
            [
                *("Linear[float32]", "Linear[float64]"),
                *("Linear[float32-manual]", "Linear[float32-autograd]"),
                *("Linear[float64-manual]", "Linear[float64-autograd]"),
            ],
        ),
        (
            LINEAR.partition("class")[0] + CANDIDATE,
            ["Alone[float32]", "Twice[float32]", "Twice[candidate]", "Twice[reference]"],
        ),
    ],
    ids=["one", "sizes", "dtypes", "candidate"],
)
def test_two_more_items_a_case(project, source, ids):
    """With as much of a name as tells them apart; a candidate without a reference has none."""
    project.write(test_models=source)
    found = ids_of(project.run("--collect-only", "-q", WANTED, plugins=("benchmark",)))
    assert sorted(found) == sorted(ids)


def test_without_the_option_there_are_none(project):
    project.write(test_models=LINEAR)
    assert ids_of(project.run("--collect-only", "-q", plugins=("benchmark",))) == ["Linear[float32]"]


def test_both_are_in_one_group_with_the_ratio_and_the_bytes(project, timed):
    """The ratio is that of a race of pairs, and the same in both; bytes are those of the item's own pass."""
    project.write(test_models=LINEAR)
    document, result = timed()
    result.assert_outcomes(passed=3)
    manual, autograd = sorted(document["benchmarks"], key=lambda one: one["name"], reverse=True)
    assert (manual["name"], autograd["name"]) == ("Linear[manual]", "Linear[autograd]")
    assert manual["group"] == autograd["group"] == "Linear[float32]: backward"
    assert manual["extra_info"]["ratio"] == autograd["extra_info"]["ratio"] > 0
    low, high = manual["extra_info"]["ratio_interval"]
    assert low <= manual["extra_info"]["ratio"] <= high
    assert (manual["extra_info"]["threads"], manual["extra_info"]["pairs"] >= 9) == (1, True)
    # X, W, h and the loss, against X and W.
    assert manual["extra_info"]["kept_bytes"] == 4 * (12 + 6 + 8 + 1)
    assert autograd["extra_info"]["kept_bytes"] == 4 * (12 + 6)
    assert autograd["extra_info"]["peak_bytes"] > 0
    assert manual["stats"]["rounds"] >= 5


def test_the_ini_key_asks_for_them_too(project):
    project.write(test_models=LINEAR)
    project.ini("gradverify_benchmark = true")
    assert len(ids_of(project.run("--collect-only", "-q", plugins=("benchmark",)))) == 3


def test_a_case_that_does_not_verify_is_not_timed(project, timed):
    """Its items fail with the reason and its line, and nothing is written of them."""
    project.write(test_models=LINEAR + DOUBLED)
    document, result = timed("-k", "Doubled")
    result.assert_outcomes(failed=3)
    line = project.line_of("test_models.py", "# planted")
    result.stdout.fnmatch_lines(
        [
            "E   Doubled[[]float32[]]: it does not verify: d.W is wrong, at test_models.py:*",
            f"test_models.py:{line}: GradverifyError",
        ]
    )
    assert document["benchmarks"] == []


def test_marks_of_the_class_hold(project, timed):
    """A case that is expected to fail is expected not to be timed."""
    xfail = DOUBLED.replace("class Doubled", "@pytest.mark.xfail\nclass Doubled")
    project.write(test_models="import pytest\n" + LINEAR + xfail)
    _, result = timed("-k", "Doubled")
    result.assert_outcomes(xfailed=3)


def test_a_case_within_a_test_class(project, timed):
    """Where pytest would take an argument for `self`."""
    body = "\n".join(f"    {line}" for line in LINEAR.partition("class")[2].join(["class", ""]).splitlines())
    project.write(test_models=LINEAR.partition("class")[0] + "class TestAll:\n" + body + "\n")
    _, result = timed()
    result.assert_outcomes(passed=3)


def test_benchmarks_that_are_disabled_run_once(project):
    project.write(test_models=LINEAR)
    result = project.run(WANTED, "--benchmark-disable", plugins=("benchmark",))
    result.assert_outcomes(passed=3)


def test_benchmarks_alone(project):
    """pytest-benchmark's own choices know them."""
    project.write(test_models=LINEAR)
    project.run(WANTED, "--benchmark-only", plugins=("benchmark",)).assert_outcomes(passed=2, skipped=1)
    project.run(WANTED, "--benchmark-skip", plugins=("benchmark",)).assert_outcomes(passed=1, skipped=2)


def test_without_pytest_benchmark_it_is_a_usage_error(project):
    """Whoever asks for it is told what is missing, before anything runs."""
    project.write(test_models=LINEAR)
    result = project.run(WANTED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: gradverify: benchmark: pytest-benchmark is not active: leave out `-p no:benchmark`*"]
    )


def test_without_it_and_without_the_option_nothing_is_missing(project):
    project.write(test_models=LINEAR)
    project.run().assert_outcomes(passed=1)
