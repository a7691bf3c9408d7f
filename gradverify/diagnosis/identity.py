"""A value that belongs elsewhere: another tensor's gradient, or a forward value in place of a gradient."""

from __future__ import annotations

from typing_extensions import override

from gradverify.diagnosis.mistake import Mistake, fits, is_uniform
from gradverify.diagnosis.sample import take_sample
from gradverify.diagnosis.subject import Subject


class OtherTensor(Mistake):
    """The gradient of another tensor is assigned here, or a forward value."""

    @override
    def explain(self, subject: Subject) -> str | None:
        # Tensors whose elements are all alike are easily equal without having anything to do with each other.
        shape = subject.candidate.shape
        sample = subject.sample if subject.has_shape else take_sample(subject.candidate, subject.candidate)
        if is_uniform(sample.candidate):
            return None
        near = [name for name in subject.references if name in subject.derived_before]
        gradients = {name: subject.references[name] for name in (*near, *subject.references) if name != subject.name}
        for words, tensors in (("d", gradients), ("t", subject.values)):
            alike = {name: one for name, one in tensors.items() if one.shape == shape and one.is_floating_point()}
            for name, values in sample.of(alike).items():
                if fits(values, sample.candidate, subject.allowed) and subject.is_candidate(alike[name]):
                    if words == "t":
                        return f"it equals the forward value t.{name}: it is not a gradient"
                    if any(share.through == name for share in subject.contributions):
                        return (
                            f"it equals the gradient of `{name}`: what leads from there to `{subject.name}` is missing"
                        )
                    return f"it equals the gradient of `{name}`: it is not that of `{subject.name}`"
        return None
