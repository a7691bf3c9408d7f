"""The fixture `gradverify`: rows compared in a test function, and whole cases checked there."""

import pytest

from plugin.project import DOUBLED, LINEAR

MODELS = LINEAR + DOUBLED
COMPARED = """
import torch

def leaf():
    x = torch.ones(3, requires_grad=True)
    (2 * x).sum().backward()
    return x
"""


def test_cmp_passes_and_returns_the_comparison(project):
    """The rows are counted at the end of the session."""
    project.write(
        test_it=COMPARED
        + """
def test_right(gradverify):
    assert gradverify.cmp("x", torch.full((3,), 2.0), leaf()).exact
    assert gradverify.cmp("again", torch.full((3,), 2.000001), leaf()).approximate
"""
    )
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["test_right[[]float32]: 2 of 2 gradients right*", "gradverify: 2 gradients in 1 report: 1 exact, 1 ok"]
    )


def test_cmp_fails_once_at_the_end_with_every_row(project):
    """pytest shows the test up to the first row that failed, and the table of all."""
    project.write(
        test_it=COMPARED
        + """
def test_wrong(gradverify):
    gradverify.cmp("right", torch.full((3,), 2.0), leaf())
    gradverify.cmp("half", torch.full((3,), 1.0), leaf())
    gradverify.cmp("kept", torch.full((3, 1), 2.0), leaf())
    gradverify.cmp("wide", torch.full((3,), 2.0, dtype=torch.float64), leaf())
    print("reached the end")
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    line = project.line_of("test_it.py", '"half"')
    result.stdout.fnmatch_lines(
        [
            '>       gradverify.cmp("half", torch.full((3,), 1.0), leaf())',
            "E *GradientMismatch: test_wrong[[]float32]: 3 of 4 gradients wrong; first: half (wrong) is off by 1, *",
            "E * right *exact*",
            "E * half *wrong*",
            "E * kept *shape*",
            "E * wide *dtype*",
            "E *judged by allclose, |candidate - reference| <= 1e-08 + 1e-05 |reference|; `check` judges *",
            f"test_it.py:{line}: GradientMismatch",
            "*reached the end*",
            "FAILED test_it.py::test_wrong - test_wrong[[]float32]: 3 of 4 gradients*",
        ]
    )


def test_cmp_in_a_helper_shows_the_test_and_the_helper(project):
    """The way from the test to the row is there."""
    project.write(
        test_it=COMPARED
        + """
def compare_all(gradverify):
    gradverify.cmp("half", torch.full((3,), 1.0), leaf())

def test_wrong(gradverify):
    compare_all(gradverify)
"""
    )
    project.run().stdout.fnmatch_lines(["*compare_all(gradverify)", "*gradverify.cmp(*", "E *1 of 1 gradient wrong*"])


def test_rows_are_shown_although_the_test_raised(project):
    """The test's own error comes first, the table is a section of its report."""
    project.write(
        test_it=COMPARED
        + """
def test_raises(gradverify):
    gradverify.cmp("half", torch.full((3,), 1.0), leaf())
    raise ValueError("something else")
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E  *ValueError: something else", "*Captured gradverify call*", "*1 of 1 gradient wrong*"]
    )


def test_rows_compared_after_the_test_fail_its_teardown(project):
    """Another fixture may compare when the test is over."""
    project.write(
        test_it=COMPARED
        + """
import pytest

@pytest.fixture
def afterwards(gradverify):
    yield
    gradverify.cmp("half", torch.full((3,), 1.0), leaf())

def test_it(afterwards): ...
"""
    )
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_it*", "E *1 of 1 gradient wrong*", "gradverify: 1 gradient *: 1 wrong"]
    )


def test_cmp_without_a_gradient_names_the_remedy(project):
    """An intermediate keeps its gradient only if it is told to."""
    project.write(
        test_it=COMPARED
        + """
def test_it(gradverify):
    x = torch.ones(3, requires_grad=True)
    h = 2 * x
    h.sum().backward()
    gradverify.cmp("h", torch.ones(3), h)
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['>       gradverify.cmp("h", torch.ones(3), h)', "E *h: *retain_grad()*"])
    result.stdout.no_fnmatch_line("*pytest_fixture.py*")


def test_check_and_verify_tell_the_summary(project):
    """check fails the test at its line; verify leaves the judgement to the test; both are counted."""
    project.write(
        models=MODELS,
        test_it="""
from models import Doubled, Linear

def test_check(gradverify):
    assert gradverify.check(Linear, sizes={"samples": 7}).passed
    gradverify.check(Doubled)

def test_verify(gradverify):
    report = gradverify.verify(Doubled)
    assert [row.name for row in report.failed_rows] == ["W"]
""",
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       gradverify.check(Doubled)",
            "E *GradientMismatch: Doubled[[]float32]: 1 of 3 gradients wrong; first: W*",
            "test_it.py:6: GradientMismatch",
            "Linear[[]samples=7-float32]: 3 of 3 gradients right * samples=7*",
            "gradverify: 9 gradients in 3 reports: 7 exact, 2 wrong",
        ]
    )
    result.stdout.no_fnmatch_line("*verification.py*")


def test_the_check_of_the_package_is_shown_as_well(project):
    """Also without the fixture, pytest shows the line of the test and no line of gradverify."""
    project.write(
        models=MODELS,
        test_it="import gradverify\nfrom models import Doubled\n\ndef test_it():\n    gradverify.check(Doubled)\n",
    )
    result = project.run()
    result.stdout.fnmatch_lines(
        [">       gradverify.check(Doubled)", "E *1 of 3 gradients wrong*", "test_it.py:5: GradientMismatch"]
    )
    result.stdout.no_fnmatch_line("*verification.py*")
    assert any("verification.py" in line for line in project.run("--full-trace").outlines)


SETTINGS = """
import pytest
from models import Linear

@pytest.mark.gradverify(dtypes=["float64", "bfloat16"], seeds=5)
def test_marked(gradverify):
    report = gradverify.verify(Linear)
    print("ran", report.dtype, report.seed)

def test_plain(gradverify):
    report = gradverify.verify(Linear)
    print("ran", report.dtype, report.seed)

def test_explicit(gradverify):
    report = gradverify.verify(Linear, seed=8)
    print("ran", report.dtype, report.seed)
"""


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        ([], {"float64 5", "bfloat16 5", "float32 111111", "float32 8"}),
        (["--gradverify-seed=6"], {"float64 6", "bfloat16 6", "float32 6", "float32 8"}),
        (["--gradverify-seed=6", "--gradverify-dtype=float16"], {"float16 6", "float16 8"}),
        (["-k", "plain", "--gradverify-seed=1", "--gradverify-seed=2"], {"float32 1", "float32 2"}),
    ],
)
def test_marks_and_options_reach_check_and_verify(project, arguments, ran):
    """The command line over marks; an argument of the call over both; of several values, each is a test."""
    project.write(models=LINEAR, test_it=SETTINGS)
    result = project.run("-s", *arguments)
    assert {line.partition("ran ")[2].strip(".") for line in result.outlines if "ran " in line} == ran


def test_several_values_are_named_in_the_ids(project):
    """Only what varies is."""
    project.write(models=LINEAR, test_it=SETTINGS)
    ids = [line.partition("::")[2] for line in project.run("--collect-only", "-q").outlines if "::" in line]
    assert ids == ["test_marked[float64]", "test_marked[bfloat16]", "test_plain", "test_explicit"]


@pytest.mark.parametrize(
    ("mark", "message"),
    {
        "dtype='float64'": "@pytest.mark.gradverify: unknown setting 'dtype'; did you mean 'dtypes'?",
        "dtypes='float31'": "@pytest.mark.gradverify: dtypes: 'float31' is not a floating dtype*",
        "constants=['x']": "@pytest.mark.gradverify: constants is a setting of a case: write it in the class body; *",
    }.items(),
)
def test_a_mark_that_does_not_fit_is_an_error(project, mark, message):
    """Also where the test does not use it."""
    for argument in ("gradverify", ""):
        project.write(test_it=f"import pytest\n\n@pytest.mark.gradverify({mark})\ndef test_it({argument}): ...\n")
        result = project.run()
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([f"test_it.py::test_it: {message}"])
