"""A page that stands by itself: what it shows as data, and how that becomes one HTML file.

Whoever opens it needs neither network nor server. Its policy admits its own style and script by their hashes and
nothing else, so that a name in a report can do no harm even if it were not escaped. It is read without script too.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from gradverify.render.graph import STYLE
from gradverify.word import Word

_FOLDER = files("gradverify.render").joinpath("templates")


class Tone(Word):
    """What a colour means; its value is a class of the style sheet."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"
    FAINT = "faint"


@dataclass(frozen=True)
class Picture:
    """A drawing: its address holds all of it, and `text` says what it shows."""

    address: str
    text: str
    width: int
    height: int


@dataclass(frozen=True)
class Bars:
    """A histogram: a path in a box of so many units, and what it says in words."""

    path: str
    width: int
    height: int
    text: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        order: what it is sorted by where its text is not, a finite number; a cell without either sorts last.
        tone: its colour, where it has one.
        link: the card that it leads to.
        title: the whole of a text that was cut.
        bars: what it shows instead of its text.
    """

    text: str
    order: float | None = None
    tone: Tone | None = None
    link: str | None = None
    title: str | None = None
    bars: Bars | None = None


@dataclass(frozen=True)
class Column:
    """The head of a column; `kind` is a class of the style sheet: "text", "code" or "number"."""

    header: str
    kind: str = "number"


@dataclass(frozen=True)
class Line:
    """A row of a table, which the filter shows where `verdict` is chosen; it leaves one alone that has None."""

    cells: tuple[Cell, ...]
    verdict: str | None
    passed: bool


@dataclass(frozen=True)
class Table:
    """Lines under columns; `caption` is read out, and not seen."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    caption: str


@dataclass(frozen=True)
class SourceLine:
    """A line of source."""

    number: int
    text: str
    is_marked: bool


@dataclass(frozen=True)
class Histogram:
    """How many elements there are of each size of error."""

    bars: Bars
    labels: tuple[tuple[float, str], ...]
    text: str


@dataclass(frozen=True)
class HeatScale:
    """A heat map with what its colours and axes mean."""

    picture: Picture
    caption: str
    scale: Picture
    low: str
    high: str
    is_finite: bool


@dataclass(frozen=True)
class Card:
    """One thing to mend.

    Attributes:
        anchor: its id in the page.
        name: of the gradient; verdict: as the filter knows it, and tone: its colour.
        sentence: what that means.
        place: file and line.
        source: the lines around the statement.
        changes: a statement before and after it was broken, for a mutant.
        hints: what the mistake is.
        facts: a term and what is known of it, each.
        heat_map: where the error is; histogram: the sizes of the errors.
    """

    anchor: str
    name: str
    verdict: str
    tone: Tone
    sentence: str
    place: str = ""
    source: tuple[SourceLine, ...] = ()
    changes: tuple[str, str] | None = None
    hints: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    heat_map: HeatScale | None = None
    histogram: Histogram | None = None


@dataclass(frozen=True)
class Section:
    """A case.

    Attributes:
        label: its name and dtype; outcome: in a word or two, and tone: its colour.
        setting: sizes, device, seed.
        story: what there is to say, in a line.
        traceback: of the user's own code.
        cards: what is to mend, in the order in which to mend it.
        notes: further sentences.
        tables: the one with the gradients, and others.
        drawing: of the computation: an SVG element whose text is escaped already, styled by the page.
        is_open: whether it is shown without being asked for.
    """

    label: str
    outcome: str
    tone: Tone
    setting: str
    story: str
    traceback: str = ""
    cards: tuple[Card, ...] = ()
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    drawing: str = ""
    is_open: bool = False


@dataclass(frozen=True)
class Fact:
    """A number at the top of the page, and what it counts."""

    number: str
    noun: str
    tone: Tone = Tone.FAINT


@dataclass(frozen=True)
class Share:
    """How many lines have a verdict."""

    verdict: str
    amount: int
    tone: Tone


@dataclass(frozen=True)
class Entry:
    """A line of the list of what is to mend: where it is, whose, what, and the card that tells more."""

    place: str
    whose: str
    what: str
    link: str


@dataclass(frozen=True)
class Page:
    """The whole page.

    Attributes:
        title: of the browser's tab; headline: the outcome, and tone: its colour.
        noun: what the lines of the tables are, in the plural.
        task: heads the entries.
        facts: the numbers of the whole.
        shares: the verdicts, in the order in which they are drawn and can be chosen.
        entries: what to look at first.
        sections: the cases.
        glossary: terms of the tables, and what they mean.
        closing: what the results depend on.
    """

    title: str
    headline: str
    tone: Tone
    noun: str
    task: str
    facts: tuple[Fact, ...]
    shares: tuple[Share, ...]
    entries: tuple[Entry, ...]
    sections: tuple[Section, ...]
    glossary: tuple[tuple[str, str], ...]
    closing: str

    @property
    def is_judged(self) -> bool:
        """Whether the shares tell good from bad, which makes a bar of them worth drawing."""
        return any(share.tone is not Tone.FAINT for share in self.shares)

    @property
    def width(self) -> int:
        """How many lines all shares are of."""
        return sum(share.amount for share in self.shares)


def render_page(page: Page) -> str:
    """The file: HTML with everything in it."""
    style, script = (_FOLDER.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    style = f"{STYLE}\n{style}"
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hash_of(style)}",
            f"script-src {_hash_of(script)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    template = _templates().get_template("page.html")
    # The two are ours, and their hashes are those of these very characters: they must not be escaped.
    text = template.render(page=page, policy=policy, style=Markup(style), script=Markup(script))
    # Half of a surrogate pair, which a name may hold, has no bytes of its own.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def address_of(kind: str, content: bytes) -> str:
    """A file as an address that holds all of it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _hash_of(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def mark_code(text: str) -> Markup:
    """The text escaped, and what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one of them has no partner, and so is no mark
        return escape(text)
    marked = (Markup("<code>{}</code>").format(part) if odd % 2 else escape(part) for odd, part in enumerate(parts))
    return Markup("").join(marked)


def _templates() -> Environment:
    sources = {one.name: one.read_text(encoding="utf-8") for one in _FOLDER.iterdir() if one.name.endswith(".html")}
    templates = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["code"] = mark_code
    templates.filters["order"] = "{:.6g}".format  # enough to sort by
    return templates
