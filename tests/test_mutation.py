"""Each mutant of a case ends as it should: caught where its gradients differ, equivalent where they do not."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch

from gradverify import Case, Gradients, Trace
from gradverify.configuration import configurations
from gradverify.mutants import Kind
from gradverify.mutation import NotSound, check_unharmed, prepare, try_edit
from gradverify.rewriting import NoSource
from gradverify.settings import read_settings
from gradverify.study import Outcome, Trial, tally


class Product(Case):
    """L = sum(x * w), its backward a statement a gradient."""

    __test__ = False
    n: int = 4

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {name: torch.randn(self.n, generator=generator) for name in ("x", "w")}

    def forward(self, t: Trace) -> torch.Tensor:
        t.y = t.x * t.w
        t.loss = (t.y**2).sum()
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.y = 2 * t.y * d.loss
        d.x = d.y * t.w
        d.w = d.y * t.x


class Toothless(Product):
    """The inputs are all ones, so that a product is a quotient and each factor the other one."""

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {name: torch.ones(self.n) for name in ("x", "w")}


class Redundant(Product):
    """What does nothing can be dropped: a zero added, a symmetric matrix transposed, a variable nobody reads."""

    def forward(self, t: Trace) -> torch.Tensor:
        t.gram = t.x[:, None] * t.x
        t.loss = (t.gram @ t.w).sum()
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        unused = t.x  # noqa: F841  # so that it can be deleted
        d.w = t.gram.T.sum(1) + 0
        d.gram = t.w.expand_as(t.gram)
        d.x = (d.gram + d.gram.T) @ t.x


class Accumulating(Product):
    """A gradient in several steps: assigned, added to, changed in place by a mask."""

    def forward(self, t: Trace) -> torch.Tensor:
        t.r = torch.relu(t.x)
        t.loss = (t.r * t.w).sum() + (t.x * t.w).sum()
        return t.loss

    def backward(self, t: Trace, d: Gradients) -> None:
        d.w = t.r.clone()
        d.w += t.x
        d.r = t.w.clone()
        d.x = t.w.clone()
        d.x[t.x > 0] *= 2


class Helped(Product):
    """The backward only calls a helper, whose mutants are not made."""

    def backward(self, t: Trace, d: Gradients) -> None:
        derive(t, d)


def derive(t: Trace, d: Gradients) -> None:
    d.y = 2 * t.y * d.loss
    d.x = d.y * t.w
    d.w = d.y * t.x


class Raising(Product):
    """What is no longer transposed no longer fits."""

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"x": torch.randn(3, 4, generator=generator), "w": torch.randn(4, 2, generator=generator)}

    def forward(self, t: Trace) -> torch.Tensor:
        t.y = t.x @ t.w
        return t.y

    def backward(self, t: Trace, d: Gradients) -> None:
        d.x = d.y @ t.w.T
        d.w = t.x.T @ d.y


class Hungry(Product):
    """Without its divisor, the scratch space is larger than any address space."""

    def backward(self, t: Trace, d: Gradients) -> None:
        torch.empty(int(4e14 / 1e14))
        super().backward(t, d)


class TwoSeeds(Toothless):
    """All ones at one seed, others at the second."""

    seeds = (0, 1)

    def inputs(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        inputs = Product.inputs(self, generator)
        return super().inputs(generator) if generator.initial_seed() == 0 else inputs


class Wrong(Product):
    """The factor 2 is forgotten."""

    def backward(self, t: Trace, d: Gradients) -> None:
        d.y = t.y * d.loss
        d.x = d.y * t.w
        d.w = d.y * t.x


class Failing(Product):
    """It raises."""

    def backward(self, t: Trace, d: Gradients) -> None:
        raise RuntimeError("my own")


class Empty(Product):
    """Nothing to derive that could be broken."""

    partial = True

    def backward(self, t: Trace, d: Gradients) -> None:
        return


class Remembering(Product):
    """It keeps what it has seen, beyond the run."""

    seen: list[int] = dataclasses.field(default_factory=list)

    def backward(self, t: Trace, d: Gradients) -> None:
        self.seen.append(0)
        super().backward(t, d)
        if any(self.seen):
            d.x = -d.x


@functools.cache
def study(cls: type[Case]) -> tuple[Trial, ...]:
    """The trials of all mutants of a case; several tests look at the same ones."""
    case = cls()
    subject = prepare(case, configurations(case))
    return tuple(try_edit(subject, edit) for edit in subject.edits)


def ended(trials: tuple[Trial, ...], outcome: Outcome) -> set[str]:
    return {trial.mutant.after for trial in trials if trial.outcome is outcome}


def test_every_mutant_of_a_case_with_teeth_is_caught_where_it_was_broken():
    """Each names its own statement; what gives the same gradients is no mistake."""
    trials = study(Product)
    assert ended(trials, Outcome.SURVIVED) == set()
    # The loss is its own end: its gradient is one, by which a division is a product.
    assert ended(trials, Outcome.EQUIVALENT) == {"d.y = 2 * t.y / d.loss", "d.y = 2 * t.y"}
    caught = [trial for trial in trials if trial.outcome.is_caught]
    assert len(caught) == len(trials) - 2
    assert all(trial.named for trial in caught)


def test_a_toothless_case_is_told_what_it_does_not_notice():
    """On inputs that are all ones; the twin with other inputs notices all of it."""
    survivors = ended(study(Toothless), Outcome.SURVIVED)
    assert survivors == {
        *("d.y = 2 / t.y * d.loss", "d.y = 2 * t.x * d.loss"),
        *("d.x = d.y / t.w", "d.x = d.y", "d.x = d.y * t.y"),
        *("d.w = d.y / t.x", "d.w = d.y", "d.w = d.x * t.x", "d.w = d.y * t.w"),
    }
    assert ended(study(Product), Outcome.SURVIVED) == set()


def test_what_any_configuration_notices_is_caught():
    """The configurations of a case are one check: the second seed makes up for the first."""
    assert ended(study(TwoSeeds), Outcome.SURVIVED) == set()
    assert len(ended(study(TwoSeeds), Outcome.CAUGHT)) > len(ended(study(Toothless), Outcome.CAUGHT))


def test_what_changes_no_gradient_is_equivalent():
    """Adding zero, transposing what is symmetric, assigning what nobody reads; another mask or factor is not."""
    trials = study(Redundant)
    equivalent = ended(trials, Outcome.EQUIVALENT)
    assert {
        "d.w = t.gram.T.sum(1)",
        "d.w = t.gram.T.sum(1) - 0",
        "d.w = t.gram.sum(1) + 0",
        "d.w = t.gram.T.sum(0) + 0",
        "",
    } <= equivalent
    assert not {"d.w = t.gram.T.sum(1) + 1", "d.x = (d.gram - d.gram.T) @ t.x", "d.x = d.gram @ t.x"} & equivalent
    assert ended(trials, Outcome.SURVIVED) == set()


def test_accumulation_and_changes_in_place_are_broken_and_named():
    """`+=` turned into an assignment, a mask turned round, a change in place left out."""
    trials = study(Accumulating)
    for after in ("d.w = t.x", "d.w -= t.x", "d.x[t.x < 0] *= 2", "d.x[t.x > 0] *= 3", "d.x[t.x > 0] = 2"):
        (trial,) = [one for one in trials if one.mutant.after == after]
        assert (trial.outcome, trial.named) == (Outcome.CAUGHT, True), after
    assert ended(trials, Outcome.SURVIVED) == set()


@pytest.mark.parametrize(
    ("cls", "before", "outcome"),
    [
        (Product, "d.y = 2 * t.y * d.loss", Outcome.RAISED),  # read before it is derived
        (Product, "d.x = d.y * t.w", Outcome.CAUGHT),  # missing
        (Accumulating, "d.w += t.x", Outcome.CAUGHT),  # wrong
        (Accumulating, "d.x[t.x > 0] *= 2", Outcome.CAUGHT),
        (Helped, "derive(t, d)", Outcome.CAUGHT),  # written by a helper
    ],
)
def test_of_a_deleted_statement_the_gradient_is_named(cls, before, outcome):
    """Whether it is read, missing or wrong afterwards."""
    (trial,) = [one for one in study(cls) if one.mutant.before == before and one.mutant.kind is Kind.DELETION]
    assert (trial.outcome, trial.named) == (outcome, True)


def test_the_mistake_that_the_report_names_is_kept():
    """As found in the edited statement, not in the one that stands in the file; a missing gradient is one too."""
    trials = {trial.mutant.after: trial for trial in study(Product)}
    assert trials["d.x = -(d.y * t.w)"].hint == "`-(d.y * t.w)` should be `d.y * t.w`"
    (deleted,) = [one for one in study(Product) if one.mutant.before == "d.x = d.y * t.w" and not one.mutant.after]
    assert deleted.hint == "missing"


def test_a_description_of_the_error_is_no_mistake(monkeypatch):
    """Where no rule explains it, the report only says how it is distributed."""
    monkeypatch.setattr("gradverify.origin.diagnose", lambda *_: None)
    case = Product()
    subject = prepare(case, configurations(case))
    (edit,) = [one for one in subject.edits if one.mutant.after == "d.x = -(d.y * t.w)"]
    trial = try_edit(subject, edit)
    assert (trial.outcome, trial.named, trial.hint) == (Outcome.CAUGHT, True, None)


def test_a_mutant_that_raises_is_caught_where_it_raises():
    """In the statement itself."""
    trials = {trial.mutant.after: trial for trial in study(Raising)}
    for after in ("d.x = d.y @ t.w", "d.w = t.x @ d.y", "d.w = d.y @ t.x.T"):
        assert (trials[after].outcome, trials[after].named, trials[after].hint) == (Outcome.RAISED, True, None), after


def test_a_mutant_that_exhausts_the_memory_is_killed():
    """And is no survivor."""
    trials = {trial.mutant.after: trial for trial in study(Hungry)}
    assert trials["torch.empty(int(400000000000000.0))"].outcome is Outcome.KILLED
    assert trials["torch.empty(int(400000000000000.0 / 200000000000000.0))"].outcome is Outcome.EQUIVALENT


def test_inputs_that_cannot_be_scaled_are_used_as_they_are():
    """Where the forward refuses other values; the study goes on with those of another seed."""

    class Choosy(Toothless):
        def forward(self, t: Trace) -> torch.Tensor:
            if not bool((t.x == 1).all()):
                raise ValueError("ones only")
            return super().forward(t)

    trials = study(Choosy)
    assert "d.x = d.y / t.w" in ended(trials, Outcome.SURVIVED) | ended(trials, Outcome.EQUIVALENT)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Wrong, r"it does not verify as it is: d\.y is wrong; fix that first"),
        (Failing, "it does not verify as it is: backward raised RuntimeError .* my own; fix that first"),
        (Empty, "its backward holds nothing that could be broken; mutants of helpers are not made"),
    ],
)
def test_a_case_from_which_nothing_can_be_learnt_is_refused(cls, message):
    """With what to do first."""
    with pytest.raises(NotSound, match=message):
        prepare(cls(), configurations(cls()))


def test_a_case_without_source_is_refused():
    """Before anything runs."""
    namespace: dict[str, object] = {}
    exec("def backward(self, t, d):\n    d.x = t.x", namespace)
    executed = type("Executed", (Product,), {"backward": namespace["backward"]})
    with pytest.raises(NoSource, match="the source of backward is not to be had"):
        prepare(executed(), configurations(executed()))


def test_a_mutant_that_outlives_its_run_is_noticed():
    """Otherwise all that follow would count as caught."""
    case = Remembering()
    subject = prepare(case, configurations(case))
    check_unharmed(subject)
    for edit in subject.edits:
        try_edit(subject, edit)
    with pytest.raises(NotSound, match=r"after its mutants were tried it no longer verifies: d\.x is wrong; one of"):
        check_unharmed(subject)


def test_the_same_case_gives_the_same_trials():
    """The same mutants in the same order, with the same outcomes."""
    case = Product()
    subject = prepare(case, configurations(case))
    known = study(Product)
    assert [edit.mutant for edit in subject.edits] == [trial.mutant for trial in known]
    assert tuple(try_edit(subject, edit) for edit in subject.edits[:3]) == known[:3]


def test_trials_are_counted():
    """Caught, equivalent and survived add up to all; what raised or was killed has no gradient to name a mistake in."""
    mutant = study(Product)[0].mutant
    trials = (
        Trial(mutant, Outcome.CAUGHT, named=True, hint="sign"),
        Trial(mutant, Outcome.CAUGHT),
        Trial(mutant, Outcome.RAISED, named=True),
        Trial(mutant, Outcome.KILLED),
        Trial(mutant, Outcome.EQUIVALENT),
        Trial(mutant, Outcome.SURVIVED),
    )
    counts = tally(trials)
    assert (counts.mutants, counts.caught, counts.raised, counts.killed) == (6, 4, 1, 1)
    assert (counts.equivalent, counts.survived, counts.named, counts.hinted, counts.judged) == (1, 1, 2, 1, 2)


class Threshold(Case):
    """L = sum(relu(x)) at inputs of which only some seeds come near the kink."""

    __test__ = False

    def inputs(self, generator):
        x = torch.randn(6, generator=generator)
        return {"x": x.where(x > 0, x - 1.5)} if generator.initial_seed() == 5 else {"x": x}

    def forward(self, t):
        t.loss = torch.relu(t.x).sum()
        return t.loss

    def backward(self, t, d):
        d.x = d.loss * (t.x > 0)


def test_a_mutant_that_the_seeds_of_the_case_do_not_show_is_tried_at_others():
    """Caught there, with the seed; it is no survivor, and the user hears of it."""
    subject = prepare(Threshold(), configurations(Threshold(), read_settings({"seeds": 5})))
    assert [one.seed for one in subject.further] == [6, 7]
    (edit,) = [one for one in subject.edits if one.mutant.after == "d.x = d.loss * (t.x > -1)"]
    trial = try_edit(subject, edit)
    assert (trial.outcome, trial.seed, trial.named) == (Outcome.CAUGHT, 6, True)
    assert try_edit(dataclasses.replace(subject, further=()), edit).outcome is Outcome.SURVIVED
