"""A failure as a script that fails by itself, at the smallest sizes that still fail."""

from __future__ import annotations

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from typing_extensions import override

from gradverify.case import Case, bounds_of, sizes_of, with_sizes
from gradverify.configuration import Configuration
from gradverify.environment import describe_environment
from gradverify.errors import UsageError
from gradverify.examination import examine
from gradverify.function_case import FunctionCase, function_case
from gradverify.render.table import headline
from gradverify.report import Report
from gradverify.script import Script
from gradverify.settings import has_witnesses

# Bisection between 1 and 10^6 takes 20 runs: enough for three such sizes.
_MOST_RUNS = 60


def reproduce(case: Case, configuration: Configuration, report: Report, *, patience: float = math.inf) -> str:
    """A script of at most 40 lines that imports the case, or the candidate, and fails as the report does.

    Args:
        case: that failed.
        configuration: in which.
        report: what it said.
        patience: after so many seconds no smaller sizes are looked for.

    Raises:
        UsageError: where no script can import what failed, such as a lambda.
    """
    subject = _subject_of(case)
    subject.arguments(Script(), subject.sizes)  # what cannot be imported is told before anything runs
    runs, told, started = 0, report, time.monotonic()

    def fails(sizes: Mapping[str, int]) -> bool:
        nonlocal runs, told
        runs += 1
        if runs > _MOST_RUNS or time.monotonic() - started > patience:
            return False
        again = _run(subject, sizes, configuration)
        if again is None or not _is_alike(again, report):
            return False
        told = again
        return True

    sizes = shrink(subject.sizes, subject.grids, fails)
    script = Script()
    arguments = [*subject.arguments(script, sizes), *_configured(configuration)]
    environment = describe_environment((configuration.device,))
    story = (
        f"{headline(told)}.\n\nWritten by gradverify {environment.gradverify} with torch {environment.torch}, Python "
        f"{environment.python}, on {environment.devices[configuration.device]}.\n"
    )
    return script.text(story.replace("\\", "/").replace('"""', "'''"), arguments)


def shrink(
    sizes: Mapping[str, int], grids: Mapping[str, Sequence[int]], fails: Callable[[Mapping[str, int]], bool]
) -> dict[str, int]:
    """The smallest sizes that still fail, found one after the other.

    Each is bisected, as if whatever is larger than a size that fails failed too; where that is not so, the result
    fails all the same.

    Args:
        sizes: that fail.
        grids: the values that each may take, ascending.
        fails: whether smaller sizes do.
    """
    smallest = dict(sizes)
    for name, grid in grids.items():
        values = [value for value in grid if value < smallest[name]] + [smallest[name]]
        passing, failing = -1, len(values) - 1
        place = 0  # the smallest of all is tried first: most mistakes need no size
        while passing + 1 < failing:
            if fails({**smallest, name: values[place]}):
                failing = place
            else:
                passing = place
            place = (passing + failing) // 2
        smallest[name] = values[failing]
    return smallest


class _Subject(ABC):
    """What failed, at any sizes.

    Attributes:
        sizes: at which it failed; grids: the values that each may take.
    """

    sizes: Mapping[str, int]
    grids: Mapping[str, Sequence[int]]

    @abstractmethod
    def make(self, sizes: Mapping[str, int]) -> Case:
        """The case of some sizes."""

    @abstractmethod
    def arguments(self, script: Script, sizes: Mapping[str, int]) -> list[str]:
        """Those of a call of `check`."""


class _Class(_Subject):
    """A case of a class that can be imported."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.sizes = sizes_of(case)
        self.grids = {
            name: range(-(-max(bounds.low, 1) // bounds.multiple_of) * bounds.multiple_of, size + 1, bounds.multiple_of)
            if size > 0
            else ()
            for (name, bounds), size in zip(bounds_of(type(case)).items(), self.sizes.values(), strict=True)
        }

    @override
    def make(self, sizes: Mapping[str, int]) -> Case:
        return with_sizes(self._case, sizes)

    @override
    def arguments(self, script: Script, sizes: Mapping[str, int]) -> list[str]:
        case = self.make(sizes)
        fields = [one for one in dataclasses.fields(case) if one.init]  # type: ignore[arg-type]  # every Case is a dataclass
        changed = {one.name: getattr(case, one.name) for one in fields if getattr(case, one.name) != one.default}
        given = ", ".join(f"{name}={script.literal(name, value)}" for name, value in changed.items())
        return [f"{script.spell(type(case))}({given})"]


class _Drawn(_Class):
    """A call of `verify` whose inputs a function draws."""

    def __init__(self, case: FunctionCase, inputs: Callable[..., object]) -> None:
        super().__init__(case)
        self._function_case = case
        self._inputs = inputs

    @override
    def arguments(self, script: Script, sizes: Mapping[str, int]) -> list[str]:
        spelled = script.spell(self._inputs)
        return [*_called(script, self._function_case, spelled), *([f"sizes={dict(sizes)}"] if sizes else [])]


class _Given(_Subject):
    """A call of `verify` with tensors: dimensions of one length are shortened together."""

    def __init__(self, case: FunctionCase, inputs: Mapping[str, Any]) -> None:
        self._case = case
        self._inputs = inputs
        tensors = [value for value in inputs.values() if isinstance(value, Tensor)]
        lengths = sorted({length for tensor in tensors for length in tensor.shape if length > 1}, reverse=True)
        self.sizes = {str(length): length for length in lengths}
        self.grids = {str(length): range(1, length) for length in lengths}

    @override
    def make(self, sizes: Mapping[str, int]) -> Case:
        call = self._case.call
        assert call is not None  # only such a case comes here
        return function_case(
            call.candidate,
            inputs=self._shortened(sizes),
            reference=call.reference,
            options=self._case.options,
            constants=self._case.constants or (),
            outputs=self._case.outputs,
            parameters=call.parameters,
        )

    @override
    def arguments(self, script: Script, sizes: Mapping[str, int]) -> list[str]:
        values = {name: script.literal(name, value) for name, value in self._shortened(sizes).items()}
        return _called(script, self._case, "{" + ", ".join(f"{name!r}: {text}" for name, text in values.items()) + "}")

    def _shortened(self, sizes: Mapping[str, int]) -> dict[str, Any]:
        def shorten(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return value.detach()[tuple(slice(sizes.get(str(length), length)) for length in value.shape)].clone()

        return {name: shorten(value) for name, value in self._inputs.items()}


def _subject_of(case: Case) -> _Subject:
    call = case.call if isinstance(case, FunctionCase) else None
    if call is None or not isinstance(case, FunctionCase):
        return _Class(case)
    return _Given(case, call.inputs) if isinstance(call.inputs, Mapping) else _Drawn(case, call.inputs)


def _called(script: Script, case: FunctionCase, inputs: str) -> list[str]:
    """The arguments of the call of `verify` that made a case."""
    call = case.call
    assert call is not None  # only such a case comes here
    arguments = [script.spell(call.candidate), f"inputs={inputs}"]
    spelled = {"reference": call.reference, "parameters": call.parameters}
    arguments += [f"{name}={script.spell(value)}" for name, value in spelled.items() if value is not None]
    constants = sorted(case.constants or ())
    literals = {"options": dict(case.options), "constants": constants, "outputs": case.outputs}
    return arguments + [f"{name}={script.literal(name, value)}" for name, value in literals.items() if value]


def _configured(configuration: Configuration) -> list[str]:
    settings = configuration.settings
    flags = {"strict": settings.strict, "partial": settings.partial, "quick": configuration.quick}
    oracles = [one if isinstance(one, str) else one.name for one in settings.oracles or ()]
    return [
        f"dtype={configuration.dtype!r}",
        f"device={configuration.device!r}",
        f"seed={configuration.seed}",
        *([f"oracles={oracles!r}"] if has_witnesses(settings) else []),
        *(f"{name}=True" for name, value in flags.items() if value),
    ]


def _run(subject: _Subject, sizes: Mapping[str, int], configuration: Configuration) -> Report | None:
    try:
        return examine(subject.make(sizes), configuration)
    except UsageError:  # sizes that do not fit each other
        return None


def _is_alike(report: Report, original: Report) -> bool:
    """Whether it fails as the original does: by the same error, in one of the same rows, or by the same rule."""
    if original.error is not None:
        return report.error is not None and report.error.kind == original.error.kind
    if report.error is not None:
        return False
    failed = {(row.name, row.verdict) for row in original.failed_rows}
    if failed:
        return any((row.name, row.verdict) in failed for row in report.failed_rows)
    broken = {clause.rule for clause in original.broken_clauses}
    return any(clause.rule in broken for clause in report.broken_clauses)
