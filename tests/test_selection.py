"""`-k`, as pytest has it, and the shape of pytest's private module that it stands on."""

import inspect

import pytest
from _pytest.mark import expression

from gradverify.errors import UsageError
from gradverify.selection import Selection

NAMES = ("LinearRegression[samples=100-float32]", "cases/linear_regression.py", "cuda:0")


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("  ", True),
        ("Linear", True),
        ("linear", True),
        ("relu", False),
        ("not relu", True),
        ("not linear", False),
        ("linear and float32", True),
        ("linear and float64", False),
        ("relu or cases/linear", True),
        ("(relu or linear) and not cuda", False),
        ("cuda:0", True),
        ("LinearRegression[samples", True),
    ],
)
def test_an_expression_selects_as_pytest_does(text, selected):
    assert Selection(text).selects(NAMES) is selected


@pytest.mark.parametrize("text", ["and", "linear relu", "(linear", "linear or", "a & b", "samples=100", "'unclosed"])
def test_a_malformed_expression_is_told_what_one_looks_like(text):
    with pytest.raises(UsageError, match=r"^-k .*write names joined by `and`, `or` and `not`, such as 'relu and not"):
        Selection(text)


def test_a_word_takes_no_arguments():
    with pytest.raises(UsageError, match=r"-k: linear\(\.\.\.\) takes no arguments; write 'linear' alone"):
        Selection("linear(n=1)").selects(NAMES)


def test_pytests_private_module_has_the_shape_that_is_used():
    """If this fails, pytest has changed what `gradverify.selection` stands on."""
    compiled = expression.Expression.compile("a and not b")
    asked = []

    def matcher(name, /, **arguments):
        asked.append((name, arguments))
        return name == "a"

    assert compiled.evaluate(matcher) is True
    assert asked == [("a", {}), ("b", {})]
    assert list(inspect.signature(expression.Expression.compile).parameters) == ["input"]
    with pytest.raises((SyntaxError, getattr(expression, "ParseError", SyntaxError))):
        expression.Expression.compile("a a")
