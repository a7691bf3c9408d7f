"""How options, marks, the case and the ini file settle what a case runs at, and what of them is refused."""

import pytest

from plugin.project import DOUBLED, LINEAR, ids_of

# A case that has no gradient for X, and is right but imprecise in W, whose sum passes through float16.
UNFINISHED = (
    LINEAR
    + """

class Unfinished(Linear):
    def backward(self, t, d):
        d.h = d.loss.expand_as(t.h) / t.h.numel()
        d.W = t.X.T @ d.h
"""
)
LAYERS = {
    "nothing": ([], "", [], ["Linear[float32]"]),
    "the ini file": (["gradverify_dtype = float64 bfloat16"], "", [], ["Linear[float64]", "Linear[bfloat16]"]),
    "the case over the ini file": (["gradverify_dtype = float64"], "    dtypes = 'float16'\n", [], ["Linear[float16]"]),
    "the command line over the case": (
        [],
        "    dtypes = 'float16'\n",
        ["--gradverify-dtype=float64", "--gradverify-dtype=float32"],
        ["Linear[float64]", "Linear[float32]"],
    ),
    "devices": (
        ["gradverify_device = cpu meta"],
        "",
        ["--gradverify-dtype=float64"],
        ["Linear[float64-cpu]", "Linear[float64-meta]"],
    ),
}


@pytest.mark.parametrize(("ini", "body", "arguments", "ids"), LAYERS.values(), ids=list(LAYERS))
def test_layers(project, ini, body, arguments, ids):
    """Each layer wins over the one below."""
    project.ini(*ini)
    project.write(test_models=LINEAR + body)
    assert ids_of(project.run("--collect-only", "-q", *arguments)) == ids


def test_marks_lie_between_the_command_line_and_the_case(project):
    """The closest mark wins: that of the class, of the class around it, of the module; one setting at a time."""
    project.write(
        models=LINEAR,
        test_models="""
import pytest
from models import Linear

pytestmark = pytest.mark.gradverify(dtypes="float64", seeds=3)

class FromModule(Linear):
    dtypes = "float16"

@pytest.mark.gradverify(dtypes=["bfloat16"])
class FromClass(Linear): pass

class Inherited(FromClass): pass

@pytest.mark.gradverify(dtypes="float32")
class TestGroup:
    class FromGroup(Linear): pass
""",
    )
    result = project.run("--gradverify-report=all")
    result.assert_outcomes(passed=4)
    for headline in ("FromModule[float64]", "FromClass[bfloat16]", "Inherited[bfloat16]", "FromGroup[float32]"):
        line = next(line for line in result.outlines if line.startswith(headline))
        assert "seed 3" in line
    assert ids_of(project.run("--collect-only", "-q", "--gradverify-dtype=float16", "-k", "FromClass")) == [
        "FromClass[float16]"
    ]


@pytest.mark.parametrize(
    ("ini", "arguments"), [([], ["--gradverify-seed=5", "--gradverify-seed=6"]), (["gradverify_seed = 5 6"], [])]
)
def test_seeds(project, ini, arguments):
    """Several seeds run in one item, a report each."""
    project.ini(*ini)
    project.write(test_models=LINEAR)
    result = project.run(*arguments)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["Linear*seed 5", "Linear*seed 6", "gradverify: 6 gradients in 2 reports: 6 exact"])


@pytest.mark.parametrize(("ini", "arguments"), [([], ["--gradverify-partial"]), (["gradverify_partial = true"], [])])
def test_partial(project, ini, arguments):
    """A gradient not yet derived fails without it, and does not with it."""
    project.write(test_models=UNFINISHED)
    project.run("-k", "Unfinished").assert_outcomes(failed=1)
    project.ini(*ini)
    project.run("-k", "Unfinished", *arguments).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("ini", "mark", "arguments"),
    [
        (["gradverify_oracle = finite_difference"], "", []),
        (["gradverify_oracle = scalar"], '@pytest.mark.gradverify(oracles="finite_difference")', []),
        ([], '@pytest.mark.gradverify(oracles=["scalar"])', ["--gradverify-oracle=finite_difference"]),
    ],
    ids=["the ini file", "a mark over the ini file", "the command line over a mark"],
)
def test_oracles(project, ini, mark, arguments):
    """Witnesses of cases and of the fixture alike."""
    project.ini(*ini)
    project.write(
        models=LINEAR,
        test_models=f"""
import pytest
from models import Linear

{mark}
class Own(Linear): pass

{mark}
def test_own(gradverify):
    report = gradverify.check(Linear)
    assert [one.oracle for one in report["W"].witnesses] == ["finite_difference"]
""",
    )
    result = project.run("--gradverify-report=all", *arguments)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["gradient * finite_difference *line"])
    assert not any("scalar" in line for line in result.outlines)


# Right, but through float16: less precise than autograd.
IMPRECISE = (
    LINEAR
    + """

class Coarse(Linear):
    def backward(self, t, d):
        super().backward(t, d)
        if t.X.dtype == torch.float32:
            d.W = d.W * (1 + 1e-6)
"""
)


@pytest.mark.parametrize(("ini", "arguments"), [([], ["--gradverify-strict"]), (["gradverify_strict = true"], [])])
def test_strict(project, ini, arguments):
    """What is right but imprecise passes without it, and fails with it."""
    project.write(test_models=IMPRECISE)
    result = project.run("-k", "Coarse")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["gradverify: * 1 imprecise"])
    project.ini(*ini)
    project.run("-k", "Coarse", *arguments).assert_outcomes(failed=1)


def test_quarantine(project):
    """A gradient known to fail is shown and does not fail, at its dtype alone; once it passes, that fails."""
    project.write(
        models=LINEAR + DOUBLED,
        test_models="""
from models import Doubled, Linear

class Quarantined(Doubled):
    dtypes = ["float32", "float64"]
    known = {("W", "float32"): "issue 123"}

class Mended(Linear):
    known = {("W", "float32"): "issue 123"}
""",
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "Quarantined[[]float32]: 2 of 3 gradients right, 1 known*",
            "FAILED test_models.py::Quarantined[[]float64]*",
            "FAILED test_models.py::Mended[[]float32]*",
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    {
        "--gradverify-report=some": "report: expected one of failed, all, none, auto, got 'some'",
        "--gradverify-format=pretzel": "unknown format 'pretzel'; did you mean *",
        "--gradverify-dtype=float31": "dtypes: 'float31' is not a floating dtype that can be verified; *",
        "--gradverify-oracle=scaler": "oracles: there is no oracle 'scaler'; did you mean 'scalar'[?]",
        "--gradverify-seed=one": "seed: expected an integer, got 'one'",
        "--gradverify-sweep=many": "sweep: expected an integer, got 'many'",
        "--gradverify-sweep=0": "sweep: expected how many combinations of sizes to run, 1 or more; got 0",
        "--gradverify-json=missing/report.json": "*report.json cannot be written: there is no folder *",
    }.items(),
)
def test_a_value_that_does_not_fit_ends_the_session_before_it_starts(project, arguments, message):
    """With pytest's exit status for a wrong command line, also where it stands in the ini file."""
    project.write(test_models=LINEAR)
    result = project.run(arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: gradverify: {message}"])
    project.ini(arguments.lstrip("-").replace("-", "_").replace("=", " = "))
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: gradverify: {message}"])


def test_a_sweep_makes_an_item_of_every_combination_of_sizes(project):
    """Named after what is not the case's own; the ini file asks for it too. A mistake at one size fails one item."""
    # Planted: the tail behind the first 32 samples is dropped.
    project.write(
        test_models=LINEAR
        + """

class Tail(Linear):
    def backward(self, t, d):
        super().backward(t, d)
        d.X = d.h @ t.W.T * (torch.arange(self.samples) < 32)[:, None]
"""
    )
    assert ids_of(project.run("--collect-only", "-q", "--gradverify-sweep=3", "-k", "Tail")) == [
        "Tail[float32]",
        "Tail[samples=1-float32]",
        "Tail[samples=2-float32]",
    ]
    project.ini("gradverify_sweep = 6")
    result = project.run("--gradverify-dtype=float64", "--gradverify-dtype=float32")
    result.assert_outcomes(passed=22, failed=2)
    result.stdout.fnmatch_lines(["FAILED test_models.py::Tail[[]samples=33-float32] - *"])


def test_an_unknown_device_fails_its_items_and_names_it(project):
    """It is known only where it runs."""
    project.write(test_models=LINEAR)
    result = project.run("--gradverify-device=abacus")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *the device 'abacus' cannot be used here: *"])


def test_every_option_is_described_with_its_ini_key(project):
    """`pytest --help` shows both."""
    text = project.run("--help").stdout.str()
    for name in ("report", "format", "dtype", "device", "seed", "oracle", "sweep", "strict", "partial", "json"):
        assert f"--gradverify-{name}" in text
        assert f"gradverify_{name} (" in text
    assert "gradverify_paths (paths)" in text
    assert "@pytest.mark.gradverify(" in project.run("--markers").stdout.str()
