"""Which cases pytest collects, under which names, and what it says of those that it cannot run."""

from textwrap import indent

import pytest

from plugin.project import DOUBLED, LINEAR, ids_of

# What stands in a test module, and the tests that pytest lists for it.
COLLECTED = {
    "a case": (LINEAR, ["Linear[float32]"]),
    "a case beside a test": (LINEAR + "\ndef test_it(): ...\n", ["Linear[float32]", "test_it"]),
    "a case with the name of a test class": (LINEAR.replace("Linear", "TestLinear"), ["TestLinear[float32]"]),
    "a second name for a case": (LINEAR + "\nSame = Linear\n", ["Linear[float32]"]),
    "a case beside an alias": (LINEAR + "\nNumbers = list[int]\n", ["Linear[float32]"]),
    "a case that is told apart": (LINEAR + "    __test__ = False\n", []),
    "a base without backward": (
        LINEAR.replace("def backward", "def other") + "\nclass Whole(Linear):\n    def backward(self, t, d): ...\n",
        ["Whole[float32]"],
    ),
    "several dtypes": (
        LINEAR + "    dtypes = ['float32', 'bfloat16']\n",
        ["Linear[float32]", "Linear[bfloat16]"],
    ),
    "several seeds": (LINEAR + "    seeds = [1, 2, 3]\n", ["Linear[float32]"]),
    "several devices": (
        LINEAR + "    devices = ['cpu', 'meta']\n",
        ["Linear[float32-cpu]", "Linear[float32-meta]"],
    ),
    "one other device": (LINEAR + "    devices = ['meta']\n", ["Linear[float32]"]),
    "cases of two sizes": (
        LINEAR + "\nCASES = [Linear(samples=2), Linear(samples=10_000)]\n",
        ["Linear[float32]", "Linear[samples=2-float32]", "Linear[samples=10000-float32]"],
    ),
    "cases that look alike": (
        LINEAR + "    eps: float = 0.1\n\nCASES = (Linear(eps=0.2), Linear(eps=0.3))\n",
        ["Linear[float32]", "Linear[float32-2]", "Linear[float32-3]"],
    ),
    "a list of CASES that is somebody else's": ("import gradverify.case\nCASES = [(1, 2), 'x']\n", []),
    "a case inside a test class": (
        "class TestGroup:\n" + indent(LINEAR, "    ") + "\n    def test_it(self): ...\n",
        ["TestGroup::Linear[float32]", "TestGroup::test_it"],
    ),
    "a case derived from another": (LINEAR + DOUBLED, ["Linear[float32]", "Doubled[float32]"]),
}


@pytest.mark.parametrize(("source", "ids"), COLLECTED.values(), ids=list(COLLECTED))
def test_items_of_a_module(project, source, ids):
    """Each kind of module gives the items that its author expects."""
    project.write(test_models=source)
    assert ids_of(project.run("--collect-only", "-q")) == ids


def test_a_case_that_lacks_a_method_is_told(project):
    """It cannot be verified, and is not passed over in silence."""
    project.write(test_models=LINEAR.replace("def backward", "def bakcward") + "\ndef test_it(): ...\n")
    result = project.run("-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*PytestCollectionWarning: Linear is not verified: it does not define backward"])


def test_an_imported_case_is_collected_only_through_cases(project):
    """A module that imports cases runs those that its CASES lists, and no other."""
    project.write(
        models=LINEAR + DOUBLED, test_models="from models import Doubled, Linear\nCASES = [Linear(samples=2)]\n"
    )
    result = project.run("-vv")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_models.py::Linear[[]samples=2-float32] <- models.py PASSED*"])


def test_a_class_listed_in_cases_is_made_with_its_defaults(project):
    """CASES may list a class."""
    project.write(models=LINEAR, test_models="from models import Linear\nCASES = [Linear]\n")
    assert ids_of(project.run("--collect-only", "-q")) == ["Linear[float32]"]


def test_a_conftest_holds_no_cases(project):
    """Not even where the file is collected."""
    project.write(conftest=LINEAR)
    project.ini("python_files = *.py", "gradverify_paths = .")
    assert ids_of(project.run("--collect-only", "-q")) == []


def test_folders_of_gradverify_paths_are_collected_whatever_the_names_of_their_files(project):
    """Also two files of one name, below the folder, which pytest itself refuses."""
    project.write(cases__linear=LINEAR, models__linear=LINEAR, models__doubled=LINEAR + DOUBLED)
    project.path.joinpath("cases/deep").mkdir()
    project.path.joinpath("cases/deep/linear.py").write_text(LINEAR)
    project.write(other=LINEAR)
    project.ini("gradverify_paths = cases models")
    result = project.run("--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "cases/deep/linear.py::Linear[float32]",
        "cases/linear.py::Linear[float32]",
        "models/doubled.py::Linear[float32]",
        "models/doubled.py::Doubled[float32]",
        "models/linear.py::Linear[float32]",
    ]


def test_a_folder_of_gradverify_paths_may_be_a_package(project):
    """Its files import each other, and the imported case is not collected twice."""
    project.write(cases__linear=LINEAR, cases__more="from .linear import Linear\n" + DOUBLED)
    project.path.joinpath("cases", "__init__.py").touch()
    project.ini("gradverify_paths = cases")
    assert ids_of(project.run("--collect-only", "-q")) == ["Linear[float32]", "Doubled[float32]"]


def test_test_files_in_a_folder_of_gradverify_paths_stay_those_of_pytest(project):
    """Their asserts are explained."""
    project.write(tests__test_it="def test_it():\n    found = 1\n    assert found == 2\n", tests__linear=LINEAR)
    project.ini("gradverify_paths = tests")
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E * assert 1 == 2"])


@pytest.mark.parametrize("name", ["linear", "test_linear"])
def test_a_file_of_gradverify_paths_is_collected_once(project, name):
    """Also where pytest would collect it by its name, and where it is named on the command line."""
    project.write(**{f"cases__{name}": LINEAR})
    project.ini("gradverify_paths = cases")
    for arguments in ([], ["cases"], [f"cases/{name}.py"], [f"cases/{name}.py::Linear"]):
        assert ids_of(project.run("--collect-only", "-q", *arguments)) == ["Linear[float32]"]


def test_a_file_of_gradverify_paths_that_does_not_import_hides_no_other(project):
    """The error names the line, and the other file's case can still run."""
    project.write(cases__good=LINEAR, cases__bad="import torch\nimport nonexistent_module\n")
    project.ini("gradverify_paths = cases")
    result = project.run("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*does not import: ModuleNotFoundError: No module named 'nonexistent_module'; install*", "*line 2*"]
    )


def test_selection_by_name(project):
    """`-k`, and the id of an item with and without its brackets."""
    project.write(test_models=LINEAR + "    dtypes = ['float32', 'float64']\n" + DOUBLED)
    for arguments, ids in {
        ("-k", "Doubled"): ["Doubled[float32]", "Doubled[float64]"],
        ("-k", "Linear and float64"): ["Linear[float64]"],
        ("test_models.py::Linear",): ["Linear[float32]", "Linear[float64]"],
        ("test_models.py::Linear[float64]",): ["Linear[float64]"],
    }.items():
        assert ids_of(project.run("--collect-only", "-q", *arguments)) == ids


def test_marks_of_the_class_work(project):
    """As on a test class: xfail, skip, skipif by a text, usefixtures; also inherited or listed in CASES."""
    project.write(
        models=LINEAR,
        test_models=LINEAR
        + DOUBLED
        + """
import pytest
from models import Linear as Imported

Doubled.__test__ = False

@pytest.fixture
def noted(record_property):
    record_property("noted", True)
    print("the fixture ran")

@pytest.mark.xfail(reason="the factor is planted")
class Expected(Doubled):
    __test__ = True

@pytest.mark.skip(reason="not today")
class Skipped(Linear): pass

class Inherits(Skipped): pass

@pytest.mark.skipif("sys.version_info > (3,)", reason="by text")
class SkippedByText(Linear): pass

@pytest.mark.usefixtures("noted")
class Fixed(Linear): pass

@pytest.mark.xfail(strict=True)
class Surprise(Linear): pass

@pytest.mark.skip(reason="marked, then listed")
class Listed(Linear):
    __test__ = False

CASES = [Listed(samples=2)]
""",
    )
    result = project.run("-rA")
    result.assert_outcomes(passed=2, xfailed=1, skipped=4, failed=1)
    result.stdout.fnmatch_lines(["*the fixture ran*"])
    result.stdout.fnmatch_lines(["XFAIL test_models.py::Expected[[]float32] - the factor is planted"])
    result.stdout.fnmatch_lines(["*XPASS(strict)*"])


def test_a_case_inside_a_test_class_gets_its_fixtures_and_set_up(project):
    """The class around it is a test class like any other."""
    project.write(
        test_models="import pytest\nimport torch\n\n\nclass TestGroup:\n"
        + indent(LINEAR, "    ")
        + """
    def setup_method(self, method):
        self.ready = method.__name__

    @pytest.fixture(autouse=True)
    def look(self, request):
        assert self.ready and isinstance(request.instance, TestGroup)

    def test_it(self):
        assert self.ready == "test_it"
"""
    )
    project.run().assert_outcomes(passed=2)


def test_the_line_of_an_item_is_that_of_its_class(project):
    """Editors jump there."""
    project.write(
        test_models=LINEAR + DOUBLED,
        conftest="def pytest_runtest_logstart(nodeid, location): print(f'\\n{nodeid} at {location[1] + 1}')",
    )
    result = project.run("-s")
    for name in ("Linear", "Doubled"):
        line = project.line_of("test_models.py", f"class {name}")
        assert f"test_models.py::{name}[float32] at {line}" in result.outlines


def test_the_line_after_collection(project):
    """One line says what is going to be verified; without a case, and with -q, there is none."""
    project.write(
        test_models=LINEAR + "    dtypes = ['float32', 'float64']\n" + DOUBLED, test_other="def test_it(): ...\n"
    )
    expected = "gradverify: 2 cases in 4 tests, at float32, float64 on cpu"
    assert expected in project.run("--collect-only").outlines
    assert not any("gradverify:" in line for line in project.run("--collect-only", "-q").outlines)
    assert not any("gradverify:" in line for line in project.run("test_other.py").outlines)


# What is wrong with a case, and what the one item says that stands for it.
UNFIT = {
    "parametrize": (
        "import pytest\n@pytest.mark.parametrize('samples', [1, 2])\nclass Unfit(Linear): pass\n",
        "Unfit: `parametrize` gives arguments to functions, and a case has none; list the case once for each set of "
        "sizes instead: CASES = [Unfit(...), Unfit(...)]",
    ),
    "an unknown keyword of the marker": (
        "import pytest\n@pytest.mark.gradverify(dtype='float64')\nclass Unfit(Linear): pass\n",
        "@pytest.mark.gradverify: unknown setting 'dtype'; did you mean 'dtypes'?",
    ),
    "an argument of the marker without keyword": (
        "import pytest\n@pytest.mark.gradverify('float64')\nclass Unfit(Linear): pass\n",
        "@pytest.mark.gradverify takes settings by keyword, such as dtypes=[...]; got 'float64'",
    ),
    "an __init__ with an argument": (
        "class Unfit(Linear):\n    def __init__(self, depth): ...\n",
        "Unfit() raised TypeError: *depth*; give every argument a default, or set `__test__ = False`*",
    ),
    "a size out of its bounds": (
        "class Unfit(Linear):\n    def valid(self): return False\n",
        "*Unfit(samples=4) is not valid*",
    ),
    "something else in CASES": (
        "CASES = [Linear(samples=2), 'Linear']\n",
        "*CASES lists 'Linear'; expected *cases*",
    ),
}


@pytest.mark.parametrize(("source", "message"), UNFIT.values(), ids=list(UNFIT))
def test_a_case_that_is_not_fit_to_run_fails_alone_and_says_why(project, source, message):
    """The other case of the file passes."""
    project.write(test_models=LINEAR + "\n" + source)
    result = project.run()
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 1
    assert outcomes["passed"] >= 1
    result.stdout.fnmatch_lines([f"E   {message}".replace("[", "[[]")])
