"""The results, as data: what a run found, with nothing that needs torch to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NoReturn

from gradverify.graph import Graph
from gradverify.verdict import Observance, Origin, Verdict
from gradverify.witness import Witness

# Marks a field that documents leave out where it is None.
OPTIONAL: Mapping[str, bool] = MappingProxyType({"optional": True})


@dataclass(frozen=True)
class Comparison:
    """What one pass over a candidate and its reference found; no verdict.

    Attributes:
        shape: of the reference; `candidate_shape` is the candidate's. Where they differ nothing else is
            compared: the flags are False, the numbers nan.
        dtype: of the reference, such as "float32"; `candidate_dtype` is the candidate's.
        numel: the number of elements of the reference.
        exact: every element is equal (0.0 equals -0.0, nan equals nothing), shape and dtype are too.
        approximate: `torch.allclose` with its default tolerances, for the classic row of `cmp`.
        maxdiff: the largest absolute difference; equal infinities differ by 0, nan wins.
        index: where `maxdiff` is; None where there is no element.
        candidate: the candidate's value at `index`.
        reference: the reference's value at `index`.
        max_ulp: the largest distance in units in the last place of the common dtype, between finite
            elements; None where the dtypes differ.
        relative_error: |candidate - reference| / |reference| in the Euclidean norm, over the elements that
            are finite in both.
        differing: how many elements differ.
        candidate_nonfinite: how many of the candidate's elements are infinite or nan.
        reference_nonfinite: the same for the reference.
    """

    shape: tuple[int, ...]
    candidate_shape: tuple[int, ...]
    dtype: str
    candidate_dtype: str
    numel: int
    exact: bool
    approximate: bool
    maxdiff: float
    index: tuple[int, ...] | None
    candidate: float
    reference: float
    max_ulp: int | None
    relative_error: float
    differing: int
    candidate_nonfinite: int
    reference_nonfinite: int

    def __bool__(self) -> NoReturn:
        raise TypeError("a Comparison is neither true nor false: ask for .exact or .approximate")

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradverify.render.fragment import render_comparison

        return render_comparison(self)


@dataclass(frozen=True)
class Worst:
    """The element that differs most, in the pass that decided the verdict.

    `allowed` is the largest difference that rounding explains there, None where nothing was measured.
    """

    index: tuple[int, ...]
    candidate: float
    reference: float
    allowed: float | None


@dataclass(frozen=True)
class Context:
    """The source around a statement: `lines`, numbered from `first`; `start` to `end` are those of the statement."""

    first: int
    lines: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True)
class HeatMap:
    """Where in a tensor the error is: the largest |candidate - reference| of each tile of a grid.

    Attributes:
        split: the tensor is seen as a matrix: its dimensions before this one run down, the others across.
        extent: how many elements that are, down and across.
        tile: how many of them a cell covers, down and across; the last ones may cover fewer.
        cells: row by row, at most 64 x 64, to three digits; inf where the candidate is not finite, 0 where the
            reference is not.
    """

    split: int
    extent: tuple[int, int]
    tile: tuple[int, int]
    cells: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Details:
    """What is gathered of a row only for a page that shows it.

    Attributes:
        context: the source around the statement, of an error that is not inherited.
        heat_map: of the same, in the pass that decided the verdict.
        ulps: how many elements differ by 0 ulps, by 1, 2 to 3, 4 to 7, and so on, at the working precision.
    """

    context: Context | None = None
    heat_map: HeatMap | None = None
    ulps: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Row:
    """One gradient of a report.

    Attributes:
        name: of the tensor whose gradient this is.
        shape: of that tensor; dtype: at which it was judged.
        verdict: the judgement; passed: whether the row counts as passed (`known` and `--strict` matter here).
        origin: whether the statement introduced its error or inherited it; None where nothing is wrong, or
            where it cannot be told.
        file, line, source: the statement that assigned the gradient last; None where there is none.
        hints: what else the user should know, a sentence each.
        accuracy: error over that of autograd at the working precision; 1 is as accurate as autograd.
        resolution: the smallest relative error that would have been noticed.
        coverage: share of the non-zero reference elements that are larger than what was allowed.
        nonfinite: how many elements were left out because the reference is not finite there.
        worst: the element that differs most.
        comparison: candidate and reference at the working precision.
        witnesses: what each further oracle says of the gradient, in their order.
        details: None unless the run was asked for them.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    verdict: Verdict
    passed: bool
    origin: Origin | None = None
    file: str | None = None
    line: int | None = None
    source: str | None = None
    hints: tuple[str, ...] = ()
    accuracy: float | None = None
    resolution: float | None = None
    coverage: float | None = None
    nonfinite: int = 0
    worst: Worst | None = None
    comparison: Comparison | None = None
    witnesses: tuple[Witness, ...] = ()
    details: Details | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class Clause:
    """One rule of the contract of a backward, and how a candidate stands to it.

    Attributes:
        rule: its name.
        observance: whether it is kept; passed: whether the clause counts as passed.
        seen: what was tried and what came of it.
        remedy: how to mend it, where it is broken.
        file, line: what to mend; None where that is not known.
    """

    rule: str
    observance: Observance
    passed: bool
    seen: str
    remedy: str = ""
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Failure:
    """Why a case or a file gave no rows: the class of the error, what it says, and where.

    `traceback` is that of the user's own code, where it raised; the message stands without it.
    """

    kind: str
    message: str
    file: str | None = None
    line: int | None = None
    traceback: str | None = None


_ORDER = {Origin.INTRODUCED: 0, None: 1, Origin.INHERITED: 2}


@dataclass(frozen=True)
class Report:
    """What verifying one case at one dtype, device and seed found.

    `case`, `dtype`, `device`, `seed` and `sizes` identify it. `derived` of `named` gradients were derived
    by hand. `contract` is the audit of a candidate's backward, a clause a rule; empty where there was none. `notes`
    say what the run could not see. `resized` names the sizes that are not the case's defaults.
    `graph` is the computation, where details were asked for.
    """

    case: str
    dtype: str
    device: str
    seed: int
    sizes: dict[str, int]
    rows: tuple[Row, ...] = ()
    contract: tuple[Clause, ...] = ()
    derived: int = 0
    named: int = 0
    notes: tuple[str, ...] = ()
    error: Failure | None = None
    resized: tuple[str, ...] = ()
    graph: Graph | None = field(default=None, metadata=OPTIONAL)

    @property
    def passed(self) -> bool:
        """Whether nothing failed: no error, every row passed, and so did every clause of the contract."""
        return self.error is None and all(row.passed for row in self.rows) and not self.broken_clauses

    @property
    def failed_rows(self) -> tuple[Row, ...]:
        """The rows that failed: errors that were introduced first, inherited ones last, else as in the report."""
        failed = [row for row in self.rows if not row.passed]
        return tuple(sorted(failed, key=lambda row: _ORDER[row.origin]))

    @property
    def broken_clauses(self) -> tuple[Clause, ...]:
        """The clauses of the contract that failed, in their order."""
        return tuple(clause for clause in self.contract if not clause.passed)

    def __getitem__(self, name: str) -> Row:
        """The row of the gradient called `name`."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; the rows are {', '.join(row.name for row in self.rows)}")

    def __bool__(self) -> NoReturn:
        raise TypeError("a Report is neither true nor false: ask for .passed")

    def __str__(self) -> str:
        # A renderer belongs to a higher floor; a report that prints itself is worth this one exception.
        from gradverify.render.table import render_table

        return render_table(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from gradverify.render.fragment import render_fragment

        return render_fragment(self)


@dataclass(frozen=True)
class Environment:
    """What the results depend on besides the case: versions, platform, threads."""

    gradverify: str
    torch: str
    python: str
    platform: str
    threads: int
    devices: dict[str, str] = field(default_factory=dict)
