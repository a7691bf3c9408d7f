"""What mistake a wrong gradient of a candidate looks like; imported once something is wrong."""

from __future__ import annotations

import torch

from gradverify.candidate.experiment import Experiment
from gradverify.candidate.judging import Finding
from gradverify.case import sizes_of
from gradverify.diagnosis import Subject, describe_error, diagnose
from gradverify.diagnosis.subject import Contribution


def explain(experiment: Experiment, name: str, finding: Finding, allowed: float) -> str | None:
    """A sentence on a gradient that is wrong in float64, from its values alone; None for an output.

    Args:
        experiment: the runs.
        name: of the gradient.
        finding: that shows it wrong.
        allowed: the largest difference that rounding explains.
    """
    kind, sample = finding.aspect, finding.sample
    if kind is None or sample.precise is None:
        return None
    exact = experiment.exact
    outputs = {name: output.detach() for name, output in exact.run.outputs.items() if output.is_floating_point()}
    leaves = {name: leaf.detach() for name, leaf in exact.run.leaves.items()}
    cotangents = {name: one.to(torch.float64) for name, one in experiment.cotangents(kind).items()}
    subject = Subject(
        name=name,
        candidate=sample.precise,
        reference=sample.exact,
        allowed=allowed,
        values={**leaves, **outputs},
        references={**experiment.exact_values(kind), **cotangents},
        outputs=tuple(cotangents),
        sizes=sizes_of(experiment.pair.case),
        source=None,
        variables={},
        events=(),
        find_contributions=_no_contributions,
    )
    # A loss has one number upstream, nearly always 1 in use: no rule for whole tensors sees that it is left out.
    if any(one.numel() == 1 and subject.agrees(subject.candidate * one.view(())) for one in cotangents.values()):
        return "it is right for an upstream gradient of 1, and takes no notice of any other: multiply by it"
    return diagnose(subject) or describe_error(subject)


def _no_contributions() -> list[Contribution]:
    """A reference is not recorded step by step."""
    return []
