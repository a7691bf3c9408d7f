"""Lines through a tensor: how long, and which elements move."""

from __future__ import annotations

import pytest
import torch

from gradverify.oracles.lines import Line, element_lines, random_lines, scale_of, summed

VALUE = torch.tensor([[3.0, -4.0], [0.0, 1e-3]], dtype=torch.float64)
ALL = torch.ones_like(VALUE, dtype=torch.bool)


@pytest.mark.parametrize(
    ("value", "expected"), [([3.0, -4.0], 12.5**0.5), ([0.0, 0.0], 1.0), ([torch.inf, 2.0], 2**0.5), ([1e200], 1e200)]
)
def test_the_scale_of_a_tensor(value, expected):
    """Its root mean square, without overflow, and 1 where there is nothing to go by."""
    assert scale_of(torch.tensor(value, dtype=torch.float64)) == pytest.approx(expected)


def test_a_line_along_each_element():
    """As long as the element, and at least as long as the tensor's scale; one that is not finite stays."""
    value = torch.tensor([3.0, -4.0, 0.0, torch.inf], dtype=torch.float64)
    lines = element_lines(value)
    scale = scale_of(value)
    assert [line.direction.nonzero().flatten().tolist() for line in lines] == [[0], [1], [2], []]
    assert [line.scale for line in lines] == [3.0, 4.0, scale, 1.0]


def test_random_lines():
    """Up or down by the same length, and by turns in proportion to the value."""
    even, uneven, *_ = random_lines(VALUE, 4, 0, ALL)
    assert torch.equal(even.direction.abs(), torch.full_like(VALUE, scale_of(VALUE)))
    assert torch.equal(uneven.direction.abs(), VALUE.abs())
    assert (even.proportional, uneven.proportional) == (False, True)
    many = torch.ones(1000)
    (line,) = random_lines(many, 1, 0, many > 0)
    assert 400 < int((line.direction > 0).sum()) < 600


def test_random_lines_repeat_with_their_seed():
    """And differ with another."""
    many = torch.ones(100)
    lines = [next(random_lines(many, 1, seed, many > 0)).direction for seed in (0, 0, 1)]
    assert torch.equal(lines[0], lines[1])
    assert not torch.equal(lines[0], lines[2])


def test_elements_that_may_not_move():
    """Stay on every line."""
    for line in random_lines(VALUE, 4, 0, VALUE != 3.0):
        assert line.direction[0, 0] == 0.0


def test_part_of_a_line():
    """The other elements stay."""
    line = Line(torch.tensor([[1.0, -1.0], [1.0, 1.0]]), 1.0)
    assert line.part(1, 3).direction.tolist() == [[0.0, -1.0], [1.0, 0.0]]


def test_the_numbers_of_a_derivative():
    """The sum of its terms, that of their magnitudes, and the length of the line."""
    line = Line(torch.tensor([3.0, 4.0]), 1.0)
    assert summed(torch.tensor([1.0, -2.0], dtype=torch.float64), line).tolist() == [-1.0, 3.0, 5.0]
