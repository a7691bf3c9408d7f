"""Cases with a mistake planted in one statement, and the subject that a rule is given of it."""

from __future__ import annotations

import inspect
import linecache
import sys
import textwrap
from collections.abc import Iterator
from itertools import count

import torch

from gradverify import Case
from gradverify.case import sizes_of
from gradverify.comparison import distance
from gradverify.diagnosis import Subject, find_contributions
from gradverify.evaluation import run_forward
from gradverify.gradients import events_of, finished_by
from gradverify.inputs import draw_inputs
from gradverify.judge import Derivation
from gradverify.location import statement
from gradverify.measurement import run_pass
from gradverify.replay import replay
from gradverify.trace import values_of
from gradverify.verdict import Origin

_NUMBERS: Iterator[int] = count()


def plant(case: type[Case], old: str, new: str) -> Case:
    """A case of whose backward some text, which is there once, is replaced; it is compiled from a source of its own."""
    source = textwrap.dedent(inspect.getsource(case.backward))
    assert source.count(old) == 1, f"{old!r} is in the backward of {case.__name__} {source.count(old)} times"
    source = source.replace(old, new)
    file = f"<planted {next(_NUMBERS)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope = dict(vars(sys.modules[case.__module__]))
    exec(compile(source, file, "exec"), scope)
    return type(case.__name__, (case,), {"backward": scope["backward"]})()


def subjects(case: Case, seed: int = 0) -> dict[str, Subject]:
    """What the rules are given of each error that a case introduces, in float64."""
    inputs = draw_inputs(case, seed, torch.float32, torch.device("cpu"), frozenset())
    names = list(run_forward(case, inputs, torch.float64).differentiable)
    judging = run_pass(case, inputs, torch.float64, partial=False, noise_of=names)
    allowed = {
        name: Derivation(
            error=0.0,
            scale=distance(reference, reference).scale,
            noise=judging.noise[name],
            numel=reference.numel(),
            largest=judging.forward.largest,
            identical=False,
        ).allowed_first
        for name, reference in judging.reference.items()
    }

    def is_off(name, value):
        reference = judging.reference[name]
        return value.shape != reference.shape or not distance(value, reference).error <= allowed[name]

    events = events_of(judging.gradients)
    wrong = [name for name, candidate in judging.candidates.items() if is_off(name, candidate)]
    fresh = run_forward(case, inputs, torch.float64)
    findings = replay(case, fresh, judging.cotangents, judging.reference, events, wrong, is_off)
    return {
        name: Subject(
            name=name,
            candidate=finding.replayed,
            reference=judging.reference[name],
            allowed=allowed[name],
            values=values_of(run_forward(case, inputs, torch.float64, with_grad=False).trace),
            references=judging.reference,
            outputs=judging.forward.outputs,
            sizes=sizes_of(case),
            source=statement(events[finished_by(events)[name]].location),
            variables=finding.variables,
            events=events,
            find_contributions=lambda name=name: find_contributions(
                case, inputs, torch.float64, judging.cotangents, name
            ),
        )
        for name, finding in findings.items()
        if finding.origin is Origin.INTRODUCED and finding.replayed is not None
    }
