"""How numbers and foreign text are spelt."""

import math

import pytest

from gradverify.render import spelling


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.012345, "0.0123"),
        (12.34, "12.3"),
        (-512.6, "-513"),
        (99_999.0, "99999"),
        (2.123e-13, "2.1e-13"),
        (3.4e10, "3.4e+10"),
        (5e-324, "4.9e-324"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_has_two_or_three_digits(value, text):
    assert spelling.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "100%"), (0.99999, "99.9%"), (0.5, "50%"), (0.1234, "12.3%"), (1e-9, "<0.1%"), (0.0, "0%")],
)
def test_a_share_is_all_of_them_only_if_it_is(value, text):
    assert spelling.share(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (99_999, "99999"), (2**31, "2.1e+09"), (10**30, "1.0e+30")])
def test_a_count_is_short(value, text):
    assert spelling.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.0"), (-0.0, "0.0"), (63.24, "63.2"), (12345.0, "12345"), (math.inf, "inf")]
)
def test_a_ratio_has_a_decimal_while_it_is_short(value, text):
    assert spelling.ratio(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0 ms"), (0.0123, "12 ms"), (1.25, "1.2 s"), (59.9, "59.9 s"), (125.0, "2 min 5 s")]
)
def test_a_duration_has_the_unit_that_suits_it(seconds, text):
    assert spelling.duration(seconds) == text


@pytest.mark.parametrize(("amount", "text"), [(0, "0 cases"), (1, "1 case"), (2, "2 cases")])
def test_a_noun_agrees_with_its_amount(amount, text):
    assert spelling.several(amount, "case") == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("W", "W"),
        ("データ", "データ"),
        ("encoder.0.weight", "encoder.0.weight"),
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\ud800", r"\ud800"),
        ("\u202e", r"\u202e"),
        ("", "''"),
        (" a", "' a'"),
    ],
)
def test_text_stays_on_its_line(text, shown):
    assert spelling.one_line(text) == shown


def test_a_long_name_keeps_its_two_ends():
    shown = spelling.name("encoder." + "x" * 1000 + ".weight")
    assert len(shown) == 60
    assert shown.startswith("encoder.xxx")
    assert shown.endswith("xxx.weight")
    assert spelling.name("x" * 60) == "x" * 60


def test_lines_stay_lines_and_their_tabs_become_spaces():
    assert spelling.lines("a\tb\n\x1b[31mc") == ["a   b", r"\x1b[31mc"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.2e-9, "4.20 ns"),
        (999.4e-9, "999 ns"),
        (999.8e-9, "1.00 µs"),
        (31.24e-6, "31.2 µs"),
        (1.234e-3, "1.23 ms"),
        (0.9996, "1.00 s"),
        (123.4, "123 s"),
    ],
)
def test_a_measured_time_has_three_digits(seconds, text):
    assert spelling.interval(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1536 * 1024, "1.50 MiB"), (200 * 2**30, "200 GiB")],
)
def test_memory_is_told_in_binary_units(amount, text):
    assert spelling.memory(amount) == text
