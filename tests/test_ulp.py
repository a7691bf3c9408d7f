"""Moving every element by one ulp: how far, which way, and what must not move."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradverify.ulp import move, move_

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
INTEGERS = {8: torch.int64, 4: torch.int32, 2: torch.int16}


def steps(moved, tensor):
    """The distance in ulps, by the order of the bit patterns of equal sign."""
    integer = INTEGERS[tensor.element_size()]
    return (moved.contiguous().view(integer).long() - tensor.contiguous().view(integer).long()).abs()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_element_moves_by_one_ulp(dtype):
    """Up or down, about as often; below a power of two the ulp is half as large, so that two steps may be taken."""
    tensor = torch.randn(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)
    moved = move(tensor, 0)
    assert set(steps(moved, tensor)[tensor != 0].tolist()) <= {1, 2}
    assert (steps(moved, tensor) == 1).double().mean() > 0.97
    assert 0.4 < (moved > tensor).double().mean() < 0.6


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False), st.integers(0, 40))
def test_a_move_stays_finite_and_close(value, draw):
    """No finite number becomes infinite, and none moves by more than an ulp on the wide side of a power of two."""
    tensor = torch.tensor([value], dtype=torch.float64)
    moved = move(tensor, draw)
    assert moved.isfinite().all()
    assert abs(moved.item() - value) <= 2.0**-52 * abs(value)
    assert (moved.item() != value) or value == 0.0 or abs(value) < 1e-300


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_must_not_move_does_not(dtype):
    """Zeros would cross a kink, infinities would become nan, and the largest number would become infinite."""
    info = torch.finfo(dtype)
    edges = torch.tensor([0.0, -0.0, torch.inf, -torch.inf], dtype=dtype)
    for draw in range(20):
        assert torch.equal(move(edges, draw), edges)
        assert move(torch.tensor([info.max, info.min], dtype=dtype), draw).isfinite().all()
        assert move(torch.tensor([torch.nan], dtype=dtype), draw).isnan().all()


def test_equal_values_move_alike():
    """Ties stay ties, wherever the equal elements are."""
    tensor = torch.tensor([0.3, -1.7, 12.0], dtype=torch.float64).repeat(50)
    moved = move(tensor, 3).view(50, 3)
    assert (moved == moved[0]).all()


def test_the_sign_is_part_of_the_hash():
    """x and -x move independently of each other: over many values both agreements occur."""
    tensor = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 1
    mirrored = (move(tensor, 0) > tensor) == (-move(-tensor, 0) > tensor)
    assert 0.4 < mirrored.double().mean() < 0.6


def test_draws_differ():
    """Another draw moves other elements up."""
    tensor = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 1
    same = (move(tensor, 0) > tensor) == (move(tensor, 1) > tensor)
    assert 0.4 < same.double().mean() < 0.6


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.permute(2, 0, 1),
        lambda x: x[:, ::2],
        lambda x: x[1:, :, 1],
        lambda x: x[0, 0, 0],
        lambda x: x[:, :1].expand(-1, 4, -1),
        lambda x: x.to(memory_format=torch.channels_last) if x.dim() == 4 else x.T,
    ],
)
@pytest.mark.filterwarnings("ignore:The use of `x.T`:UserWarning")
def test_the_layout_does_not_matter(layout):
    """A strided, expanded or 0-dimensional tensor moves as its contiguous copy does."""
    tensor = layout(torch.randn(4, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(move(tensor, 0), move(tensor.contiguous(), 0))


def test_other_dtypes_come_back_as_they_are():
    """Indices and masks have no ulp."""
    index = torch.arange(5)
    assert move(index, 0) is index


def test_in_place_moves_agree_and_hide_from_autograd():
    """move_ gives the values of move, and the version counter stays, so that a saved tensor is still accepted."""
    tensor = torch.randn(3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).expand(3, 5)
    expected = move(tensor, 0)
    move_(tensor, 0)
    assert torch.equal(tensor, expected)
    assert tensor._version == 0
