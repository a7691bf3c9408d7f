"""The contract of a backward, in words: how many rules are kept, and what is to be said of the others."""

from __future__ import annotations

from collections.abc import Sequence

from gradverify.location import shorten
from gradverify.render import spelling
from gradverify.report import Clause
from gradverify.verdict import Observance

HEADERS = ["rule", "contract", "seen"]

_INDENT = "    "
# What a rule saw is a sentence; an error of the candidate can be a page.
_LONGEST = 100


def summarize_clauses(contract: Sequence[Clause]) -> str:
    """One line: how many rules are kept, and which there was nothing to try of."""
    kept = sum(clause.observance is Observance.KEPT for clause in contract)
    idle = [clause.rule for clause in contract if clause.observance is Observance.INAPPLICABLE]
    several = "does not apply" if len(idle) == 1 else "do not apply"
    rest = f"; {', '.join(idle)} {several}" if idle else ""
    return f"contract: {kept} of {spelling.several(len(contract), 'rule')} kept{rest}"


def clause_cells(contract: Sequence[Clause]) -> list[list[str]]:
    """A row for each rule that there is something to say of: the rule, how it is kept, what was seen."""
    told = [one for one in contract if one.observance not in (Observance.KEPT, Observance.INAPPLICABLE)]
    return [[clause.rule, _observance(clause), _short(clause.seen)] for clause in told]


def name_clauses(broken: Sequence[Clause]) -> str:
    """What a headline says of the clauses that failed."""
    return f"breaks the contract: {', '.join(clause.rule for clause in broken)}"


def explain_clauses(broken: Sequence[Clause]) -> list[str]:
    """A paragraph for each clause that failed: what was seen, where, and the remedy."""
    return [_explain(clause) for clause in broken]


def _explain(clause: Clause) -> str:
    parts = [f"{clause.rule} (contract): {spelling.one_line(clause.seen)}"]
    if clause.file is not None:
        parts.append(f"{_INDENT}at {spelling.one_line(shorten(clause.file))}:{clause.line}")
    if clause.remedy:
        parts.append(f"{_INDENT}remedy: {clause.remedy}")
    return "\n".join(parts)


def _observance(clause: Clause) -> str:
    return clause.observance.value if clause.passed else f"{clause.observance} ✗"


def _short(text: str) -> str:
    line = spelling.one_line(text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
