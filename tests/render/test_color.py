"""Colours are for terminals, and for whoever asks for them."""

import io

import pytest

from gradverify.render.color import Color, paint, wants_color


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        # An empty value is as if it were not set, says no-color.org.
        (Terminal(), {"NO_COLOR": ""}, True),
        (io.StringIO(), {"FORCE_COLOR": ""}, False),
        (Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_who_gets_colours(stream, environment, wanted):
    assert wants_color(stream, environment) is wanted


def test_text_is_painted_only_where_colours_are_enabled():
    assert paint("wrong", Color.BAD, enabled=True) == "\x1b[1;31mwrong\x1b[0m"
    assert paint("wrong", Color.BAD, enabled=False) == "wrong"
    assert paint("", Color.BAD, enabled=True) == ""
