"""Which of the inputs need a gradient is the user's choice, call by call: a frozen weight, an input that is data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from torch.utils.checkpoint import CheckpointError
from typing_extensions import override

from gradverify.contract.rule import Finding, Rule, broken, inapplicable, kept
from gradverify.contract.subject import Subject, backward, of_gradients
from gradverify.errors import GradverifyError

# All subsets of three inputs are six; of more inputs, those that are drawn first.
_MOST_SUBSETS = 6


class Subsets(Rule):
    """The gradient of an input is the same whichever others need one."""

    name = "subsets of requires_grad"
    remedy = "return a gradient for every input in its own place, and None where ctx.needs_input_grad is False"

    @override
    def check(self, subject: Subject) -> Finding:
        names = subject.pair.arguments.differentiated
        if len(names) < 2:
            return inapplicable("one input has a gradient")
        tried = 0
        for chosen in itertools.islice(subsets(names), _MOST_SUBSETS):
            arguments = subject.pair.arguments.fresh()
            for name, leaf in arguments.leaves.items():
                leaf.requires_grad_(name in chosen)
            alone = f"where only {', '.join(chosen)} {'needs a gradient' if len(chosen) == 1 else 'need gradients'}"
            try:
                called = subject.call(arguments)
                if not called.differentiable:
                    lost = [name for name in chosen if subject.gradients[name] is not None]
                    if lost:
                        return broken(f"{alone}, no output has one")
                    continue
                given = {name: one for name, one in subject.copies().items() if name in called.differentiable}
                found = backward(called, given)
            except GradverifyError as error:
                if isinstance(error.__cause__, CheckpointError):
                    # It is recomputed in the backward, when the module holds its own parameters again.
                    return inapplicable("a checkpointed module cannot have its parameters frozen from outside")
                return broken(f"{alone}, {error.message}")
            expected = {name: subject.gradients[name] for name in chosen}
            text = subject.difference(of_gradients(found), of_gradients(expected))
            if text is not None:
                return broken(f"{alone}, {text}")
            tried += 1
        return kept(f"{tried} of {2 ** len(names) - 2} proper subsets")


def subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Proper subsets, none empty: each alone and all but each by turns, then pairs and on."""
    seen = set()
    singles, rest = [(name,) for name in names], [tuple(one for one in names if one != name) for name in names]
    turns = itertools.chain.from_iterable(zip(singles, rest, strict=True))
    larger = (itertools.combinations(names, size) for size in range(2, len(names) - 1))
    for chosen in itertools.chain(turns, itertools.chain.from_iterable(larger)):
        if chosen not in seen:
            seen.add(chosen)
            yield chosen
