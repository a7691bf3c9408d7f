"""The parts of the audit: what counts as a difference, as a layout, as shared memory, as a subset."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gradverify import verify
from gradverify.candidate import Arguments
from gradverify.contract.layout import (
    channels_last,
    expanded,
    expanded_rows,
    offset_slice,
    slice_of_cat,
    transposed,
)
from gradverify.contract.subject import nudge, with_leading
from gradverify.contract.subset import subsets
from gradverify.contract.watch import equal_bits, overlap
from gradverify.contract.yardstick import difference
from gradverify.errors import CaseRaised

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
IMAGE = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


class TestDifference:
    """Rounding is none, whatever measures it."""

    def test_a_few_roundings(self):
        """Of the largest element; more of them are one, where nothing explains them."""
        eps = torch.finfo(X.dtype).eps
        assert difference({"x": X * (1 + 2 * eps)}, {"x": X}) is None
        assert "x is " in str(difference({"x": X * (1 + 200 * eps)}, {"x": X}))

    def test_the_noise_of_the_run_explains_more(self):
        """As far as it reaches, times a margin."""
        off = {"x": X + 1e-4}
        assert difference(off, {"x": X}, lambda draw: {"x": X + 2e-5 * (-1) ** draw}) is None
        assert difference(off, {"x": X}, lambda draw: {"x": X + 2e-7 * (-1) ** draw}) is not None

    def test_an_element_that_a_move_throws_about_says_nothing(self):
        """And excuses no other."""
        tied = X.clone()
        tied[1, 2] += 1
        moved = X.clone()
        moved[1, 2] += 0.9
        assert difference({"x": tied}, {"x": X}, lambda _: {"x": moved}) is None
        tied[0, 0] += 1
        assert "at [0, 0]" in str(difference({"x": tied}, {"x": X}, lambda _: {"x": moved}))

    def test_the_usual_error_of_a_kernel_explains_its_own_size(self):
        """Some compute in less than their inputs have."""
        off = {"x": X * 1.001}
        assert difference(off, {"x": X}, usual=lambda: {"x": 1e-3}) is None
        assert difference(off, {"x": X}, usual=lambda: {"x": 1e-6}) is not None

    def test_what_cannot_be_moved_has_no_noise(self):
        """The difference stands."""

        def refuse(draw: int) -> dict[str, torch.Tensor | None]:
            raise CaseRaised("no")

        assert difference({"x": X + 1}, {"x": X}, refuse) is not None

    def test_none_is_zero(self):
        """On either side."""
        zero = torch.zeros_like(X)
        assert difference({"x": None}, {"x": zero}) is None
        assert difference({"x": zero}, {"x": None}) is None
        assert difference({"x": None}, {"x": None}) is None
        assert difference({"x": X}, {"x": None}) is not None
        assert difference({}, {"x": X}) is not None

    def test_nan_where_there_was_a_number(self):
        """And not where there was none."""
        spoilt = X.clone()
        spoilt[0, 1] = torch.nan
        assert "at [0, 1]" in str(difference({"x": spoilt}, {"x": X}))
        assert difference({"x": X}, {"x": spoilt}) is None

    def test_another_shape(self):
        """Nothing is broadcast."""
        assert difference({"x": X[:1]}, {"x": X}) == "x has the shape (1, 4) in place of (3, 4)"


class TestLayouts:
    """The same values in other places."""

    @pytest.mark.parametrize("arrange", [transposed, offset_slice, slice_of_cat, channels_last])
    @pytest.mark.parametrize("tensor", [IMAGE, IMAGE.bfloat16(), IMAGE > 0, (IMAGE * 10).long()])
    def test_values_stay(self, arrange, tensor):
        """And the layout is another one."""
        arranged = arrange(tensor)
        assert torch.equal(arranged, tensor)
        assert arranged.stride() != tensor.stride() or arranged.storage_offset() != tensor.storage_offset()

    def test_what_surrounds_a_slice_is_poison(self):
        """Whoever reads it is noticed."""
        for arranged in (offset_slice(X), slice_of_cat(X), slice_of_cat(X[0])):
            whole = torch.as_strided(arranged, (arranged.untyped_storage().nbytes() // 4,), (1,), 0)
            assert whole.isnan().any()

    def test_expanded_tensors_have_strides_of_zero(self):
        """A cotangent in every dimension, an input in the first that has a length."""
        assert set(expanded(X).stride()) == {0}
        assert expanded_rows(X).stride() == (0, 1)
        assert expanded_rows(X[:1]).stride() == (4, 0)

    @pytest.mark.parametrize(
        ("arrange", "tensor"),
        [
            (transposed, X[0]),
            (transposed, X[:1]),
            (slice_of_cat, torch.tensor(1.0)),
            (channels_last, X),
            (expanded, torch.ones(1)),
            (expanded_rows, torch.ones(1, 1)),
        ],
    )
    def test_what_has_no_such_layout(self, arrange, tensor):
        """Is passed over."""
        assert arrange(tensor) is None


class TestMemory:
    """Which bytes two tensors have in common."""

    def test_overlap(self):
        """Of views, not of neighbours in one storage, nor of empty ones."""
        assert overlap(X, X.view(-1))
        assert overlap(X.t(), X[1:])
        assert not overlap(X[:1], X[1:])
        assert not overlap(X, X.clone())
        assert not overlap(X[:0], X)

    def test_equal_bits(self):
        """nan is equal to itself, and 0 to -0 as a number."""
        nan = torch.tensor([torch.nan, 1.0])
        assert equal_bits(nan, nan.clone())
        assert not equal_bits(nan, torch.tensor([torch.nan, 2.0]))
        assert not equal_bits(X, X[:1])


def test_subsets_are_proper_and_come_once():
    """The most telling first: each alone, all but each."""
    assert list(subsets("ab")) == [("a",), ("b",)]
    found = list(subsets("abcd"))
    assert found[:2] == [("a",), ("b", "c", "d")]
    assert len(found) == len(set(found)) == 2**4 - 2
    assert len(list(itertools.islice(subsets([f"w{i}" for i in range(100)]), 5))) == 5


def test_a_nudge_moves_every_element_by_an_ulp():
    """In even draws equal elements move alike, in odd ones not all of them do."""
    same = torch.full((100,), 1.5)
    for draw in range(4):
        moved = nudge(same, draw)
        steps = (moved.view(torch.int32) - same.view(torch.int32)).abs()
        assert set(steps.tolist()) == {1}
        assert (len(set(moved.tolist())) == 1) is (draw % 2 == 0)


def test_no_index_is_made_to_lead_out_of_what_it_picks_from():
    """A table is not cut below its indices, nor the indices below their offsets; a batch is cut with its labels."""
    table, indices, offsets = torch.ones(9, 4), torch.arange(8), torch.tensor([0, 3])
    bag = Arguments({"table": table, "indices": indices, "offsets": offsets}, {}, ("table",))
    for rows in (0, 2):
        for arguments in with_leading(bag, rows):
            left = {name: len(one) for name, one in arguments.inputs.items()}
            assert left["table"] == 9
            assert left["indices"] == 8
    loss = Arguments({"logits": torch.ones(5, 7), "labels": torch.tensor([0, 6, 2, 5, 1])}, {}, ("logits",))
    for rows in (0, 2):
        first = next(with_leading(loss, rows))
        assert [len(one) for one in first.inputs.values()] == [rows, rows]


def test_a_bag_of_embeddings_is_audited():
    """torch reads beyond its table where an index leads out of it."""
    inputs = {"w": torch.randn(9, 4), "i": torch.randint(9, (10,)), "o": torch.tensor([0, 2, 5, 9])}

    def bag(w: Tensor, i: Tensor, o: Tensor) -> Tensor:
        return functional.embedding_bag(i, w, o, mode="mean")

    def plain(w: Tensor, i: Tensor, o: Tensor) -> Tensor:
        return torch.stack([rows.mean(0) for rows in w[i].tensor_split(o[1:].tolist())])

    assert verify(bag, inputs=inputs, reference=plain).passed


class Checkpointed(nn.Module):
    """Its activations are computed again in the backward."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(lambda x: self.linear(x).tanh(), x, use_reentrant=False)


class Stored(Checkpointed):
    """The same without."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).tanh()


def test_a_checkpointed_module_is_not_accused_of_what_freezing_its_parameters_does():
    """The rule does not apply; all others do."""
    report = verify(Checkpointed(), inputs=[torch.randn(4, 5)], reference=Stored())
    assert report.passed, str(report)
