"""The table of a report: its first line, its columns, what it says of a failure, and that no name breaks it."""

import dataclasses
import re

import pytest
from samples import ABSENT, AGREES, CRASHED, DISAGREES, KINKED, SHAPE, WRONG, comparison, report, row

from gradverify.errors import UsageError
from gradverify.render.table import FORMATS, Style, headline, label_of, render_table
from gradverify.report import Failure, Worst
from gradverify.verdict import Origin, Verdict


def failing(verdict, **changes):
    return row(verdict=verdict, passed=False, **changes)


# What the first line says of each kind of result. The right ones are the twins of those that fail.
HEADLINES = [
    (
        report(row("W"), row("b")),
        "Sample[float32]: 2 of 2 gradients right (2 of 3 named tensors derived) · samples=10 · cpu · seed 111111",
    ),
    (
        report(row("W"), sizes={}, named=1),
        "Sample[float32]: 1 of 1 gradient right (1 of 1 named tensor derived) · cpu · seed 111111",
    ),
    (
        report(row("W"), row("b", verdict=Verdict.IMPRECISE), row("X", verdict=Verdict.KNOWN), sizes={}, named=3),
        "Sample[float32]: 2 of 3 gradients right, 1 imprecise, 1 known (3 of 3 named tensors derived) · cpu · "
        "seed 111111",
    ),
    (
        report(row("W"), row("b", verdict=Verdict.GIVEN), sizes={}, derived=1, named=2),
        "Sample[float32]: 1 of 1 gradient right, 1 given (1 of 2 named tensors derived) · cpu · seed 111111",
    ),
    (
        report(row("W", verdict=Verdict.MISSING), sizes={}, derived=0, named=2),
        "Sample[float32]: nothing to judge yet (0 of 2 named tensors derived) · cpu · seed 111111",
    ),
    (
        report(row("X"), SHAPE),
        "Sample[float32]: 1 of 2 gradients wrong; first: b (shape) has shape (1, 1), its tensor (1,), "
        "at cases/sample.py:88",
    ),
    (
        report(WRONG),
        "Sample[float32]: 1 of 1 gradient wrong; first: W (wrong) is off by 1.1e-10 where rounding explains 2.5e-16, "
        "at cases/sample.py:87",
    ),
    (
        report(row("X"), WRONG, SHAPE),
        "Sample[float32]: 2 of 3 gradients wrong; first: W (wrong) is off by 1.1e-10 where rounding explains 2.5e-16, "
        "at cases/sample.py:87",
    ),
    (
        # Right in float64 but not at the working precision: the difference in float64 is no complaint.
        report(
            dataclasses.replace(
                WRONG, worst=Worst((3, 0), 0.5, 0.5, 1e-15), hints=("in float32 its error is 99 times",)
            )
        ),
        "Sample[float32]: 1 of 1 gradient wrong; first: W (wrong) fails: in float32 its error is 99 times, "
        "at cases/sample.py:87",
    ),
    (
        report(failing(Verdict.DTYPE, comparison=comparison(candidate_dtype="float64"))),
        "Sample[float32]: 1 of 1 gradient wrong; first: W (dtype) is float64, its tensor float32, "
        "at cases/sample.py:12",
    ),
    (
        report(failing(Verdict.NONFINITE, hints=("3 of 10 elements",))),
        "Sample[float32]: 1 of 1 gradient wrong; first: W (nonfinite) is not finite where the reference is, "
        "at cases/sample.py:12",
    ),
    (
        report(failing(Verdict.MISSING, file=None, line=None, comparison=None)),
        "Sample[float32]: 1 of 1 gradient failed; first: W (missing) has no gradient",
    ),
    (
        # A gradient that nothing exercises may well be right: it is not called wrong.
        report(failing(Verdict.VACUOUS), WRONG),
        "Sample[float32]: 2 of 2 gradients failed; first: W (vacuous) is zero everywhere, so that nothing was tried, "
        "at cases/sample.py:12",
    ),
    (
        report(failing(Verdict.INCONCLUSIVE, hints=("2 of 10 elements are unsettled",))),
        "Sample[float32]: 1 of 1 gradient failed; first: W (inconclusive) fails: 2 of 10 elements are unsettled, "
        "at cases/sample.py:12",
    ),
    (
        report(failing(Verdict.OK, hints=("passes, but `known` lists it (issue 1): remove the entry",))),
        "Sample[float32]: 1 of 1 gradient failed; first: W (ok) fails: passes, but `known` lists it (issue 1): remove "
        "the entry, at cases/sample.py:12",
    ),
    (
        CRASHED,
        "Sample[float32]: backward raised ValueError in the float32 pass: bad, at cases/sample.py:40",
    ),
    (
        report(case="cases/typo.py", dtype="", error=Failure("SyntaxError", "does not import", "cases/typo.py")),
        "cases/typo.py: does not import, at cases/typo.py",
    ),
]


@pytest.mark.parametrize(("given", "line"), HEADLINES)
def test_the_first_line_is_the_whole_story(given, line):
    assert headline(given) == line
    assert render_table(given).splitlines()[0] == line


def test_the_time_taken_is_shown_where_it_is_known():
    assert headline(report(row()), seconds=0.0123).endswith("seed 111111 · 12 ms")
    assert "samples=10 · cpu · seed 111111 · 1.5 s" in render_table(report(WRONG), seconds=1.5)


def test_a_report_prints_as_its_table():
    assert str(report(WRONG)) == render_table(report(WRONG))


def cells_of(text):
    """The header of a table and its rows, each a mapping from column to text; for cells without spaces."""
    lines = text.splitlines()
    rule = next(number for number, line in enumerate(lines) if re.fullmatch(r"[- ]+", line))
    spans = [match.span() for match in re.finditer("-+", lines[rule])]
    rows = []
    for line in lines[rule - 1 :]:
        if not line.strip():
            break
        rows.append([line[start:end].strip() for start, end in spans])
    header, _, *body = rows
    return [dict(zip(header, cells, strict=True)) for cells in body]


def test_every_number_of_a_row_has_its_column():
    given = row("W", accuracy=12.34, resolution=1.25e-13, coverage=0.9996, line=42)
    given = dataclasses.replace(given, comparison=comparison(maxdiff=2.12e-8, max_ulp=3))
    (cells,) = cells_of(render_table(report(given)))
    assert cells == {
        "gradient": "W",
        "shape": "(10, 1)",
        "verdict": "exact",
        "max diff": "2.1e-08",
        "max ulp": "3",
        "accuracy": "12.3",
        "resolution": "1.2e-13",
        "coverage": "99.9%",
        "line": "42",
    }


def test_a_column_in_which_nothing_is_known_is_left_out():
    """A quick run knows no accuracy; one row that knows it brings the column back."""
    unknown = row("W", accuracy=None)
    assert "accuracy" not in cells_of(render_table(report(unknown, unknown)))[0]
    assert cells_of(render_table(report(unknown, row("b"))))[0]["accuracy"] == ""


@pytest.mark.parametrize(
    ("changes", "cell"),
    [
        ({"nonfinite": 3, "comparison": comparison(candidate_nonfinite=3, reference_nonfinite=3)}, "3"),
        ({"nonfinite": 0, "comparison": comparison(candidate_nonfinite=2)}, "0, candidate 2"),
        ({"nonfinite": 0, "comparison": comparison()}, None),
        ({"nonfinite": 2, "comparison": None}, None),
    ],
)
def test_elements_that_are_not_finite_are_counted(changes, cell):
    shown = cells_of(render_table(report(row("W", **changes))))[0].get("nonfinite")
    assert shown == (cell if changes["comparison"] is not None else "2")


def test_the_file_is_shown_on_each_line_only_where_there_are_several():
    (one, _) = cells_of(render_table(report(row("W"), row("b"))))
    assert one["line"] == "12"
    (_, two) = cells_of(render_table(report(row("W"), row("b", file="helpers.py"))))
    assert two["line"] == "helpers.py:12"


def test_a_dtype_is_shown_where_it_is_not_that_of_the_report():
    assert "dtype" not in cells_of(render_table(report(row("W"))))[0]
    assert cells_of(render_table(report(row("W"), row("b", dtype="bfloat16"))))[1]["dtype"] == "bfloat16"


def test_a_row_that_fails_is_marked_even_where_its_verdict_alone_would_pass():
    strict = row("W", verdict=Verdict.IMPRECISE, passed=False)
    text = render_table(report(strict))
    assert cells_of(text)[0]["verdict"] == "imprecise ✗"
    assert "it fails because `strict` is set" in text
    assert cells_of(render_table(report(row("W", verdict=Verdict.IMPRECISE))))[0]["verdict"] == "imprecise"


def test_a_failure_is_explained_below_the_table():
    assert render_table(report(row("X"), WRONG)).split("\n\n")[-1] == (
        "W (wrong): differs from the reference by more than rounding can explain\n"
        "    at cases/sample.py:87\n"
        "        d.W = (\n"
        "            t.X.T @ d.logits\n"
        "        )\n"
        "    worst at [3, 0]: candidate 0.123456789012, reference 0.1234567889, off by 1.1e-10 where rounding explains "
        "2.5e-16\n"
        "    hint: agrees to 9 digits"
    )


def test_every_failure_is_explained_and_nothing_that_passed():
    text = render_table(report(row("X"), SHAPE, WRONG))
    assert Verdict.SHAPE.sentence in text
    assert Verdict.WRONG.sentence in text
    assert Verdict.EXACT.sentence not in text


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict.fails])
def test_the_sentence_of_every_failing_verdict_reaches_the_user(verdict):
    assert f"W ({verdict}): {verdict.sentence}" in render_table(report(failing(verdict)))


def test_what_only_inherits_an_error_is_folded_into_one_line():
    """With eleven inherited rows, the one that introduced the error would be lost among their paragraphs."""
    inherited = [
        dataclasses.replace(WRONG, name=name, origin=Origin.INHERITED, hints=("inherits the error of d.W",))
        for name in ("X", "b")
    ]
    given = report(*inherited, dataclasses.replace(WRONG, origin=Origin.INTRODUCED))
    text = render_table(given)
    assert headline(given).startswith(
        "Sample[float32]: 3 of 3 gradients wrong, 2 of them inherited; first: W (wrong) is off by"
    )
    assert [cells["origin"] for cells in cells_of(text)] == ["inherited", "inherited", "introduced"]
    assert text.count(Verdict.WRONG.sentence) == 1
    assert text.endswith("\n\nX, b (inherited): inherits the error of d.W")


def test_an_error_whose_origin_is_unknown_is_explained_in_full():
    text = render_table(report(WRONG, dataclasses.replace(WRONG, name="b")))
    assert text.count(Verdict.WRONG.sentence) == 2
    assert "inherited" not in text


def test_a_single_element_has_no_index():
    given = failing(Verdict.WRONG, worst=Worst((), 1.0, 2.0, None))
    assert "its only element: candidate 1.0, reference 2.0, off by 1\n" in render_table(report(given)) + "\n"


def test_a_statement_that_holds_a_table_of_numbers_is_cut():
    source = "d.W = torch.tensor([\n" + "    1.0,\n" * 100 + "])"
    text = render_table(report(dataclasses.replace(WRONG, source=source)))
    assert "... (95 more lines)" in text
    assert len(text.splitlines()) < 30


def test_an_error_shows_the_rest_of_its_message_and_the_users_own_traceback():
    assert render_table(CRASHED).split("\n\n")[1] == (
        "second line\n"
        "    Traceback (most recent call last):\n"
        '      File "cases/sample.py", line 40, in backward\n'
        "    ValueError: bad"
    )


def test_notes_are_shown():
    assert "\n\nnote: quick: judged in float32 alone" in render_table(
        report(row(), notes=("quick: judged in float32 alone",))
    )


HOSTILE = ["a\nb", "a\tb", "a|b", "\x1b[31mred", " padded ", "", "\u202emirrored", "\ud800", "x" * 10_000, "`code`"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("format", FORMATS)
def test_no_name_breaks_a_table(format, name):
    """Every format has as many lines as with a tame name, and no more than one cell's worth of text on each."""
    tame = render_table(report(row("W")), style=Style(format))
    text = render_table(report(row(name)), style=Style(format))
    assert len(text.splitlines()) == len(tame.splitlines())
    assert max(map(len, text.splitlines())) <= max(map(len, tame.splitlines())) + 100
    assert text.isprintable() or set(text) - set("\n\t") == {one for one in text if one.isprintable()}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_adds_a_line_to_the_first_one(name):
    given = report(failing(Verdict.WRONG, name=name), case=name, sizes={name: 1}, device=name)
    assert len(headline(given).splitlines()) == 1
    assert headline(given).isprintable()
    assert label_of(given).isprintable()


def columns_of(line):
    """The cells of a row of GitHub's table, where a backslash keeps a bar from ending its cell."""
    return re.split(r"(?<!\\)\|", line.strip().strip("|"))


@pytest.mark.parametrize("format", ["github", "pipe", "markdown"])
def test_a_bar_in_a_name_does_not_end_its_cell(format):
    text = render_table(report(row("a|b")), style=Style(format))
    (line,) = (line for line in text.splitlines() if "exact" in line)
    assert len(columns_of(line)) == 9
    assert r"a\|b" in line


def test_wide_characters_keep_the_columns_aligned():
    wcwidth = pytest.importorskip("wcwidth", reason="tabulate measures wide characters with it")
    text = render_table(report(row("W"), row("データ")))
    lines = [line for line in text.splitlines() if "exact" in line]
    assert len({wcwidth.wcswidth(line) for line in lines}) == 1


def test_cells_are_escaped_in_markdown():
    """Whatever is shown as a table of cells, such as `gradverify list`, and not as a report."""
    text = Style("markdown").layout([["<b>|*x*"]], ["name"], ["left"])
    assert text.splitlines()[-1] == r"| &lt;b>\|\*x\* |"


def test_only_failures_are_red_and_only_where_colours_are_wanted():
    given = report(row("X"), WRONG)
    assert "\x1b" not in render_table(given)
    colored = render_table(given, style=Style(color=True))
    assert "\x1b[1;31mwrong ✗\x1b[0m" in colored
    assert "\x1b[32mexact\x1b[0m" in colored
    assert colored.startswith("\x1b[1;31mSample[float32]: 1 of 2")
    assert render_table(report(row("X")), style=Style(color=True)).startswith("\x1b[32mSample")


def test_colours_leave_the_columns_where_they_were():
    given = report(row("X"), WRONG)
    colored = render_table(given, style=Style(color=True))
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == render_table(given)


@pytest.mark.parametrize("format", ["github", "latex", "markdown", "tsv"])
def test_formats_that_programs_read_are_never_coloured(format):
    assert "\x1b" not in render_table(report(WRONG), style=Style(format, color=True))


def test_an_unknown_format_is_told_the_nearest():
    with pytest.raises(UsageError, match="unknown format 'githb'; did you mean 'github'"):
        Style("githb")


def test_the_html_formats_are_not_offered():
    """One of them does not escape names; a page of its own comes with the reports for browsers."""
    assert not [one for one in FORMATS if "html" in one]


def test_a_column_for_each_witness():
    """What it says and its error bar; why it says nothing stands below the table, once for all rows alike."""
    text = render_table(report(row("W", witnesses=(AGREES, ABSENT)), row("b", witnesses=(AGREES, ABSENT)), row("c")))
    header, _, first, *_ = text.splitlines()[2:]
    assert header.split()[-3:] == ["finite_difference", "complex_step", "line"]
    assert "  agrees ±2e-11        does not apply      12" in first
    assert text.count("complex_step does not apply to W, b: relu is not known to be analytic (net.py:3)") == 1
    assert "complex_step" not in render_table(report(row("W")))


def test_the_column_of_an_oracle_that_gives_the_reference_of_some_rows():
    """Says so there."""
    rows = row("W", witnesses=(AGREES,)), row("b", witnesses=(ABSENT,))
    lines = render_table(report(*rows)).splitlines()
    assert "the reference" in lines[4]
    assert "the reference" in lines[5]


def test_a_reason_that_many_gradients_share_names_the_first():
    """And how many more there are."""
    text = render_table(report(*(row(f"d{number}", witnesses=(ABSENT,)) for number in range(10))))
    assert "complex_step does not apply to d0, d1, d2, d3, d4, d5, d6, d7 and 2 more: relu " in text


def test_a_subgradient_passes_and_is_shown():
    """In the first line, in the table, and with the slopes of both sides below it."""
    text = render_table(report(row("W"), row("b", verdict=Verdict.SUBGRADIENT, witnesses=(KINKED,))))
    assert "2 of 2 gradients right, 1 subgradient" in text.splitlines()[0]
    assert "subgradient ±1e-09" in text
    assert "b: finite_difference finds a kink at [2]: 1 claimed, 0.5 ± 1.0e-09 measured (between the slopes of" in text


def test_a_dispute_is_told_in_the_first_line():
    """And not twice; beside other failures the word is neither."""
    hints = ("autograd stands alone: scalar says what the candidate says", "scalar sides with the candidate: ...")
    disputed = failing(Verdict.DISPUTED, hints=hints, origin=Origin.INTRODUCED)
    assert headline(report(disputed)) == (
        "Sample[float32]: 1 of 1 gradient disputed; first: W (disputed) where autograd stands alone: scalar says what "
        "the candidate says, at cases/sample.py:12"
    )
    assert " 2 of 2 gradients failed; first: " in headline(report(disputed, WRONG))


def test_a_witness_against_a_wrong_gradient_is_quoted():
    """With the element and the numbers."""
    text = render_table(report(dataclasses.replace(WRONG, witnesses=(DISAGREES,))))
    assert "    witness: finite_difference disagrees at [3, 7]: 0.5 claimed, 1 ± 2.0e-12 measured" in text
