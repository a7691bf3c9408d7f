"""What pytest prints of a case that fails."""

import pytest

from plugin.project import DOUBLED, LINEAR

MODELS = LINEAR + DOUBLED

# Mistakes other than a wrong gradient, the line that holds each, and what the first line of the failure says.
MISTAKES = {
    "a name that the forward does not have": (
        "        d.W = t.X.T @ d.hh\n",
        "d.hh",
        "Mistaken[[]float32]: *'hh'; did you mean 'h'?, at test_models.py:{line}",
        "UnknownName",
    ),
    "a float": (
        "        d.h = 0.5\n",
        "d.h = 0.5",
        "Mistaken[[]float32]: d.h: expected a tensor, got 0.5; *, at test_models.py:{line}",
        "NotATensor",
    ),
    "an exception": (
        "        d.h = t.h @ t.h  # planted\n",
        "# planted",
        "Mistaken[[]float32]: backward raised RuntimeError in the float32 pass*, at test_models.py:{line}",
        "CaseRaised",
    ),
}


def test_a_wrong_gradient_is_shown_as_a_table(project):
    """The first line is the whole story; then come the table, the statement, and the line for editors."""
    project.write(test_models=MODELS)
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    line = project.line_of("test_models.py", "# planted")
    story = "Doubled[[]float32]: 1 of 3 gradients wrong; first: W (wrong) is off by * where rounding explains *"
    result.stdout.fnmatch_lines(
        [
            "*FAILURES*",
            "*_ Doubled[[]float32] _*",
            f"E   {story}, at test_models.py:{line}*",
            "gradient *verdict *line",
            "h *exact *",
            f"W *wrong* {line}",
            "*d.W = t.X.T @ d.h * 2*",
            f"test_models.py:{line}: GradientMismatch",
        ]
    )
    # Not a line of gradverify itself.
    result.stdout.no_fnmatch_line("*pytest_items.py*")
    result.stdout.no_fnmatch_line("*examination.py*")


def test_the_short_summary_shows_the_first_line_alone(project, monkeypatch):
    """Also under continuous integration, where pytest prints whole messages."""
    monkeypatch.setenv("CI", "true")
    project.write(test_models=MODELS)
    summary = project.run().outlines[-2:]
    assert summary[0].startswith(
        "FAILED test_models.py::Doubled[float32] - Doubled[float32]: 1 of 3 gradients wrong; first: W"
    )


@pytest.mark.parametrize(("code", "at", "message", "kind"), MISTAKES.values(), ids=list(MISTAKES))
def test_another_mistake_names_its_line(project, code, at, message, kind):
    """Without a traceback through gradverify."""
    project.write(test_models=LINEAR + "\n\nclass Mistaken(Linear):\n    def backward(self, t, d):\n" + code)
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    line = project.line_of("test_models.py", at)
    result.stdout.fnmatch_lines(["E   " + message.format(line=line), f"test_models.py:{line}: {kind}"])
    result.stdout.no_fnmatch_line("*evaluation.py*")


def test_an_exception_keeps_its_traceback(project):
    """The lines of the user, as Python prints them."""
    project.write(
        test_models=LINEAR
        + """

def helper(h):
    return h.nonsense()


class Raises(Linear):
    def backward(self, t, d):
        d.h = helper(t.h)
"""
    )
    project.run().stdout.fnmatch_lines(
        [
            "E   Raises*backward raised AttributeError*nonsense*",
            "*Traceback (most recent call last):",
            "*line *, in backward",
            "*line *, in helper",
            "*AttributeError: *nonsense*",
        ]
    )


def test_every_seed_runs_in_one_item_and_is_named_where_it_fails(project):
    """The table is that of the first seed that fails; each other one gets a line."""
    project.write(
        test_models=LINEAR
        + """

class Unlucky(Linear):
    seeds = [1, 2, 3]

    def backward(self, t, d):
        super().backward(t, d)
        if t.X.sum() != self.first.sum():
            d.W = t.X.T @ d.h * 2

    def inputs(self, generator):
        drawn = super().inputs(generator)
        if generator.initial_seed() == 1:
            type(self).first = drawn["X"]
        return drawn
"""
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E   Unlucky*", "*seed 2", "also with seed 3: Unlucky[[]float32]: 1 of 3 gradients wrong*"]
    )


def test_an_error_can_be_expected_by_its_class(project):
    """`xfail(raises=...)` tells a mismatch from a mistake."""
    project.write(
        test_models=LINEAR
        + """
import pytest
from gradverify import GradientMismatch
from gradverify.errors import UnknownName

class Wrong(Linear):
    def backward(self, t, d):
        d.h = d.loss.expand_as(t.h)
        d.W, d.X = t.X.T @ d.h, d.h @ t.W.T

class Unknown(Linear):
    def backward(self, t, d):
        d.hh = d.loss

Linear.__test__ = False

@pytest.mark.xfail(raises=GradientMismatch)
class A(Wrong):
    __test__ = True

@pytest.mark.xfail(raises=GradientMismatch)
class B(Unknown):
    __test__ = True

@pytest.mark.xfail(raises=UnknownName)
class C(Unknown):
    __test__ = True
"""
    )
    result = project.run()
    result.assert_outcomes(xfailed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_models.py::B*"])


def test_a_line_a_failure(project):
    """`--tb=line` keeps its promise."""
    project.write(test_models=MODELS)
    lines = project.run("--tb=line", "--gradverify-report=none").outlines
    start = next(number for number, line in enumerate(lines) if "FAILURES" in line)
    assert lines[start + 1].startswith(
        f"test_models.py:{project.line_of('test_models.py', '# planted')}: Doubled[float32]: 1 of 3"
    )
    assert "short test summary" in lines[start + 2]


def test_an_error_of_gradverify_itself_keeps_its_traceback(project, monkeypatch):
    """What the user did not cause is not hidden."""

    def fail(case, configuration):
        raise ZeroDivisionError("a defect of gradverify")

    monkeypatch.setattr("gradverify.examination.examine", fail)
    project.write(test_models=LINEAR)
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * ZeroDivisionError: a defect of gradverify", "*test_failure.py*"])
