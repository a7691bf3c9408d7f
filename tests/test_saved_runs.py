"""`gradverify report` and `gradverify diff` as a user meets them: saved runs shown again, and held together."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import gradverify
from commandline import SQUARE
from gradverify.render.json import read_json
from gradverify.render.table import FORMATS

# The factor of the square is forgotten.
WRONG = SQUARE.replace("2 * t.x", "t.x")
# Right, but its digits are lost in float32.
IMPRECISE = SQUARE.replace("2 * t.x * d.y", "2 * t.x * d.y + 100 - 100")
RAISING = SQUARE.replace("d.x = 2", "raise RuntimeError('my own')\n        d.x = 2")
OTHER = SQUARE.replace("Square", "Other")


@pytest.fixture
def save(write, cli, tmp_path):
    """Run cases, save what was found, and give the path: `save("old.json", source, ...)`."""

    def run(name, *sources):
        for number, source in enumerate(sources):
            write(f"{name}.cases/case{number}.py", source)
        assert cli("run", f"{name}.cases", "--json", name)[0] in (0, 1)
        return name

    return run


@pytest.mark.parametrize("sources", [(SQUARE,), (WRONG, OTHER), ("1 / 0", RAISING)])
def test_a_saved_run_is_shown_as_it_was(cli, save, sources):
    """All but the durations, which the file does not hold; and the exit code says that it could be shown."""
    save("run.json", *sources)
    _, shown, _ = cli("run", "run.json.cases")
    code, again, err = cli("report", "run.json")
    assert (code, err) == (0, "")
    durations = [" · " + text.split(" · ")[-1] for text in shown.split("\n\n")[0].splitlines() if text.endswith(" ms")]
    for duration in durations:
        shown = shown.replace(duration, "")
    assert again.splitlines()[0] == shown.splitlines()[0]
    assert again.splitlines()[-1] == shown.splitlines()[-1]
    assert again.count("\ngradient ") == shown.count("\ngradient ")


@pytest.mark.parametrize("format", FORMATS)
def test_it_comes_in_every_format(cli, save, format):
    save("run.json", WRONG)
    code, out, err = cli("report", "run.json", "--format", format)
    assert (code, err) == (0, "")
    assert "1 of 2 gradients wrong" in out


def test_as_json_it_is_the_file(cli, save, tmp_path):
    save("run.json", WRONG, SQUARE)
    assert cli("report", "run.json", "--format", "json")[1] == (tmp_path / "run.json").read_text(encoding="utf-8")


def test_markdown_is_that_of_the_run(cli, save):
    save("run.json", WRONG, OTHER)
    text = cli("report", "run.json", "--format", "markdown")[1]
    assert text.startswith("## gradverify: 1 failed, 1 passed\n\n### Square[float32]: 1 of 2 gradients wrong; first: x")
    run = cli("run", "run.json.cases", "--format", "markdown")[1]
    assert run.startswith("## gradverify: 1 failed, 1 passed in ")
    assert run.count("<details>") == text.count("<details>") == 1


@pytest.mark.parametrize(("shown", "tables"), [("all", 2), ("failed", 1), ("none", 0), ("auto", 2)])
def test_the_user_chooses_what_is_shown(cli, save, shown, tables):
    save("run.json", WRONG, OTHER)
    out = cli("report", "run.json", "--report", shown)[1]
    assert out.count("\ngradient ") == tables
    assert "\n1 failed, 1 passed\n" in "\n" + out


def test_what_the_plugin_saves_is_shown_too(cli, write, tmp_path):
    write("test_case.py", WRONG)
    command = [sys.executable, "-m", "pytest", "-q", "--gradverify-json=run.json", "test_case.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert cli("report", "run.json")[1].startswith("Square[float32]: 1 of 2 gradients wrong")
    assert cli("diff", "run.json", "run.json")[0] == 0


@pytest.mark.parametrize(
    "source", [SQUARE, WRONG, IMPRECISE, RAISING, "1 / 0", WRONG.replace("d.x = ", "d.x = 1e300 * ")]
)
def test_it_is_valid_by_the_schema_of_the_package(save, tmp_path, source):
    """What a run writes, and not only what tests make up."""
    schema = json.loads((files("gradverify") / "report.schema.json").read_text(encoding="utf-8"))
    document = json.loads((tmp_path / save("run.json", source)).read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(document)
    assert len(document["reports"]) == 1


def test_a_pipe_gives_a_saved_run(cli, save, monkeypatch, tmp_path):
    save("run.json", SQUARE)
    for format in ("report -", "diff run.json -", "diff - run.json"):
        with (tmp_path / "run.json").open(encoding="utf-8") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            assert cli(*format.split())[0] == 0
    code, _, err = cli("diff", "-", "-")
    assert (code, "OLD and NEW are both stdin" in err) == (4, True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_shell_may_have_changed_the_encoding(cli, save, tmp_path, encoding):
    """As PowerShell's redirection does."""
    text = Path(save("run.json", SQUARE)).read_text(encoding="utf-8")
    (tmp_path / "run.json").write_text(text, encoding=encoding)
    assert cli("report", "run.json")[0] == 0


EMPTY = {"gradverify": "1", "torch": "2", "python": "3", "platform": "here", "threads": 1}

# What the file holds, what is said of it.
BROKEN = {
    "cut short": ('{"schema": 1, "environ', "run.json: this is no JSON: .*was the file cut short?"),
    "empty": ("", "run.json: this is no JSON: .*`gradverify run --json FILE` writes"),
    "other JSON": ("[1, 2]", "run.json: this is no saved run of gradverify: it has no `schema`"),
    "a number": ("1", "run.json: this is no saved run of gradverify"),
    "a later version": (
        json.dumps({"schema": 2, "environment": EMPTY, "reports": []}),
        "run.json: the document has schema 2, this version of gradverify reads 1; upgrade gradverify to read it",
    ),
    "edited": (
        json.dumps({"schema": 1, "environment": EMPTY, "reports": [{"case": 3}]}),
        r"run.json: reports\[0\] has no `dtype`; was the file edited?",
    ),
    "mutants": ('{"schema": 1, "environment": {}, "studies": []}', "run.json: this was written by `gradverify mutate`"),
    "a list": ('{"schema": 1, "cases": [], "errors": []}', "run.json: this was written by `gradverify list`"),
    "a diff": ('{"schema": 1, "changes": []}', "run.json: this was written by `gradverify diff`"),
    "no text": (b"\x80\x81\x82\x83", "run.json: this is no JSON, and no text; `gradverify run --json FILE` writes one"),
}


@pytest.mark.parametrize("arguments", [["report"], ["diff", "right.json"]])
@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_no_saved_run_is_told(cli, save, tmp_path, what, arguments):
    content, message = BROKEN[what]
    save("right.json", SQUARE)
    (tmp_path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = cli(*arguments, "run.json")
    assert (code, out) == (4, "")
    assert err.startswith("gradverify: run.json: ")
    assert re.search(message, err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report"], "the following arguments are required: FILE"),
        (["report", "rum.json"], "rum.json: there is no such file; did you mean 'run.json'?"),
        (["report", "missing/run.json"], "missing/run.json: there is no such file; nor a folder missing"),
        (["report", "run.json.cases"], "run.json.cases: expected a saved run, but this is a folder"),
        (["report", "run.json.cases/case0.py"], "case0.py: this is no JSON: "),
        (["report", "a\0b"], "cannot be read: embedded null byte"),
        (["report", "run.json", "--format", "mardown"], "argument --format: invalid choice: 'mardown'"),
        (["report", "run.json", "--report", "some"], "argument --report: invalid choice: 'some'"),
        (["diff", "run.json"], "the following arguments are required: NEW"),
        (["diff", "run.json", "missing.json"], "missing.json: there is no such file; "),
        (["diff", "missing.json", "run.json"], "missing.json: there is no such file; "),
        (["diff", "run.json", "run.json", "--format", "github"], "argument --format: invalid choice: 'github'"),
    ],
)
def test_wrong_usage_is_told(cli, save, arguments, message):
    save("run.json", SQUARE)
    code, out, err = cli(*arguments)
    assert (code, out) == (4, "")
    assert err.startswith("gradverify: ")
    assert message in err


def test_a_file_that_may_not_be_read_is_told(cli, save, monkeypatch):
    save("run.json", SQUARE)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    code, _, err = cli("report", "run.json")
    monkeypatch.undo()
    assert (code, err.startswith("gradverify: run.json: cannot be read: Permission denied; ")) == (4, True)


def test_a_run_without_reports_has_nothing_to_show(cli, write):
    write("run.json", json.dumps({"schema": 1, "environment": EMPTY, "reports": []}))
    code, out, err = cli("report", "run.json")
    assert (code, err) == (5, "run.json holds no report: nothing ran\n")
    assert out.startswith("nothing ran\n")


# The earlier run, the later one, the exit code, how the first line begins.
DIFFERENCES = {
    "the same": (SQUARE, SQUARE, 0, "nothing changed in 1 report"),
    "still wrong": (WRONG, WRONG, 0, "nothing changed in 1 report"),
    "a planted bug": (SQUARE, WRONG, 1, "1 regression; first: Square[float32] x: exact -> wrong (introduced) ✗, at "),
    "mended": (WRONG, SQUARE, 0, "no regression: 1 fixed"),
    "lost digits": (SQUARE, IMPRECISE, 1, "1 regression; first: Square[float32] x: accuracy "),
    "an error": (SQUARE, RAISING, 1, "1 regression; first: Square[float32]: backward raised RuntimeError in the"),
    "a file that does not import": (
        SQUARE,
        "1 / 0",
        1,
        "1 regression; first: new.json.cases/case0.py: does not import",
    ),
    "another case": (SQUARE, OTHER, 5, "no regression: 1 new, 1 removed"),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_what_changed_and_the_exit_code(cli, save, what):
    before, after, code, line = DIFFERENCES[what]
    seen, out, err = cli("diff", save("old.json", before), save("new.json", after))
    assert out.splitlines()[0].startswith(line)
    assert seen == code
    assert (err != "") is (code == 5)
    for format, opening in (("markdown", "## gradverify: "), ("json", "{")):
        seen, out, _ = cli("diff", "old.json", "new.json", "--format", format)
        assert seen == code
        assert out.startswith(opening)
    assert json.loads(out)["regressed"] is (code == 1)


def test_nothing_in_common_says_why(cli, save):
    """An empty run would otherwise pass whatever it is held against."""
    code, _, err = cli("diff", save("old.json", SQUARE), save("new.json", OTHER))
    assert code == 5
    assert err == (
        "nothing to compare: none of 1 report in old.json has the case, dtype, device, seed and sizes of one of 1 in "
        "new.json\n"
    )


def test_neither_imports_torch(save, tmp_path):
    """They answer at once, and on a machine without it."""
    save("old.json", SQUARE, WRONG)
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # an import of it fails
        "from gradverify.cli import main\n"
        "formats = ['simple', 'github', 'markdown', 'json', 'html']\n"
        "codes = [main(['report', 'old.json', '--format', one]) for one in formats]\n"
        "codes += [main(['diff', 'old.json', 'old.json', '--format', one]) for one in ['plain', 'markdown', 'json']]\n"
        "sys.exit(any(codes))"
    )
    environment = {"PYTHONPATH": str(Path(gradverify.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(read_json(Path(tmp_path / "old.json").read_text(encoding="utf-8"))[1]) == 2


def test_as_html_it_is_the_page_that_the_run_writes(cli, save, tmp_path):
    save("run.json", WRONG)
    assert cli("run", "run.json.cases", "--json", "run.json", "--html", "run.html")[0] == 1
    assert cli("report", "run.json", "--format", "html")[1] == (tmp_path / "run.html").read_text(encoding="utf-8")


def test_a_page_of_a_run_without_details_is_one(cli, save):
    """The file holds heat maps and the like only where a page was asked for."""
    save("run.json", WRONG)
    code, out, err = cli("report", "run.json", "--format", "html")
    assert (code, err) == (0, "")
    assert out.lstrip().lower().startswith("<!doctype html>")
    assert "Square" in out
