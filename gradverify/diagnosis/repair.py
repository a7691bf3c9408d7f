"""The strongest rule: change the statement a little, evaluate it again, and see whether the gradient comes right."""

from __future__ import annotations

import ast
import re
from itertools import groupby

import torch
from torch import Tensor
from typing_extensions import override

from gradverify.diagnosis.edits import STRUCTURAL, Edit, Effort, edits_of
from gradverify.diagnosis.mistake import Mistake, fits, is_uniform
from gradverify.diagnosis.sample import take_sample
from gradverify.diagnosis.scene import Scene, are_alike, excerpt, whole_scene
from gradverify.diagnosis.statement import parse_statement
from gradverify.diagnosis.subject import Subject
from gradverify.diagnosis.swaps import Swaps
from gradverify.diagnosis.trial import Trial

# All edits of a statement together make at most so many elements: on large tensors, at 4 ns each, two seconds.
_MOST_WORK = 2**29
_MOST_EDITS = 1000
# So many names for what it should be are told; more are no help.
_MOST_NAMES = 3


class Repair(Mistake):
    """One small change of the statement makes it right."""

    def __init__(self, *efforts: Effort) -> None:
        """Changes of these sizes are tried."""
        self._efforts = efforts

    @override
    def explain(self, subject: Subject) -> str | None:
        parsed = parse_statement(subject.source, subject)
        if parsed is None:
            return None
        whole = whole_scene(subject, parsed)
        if whole is None:
            return None
        scene = excerpt(subject, whole) or whole
        # Where all elements are alike many a formula gives them, and only the closest ones are believed.
        last = Effort.SYMBOL if is_uniform(subject.sample.reference) else Effort.FACTOR
        efforts = [effort for effort in self._efforts if effort <= last]
        edits = edits_of(parsed.expression, parsed.parts, (*STRUCTURAL, *Swaps(subject, parsed).changes), efforts)
        with scene.trial() as trial:
            trial.evaluate(parsed.expression)
            affordable = int(min(_MOST_EDITS, _MOST_WORK / max(trial.work, 1.0)))
            for _, group in groupby(edits[:affordable], key=lambda edit: edit.effort):
                mending = _linear(scene, _mending(subject, whole, _promising(subject, scene, trial, list(group))))
                if mending := _keeping_the_chain(subject, mending):
                    return _tell(subject, scene, mending)
        return None


def _promising(subject: Subject, scene: Scene, trial: Trial, edits: list[Edit]) -> list[Edit]:
    """The edits whose sampled elements are those of the reference, read together."""
    sample = take_sample(scene.reference, scene.reference)
    possible: list[tuple[Edit, Tensor]] = []
    for edit in edits:
        value = trial.evaluate(edit.expression)
        if value is not None and value.shape == scene.reference.shape and value.is_floating_point():
            possible.append((edit, sample.pick(value)))
    if not possible:
        return []
    sampled = torch.stack([elements for _, elements in possible]).cpu()
    return [
        edit
        for (edit, _), elements in zip(possible, sampled, strict=True)
        if fits(elements, sample.reference, subject.allowed)
    ]


def _mending(subject: Subject, whole: Scene, edits: list[Edit]) -> list[Edit]:
    """The edits that give the whole reference."""
    with whole.trial() as trial:
        values = ((edit, trial.evaluate(edit.expression)) for edit in edits)
        return [edit for edit, value in values if value is not None and subject.agrees(value)]


def _linear(scene: Scene, mending: list[Edit]) -> list[Edit]:
    """The edits that are linear in the upstream gradients, as every backward is; the others are right by chance.

    A statement that reads no upstream gradient does not change with them, and need not once it is mended.
    """
    if not mending:
        return []
    # Not just doubled: the largest of several scales too, but not by a negative number.
    scaled = scene.trial(gradients={name: -2 * one for name, one in scene.gradients.items()})
    with scene.trial() as trial:
        before, values = trial.evaluate(scene.statement.expression), [trial.evaluate(one.expression) for one in mending]
    with scaled as trial:
        reads_none = are_alike(trial.evaluate(scene.statement.expression), before)
        others = [trial.evaluate(edit.expression) for edit in mending]
    return [
        edit
        for edit, value, other in zip(mending, values, others, strict=True)
        if value is not None and (are_alike(other, -2 * value) or (reads_none and are_alike(other, value)))
    ]


def _tell(subject: Subject, scene: Scene, edits: list[Edit]) -> str | None:
    """The sentence on edits that are equally small; None where there are too many to be of help."""
    if len(edits) > 1:
        edits = _different(scene, edits)
    if len(edits) > 1:
        edits = _along_the_chain(subject, edits)
    if len(edits) > _MOST_NAMES:
        return None
    first = edits[0]
    if all(edit.old is first.old for edit in edits):
        others = "".join(f" or `{edit.quotes[1]}`" for edit in edits[1:])
        return f"{scene.statement.place}{first}{others}"
    return scene.statement.place + ", or ".join(map(str, edits))


def _along_the_chain(subject: Subject, edits: list[Edit]) -> list[Edit]:
    """Of edits that are equal here, those that read the gradient through which the chain rule goes, if any does."""
    upstream = {f"d.{share.through}" for share in subject.contributions}
    unread = {f"d.{share.through}" for share in subject.contributions if share.through not in subject.read_by_statement}
    for names in (unread, upstream):
        reading = [edit for edit in edits if _reads(edit.new, names) and not _reads(edit.old, names)]
        if reading:
            return reading
    return edits


def _keeping_the_chain(subject: Subject, edits: list[Edit]) -> list[Edit]:
    """Those that do not put something else in the place of a gradient through which the chain rule goes.

    Such an edit is right by its value alone, as where `d.f` is 1 and another gradient is -1, whatever the inputs.
    """
    upstream = {f"d.{share.through}" for share in subject.contributions} if edits else set()
    return [edit for edit in edits if not _reads(edit.old, upstream) or _reads(edit.new, upstream)]


def _reads(node: ast.expr, names: set[str]) -> bool:
    return any(ast.unparse(one) in names for one in ast.walk(node) if isinstance(one, ast.expr))


def _different(scene: Scene, edits: list[Edit]) -> list[Edit]:
    """Of edits that are one formula written in several ways, the first."""
    named = {word for edit in edits for word in re.findall(r"\w+", ast.unparse(edit.expression))}
    # On random tensors different formulas give different values.
    found: list[tuple[Edit, Tensor | None]] = []
    with scene.random_trial(named) as elsewhere:
        for edit in edits:
            value = elsewhere.evaluate(edit.expression)
            if not any(are_alike(value, other) for _, other in found):
                found.append((edit, value))
    return [edit for edit, _ in found]
