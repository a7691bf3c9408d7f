"""`gradverify mutate` as a user meets it: what it shows, how it ends, and what a mutant can do to it."""

from __future__ import annotations

import functools
import json
import multiprocessing
from types import SimpleNamespace

import pytest

from gradverify.case import Case
from gradverify.commands import trials
from gradverify.commands.trials import Bounds, Trials, by_case, try_mutants
from gradverify.configuration import Configuration
from gradverify.mutants import Kind, Mutant
from gradverify.report import Failure
from gradverify.study import Outcome, Trial
from gradverify.supervision import Ended, Silent

SQUARE = """
import torch
from gradverify import Case

class Square(Case):
    n: int = 4

    def inputs(self, generator):
        return {"x": torch.randn(self.n, generator=generator)}

    def forward(self, t):
        t.loss = (t.x ** 2).sum()
        return t.loss

    def backward(self, t, d):
        d.x = 2 * t.x
"""
ONES = SQUARE.replace("Square", "Ones").replace("torch.randn(self.n, generator=generator)", "torch.ones(self.n)")
WRONG = SQUARE.replace("Square", "Wrong").replace("2 * t.x", "t.x")
EXECUTED = SQUARE.replace("Square", "Executed").partition("    def backward")[0] + (
    "    exec('def backward(self, t, d):\\n    d.x = 2 * t.x')\n"
)
TALKING = SQUARE.replace("d.x = 2", "print('from the case')\n        d.x = 2")
# Turned round, the comparison never ends; nothing else of it does.
HANGING = SQUARE.replace("d.x = 2", "while t.x.numel() < 0:\n            pass\n        d.x = 2")
# A mutant of the first statement spoils all runs that follow.
REMEMBERING = (
    SQUARE.replace("Square", "Remembering")
    .replace("        d.x = 2 * t.x", "        SEEN.append(0)\n        d.x = 2 * t.x * (-1) ** any(SEEN)")
    .replace("class", "SEEN = []\n\nclass")
)


class InProcess:
    """A worker that has done everything before it is asked."""

    def __init__(self, work, *arguments):
        self.sent = []
        work(self.sent.append, *arguments)

    def receive(self, seconds):
        if not self.sent:
            raise Ended
        return self.sent.pop(0)

    def stop(self):
        pass


@pytest.fixture
def mutate(cli, monkeypatch):
    """Run the command in this process, its mutants too; gives its exit code, stdout and stderr."""
    monkeypatch.setattr(trials, "Worker", InProcess)
    return functools.partial(cli, "mutate")


def test_a_case_with_teeth_passes(write, mutate):
    """With a table a case, a row a kind of mistake, and the exit code of success."""
    write("cases/square.py", SQUARE)
    code, out, err = mutate()
    assert code == 0
    assert out.startswith("Square[float32]: 7 of 7 mutants caught (1 by raising)\n\nbroken")
    lines = out.splitlines()
    kinds = [line.split("  ")[0] for line in lines[4:-1]]
    assert kinds == ["operator", "sign", "constant", "factor dropped", "statement deleted"]
    assert lines[-1].split()[:3] == ["all", "7", "7"]
    assert err == ""


def test_a_survivor_is_shown_with_its_line_and_its_change(write, mutate):
    """And fails the command."""
    write("cases/ones.py", ONES)
    code, out, _ = mutate("cases/ones.py")
    assert code == 1
    assert out.startswith("Ones[float32]: 6 of 7 mutants caught (1 by raising)\n")
    assert (
        "survived (operator), at cases/ones.py:16\n    d.x = 2 * t.x\n    d.x = 2 / t.x\n"
        "    no gradient of the case tells these apart: choose inputs on which they differ\n"
    ) in out


def test_a_case_that_cannot_be_studied_is_refused_and_the_others_go_on(write, mutate):
    """Each with its reason, before or after those that can."""
    write("cases/a_wrong.py", WRONG)
    write("cases/b_executed.py", EXECUTED)
    write("cases/c_square.py", SQUARE)
    write("cases/d_broken.py", "import nothing_of_this_name")
    code, out, _ = mutate()
    assert code == 1
    assert "Wrong[float32]: not studied, it does not verify as it is: d.x is wrong; fix that first\n" in out
    assert "Executed[float32]: not studied, the source of backward is not to be had: <string> is no file" in out
    assert "Square[float32]: 7 of 7 mutants caught" in out
    assert "cases/d_broken.py: not studied, " in out
    assert "nothing_of_this_name" in out


def test_json_holds_every_mutant_and_what_became_of_it(write, mutate):
    """Under the documented names."""
    write("cases/square.py", SQUARE)
    write("cases/wrong.py", WRONG)
    code, _, _ = mutate("cases", "--json", "out.json")
    assert code == 1
    with open("out.json", encoding="utf-8") as file:
        document = json.load(file)
    assert set(document) == {"schema", "environment", "studies"}
    square, wrong = document["studies"]
    assert {name: value for name, value in square.items() if name not in ("trials", "file", "hinted")} == {
        "case": "Square",
        "sizes": {"n": 4},
        "dtypes": ["float32"],
        "devices": ["cpu"],
        "seeds": [111111],
        "error": None,
        "passed": True,
        "mutants": 7,
        "caught": 7,
        "raised": 1,  # `d.x = 2`, which is no tensor
        "killed": 0,
        "equivalent": 0,
        "survived": 0,
        "named": 7,
    }
    assert square["file"].endswith("cases/square.py")
    assert square["trials"][0] == {
        "kind": "operator",
        "line": 16,
        "last_line": 16,
        "before": "d.x = 2 * t.x",
        "after": "d.x = 2 / t.x",
        "outcome": "caught",
        "named": True,
        "hint": square["trials"][0]["hint"],
        "seed": None,
    }
    assert (wrong["passed"], wrong["trials"], wrong["error"]["kind"]) == (False, [], "NotSound")


def test_the_page_holds_every_mutant(write, mutate):
    """The one that survived has a card of its own."""
    write("cases/ones.py", ONES)
    mutate("cases", "--html", "page.html")
    with open("page.html", encoding="utf-8") as file:
        page = file.read()
    assert "6 of 7 mutants caught" in page
    assert page.count("<tr data-verdict=") == 7
    (card,) = page.split("<article")[1:]
    assert "cases/ones.py:16" in card
    assert "d.x = 2 / t.x" in card


def test_what_a_case_prints_is_kept_out_of_the_results(write, mutate):
    """It goes to stderr, a line for each time it runs."""
    write("cases/talking.py", TALKING)
    code, out, err = mutate()
    assert "from the case" not in out
    assert "from the case" in err
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.py"], 4, "nowhere.py does not exist"),
        (["cases", "-k", "("], 4, "-k '(': "),
        (["cases", "--json", "nowhere/out.json"], 4, "nowhere/out.json cannot be written: there is no folder"),
        (["cases", "--format", "json"], 4, "unrecognized arguments: --format json"),
        (["cases", "-k", "nothing"], 5, "nothing selected: -k 'nothing' matches none of 1 case in cases"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_studied(write, mutate, arguments, code, message):
    """Usage errors are 4, an empty selection is 5."""
    write("cases/square.py", SQUARE)
    ended, out, err = mutate(*arguments)
    assert (ended, out) == (code, "")
    assert message in err


def test_a_hanging_mutant_is_ended_and_the_rest_are_tried(write):
    """In processes of their own; none is left."""
    write("cases/hanging.py", HANGING)
    with Trials(["cases/hanging.py"], "", Bounds(seconds=2, runs=1)) as studies:
        study = studies.study(0, planned())
    assert study.error is None
    ended = {trial.mutant.after: trial.outcome for trial in study.trials}
    assert ended["while t.x.numel() > 0:"] is Outcome.KILLED
    assert list(ended.values()).count(Outcome.KILLED) == 1
    assert ended["d.x = -(2 * t.x)"] is Outcome.CAUGHT
    assert multiprocessing.active_children() == []


MUTANTS = tuple(Mutant(Kind.SIGN, line, line, "d.x = a", "d.x = -a") for line in range(3))
CAUGHT = [Trial(mutant, Outcome.CAUGHT) for mutant in MUTANTS]
KILLED = [Trial(mutant, Outcome.KILLED) for mutant in MUTANTS]
MIXED = [CAUGHT[0], KILLED[1], CAUGHT[2]]
OPENING = trials._Opening("cases/a.py", MUTANTS, 1.0)
CRASHED = Failure("Crashed", "its process ended, without an error, while the unbroken case ran")
FAILURE = Failure("NotSound", "after its mutants were tried it no longer verifies")


class Ones(Case):
    __test__ = False

    def inputs(self, generator):
        return {}

    def forward(self, t):
        return t.x

    def backward(self, t, d):
        d.x = t.x


def planned(*seeds):
    """A case in its configurations, as `plan` gives it."""
    found = SimpleNamespace(case=Ones())
    return [SimpleNamespace(found=found, configuration=Configuration("float32", "cpu", seed)) for seed in seeds or (0,)]


@pytest.mark.parametrize(
    ("scripts", "trials_of", "error"),
    [
        ([[OPENING, *CAUGHT, None]], CAUGHT, None),
        # Ended for its silence: that mutant is given up, the next process goes on behind it.
        ([[OPENING, CAUGHT[0], Silent], [OPENING, CAUGHT[2], None]], MIXED, None),
        # The last one hangs: no other process is needed.
        ([[OPENING, *CAUGHT[:2], Silent]], [*CAUGHT[:2], KILLED[2]], None),
        # Ended by itself after it got on: a fresh process tries again, and goes on.
        ([[OPENING, CAUGHT[0], Ended], [OPENING, *CAUGHT[1:], None]], CAUGHT, None),
        # Ended twice at the same mutant: that one did it.
        (
            [[OPENING, CAUGHT[0], Ended], [OPENING, Ended], [OPENING, CAUGHT[2], None]],
            [CAUGHT[0], KILLED[1], CAUGHT[2]],
            None,
        ),
        # The case is refused, or turns out to be spoilt at its end.
        ([[FAILURE]], [], FAILURE),
        ([[OPENING, *CAUGHT, FAILURE]], CAUGHT, FAILURE),
        # The unbroken case takes the process down, at once or after its mutants.
        ([[Ended]], [], CRASHED),
        ([[OPENING, *CAUGHT, Ended]], CAUGHT, CRASHED),
        ([[OPENING, *CAUGHT, Silent]], CAUGHT, CRASHED),
    ],
)
def test_a_process_that_ends_is_followed_by_another(monkeypatch, scripts, trials_of, error):
    """It goes on behind what has been tried; the case is studied to its end."""
    started = []

    class Scripted(InProcess):
        def __init__(self, work, targets, expression, number, skipped, bounds):
            started.append(skipped)
            self.sent = list(scripts[len(started) - 1])

        def receive(self, seconds):
            message = super().receive(seconds)
            if isinstance(message, type):
                raise message
            return message

    monkeypatch.setattr(trials, "Worker", Scripted)
    with Trials(["cases"], "") as studies:
        study = studies.study(0, planned())
    assert study.trials == tuple(trials_of)
    assert study.error == error
    assert len(started) == len(scripts)
    assert started[0] == 0
    assert all(skipped <= len(trials_of) for skipped in started)


def test_what_one_case_sends_is_not_taken_for_the_next(write, mutate):
    """Also where it turns out after its mutants that one of them left something behind."""
    write("cases/a.py", REMEMBERING)
    write("cases/b.py", SQUARE)
    code, out, _ = mutate()
    assert code == 1
    assert "Remembering[float32]: not studied, after its mutants were tried it no longer verifies: d.x is wrong" in out
    assert "Square[float32]: 7 of 7 mutants caught" in out


def test_the_configurations_of_a_case_are_one_check(write):
    """They are studied together, in the order of the cases."""
    one, two = planned(0, 1), planned(5)
    assert by_case([*one, *two]) == [tuple(one), tuple(two)]


def test_the_process_goes_on_behind_what_was_tried(write):
    """From a case on, without its first mutants; those that follow are tried from their first."""
    write("cases/a.py", SQUARE)
    write("cases/b.py", SQUARE.replace("Square", "Second"))
    write("cases/c.py", SQUARE.replace("Square", "Third"))
    sent = []
    try_mutants(sent.append, ["cases"], "", 1, 5, Bounds())
    assert [type(one).__name__ for one in sent] == [
        *("_Opening", "Trial", "Trial", "NoneType"),
        *("_Opening", *["Trial"] * 7, "NoneType"),
    ]
    assert (len(sent[0].mutants), sent[0].seconds > 10) == (7, True)


def test_an_error_of_gradverify_itself_is_told_as_one(write, mutate, monkeypatch):
    """With its traceback and an exit code of its own; the other cases go on."""
    write("cases/a.py", SQUARE)
    write("cases/b.py", SQUARE.replace("Square", "Second"))
    monkeypatch.setattr("gradverify.mutation.find_edits", lambda *_: 1 / 0)
    code, out, _ = mutate()
    assert code == 3
    for name in ("Square", "Second"):
        assert f"{name}[float32]: not studied, gradverify itself failed with ZeroDivisionError" in out
    assert "in prepare" in out
