"""How numbers and foreign text are spelt in a report: short, aligned, and unable to break its layout."""

from __future__ import annotations

import math

# Wider names are cut in the middle: two of them and their numbers still fit a terminal of 160 columns.
_WIDEST_NAME = 60


def number(value: float) -> str:
    """Two or three digits: "0", "0.0123", "2.1e-13"; exponents are padded, so that a column of them aligns."""
    magnitude = abs(value)
    if magnitude == 0:
        return "0"
    # Beyond these an exponent is shorter than the zeros. nan too, which formats as itself.
    if not 1e-3 <= magnitude < 1e5:
        return f"{value:.1e}"
    return f"{value:.0f}" if magnitude >= 100 else f"{value:.3g}"


def count(value: int) -> str:
    """An integer in full while it is short, else in two digits."""
    return str(value) if abs(value) < 10**5 else f"{value:.1e}"


def ratio(value: float) -> str:
    """One decimal while it is short: "1.0", "63.2"."""
    value += 0.0  # -0.0 becomes 0.0
    return f"{value:.1f}" if abs(value) < 1000 else number(value)


def share(value: float) -> str:
    """A percentage that is rounded down, so that "100%" means all of them."""
    tenths = math.floor(value * 1000)
    if tenths == 0 and value > 0:
        return "<0.1%"
    return f"{tenths // 10}%" if tenths % 10 == 0 else f"{tenths / 10:.1f}%"


def duration(seconds: float) -> str:
    """Milliseconds below a second, then seconds, then minutes."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def interval(seconds: float) -> str:
    """A measured time in three digits: "31.2 µs", "1.45 ms", "2.31 s"."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit * 0.9995:  # what rounds to one of the unit
            return f"{_three_digits(seconds / unit)} {name}"
    return f"{_three_digits(seconds * 1e9)} ns"


def memory(amount: int) -> str:
    """Bytes in three digits, in binary units from a KiB on: "640 B", "1.44 MiB"."""
    if amount < 1024:
        return f"{amount} B"
    power = min((amount.bit_length() - 1) // 10, 4)
    return f"{_three_digits(amount / 1024**power)} {'KMGT'[power - 1]}iB"


def several(amount: int, noun: str) -> str:
    """An amount and its noun, in the plural where there is not exactly one."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def one_line(text: str) -> str:
    """Foreign text on one line: what does not print is escaped, surrounding space is quoted."""
    escaped = _escape(text)
    return escaped if escaped and escaped == escaped.strip() else repr(escaped)


def name(text: str, widest: int = _WIDEST_NAME) -> str:
    """The name of a tensor as a cell of a table: one line, cut in the middle where it is very long."""
    whole = one_line(text)
    if len(whole) <= widest:
        return whole
    half = widest // 2
    return f"{whole[:half]}…{whole[-half + 1 :]}"


def lines(text: str) -> list[str]:
    """Foreign text line by line, escaped within each line."""
    return [_escape(line.expandtabs(4)) for line in text.splitlines()]


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
