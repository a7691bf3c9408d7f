"""The `-k` expression, as pytest has it: the one place that knows pytest's private module for it."""

from __future__ import annotations

from collections.abc import Collection

from _pytest.mark import expression as marks

from gradverify.errors import UsageError

# pytest 8 raises an error of its own, later versions Python's.
_MALFORMED = (SyntaxError, getattr(marks, "ParseError", SyntaxError))


class Selection:
    """Which names a `-k` expression selects; a blank one selects everything."""

    def __init__(self, expression: str) -> None:
        """Read the expression.

        Raises:
            UsageError: if it is malformed.
        """
        try:
            self._compiled = marks.Expression.compile(expression) if expression.strip() else None
        except _MALFORMED as error:
            reason = getattr(error, "msg", None) or error
            raise UsageError(
                f"-k {expression!r}: {reason}; write names joined by `and`, `or` and `not`, such as "
                "'relu and not float64'"
            ) from None

    def selects(self, names: Collection[str]) -> bool:
        """Whether the expression holds where a word stands for "a part of one of the names", in any case.

        Raises:
            UsageError: if the expression calls a word, which pytest allows for markers alone.
        """
        if self._compiled is None:
            return True
        lowered = [name.lower() for name in names]

        def is_part(word: str, /, **arguments: str | int | bool | None) -> bool:
            if arguments:
                raise UsageError(f"-k: {word}(...) takes no arguments; write {word!r} alone")
            return any(word.lower() in name for name in lowered)

        return self._compiled.evaluate(is_part)
