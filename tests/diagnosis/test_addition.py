"""Of several statements that add to one gradient, the one that is to blame is named."""

from __future__ import annotations

import pytest
import torch

from diagnosis.formulas import Residual, SelfAttention
from diagnosis.planted import plant
from gradverify import Case, verify
from gradverify.verdict import Origin

ADDED = "what is added here is not the contribution through "
PRE = "    d.x += d.pre @ t.W.T\n"
LAST = "    d.x += 2 * t.x * d.square\n"


@pytest.mark.parametrize(
    ("case", "old", "new", "sentence"),
    [
        (
            SelfAttention,
            "d.x = t.weights.T @ d.out",
            "d.x = -(t.weights.T @ d.out)",
            ADDED + "`out` (MmBackward0): its sign is wrong",
        ),
        (SelfAttention, "d.x = t.weights.T @ d.out", "d.x = t.weights @ d.out", ADDED + "`out` (MmBackward0)"),
        (Residual, PRE, "    d.x += d.pre @ t.W\n", ADDED + "`pre` (MmBackward0)"),
        (
            Residual,
            PRE,
            "    d.x = d.x + 2 * d.pre @ t.W.T\n",
            ADDED + "`pre` (MmBackward0): every element is 2 times what it should be: a factor 1/2 is missing, or 2 is "
            "one too many",
        ),
        (
            Residual,
            PRE,
            "    d.x = d.pre @ t.W.T\n",
            "it is assigned where it should be added to: what d.x held before is lost; write `d.x = d.x + ...`",
        ),
    ],
)
def test_a_wrong_addition_is_named_with_its_line(case, old, new, sentence):
    """Although the gradient is finished, and judged, lines below."""
    (row,) = [row for row in verify(plant(case, old, new)).rows if row.origin is Origin.INTRODUCED]
    assert (row.name, row.hints[0]) == ("x", sentence)
    assert row.source == new.strip()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PRE, ""),  # nothing is added that should not be
        (LAST, "    d.x += t.x * d.square\n"),  # the last one is to blame
        (PRE + LAST, "    d.x += 2 * d.pre @ t.W.T\n    d.x += t.x * d.square\n"),  # two are
    ],
)
def test_otherwise_the_last_line_is_told(old, new):
    """Where the gradient got its last value."""
    (row,) = [row for row in verify(plant(Residual, old, new)).rows if row.origin is Origin.INTRODUCED]
    assert row.source == (new or LAST).strip().splitlines()[-1].strip()
    assert not row.hints[0].startswith(ADDED)


class Ignored(Case):
    """Labels of which one says "ignore": they fit the rows in number, and are no index of them."""

    __test__ = False

    def inputs(self, generator):
        x = torch.randn(4, 3, generator=generator)
        return {"x": x, "label": torch.tensor([0, -100, 2, 9])}

    def forward(self, t):
        t.y = torch.sin(t.x)
        t.loss = (t.y * (t.label >= 0)[:, None]).sum()
        return t.loss

    def backward(self, t, d):
        d.y = (t.label >= 0)[:, None] * d.loss.expand_as(t.y)
        d.x = d.y * torch.exp(t.x) + t.x  # a mistake that no rule explains


def test_labels_are_no_index_where_they_lead_out():
    """The mistake is told, and nothing breaks on the way."""
    report = verify(Ignored)
    assert [row.name for row in report.failed_rows] == ["x"]
