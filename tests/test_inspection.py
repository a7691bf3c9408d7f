"""Details of a gradient: where its error is, how large the errors are, the source around its statement."""

import dataclasses
import math

import pytest
import torch

from gradverify import Case, inspection, verify
from gradverify.inspection import SIDE, count_ulps, map_errors
from gradverify.location import Location, excerpt
from gradverify.verdict import Origin


class Chain(Case):
    """Two mistakes, of which the second hides behind the first; x only inherits."""

    __test__ = False  # no case of this module: it fails

    rows: int = 100
    columns: int = 30

    def inputs(self, generator):
        return {"x": torch.randn(self.rows, self.columns, generator=generator)}

    def forward(self, t):
        t.y = t.x.tanh()
        t.z = t.y * t.y
        t.loss = t.z.sum()
        return t.loss

    def backward(self, t, d):
        d.z = d.loss.expand_as(t.z)
        wrong = 2 * t.y * d.z
        wrong[40:60, 10] = 0  # planted
        d.y = wrong
        d.x = d.y * (1 - t.y**2)


@pytest.mark.parametrize(
    ("shape", "split", "extent", "tile"),
    [
        ((), 0, (1, 1), (1, 1)),
        ((5,), 0, (1, 5), (1, 1)),
        ((64,), 0, (1, 64), (1, 1)),
        ((65,), 0, (1, 65), (1, 2)),
        ((10, 1), 1, (10, 1), (1, 1)),
        ((100, 200), 1, (100, 200), (2, 4)),
        ((8, 16, 32, 30), 2, (128, 960), (2, 15)),
        ((2, 3, 1, 7, 5), 2, (6, 35), (1, 1)),
        ((1, 1, 1), 1, (1, 1), (1, 1)),
    ],
)
def test_a_tensor_of_any_rank_becomes_a_grid_of_at_most_64_by_64(shape, split, extent, tile):
    """As square as it can be; the last tiles may hold fewer elements."""
    found = map_errors(torch.zeros(shape), torch.zeros(shape))
    assert (found.split, found.extent, found.tile) == (split, extent, tile)
    height, width = (math.ceil(length / step) for length, step in zip(extent, tile, strict=True))
    assert len(found.cells) == height <= SIDE
    assert {len(row) for row in found.cells} == {width}
    assert width <= SIDE
    assert not any(map(any, found.cells))


@pytest.mark.parametrize("piece", [inspection._PIECE, 7])
@pytest.mark.parametrize("order", ["contiguous", "transposed", "expanded"])
def test_an_error_is_in_the_tile_that_holds_its_element(order, piece, monkeypatch):
    """Planted one at a time, whatever the layout, and however little is looked at in one go."""
    monkeypatch.setattr(inspection, "_PIECE", piece)
    reference = torch.randn(3, 50, 4, 45, generator=torch.Generator().manual_seed(1))
    if order == "transposed":
        reference = reference.transpose(0, 3).transpose(1, 2)
    elif order == "expanded":
        reference = reference[:, :, :1].expand(3, 50, 4, 45)
    columns = math.prod(reference.shape[2:])
    for index in [(0, 0, 0, 0), (2, 3, 3, 2), tuple(size - 1 for size in reference.shape)]:
        candidate = reference.clone()
        candidate[index] += 3
        found = map_errors(candidate, reference)
        assert found.split == 2
        row = index[0] * reference.shape[1] + index[1]
        column = index[2] * reference.shape[3] + index[3]
        hot = [(i, j) for i, cells in enumerate(found.cells) for j, cell in enumerate(cells) if cell]
        assert hot == [(row // found.tile[0], column // found.tile[1])]
        assert found.cells[hot[0][0]][hot[0][1]] == pytest.approx(3, rel=1e-2)
        assert found.extent[1] == columns


def test_what_is_not_finite_is_seen_where_the_reference_is():
    """Infinity where the candidate alone is not finite, nothing where the reference is not."""
    reference = torch.tensor([1.0, 1.0, math.inf, math.nan, 2.0])
    candidate = torch.tensor([math.nan, -math.inf, 1.0, math.nan, 2.5])
    assert map_errors(candidate, reference).cells == ((math.inf, math.inf, 0.0, 0.0, 0.5),)


def test_a_tensor_without_elements_has_no_map():
    assert map_errors(torch.zeros(0, 3), torch.zeros(0, 3)) is None
    assert count_ulps(torch.zeros(0, 3), torch.zeros(0, 3)) == ()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_errors_are_counted_by_their_size_in_ulp(dtype):
    """0, 1, 2 to 3, 4 to 7; what is not finite is left out."""
    reference = torch.ones(9, dtype=dtype)
    eps = torch.finfo(dtype).eps
    steps = torch.tensor([0, 0, 1, 2, 3, 4, 7, 0, 0])
    candidate = (reference.double() + steps * eps).to(dtype)
    candidate[7], candidate[8] = math.nan, math.inf
    assert count_ulps(candidate, reference) == (2, 1, 2, 2)


def test_the_largest_differences_have_a_bin():
    """From the smallest number to the largest, and on both sides of zero."""
    largest = torch.finfo(torch.float64).max
    counts = count_ulps(torch.tensor([-largest], dtype=torch.float64), torch.tensor([largest], dtype=torch.float64))
    assert len(counts) == 65
    assert sum(counts) == counts[-1] == 1


def test_a_run_that_is_not_asked_has_no_details():
    report = verify(Chain)
    assert not report.passed
    assert all(row.details is None for row in report.rows)


def test_an_introduced_error_has_a_map_and_its_source():
    """The rows and the column of the planted mistake, and the statement among its neighbours."""
    report = verify(Chain, detailed=True)
    row = report["y"]
    assert row.origin is Origin.INTRODUCED
    found = row.details.heat_map
    assert (found.split, found.extent, found.tile) == (1, (100, 30), (2, 1))
    wrong = [
        (i, j) for i, cells in enumerate(found.cells) for j, cell in enumerate(cells) if not cell <= row.worst.allowed
    ]
    assert wrong == [(i, 10) for i in range(20, 30)]
    context = row.details.context
    assert context.lines[context.start - context.first].strip() == "d.y = wrong"
    assert context.start == context.end == row.line
    assert context.lines[0].strip() == "def backward(self, t, d):"
    assert context.lines[-1].strip() == "d.x = d.y * (1 - t.y**2)"


def test_inherited_and_right_gradients_have_a_histogram_alone():
    report = verify(Chain, detailed=True)
    for name in ("z", "x"):
        details = report[name].details
        assert details.heat_map is None
        assert details.context is None
        assert sum(details.ulps) == 3000
    assert report["x"].origin is Origin.INHERITED
    assert report["z"].details.ulps == (3000,)


def test_details_change_nothing_else():
    plain, detailed = verify(Chain), verify(Chain, detailed=True)
    assert tuple(dataclasses.replace(row, details=None) for row in detailed.rows) == plain.rows


def test_an_error_of_the_working_precision_alone_is_mapped_there():
    """In float64 there is nothing to see."""

    class Cancelling(Chain):
        def backward(self, t, d):
            d.z = d.loss.expand_as(t.z)
            d.y = 2 * t.y * d.z
            d.x = d.y * (1 - t.y**2)
            d.x[3] = (d.x[3] + 1e6) - 1e6

    row = verify(Cancelling, detailed=True)["x"]
    assert not row.passed
    cells = row.details.heat_map.cells
    assert max(map(max, cells)) > 1e-3
    assert max(cells[1]) == max(map(max, cells))


def test_another_shape_has_its_source_and_no_map():
    class Flat(Chain):
        def backward(self, t, d):
            d.z = d.loss.expand_as(t.z)
            d.y = (2 * t.y * d.z).flatten()
            d.x = d.y.view_as(t.x) * (1 - t.y**2)

    details = verify(Flat, detailed=True)["y"].details
    assert details.heat_map is None
    assert details.ulps is None
    assert details.context is not None


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        wrong = 2 * x * dy
        wrong[5] = 0  # planted
        return wrong


def test_a_candidate_has_details_too():
    """A map of the gradient, the lines where its backward begins; nothing where they are not asked for."""
    x = torch.randn(70, 3, generator=torch.Generator().manual_seed(2))
    arguments = {"inputs": {"x": x}, "reference": lambda x: x * x}
    row = verify(Square.apply, **arguments, detailed=True)["x"]
    assert not row.passed
    hot = {i for i, cells in enumerate(row.details.heat_map.cells) if max(cells) > row.worst.allowed}
    assert hot == {2}
    assert any("def backward(ctx, dy):" in line for line in row.details.context.lines)
    assert sum(row.details.ulps) == 210
    assert verify(Square.apply, **arguments)["x"].details is None


def test_the_lines_around_a_statement(tmp_path):
    """All of a statement of several lines, without blank ones at the edges, and no further than the file goes."""
    file = tmp_path / "some.py"
    file.write_text("a = 1\n\n\nb = (\n    2\n)\n\nc = 3\n", encoding="utf-8")
    whole = excerpt(Location(str(file), 5, "f"), 3)
    assert whole == (1, ("a = 1", "", "", "b = (", "    2", ")", "", "c = 3"), 4, 6)
    assert excerpt(Location(str(file), 4, "f"), 1) == (4, ("b = (", "    2", ")"), 4, 6)
    assert excerpt(Location(str(file), 1, "f"), 0) == (1, ("a = 1",), 1, 1)
    assert excerpt(Location(str(file), 99, "f"), 3) is None
    assert excerpt(Location("nowhere.py", 1, "f"), 3) is None
