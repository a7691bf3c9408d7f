"""One aspect of a candidate that runs in float64: its outputs, or its gradients for one kind of upstream gradient."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from gradverify.candidate.cotangent import Cotangent
from gradverify.candidate.experiment import Aspect, Experiment, Sample
from gradverify.candidate.noise import as_numbers
from gradverify.candidate.pool import ENOUGH_ELEMENTS, Pool
from gradverify.candidate.run import Run, run
from gradverify.candidate.widening import Conditions
from gradverify.comparison import compare, distance
from gradverify.errors import GradverifyError
from gradverify.judge import (
    IMPRECISE_ACCURACY,
    PRECISIONS,
    VANISHED,
    Accuracy,
    Derivation,
    Judgement,
    judge_accuracy,
    judge_derivation,
    judge_doubt,
    judge_zero,
)
from gradverify.measurement import Evidence, doubt_of
from gradverify.scope import dtype_name
from gradverify.verdict import Verdict

# Sums of lower precision are expected to be accumulated in float32, as torch does.
_ACCUMULATION = PRECISIONS["float32"].unit
# A widened run that is this much further off than the plain one was broken by the widening.
_BROKEN = 2.0

_CASTS = "it casts to a lower precision inside although its inputs are float64; without these casts it is right"


@dataclass(frozen=True)
class Finding:
    """What one aspect says of one gradient or output."""

    aspect: Aspect
    sample: Sample
    evidence: Evidence
    judgement: Judgement
    coarse: bool = False


def judge_aspect(experiment: Experiment, aspect: Aspect, pool: Pool, zeros: Collection[str]) -> dict[str, Finding]:
    """Judge every gradient, or every output; nothing where the candidate turns out not to run in float64.

    Args:
        experiment: the runs.
        aspect: what is judged.
        pool: is asked where few elements make an accuracy look bad.
        zeros: the gradients that are zero in exact arithmetic.
    """
    samples = experiment.samples(aspect, precise=True)
    if experiment.unjudged is not None:
        return {}
    return _Aspect(experiment, aspect, samples, zeros).judge(pool)


class _Aspect:
    """The judgement of one aspect, from the cheapest evidence to the dearest."""

    def __init__(
        self, experiment: Experiment, aspect: Aspect, samples: dict[str, Sample], zeros: Collection[str]
    ) -> None:
        self._experiment = experiment
        self._aspect = aspect
        self._samples = samples
        self._zeros = zeros
        self._exact = {name: sample.exact for name, sample in samples.items()}
        # The noise of the other kinds is measured only where a few roundings do not explain a difference.
        is_needed = aspect in (None, Cotangent.NORMAL) or not samples.keys().isdisjoint(zeros)
        noise = self._measure_noise() if is_needed else {}
        self._evidence = {name: self._weigh(name, sample, noise.get(name, 0.0)) for name, sample in samples.items()}
        self._judgements = {name: self._judge_first(name) for name in samples}
        # Those that are cast to half precision even where float64 is given: it does not speak for their accuracy.
        self._pinned: set[str] = set()

    def judge(self, pool: Pool) -> dict[str, Finding]:
        """Every finding."""
        if self._alarmed:
            self._widen()
        if self._alarmed and self._aspect not in (None, Cotangent.NORMAL):
            noise = self._measure_noise()
            for name in self._alarmed:
                seen = self._evidence[name]
                derivation = dataclasses.replace(seen.derivation, noise=noise[name])
                self._replace(name, self._samples[name], dataclasses.replace(seen, derivation=derivation))
        if self._alarmed:
            self._judge_doubts(pool)
        return {name: self._finish(name, pool) for name in self._samples}

    @property
    def _alarmed(self) -> list[str]:
        return [name for name, judgement in self._judgements.items() if judgement is None]

    def _measure_noise(self) -> dict[str, float]:
        if self._aspect is None:
            return self._experiment.exact.forward_noise()
        return self._experiment.exact.backward_noise(self._experiment.cotangents(self._aspect), self._exact)

    def _weigh(self, name: str, sample: Sample, noise: float) -> Evidence:
        assert sample.precise is not None  # the caller has seen that the candidate runs in float64
        comparison = compare(sample.candidate, sample.reference)
        seen = distance(sample.precise, sample.exact)
        scale = self._scale(name, seen.scale)
        derivation = Derivation(
            error=seen.error,
            scale=scale,
            noise=noise,
            numel=sample.exact.numel(),
            largest=self._experiment.largest,
            identical=comparison.exact,
        )
        accuracy = None
        if not self._experiment.is_double and sample.reference.is_floating_point():
            own, other = (distance(one, sample.exact) for one in (sample.candidate, sample.reference))
            unit = PRECISIONS[dtype_name(sample.reference.dtype)].unit
            rounding = derivation.noise / derivation.precision.unit + scale
            explained = derivation.units * min(unit, _ACCUMULATION) * rounding
            accuracy = Accuracy(
                candidate_error=math.nan if own.nonfinite > other.nonfinite else own.error,
                autograd_error=other.error,
                scale=scale,
                explained=max(explained, self._coarsely_explained(unit, other.error, scale)),
                unit=unit,
            )
        return Evidence(comparison, seen, derivation, accuracy)

    def _scale(self, name: str, seen: float) -> float:
        """The size that rounding is relative to: that of the gradient, unless it is nothing but rounding itself.

        A gradient is linear in the upstream gradient. Where it is zero for some kind of that alone, as that of a norm
        is for a constant one, what is left is as large as rounding makes the terms that cancel: the normal kind shows
        how large they are.
        """
        if self._aspect in (None, Cotangent.NORMAL) or name in self._zeros:
            return seen
        usual = self._experiment.usual_scale(name) * self._experiment.magnitude(self._aspect)
        return usual if seen <= PRECISIONS["float64"].unsettled * usual else seen

    def _coarsely_explained(self, unit: float, error: float, scale: float) -> float:
        """The error that the working precision explains of what is of a finer dtype.

        A float32 gradient of bfloat16 inputs may pass through a value that was rounded to these: that is told, and
        does not fail.
        """
        working = self._experiment.pair.precision.unit
        return IMPRECISE_ACCURACY * max(error, working * scale) if unit < working else 0.0

    def _judge_first(self, name: str) -> Judgement | None:
        seen = self._evidence[name]
        if seen.distance.nonfinite:
            count = f"{seen.distance.nonfinite} of {seen.derivation.numel} elements"
            return Judgement(Verdict.NONFINITE, math.nan, (count,))
        return judge_zero(seen.derivation) if name in self._zeros else judge_derivation(seen.derivation)

    def _replace(self, name: str, sample: Sample, evidence: Evidence) -> None:
        self._samples[name], self._evidence[name] = sample, evidence
        self._judgements[name] = self._judge_first(name)

    def _widen(self) -> None:
        """Judge the formula in true float64, where the candidate casts to something less.

        Where float64 is the working precision, casting to less is told: its user asked for those digits.
        """
        widened = self._experiment.precise_values(self._aspect, Conditions.WIDENED) or {}
        for name in self._alarmed:
            if name not in widened or widened[name].shape != self._exact[name].shape:
                continue
            plain = self._evidence[name].derivation
            sample = dataclasses.replace(self._samples[name], precise=widened[name])
            evidence = self._weigh(name, sample, plain.noise)
            if self._experiment.is_double:
                if plain.error <= VANISHED * plain.scale and judge_derivation(evidence.derivation) is not None:
                    self._judgements[name] = Judgement(Verdict.IMPRECISE, plain.allowed_first, (_CASTS,))
            elif evidence.derivation.error <= _BROKEN * plain.error:
                if not (plain.error <= VANISHED * plain.scale):
                    self._pinned.add(name)
                self._replace(name, sample, evidence)

    def _judge_doubts(self, pool: Pool) -> None:
        kind = self._aspect
        alarmed = self._alarmed
        cotangents = None if kind is None else self._experiment.cotangents(kind)
        spread = self._experiment.exact.spread(alarmed, self._exact, cotangents)
        errors = self._float32_errors(alarmed)
        for name in alarmed:
            seen = self._evidence[name]
            sample = self._samples[name]
            assert sample.precise is not None  # it was judged from the candidate in float64
            doubt = doubt_of(sample.precise, sample.exact, spread[name], seen.derivation, errors.get(name))
            judgement = judge_doubt(seen.derivation, doubt, seen.accuracy)
            if judgement.verdict is Verdict.IMPRECISE and doubt.fits_float32 and not self._experiment.is_double:
                # Such a run says little more than the working precision does: that is asked as strictly as it can be.
                own = self._judge_pooled(name, pool)
                judgement = own if own.verdict.fails else judgement
            self._judgements[name] = judgement

    def _float32_errors(self, names: Collection[str]) -> dict[str, float]:
        """The largest difference of candidate and reference in float32, where they run in it."""
        if self._experiment.pair.dtype == torch.float32:
            both = [(sample.candidate, sample.reference) for sample in map(self._samples.__getitem__, names)]
        else:
            try:
                candidate, reference = (
                    self._run_float32(one) for one in (self._experiment.candidate, self._experiment.reference)
                )
            except GradverifyError:
                return {}
            both = [(candidate[name], reference[name]) for name in names]
        return {
            name: distance(as_numbers(own), as_numbers(other)).error
            for name, (own, other) in zip(names, both, strict=True)
            if own.shape == other.shape
        }

    def _run_float32(self, called: Run) -> dict[str, Tensor]:
        pair = self._experiment.pair
        arguments = pair.arguments.to(torch.float32).fresh()
        return self._experiment.values(run(called.callee.to(torch.float32), arguments, pair.outputs), self._aspect)

    def _judge_pooled(self, name: str, pool: Pool) -> Judgement:
        return pool[name].judge(self._experiment.pair.precision.unit, self._dtype)

    @property
    def _dtype(self) -> str:
        return dtype_name(self._experiment.pair.dtype)

    def _finish(self, name: str, pool: Pool) -> Finding:
        """Lower the verdict where the working precision is used badly."""
        judgement, seen = self._judgements[name], self._evidence[name]
        assert judgement is not None  # every alarm has been answered
        final = judgement
        if seen.accuracy is not None and name not in self._zeros:
            final = judge_accuracy(judgement, self._unlucky(name, seen, pool), self._dtype)
            if name in self._pinned and final.verdict is Verdict.IMPRECISE:
                own = self._judge_pooled(name, pool)
                final = own if own.verdict.fails else final
        coarse = final.verdict.fails and not judgement.verdict.fails
        return Finding(self._aspect, self._samples[name], seen, final, coarse)

    def _unlucky(self, name: str, seen: Evidence, pool: Pool) -> Accuracy:
        """The accuracy, over more elements where there are too few to call it bad."""
        accuracy = seen.accuracy
        assert accuracy is not None  # asked only of what has one
        if not _is_bad(accuracy) or seen.derivation.numel >= ENOUGH_ELEMENTS:
            return accuracy
        pooled = pool.until(name, lambda so_far: not _is_bad(so_far.accuracies(accuracy.unit)[0]))
        known = pooled.accuracies(accuracy.unit)[0]
        explained = max(
            accuracy.explained / self._experiment.magnitude(self._aspect),
            self._coarsely_explained(accuracy.unit, known.autograd_error, known.scale),
        )
        return dataclasses.replace(known, explained=explained)


def _is_bad(accuracy: Accuracy) -> bool:
    return accuracy.ratio is not None and not (accuracy.ratio <= IMPRECISE_ACCURACY)
