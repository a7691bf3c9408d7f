"""A whole run as one Markdown document that fits a comment on a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from gradverify.render.escaping import folded, plain
from gradverify.render.markdown import sizes_of_section
from gradverify.render.spelling import several
from gradverify.render.summary import FEW, Outcome, Shown, count_outcomes, spell_environment
from gradverify.report import Environment

# GitHub refuses a comment of more than 65,536 characters; what a script puts around the document has to fit too.
LIMIT = 65_000


def render_comment(
    outcomes: Sequence[Outcome], environment: Environment, *, shown: Shown = Shown.AUTO, limit: int = LIMIT
) -> str:
    """What failed first, each report as long as there is room for, and what passed folded below.

    Args:
        outcomes: in the order of the run.
        environment: of the run.
        shown: what the user wants to see; with `auto`, reports that passed are a line each once they are many.
        limit: how many characters the document may have.
    """
    opening = f"## gradverify: {count_outcomes(outcomes)}\n"
    closing = f"\n<sub>{plain(spell_environment(environment))}</sub>\n"
    failed = [] if shown is Shown.NONE else [_sizes(one) for one in outcomes if not one.report.passed]
    passed = [_sizes(one) for one in outcomes if one.report.passed] if shown in (Shown.ALL, Shown.AUTO) else []
    if shown is Shown.AUTO and len(outcomes) > FEW:
        passed = [sizes[-1:] for sizes in passed]
    room = limit - len(opening) - len(closing) - 300  # the sentences below on what is left out
    told, room = fit(failed, room)
    told_passed, _ = fit(passed, room)
    parts = [*told, *omitted(len(failed) - len(told), "that failed")]
    if passed:
        below = spaced([*told_passed, *omitted(len(passed) - len(told_passed), "that passed")])
        parts.append(folded(f"{len(passed)} passed", below) if len(passed) > 1 else below)
    return "\n".join([opening, spaced(parts), closing] if parts else [opening, closing])


def fit(sections: Sequence[tuple[str, ...]], room: int) -> tuple[list[str], int]:
    """Every section as a line first, then each in the greatest length that still fits; and the room that is left."""
    chosen: list[str] = []
    for sizes in sections:
        if len(sizes[-1]) + 2 > room:
            break
        chosen.append(sizes[-1])
        room -= len(sizes[-1]) + 2
    for number, line in enumerate(chosen):
        longest = next(one for one in sections[number] if len(one) - len(line) <= room)
        chosen[number] = longest
        room -= len(longest) - len(line)
    return chosen, room


def spaced(parts: Sequence[str]) -> str:
    """Parts with an empty line between them, except between lines of a list."""
    text = ""
    for before, part in zip(["", *parts], parts, strict=False):
        gap = "\n" if before.startswith("- ") and part.startswith("- ") else "\n\n"
        text += (gap if before else "") + part
    return text


def omitted(amount: int, which: str) -> list[str]:
    """What is said of reports that are left out, if any."""
    if not amount:
        return []
    reports = several(amount, "more report")
    return [f"{reports} {which}: a comment has no room for them; the JSON file holds everything"]


def _sizes(outcome: Outcome) -> tuple[str, ...]:
    return sizes_of_section(outcome.report, seconds=outcome.seconds)
