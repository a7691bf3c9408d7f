"""The command line as a user meets it: what it prints and where, how it ends, and what it says of wrong input."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradverify
from commandline import SQUARE
from gradverify import environment, examination
from gradverify.cli import main
from gradverify.render.html import render_html
from gradverify.render.json import read_json
from gradverify.verdict import Verdict

CASES = Path(__file__).parents[1] / "cases"

# The factor of the square is forgotten.
WRONG = SQUARE.replace("Square", "Wrong").replace("2 * t.x", "t.x")
# Right, but its digits are lost in float32.
IMPRECISE = SQUARE.replace("Square", "Imprecise").replace("2 * t.x * d.y", "2 * t.x * d.y + 100 - 100")
UNFINISHED = SQUARE.replace("Square", "Unfinished").replace("        d.x = 2 * t.x * d.y\n", "")
RAISING = SQUARE.replace("Square", "Raising").replace("d.x = 2", "raise RuntimeError('my own')\n        d.x = 2")
INTERRUPTED = SQUARE.replace("Square", "Stop").replace("d.x = 2", "raise KeyboardInterrupt\n        d.x = 2")
TALKING = SQUARE.replace("d.x = 2", "print('from the case')\n        d.x = 2").replace("class", "print('hi')\nclass")


def run_process(*arguments, stdout=subprocess.PIPE, **environment):
    """Run Python in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    inherited["PYTHONPATH"] = os.pathsep.join(
        [str(Path(gradverify.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    return subprocess.run(
        [sys.executable, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**inherited, **environment},
    )


def reports_of(text):
    return read_json(text)[1]


def test_a_right_case_passes_and_is_shown(write, cli):
    write("cases/square.py", SQUARE)
    code, out, err = cli("run", "cases")
    assert code == 0
    assert out.startswith(
        "Square[float32]: 2 of 2 gradients right (2 of 2 named tensors derived) · n=4 · cpu · seed 111111"
    )
    assert "\n\n1 passed in " in out
    assert out.splitlines()[-1].startswith("gradverify ")
    assert err == ""


def test_a_wrong_case_fails_and_names_the_gradient_and_its_line(write, cli):
    write("cases/wrong.py", WRONG)
    code, out, err = cli("run", "cases")
    assert code == 1
    assert out.startswith("Wrong[float32]: 1 of 2 gradients wrong; first: x (wrong) is off by ")
    assert ", at cases/wrong.py:18: " in out
    assert "        d.x = t.x * d.y\n" in out
    assert "\n1 failed in " in out
    assert err == ""


def test_the_folder_cases_is_the_default(write, cli):
    write("cases/square.py", SQUARE)
    assert cli("run")[1].startswith("Square[float32]")
    assert "Square" in cli("list")[1]


def test_without_that_folder_the_user_is_asked_for_a_path(cli):
    for command in ("run", "list"):
        code, out, err = cli(command)
        assert (code, out) == (4, "")
        assert err == (
            "gradverify: no PATH was given, and there is no folder 'cases' here; name a file, a folder or a module\n"
        )


def test_the_founding_cases_pass_and_the_trap_of_the_bias_is_caught(write, cli):
    """A bias gradient of shape (1, 1) is what a comparison that broadcasts calls exact."""
    source = (CASES / "logistic_bce.py").read_text(encoding="utf-8")
    planted = source.replace("d.b = d.logits.sum(0)", "d.b = d.logits.sum(0, keepdim=True)")
    assert planted != source
    line = planted.splitlines().index("        d.b = d.logits.sum(0, keepdim=True)") + 1
    write("planted/logistic_bce.py", planted)
    code, out, _ = cli("run", CASES, "planted", "--report", "failed")
    assert code == 1
    assert out.startswith(
        "LogisticBCE[float32]: 1 of 13 gradients wrong; first: b (shape) has shape (1, 1), its tensor (1,), "
        f"at planted/logistic_bce.py:{line}: `d.logits.sum(0, keepdim=True)` should be `d.logits.sum(0)`\n"
    )
    assert re.search(r"\n1 failed, \d+ passed in ", out)


def test_one_broken_case_or_file_hides_nothing(write, cli):
    write("cases/a.py", "import nonexistent")
    write("cases/b.py", RAISING)
    write("cases/c.py", SQUARE)
    code, out, _ = cli("run")
    assert code == 1
    assert (
        "cases/a.py: does not import: ModuleNotFoundError: No module named 'nonexistent'; install 'nonexistent'" in out
    )
    assert "\nRaising[float32]: backward raised RuntimeError" in out
    assert 'cases/b.py", line 18, in backward' in out
    assert "Square[float32]: 2 of 2 gradients right" in out
    assert "\n1 passed, 2 errors in " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["rnu"], "invalid choice: 'rnu'"),
        (["run", "cases", "--dtpye", "float32"], "unrecognized arguments: --dtpye"),
        (["run", "cases", "--stri"], "unrecognized arguments: --stri"),
        (["run", "case"], "'case' is no file, folder, importable module or entry point"),
        (["run", "cases/sqare.py"], "cases/sqare.py does not exist; did you mean 'cases/square.py'?"),
        (["run", "cases/square.py::Sqare"], "cases/square.py holds no case 'Sqare'; did you mean 'Square'?"),
        (["run", "cases", "--dtype", "flaot32"], "argument --dtype: invalid choice: 'flaot32'"),
        (["run", "cases", "--dtype", "int64"], "argument --dtype: invalid choice: 'int64'"),
        (["run", "cases", "--seed", "one"], "argument --seed: expected an integer, got 'one'"),
        (["run", "cases", "--seed", str(2**64)], "argument --seed: expected an integer of 64 bits"),
        (["run", "cases", "--size", "n"], "argument --size: expected a name and integers, such as samples=10,100"),
        (["run", "cases", "--size", "n=1.5"], "argument --size: expected a name and integers"),
        (["run", "cases", "--size", "m=3"], "--size: no case has a size 'm'; known names: n"),
        (["run", "cases", "--size", "n=0"], "Square.n = 0 is less than the least that it may be, 1"),
        (["run", "cases", "--format", "html"], "argument --format: invalid choice: 'html'"),
        (["run", "cases", "--report", "some"], "argument --report: invalid choice: 'some'"),
        (["run", "cases", "--json", "missing/out.json"], "there is no folder "),
        (["run", "cases", "--json", "cases"], "cases is no regular file"),
        (["run", "cases", "--device", "cuda:99"], "--device cuda:99: tensors cannot be used there: "),
        (["run", "cases", "--device", "gpu"], "--device gpu: tensors cannot be used there: "),
        (["run", "cases", "--device", "meta"], "--device meta: tensors cannot be used there: "),
        (["run", "cases", "-k", "square or"], "-k 'square or': expected not OR left parenthesis OR identifier"),
        (["list", "case"], "'case' is no file"),
        (["list", "cases", "-k", "("], "-k '(': "),
    ],
)
def test_wrong_usage_is_told_and_nothing_runs(write, cli, arguments, message):
    write("cases/square.py", SQUARE)
    code, out, err = cli(*arguments)
    assert (code, out) == (4, "")
    assert err.startswith("gradverify: ")
    assert message in err
    assert "Traceback" not in err


def test_a_report_that_cannot_be_written_is_told_before_anything_is_imported(write, cli):
    write("cases/square.py", "raise AssertionError('imported')")
    assert cli("run", "cases", "--json", "missing/out.json")[0] == 4


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (
            "x = 1",
            [],
            "nothing selected: cases holds no case; a case is a subclass of gradverify.Case that defines inputs, ",
        ),
        (SQUARE, ["-k", "relu"], "nothing selected: -k 'relu' matches none of 1 case in cases"),
        (SQUARE, ["-k", "float64"], "nothing selected: -k 'float64' matches none of 1 case in cases"),
    ],
)
@pytest.mark.parametrize("command", ["run", "list"])
def test_nothing_selected_has_a_code_and_a_reason(write, cli, command, source, arguments, message):
    write("cases/a.py", source)
    code, out, err = cli(command, "cases", *arguments)
    assert (code, out) == (5, "")
    assert err.startswith(message)


@pytest.mark.parametrize("command", ["run", "list"])
def test_a_misspelt_method_is_pointed_out(write, cli, command):
    write("cases/a.py", SQUARE.replace("def backward(", "def backwards("))
    write("cases/b.py", SQUARE)
    code, _, err = cli(command)
    assert code == 0
    assert err == "note: Square at cases/a.py:5 is not run: it does not define backward\n"


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("square", ["Square"]),
        ("not square", ["Wrong"]),
        ("b.py", ["Wrong"]),
        ("float32 and (square or wrong)", ["Square", "Wrong"]),
    ],
)
def test_cases_are_selected_by_name_and_file(write, cli, expression, labels):
    write("cases/a.py", SQUARE)
    write("cases/b.py", WRONG)
    _, out, _ = cli("run", "-k", expression, "--format", "json")
    assert [one.case for one in reports_of(out)] == labels


def test_a_case_runs_once_for_every_dtype_seed_and_size(write, cli):
    write("cases/a.py", SQUARE)
    dtypes = ["--dtype", "float32", "--dtype", "float64", "--dtype", "float32"]
    code, out, _ = cli("run", *dtypes, "--seed", "1", "--seed", "2", "--size", "n=3,5", "--format", "json")
    assert code == 0
    assert {(one.sizes["n"], one.dtype, one.seed) for one in reports_of(out)} == {
        (n, dtype, seed) for n in (3, 5) for dtype in ("float32", "float64") for seed in (1, 2)
    }
    assert len(reports_of(out)) == 8


def test_a_size_applies_to_the_cases_that_have_it(write, cli):
    write("cases/a.py", SQUARE)
    write("cases/b.py", SQUARE.replace("n: int", "m: int").replace("self.n", "self.m"))
    _, out, _ = cli("run", "--size", "n=3", "--size", "n=5", "--format", "json")
    assert [one.sizes for one in reports_of(out)] == [{"n": 3}, {"n": 5}, {"m": 4}]
    # A size that is not the case's own is part of the name that -k sees.
    _, out, _ = cli("run", "--size", "n=3,5", "-k", "3-float32", "--format", "json")
    assert [one.sizes for one in reports_of(out)] == [{"n": 3}]


def test_the_command_line_wins_over_the_case(write, cli):
    write("cases/a.py", SQUARE.replace("    n: int", "    dtypes = ['float64']\n    seeds = 7\n    n: int"))
    (own,) = reports_of(cli("run", "--format", "json")[1])
    assert (own.dtype, own.seed) == ("float64", 7)
    (other,) = reports_of(cli("run", "--dtype", "float32", "--format", "json")[1])
    assert (other.dtype, other.seed) == ("float32", 7)


DISPUTED = (
    SQUARE.replace("Square", "Disputed").replace("t.y = t.x * t.x", "t.y = Halved.apply(t.x)")
    + """

class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return x * gradient
"""
)


def test_witnesses_are_heard(write, cli):
    """A column each, in the table and in JSON, and the first line says who stands alone."""
    write("cases/square.py", SQUARE)
    code, out, _ = cli("run", "cases", "--oracle", "finite_difference", "--oracle", "scalar")
    assert code == 0
    assert "  finite_difference    scalar            line" in out
    assert "scalar does not apply to y, x: the scalar engine takes cases whose tensors are all 0-dimensional; " in out
    write("others/disputed.py", DISPUTED)
    assert cli("run", "others")[1].startswith("Disputed[float32]: 1 of 2 gradients wrong; first: x (wrong) ")
    code, out, _ = cli("run", "others", "--oracle", "finite_difference")
    assert code == 1
    assert out.startswith(
        "Disputed[float32]: 1 of 2 gradients disputed; first: x (disputed) where autograd stands alone: "
        "finite_difference says what the candidate says, at others/disputed.py:18\n"
    )
    (report,) = reports_of(cli("run", "others", "--oracle", "finite_difference", "--format", "json")[1])
    assert [(one.oracle, one.stance) for one in report["x"].witnesses] == [("finite_difference", "agrees")]


def test_an_unknown_oracle_is_told_with_the_nearest(write, cli):
    write("cases/square.py", SQUARE)
    code, out, err = cli("run", "cases", "--oracle", "finite_diference")
    assert (code, out) == (4, "")
    assert "there is no oracle 'finite_diference'; did you mean 'finite_difference'?" in err


def test_strict_fails_what_is_imprecise(write, cli):
    write("cases/a.py", IMPRECISE)
    code, out, _ = cli("run")
    assert code == 0
    assert "2 of 2 gradients right, 1 imprecise" in out
    code, out, _ = cli("run", "--strict")
    assert code == 1
    assert "it fails because `strict` is set" in out


def test_partial_passes_what_is_not_derived_yet(write, cli):
    write("cases/a.py", UNFINISHED)
    code, out, _ = cli("run")
    assert code == 1
    assert "first: x (missing) has no gradient" in out
    code, out, _ = cli("run", "--partial")
    assert code == 0
    assert "1 of 1 gradient right, 1 missing (1 of 2 named tensors derived)" in out


def test_quick_says_what_it_cannot_see(write, cli):
    write("cases/a.py", SQUARE)
    code, out, _ = cli("run", "--quick")
    assert code == 0
    assert "note: quick: " in out
    assert "note: quick: " not in cli("run")[1]


def squares(amount):
    """A file of so many cases."""
    return SQUARE + f"\nCASES = [Square(n=n) for n in range(5, {amount + 4})]\n"


def test_up_to_ten_cases_are_all_shown(write, cli):
    write("cases/a.py", squares(10))
    _, out, _ = cli("run")
    assert out.count("\ngradient ") == 10
    assert "slowest" not in out


def test_of_more_cases_those_that_pass_are_a_line_each(write, cli):
    write("cases/a.py", squares(10))
    write("cases/b.py", WRONG)
    code, out, _ = cli("run")
    assert code == 1
    assert out.count("\ngradient ") == 1
    assert out.count("float32]: 2 of 2 gradients right") == 10
    assert "\nslowest:\n" in out
    assert "\n1 failed, 10 passed in " in out


@pytest.mark.parametrize(("report", "tables"), [("all", 12), ("failed", 1), ("none", 0)])
def test_the_user_chooses_what_is_shown(write, cli, report, tables):
    write("cases/a.py", squares(11))
    write("cases/b.py", WRONG)
    code, out, _ = cli("run", "--report", report)
    assert code == 1
    assert out.count("\ngradient ") == tables
    assert "1 failed, 11 passed in " in out


@pytest.mark.parametrize(
    ("format", "sign"), [("github", "| gradient   |"), ("markdown", "## gradverify: 1 passed in "), ("tsv", "\tshape")]
)
def test_tables_come_in_the_format_that_is_asked_for(write, cli, format, sign):
    write("cases/a.py", SQUARE)
    assert sign in cli("run", "--format", format)[1]


def test_the_file_holds_what_is_shown_as_json(write, cli, tmp_path):
    write("cases/a.py", SQUARE)
    write("cases/b.py", WRONG)
    write("cases/c.py", "1 / 0")
    code, out, _ = cli("run", "--format", "json", "--json", "out.json")
    assert code == 1
    assert (tmp_path / "out.json").read_text(encoding="utf-8") == out
    broken, square, wrong = reports_of(out)
    assert (square.passed, wrong.passed) == (True, False)
    assert wrong["x"].verdict is Verdict.WRONG
    assert (broken.case, broken.error.kind) == ("cases/c.py", "ZeroDivisionError")
    assert json.loads(out)["environment"]["torch"]


def test_what_a_case_prints_stays_out_of_the_data(write, cli):
    write("cases/a.py", TALKING)
    _, out, err = cli("run", "--format", "json")
    assert reports_of(out)[0].passed
    assert "from the case" in err
    assert "hi\n" in err


def test_an_interruption_shows_and_writes_what_has_run(write, cli, tmp_path):
    write("cases/a.py", SQUARE)
    write("cases/b.py", INTERRUPTED)
    write("cases/c.py", WRONG)
    code, out, err = cli("run", "--json", "out.json")
    assert code == 2
    assert out.startswith("Square[float32]: 2 of 2")
    assert "\n1 passed in " in out
    assert err == "interrupted: 1 of 3 cases ran\n"
    assert [one.case for one in reports_of((tmp_path / "out.json").read_text(encoding="utf-8"))] == ["Square"]


def test_an_interruption_while_files_are_imported_ends_quietly(write, cli):
    write("cases/a.py", "raise KeyboardInterrupt")
    assert cli("run") == (2, "", "interrupted\n")


def test_a_fault_of_gradverify_in_one_case_hides_no_other(write, cli, monkeypatch):
    write("cases/a.py", WRONG)
    write("cases/b.py", SQUARE)
    examine = examination.examine

    def fail_once(case, configuration):
        if type(case).__name__ == "Wrong":
            raise LookupError("a fault of our own")
        return examine(case, configuration)

    monkeypatch.setattr(examination, "examine", fail_once)
    code, out, _ = cli("run")
    assert code == 3
    assert "Wrong[float32]: gradverify itself failed with LookupError: a fault of our own; please report this\n" in out
    assert "in fail_once" in out
    assert "Square[float32]: 2 of 2 gradients right" in out


def test_a_fault_outside_the_cases_is_told_as_one(write, cli, monkeypatch):
    write("cases/a.py", SQUARE)

    def fail(_):
        raise LookupError("a fault of our own")

    monkeypatch.setattr(environment, "describe_environment", fail)
    code, out, err = cli("run")
    assert (code, out) == (3, "")
    assert "LookupError: a fault of our own\n" in err
    assert err.endswith("gradverify: an internal error; please report it with the lines above\n")


@pytest.mark.parametrize("statement", ["raise SystemExit(0)", "import pytest; pytest.skip('not here')"])
def test_a_case_cannot_end_the_run(write, cli, statement):
    write("cases/a.py", SQUARE.replace("Square", "Exit").replace("d.x = 2", f"{statement}\n        d.x = 2"))
    write("cases/b.py", SQUARE)
    code, out, _ = cli("run")
    assert code == 1
    assert "Square[float32]: 2 of 2 gradients right" in out


def test_list_shows_each_case_with_its_file_sizes_and_dtypes(write, cli):
    write("cases/a.py", SQUARE.replace("    n: int", "    dtypes = ['float32', 'bfloat16']\n    n: int"))
    write("cases/b.py", WRONG + "CASES = [Wrong(n=9)]\n")
    code, out, err = cli("list")
    assert (code, err) == (0, "")
    assert [line.split(maxsplit=2) for line in out.splitlines()[2:]] == [
        ["Square", "n=4", "float32, bfloat16  cases/a.py:5"],
        ["Wrong", "n=4", "float32            cases/b.py:5"],
        ["Wrong", "n=9", "float32            cases/b.py:5"],
    ]


def test_list_has_a_form_for_programs(write, cli):
    write("cases/a.py", SQUARE)
    write("cases/b.py", "1 / 0")
    code, out, err = cli("list", "--format", "json")
    assert code == 1
    document = json.loads(out)
    assert document["schema"] == 1
    assert document["cases"] == [
        {
            "case": "Square",
            "sizes": {"n": 4},
            "dtypes": ["float32"],
            "devices": ["cpu"],
            "seeds": [111111],
            "file": "cases/a.py",
            "line": 5,
        }
    ]
    assert document["errors"][0]["kind"] == "ZeroDivisionError"
    assert err.startswith("cases/b.py: does not import: ZeroDivisionError: division by zero, at cases/b.py:1")


def test_list_shows_only_what_would_run(write, cli):
    write("cases/a.py", SQUARE.replace("    n: int", "    dtypes = ['float32', 'bfloat16']\n    n: int"))
    _, out, _ = cli("list", "-k", "bfloat16", "--format", "json")
    assert json.loads(out)["cases"][0]["dtypes"] == ["bfloat16"]


def test_help_and_version_import_no_torch():
    """They answer at once; torch takes seconds."""
    code = (
        "import sys\n"
        "from gradverify.cli import main\n"
        "for arguments in (['--help'], ['--version'], ['run', '--help'], ['list', '--help']):\n"
        "    try:\n"
        "        main(arguments)\n"
        "    except SystemExit as ended:\n"
        "        assert ended.code in (0, None)\n"
        "sys.exit('torch' in sys.modules or 'pytest' in sys.modules)\n"
    )
    done = run_process("-c", code)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "usage: gradverify [-h] [--version] COMMAND ..." in done.stdout
    assert f"gradverify {gradverify.__version__}" in done.stdout


def test_a_wrong_target_or_report_file_is_told_without_torch(write):
    code = (
        "import sys; from gradverify.cli import main; code = main(sys.argv[1:]); "
        "print('torch' in sys.modules); sys.exit(code)"
    )
    done = run_process("-c", code, "run")
    assert (done.returncode, done.stdout) == (4, "False\n")


def test_a_process_ends_with_the_code_and_keeps_its_streams_apart(write):
    """In ASCII, to a pipe: a Greek name must not end the run, and nothing is coloured."""
    write("cases/a.py", WRONG.replace("t.y", 't["ŷ"]').replace("d.y", 'd["ŷ"]'))
    write("cases/b.py", TALKING)
    done = run_process("-m", "gradverify", "run", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 1
    assert r"\u0177" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == "hi\nfrom the case\nfrom the case\n"


class Gone(io.StringIO):
    """A stdout whose reader has gone, as after `| head`."""

    def __init__(self, descriptor):
        super().__init__()
        self.descriptor = descriptor

    def fileno(self):
        return self.descriptor

    def write(self, _):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_reader_that_has_gone_ends_the_run_and_what_has_run_is_written(write, capsys, monkeypatch, tmp_path):
    write("cases/a.py", squares(5))
    with (tmp_path / "stdout").open("w") as stdout:
        monkeypatch.setattr(sys, "stdout", Gone(stdout.fileno()))
        assert main(["run", "--json", "out.json"]) == 2
    assert capsys.readouterr().err == ""
    (first,) = reports_of((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert first.passed


def test_a_reader_that_has_gone_is_no_error_of_the_process():
    reader, writer = os.pipe()
    os.close(reader)
    done = run_process("-m", "gradverify", "run", "--help", stdout=writer, PYTHONUNBUFFERED="")
    os.close(writer)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.parametrize(
    ("environment", "colored"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_are_asked_for(write, cli, monkeypatch, environment, colored):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    write("cases/a.py", SQUARE)
    assert ("\x1b[32m" in cli("run")[1]) is colored


def test_progress_leaves_the_data_alone(write, cli, monkeypatch):
    """On a terminal the bar goes to stderr, and gives way to each table."""
    pytest.importorskip("rich")
    write("cases/a.py", SQUARE)
    without = cli("run")[1]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    _, out, err = cli("run")
    assert out.splitlines()[2:-3] == without.splitlines()[2:-3]
    assert err != ""


TAIL = SQUARE.replace("Square", "Tail").replace("2 * t.x * d.y", "2 * t.x * d.y * (torch.arange(self.n) < 32)")


def test_a_sweep_reports_every_combination_of_sizes(cli, write):
    """The sizes that fail stand in the first line of their report, and together at the end."""
    write("cases/tail.py", TAIL)
    assert cli("run")[0] == 0
    code, out, err = cli("run", "--sweep", "6")
    assert (code, err) == (1, "")
    assert "Tail[n=33-float32]: 1 of 2 gradients wrong; first: x (wrong)" in out
    assert "Tail[n=2-float32]: 2 of 2 gradients right" in out
    assert "Tail[float32] fails at 1 of 6 combinations of sizes: n=33\n" in out
    assert "1 failed, 5 passed" in out
    _, out, _ = cli("run", "--sweep", "6", "--format", "json")
    _, reports = read_json(out)
    assert [report.sizes["n"] for report in reports] == [4, 1, 2, 3, 5, 33]
    assert [report.passed for report in reports] == [True] * 5 + [False]
    assert [report.resized for report in reports] == [(), *[("n",)] * 5]


def test_a_sweep_says_what_it_cannot_vary(cli, write):
    """A case without sizes, sizes that are held, too few of them."""
    write("cases/square.py", SQUARE)
    write("cases/fixed.py", SQUARE.replace("Square", "Fixed").replace("n: int = 4", "n = 4"))
    code, out, err = cli("run", "--sweep", "100")
    assert code == 0
    assert "note: sweep: Fixed has no sizes: its inputs have only one shape" in err
    assert "note: sweep: 67 combinations of the sizes of Square exist, not 100" in err
    assert "68 passed" in out
    _, _, err = cli("run", "cases/square.py", "--sweep", "5", "--size", "n=3,5")
    assert err.count("note: sweep: Square has no size that is not held") == 1
    code, _, err = cli("run", "--sweep", "0")
    assert code == 4
    assert "argument --sweep: expected how many combinations of sizes to run, 1 or more; got '0'" in err


def test_a_case_that_raises_at_other_sizes_is_told_how_to_refuse_them(cli, write):
    """Its own sizes pass."""
    write("cases/picky.py", SQUARE.replace("d.y = d", "assert self.n < 30, 'too long'\n        d.y = d"))
    code, out, err = cli("run", "--sweep", "6", "--report", "failed")
    assert code == 1
    assert "Square[n=33-float32]: backward raised AssertionError" in out
    assert "note: sweep: if these sizes do not fit each other, say so" in err


def test_the_page_shows_what_the_run_found(write, cli):
    """Everything, whatever is printed; and the JSON of the same run gives the same page."""
    write("cases/a.py", SQUARE)
    write("cases/b.py", WRONG)
    code, _, err = cli("run", "--html", "page.html", "--json", "out.json", "--report", "none")
    assert (code, err) == (1, "")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "1 of 2 cases failed" in page
    assert page.index("Wrong[float32]</h2>") < page.index("Square[float32]</h2>")
    assert page.count("<article") == 1
    assert page.count('class="gv-graph"') == 2
    environment, reports = read_json(Path("out.json").read_text(encoding="utf-8"))
    assert render_html(reports, environment) == page


def test_a_page_that_cannot_be_written_is_told_before_anything_runs(write, cli):
    write("cases/a.py", TALKING)
    for command in ("run", "mutate", "bench"):
        code, out, err = cli(command, "--html", "nowhere/page.html")
        assert (code, out) == (4, "")
        assert err.startswith("gradverify: nowhere/page.html cannot be written: there is no folder ")


def test_the_page_of_an_interrupted_run_shows_what_has_run(write, cli):
    write("cases/a.py", SQUARE)
    write("cases/b.py", INTERRUPTED)
    assert cli("run", "--html", "page.html")[0] == 2
    assert "The case passed" in Path("page.html").read_text(encoding="utf-8")


def test_the_page_of_benchmarks_holds_every_pass(write, cli):
    """And why a case was not timed."""
    write("cases/a.py", SQUARE)
    write("cases/b.py", WRONG)
    assert cli("bench", "--html", "page.html")[0] == 1
    page = Path("page.html").read_text(encoding="utf-8")
    assert "1 timed, 1 not timed" in page
    assert page.index("Wrong[float32]</h2>") < page.index("Square[float32]</h2>")
    assert page.count("<tr data-verdict=") == 2
