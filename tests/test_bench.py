"""`gradverify bench` as a user meets it: what it shows, how it ends, and what it says of wrong input."""

from __future__ import annotations

import functools
import json

import pytest

from commandline import SQUARE
from gradverify.bench import benchmark
from gradverify.timing import Benchmark

WRONG = SQUARE.replace("Square", "Wrong").replace("2 * t.x", "t.x")
ENDING = SQUARE.replace("Square", "Ending").replace("d.x = 2", "raise SystemExit(0)\n        d.x = 2")
STOPPED = SQUARE.replace("Square", "Stopped").replace("d.x = 2", "raise KeyboardInterrupt\n        d.x = 2")
TALKING = SQUARE.replace("d.x = 2", "print('from the case')\n        d.x = 2")


@pytest.fixture
def bench(cli, monkeypatch):
    """Run the command in this process, no longer than needed; gives its exit code, stdout and stderr."""
    monkeypatch.setattr(benchmark, "run_race", functools.partial(_race, benchmark.run_race))
    return functools.partial(cli, "bench")


def _race(run_race, contenders, device, *, threads, seconds):
    assert seconds > 0
    return run_race(contenders, device, threads=threads, seconds=0.0)


def test_a_case_is_timed(write, bench):
    """A table, and the exit code of success."""
    write("cases/square.py", SQUARE)
    code, out, err = bench()
    assert (code, err) == (0, "")
    assert out.startswith("case             pass ")
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["Square[float32]", "autograd"]
    assert out.splitlines()[-1].endswith("1 thread")


def test_a_broken_case_does_not_hide_the_others(write, bench):
    """Each says in its row that it was not timed, and why below; the command fails."""
    write("cases/a_broken.py", "import nothing_of_this_name")
    write("cases/b_wrong.py", WRONG)
    write("cases/c_ending.py", ENDING)
    write("cases/d_square.py", SQUARE)
    code, out, _ = bench()
    assert code == 1
    assert "Wrong[float32]: not timed, it does not verify: d.x is wrong, at cases/b_wrong.py:18\n" in out
    assert "Ending[float32]: not timed, the case raised SystemExit: 0" in out
    assert "cases/a_broken.py: not timed, " in out
    assert "1 timed, 3 not timed" in out
    assert out.count("not timed\n") == 4


def test_an_error_of_gradverify_itself_is_told_as_one(write, bench, monkeypatch):
    write("cases/square.py", SQUARE)
    monkeypatch.setattr(benchmark, "paired_ratio", lambda *_: 1 / 0)
    code, out, _ = bench()
    assert code == 3
    assert "not timed, gradverify itself failed with ZeroDivisionError" in out


def test_an_interrupt_keeps_what_was_timed(write, bench):
    write("cases/a_square.py", SQUARE)
    write("cases/b_stopped.py", STOPPED)
    code, out, err = bench("--json", "out.json")
    assert code == 2
    assert "autograd" in out
    assert "interrupted: 1 of 2 cases ran" in err
    with open("out.json", encoding="utf-8") as file:
        assert [one["case"] for one in json.load(file)["benchmarks"]] == ["Square"]


def test_sizes_dtypes_and_seeds_are_those_of_run(write, bench):
    """1e3 is 1000, and several sizes show how times grow."""
    write("cases/square.py", SQUARE)
    code, out, _ = bench(
        "--size", "n=10,1e3", "--dtype", "float64", "--seed", "3", "--threads", "2", "--json", "o.json"
    )
    assert code == 0
    assert "Square[float64]  n = 10, 1000  manual" in out
    with open("o.json", encoding="utf-8") as file:
        document = json.load(file)
    assert [one["sizes"] for one in document["benchmarks"]] == [{"n": 10}, {"n": 1000}]
    assert {(one["dtype"], one["seed"], one["threads"]) for one in document["benchmarks"]} == {("float64", 3, 2)}
    assert document["environment"]["threads"] == 2
    assert len(document["scaling"]) == 2


def test_the_whole_document_on_stdout(write, bench):
    write("cases/talking.py", TALKING)
    code, out, err = bench("--format", "json")
    assert code == 0
    assert len(json.loads(out)["benchmarks"]) == 1
    assert "from the case" in err


def test_a_plot_is_written(write, bench, tmp_path):
    write("cases/square.py", SQUARE)
    code, _, _ = bench("--size", "n=10,20", "--plot", "plot.svg")
    assert code == 0
    assert (tmp_path / "plot.svg").read_bytes().startswith(b"<?xml")


def test_a_plot_of_nothing_is_not_written(write, bench, tmp_path):
    """As where no case verifies."""
    write("cases/wrong.py", WRONG)
    code, _, err = bench("--size", "n=10,20", "--plot", "plot.svg")
    assert code == 1
    assert "nothing was timed at several values of a size: plot.svg is not written" in err
    assert not (tmp_path / "plot.svg").exists()


def test_compile_is_handed_on(write, bench, monkeypatch):
    """Only on request: it takes many seconds."""
    write("cases/square.py", SQUARE)
    asked = []

    def record(case, configuration, **options):
        asked.append(options)
        return Benchmark(type(case).__name__, configuration.dtype, "cpu", 0, {})

    monkeypatch.setattr(benchmark, "bench", record)
    _, _, silent = bench()
    _, _, told = bench("--compile", "--threads", "4")
    assert (silent, told) == ("", "note: --compile changes nothing: none of the cases is a FunctionCase\n")
    assert asked == [{"threads": 1, "compiled": False}, {"threads": 4, "compiled": True}]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.py"], 4, "nowhere.py does not exist"),
        (["-k", "("], 4, "-k '(': "),
        (["-k", "nothing"], 5, "nothing selected: -k 'nothing' matches none of 1 case in cases"),
        (["--size", "m=3"], 4, "--size: no case has a size 'm'"),
        (["--size", "n=1.5"], 4, "expected a name and integers, such as samples=10,100; got 'n=1.5'"),
        (["--size", "n=1e999999999"], 4, "expected a name and integers"),
        (["--size", "n=nan"], 4, "expected a name and integers"),
        (["--size", "n=0"], 4, "Square.n = 0 is less than the least that it may be, 1"),
        (["--threads", "0"], 4, "expected a number of threads, 1 or more, got '0'"),
        (["--threads", "many"], 4, "expected a number of threads, 1 or more, got 'many'"),
        (["--json", "nowhere/out.json"], 4, "nowhere/out.json cannot be written: there is no folder"),
        (["--plot", "nowhere/out.png"], 4, "nowhere/out.png cannot be written: there is no folder"),
        (["--plot", "out.gif", "--size", "n=1,2"], 4, "--plot out.gif: the name ends in .pdf, .png or .svg"),
        (["--plot", "out.png"], 4, "give one several values, such as --size samples=1e3,1e4"),
        (["--device", "nothing"], 4, "--device nothing: tensors cannot be used there"),
        (["--format", "html"], 4, "invalid choice: 'html'"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_timed(write, bench, monkeypatch, arguments, code, message):
    """Usage errors are 4, an empty selection is 5."""
    write("cases/square.py", SQUARE)
    monkeypatch.setattr(benchmark, "run_race", lambda *_, **__: pytest.fail("it was timed"))
    ended, out, err = bench(*arguments)
    assert (ended, out) == (code, "")
    assert message in err


def test_a_file_that_cannot_be_written_hides_nothing(write, bench, monkeypatch):
    """What was measured is shown before the error is."""
    write("cases/square.py", SQUARE)
    monkeypatch.setattr("gradverify.commands.bench.check_writable", lambda _: None)
    code, out, err = bench("--json", "nowhere/out.json")
    assert code == 4
    assert "autograd" in out
    assert "cannot be written" in err
