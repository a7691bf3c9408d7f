"""Two tensors, block by block: the same numbers as element by element, in little memory and without waiting."""

from __future__ import annotations

import math
import struct
from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from gradverify import block, magnitude
from gradverify.comparison import Distance, compare, count_above, distance, worst_element
from gradverify.errors import NotATensor, UsageError
from gradverify.spacing import BITS

NAN, INF = math.nan, math.inf
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
PATTERNS = {torch.float64: ("d", "q"), torch.float32: ("f", "i"), torch.float16: ("e", "h")}

# The ways through the module, each forced upon tensors of a few elements.
WAYS = {
    "as lists": (256, {}),
    "as one block": (0, {}),
    "as many blocks": (0, {"_BLOCK_BYTES": 40, "_PIECE": 3}),
    "as on an accelerator": (256, {"_is_free_to_read": lambda _: False, "_BLOCK_BYTES": 40, "_DEVICE_PIECE": 3}),
}


pytestmark = pytest.mark.usefixtures("one_thread")


every_way = pytest.mark.parametrize("way", WAYS)


@contextmanager
def going(way):
    few, cut = WAYS[way]
    with patch.object(magnitude, "_FEW", few), patch.multiple(block, **cut) if cut else nullcontext():
        yield


# What the module computes, element by element in Python.


def ordered(value: float, dtype: torch.dtype) -> int:
    """The place of a number among all numbers of its dtype; 0 for both zeros."""
    if not dtype.is_floating_point:
        return int(value)
    if dtype is torch.bfloat16:
        bits = struct.unpack("i", struct.pack("f", value))[0] >> 16
        sign, magnitude = bits < 0, bits & 0x7FFF
    else:
        real, integer = PATTERNS[dtype]
        bits = struct.unpack(integer, struct.pack(real, value))[0]
        sign, magnitude = bits < 0, bits & (2 ** (8 * struct.calcsize(integer) - 1) - 1)
    return -magnitude if sign else magnitude


def difference(a: float, b: float, work: torch.dtype) -> float:
    if a == b:
        return 0.0
    exact = abs(a - b)
    if not work.is_floating_point:
        return float(exact)
    rounded = (torch.tensor(a, dtype=work) - torch.tensor(b, dtype=work)).abs().item()
    return rounded if math.isfinite(rounded) else exact


def by_element(candidate, reference):
    """Every number of a Comparison of two tensors of one shape, but its index."""
    common = torch.promote_types(candidate.dtype, reference.dtype)
    work = torch.promote_types(common, torch.float32) if common.is_floating_point else torch.int64
    pairs = list(zip(candidate.to(common).flatten().tolist(), reference.to(common).flatten().tolist(), strict=True))
    finite = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    differences = [difference(a, b, work) for a, b in pairs]
    differing = sum(a != b for a, b in pairs)
    scale = norm([b for _, b in finite])
    error = norm([difference(a, b, work) for a, b in finite])
    return {
        "exact": candidate.dtype == reference.dtype and not differing,
        "approximate": torch.allclose(candidate.to(common), reference.to(common)),
        "maxdiff": NAN if any(map(math.isnan, differences)) else max(differences, default=0.0),
        "max_ulp": max((abs(ordered(a, common) - ordered(b, common)) for a, b in finite), default=0)
        if candidate.dtype == reference.dtype
        else None,
        "relative_error": error / scale if scale else (INF if error else 0.0),
        "differing": differing,
        "candidate_nonfinite": sum(not math.isfinite(a) for a, _ in pairs),
        "reference_nonfinite": sum(not math.isfinite(b) for _, b in pairs),
    }


def norm(values: list[float]) -> float:
    return math.hypot(*map(float, values))


def same(one, other, tolerance=0.0):
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other)) or abs(one - other) <= tolerance * abs(other)
    return one == other


def assert_by_element(candidate, reference):
    seen = compare(candidate, reference)
    for field, expected in by_element(candidate, reference).items():
        # Blocks of float32 are added up in float32.
        tolerance = 1e-3 if field == "relative_error" else 0.0
        assert same(getattr(seen, field), expected, tolerance), (field, getattr(seen, field), expected)
    if seen.numel == 0:
        assert seen.index is None
        return
    a, b = candidate[seen.index].item(), reference[seen.index].item()
    assert same(seen.candidate, float(a))
    assert same(seen.reference, float(b))
    common = torch.promote_types(candidate.dtype, reference.dtype)
    work = torch.promote_types(common, torch.float32) if common.is_floating_point else torch.int64
    a, b = (value.to(common).item() for value in (candidate[seen.index], reference[seen.index]))
    assert same(difference(a, b, work), seen.maxdiff)


# Tensors to compare.

SCALES = (1.0, 1e-30, 1e30, 1e-300)
SPECIAL = (
    NAN,
    INF,
    -INF,
    0.0,
    -0.0,
    1.0,
    -1.0,
    3.4e38,
    -3.4e38,
    65504.0,
    1e-45,
    -1e-45,
    6e-8,
    1e-8,
    1e300,
    -1e308,
    5e-324,
)


def reversed_order(values):
    return values.permute(tuple(range(values.dim()))[::-1])


LAYOUTS = {
    "contiguous": lambda values: values,
    "transposed": lambda values: reversed_order(reversed_order(values).contiguous()),
    "sliced": lambda values: torch.stack([values, values], dim=-1)[..., 1],
    "expanded": lambda values: values.select(0, 0).expand(values.shape) if values.numel() and values.dim() else values,
    "negated": lambda values: torch.complex(values, -values).conj().imag if values.dtype in FLOATS[:2] else values,
}


@st.composite
def pairs(draw, dtypes):
    """Two tensors of one shape: equal, off by rounding, or nothing alike; some special values; any two layouts."""
    shape = draw(st.lists(st.integers(0, 6), max_size=4))
    dtype = draw(st.sampled_from(dtypes))
    other = draw(st.sampled_from((dtype, dtype, *dtypes)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    values, noise = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    # Integers from 0 to 99, which every dtype holds.
    values = values * draw(st.sampled_from(SCALES)) if dtypes is FLOATS else (values * 300).trunc() % 100
    reference = values.to(dtype)
    candidate = (reference.double() * (1 + noise * draw(st.sampled_from((0.0, 2e-7, 0.1))))).to(other)
    for tensor in (candidate, reference):
        special = SPECIAL if tensor.dtype in FLOATS else (0, 1, 99)
        places = st.integers(0, max(0, tensor.numel() - 1))
        for place in draw(st.lists(places, max_size=2)) if tensor.numel() else ():
            tensor.view(-1)[place] = torch.tensor(draw(st.sampled_from(special)), dtype=torch.float64)
    return tuple(LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](tensor) for tensor in (candidate, reference))


def drawn_from(dtypes, examples):
    """Run a test on drawn pairs, in every way through the module."""

    def decorate(test):
        return every_way(settings(max_examples=examples, deadline=None)(given(pair=pairs(dtypes))(test)))

    return decorate


# Comparisons.


@drawn_from(FLOATS, examples=40)
def test_floats_are_compared_as_element_by_element(way, pair):
    """Whatever their layouts, precisions and special values, and however they are cut."""
    with going(way):
        assert_by_element(*pair)


@drawn_from((*INTEGERS, torch.float32), examples=20)
def test_integers_are_compared_as_element_by_element(way, pair):
    """With each other and with floats."""
    with going(way):
        assert_by_element(*pair)


@every_way
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_ulp_in_one_element_is_seen(way, dtype):
    """Wherever it is: nothing falls between two blocks."""
    reference = torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    with going(way):
        assert compare(reference.clone(), reference).exact
        for place in range(reference.numel()):
            candidate = reference.clone()
            candidate.view(-1).view(BITS[dtype])[place] += 1
            seen = compare(candidate, reference)
            assert (seen.exact, seen.differing, seen.max_ulp) == (False, 1, 1)
            assert seen.index == (place // 8, place % 8)


LARGEST = {dtype: torch.finfo(dtype).max for dtype in FLOATS}

# dtype, candidate, reference -> maxdiff, max_ulp, exact
ELEMENTS = {
    "zeros of both signs are equal": (torch.float32, -0.0, 0.0, 0.0, 0, True),
    "subnormal neighbours": (torch.float32, 2.0**-149, 0.0, 2.0**-149, 1, False),
    "subnormals of unlike signs": (torch.float64, -5e-324, 5e-324, 1e-323, 2, False),
    "equal numbers of unlike signs": (torch.float32, 1.0, -1.0, 2.0, 2 * 0x3F800000, False),
    "equal infinities": (torch.float32, INF, INF, 0.0, 0, True),
    "infinities of unlike signs": (torch.float16, -INF, INF, INF, 0, False),
    "an infinite candidate": (torch.bfloat16, INF, 1.0, INF, 0, False),
    "an infinite reference": (torch.float64, 1.0, -INF, INF, 0, False),
    "nan equals nothing": (torch.float32, NAN, NAN, NAN, 0, False),
    "a nan candidate": (torch.float64, NAN, 1.0, NAN, 0, False),
    "half numbers whose difference overflows": (torch.float16, 65504.0, -65504.0, 131008.0, 2 * 0x7BFF, False),
    "float numbers whose difference overflows": (
        torch.float32,
        LARGEST[torch.float32],
        -LARGEST[torch.float32],
        2 * LARGEST[torch.float32],
        2 * 0x7F7FFFFF,
        False,
    ),
    "double numbers whose difference overflows": (
        torch.float64,
        LARGEST[torch.float64],
        -LARGEST[torch.float64],
        INF,
        2 * 0x7FEFFFFFFFFFFFFF,
        False,
    ),
    "the ends of the integers": (torch.int64, -(2**63), 2**63 - 1, 2.0**64, 2**64 - 1, False),
    "integers that float64 confuses": (torch.int64, 2**60 + 1, 2**60, 1.0, 1, False),
    "truth": (torch.bool, True, False, 1.0, 1, False),
}


@every_way
@pytest.mark.parametrize("neighbours", [0, 6])
@pytest.mark.parametrize("element", ELEMENTS)
def test_one_element_among_equal_ones(way, neighbours, element):
    """maxdiff, max_ulp and exact of a pair of numbers, alone and between numbers that are equal."""
    dtype, a, b, maxdiff, max_ulp, exact = ELEMENTS[element]
    candidate, reference = (
        torch.tensor([1] * neighbours + [value] + [1] * neighbours, dtype=dtype) for value in (a, b)
    )
    with going(way):
        seen = compare(candidate, reference)
    assert same(seen.maxdiff, maxdiff)
    assert (seen.max_ulp, seen.exact, seen.differing) == (max_ulp, exact, int(not exact))
    assert maxdiff == 0 or seen.index == (neighbours,)
    assert seen.candidate_nonfinite == int(dtype.is_floating_point and not math.isfinite(a))
    assert seen.reference_nonfinite == int(dtype.is_floating_point and not math.isfinite(b))


@every_way
def test_one_distant_element_is_enough(way):
    """Among others that are only off by an ulp."""
    reference = torch.arange(1.0, 41.0)
    near = torch.nextafter(reference, torch.tensor(INF))
    with going(way):
        assert compare(near, reference).approximate
        for place in range(40):
            candidate = near.clone()
            candidate[place] += 1
            assert not compare(candidate, reference).approximate


@every_way
@pytest.mark.parametrize("dtype", FLOATS)
def test_approximate_is_what_allclose_says(way, dtype):
    """At the border of its tolerance too, and wherever the element is that decides."""
    verdicts = set()
    for value in (0.0, 1e-5, 1e-3, 1.0, 1000.0):
        for share in (0.2, 0.45, 0.55, 0.99, 1.01, 2000):
            for place in (0, 39):
                reference = torch.linspace(-value, value, 40).to(dtype)
                reference[place] = value
                candidate = reference.clone()
                candidate[place] += share * (1e-8 + 1e-5 * value)
                expected = torch.allclose(candidate, reference)
                with going(way):
                    assert compare(candidate, reference).approximate is expected, (value, share, place)
                verdicts.add(expected)
    assert verdicts == {True, False}


def test_negative_zero_is_never_printed():
    """Not even where zeros of different sign and precision are subtracted."""
    seen = compare(torch.full((3,), -0.0), torch.zeros(3).double())
    assert str(seen.maxdiff) == "0.0"
    assert str(distance(torch.full((3,), -0.0), torch.zeros(3)).error) == "0.0"


@pytest.mark.parametrize("numel", [3, 3000])
@pytest.mark.parametrize("scale", [1e-40, 1e-25, 4e-23, 1e19, 1e38])
def test_relative_errors_neither_underflow_nor_overflow(numel, scale):
    """Squares of these float32 numbers do."""
    reference = torch.full((numel,), scale)
    candidate = reference * 1.5
    assert compare(candidate, reference).relative_error == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("shapes", [((1, 1), (1,)), ((3,), (3, 1)), ((), (1,)), ((0,), (0, 2)), ((4, 5), (5, 4))])
def test_shapes_that_differ_are_not_compared(shapes):
    """Equal numbers do not matter: nothing is broadcast."""
    seen = compare(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
    assert (seen.candidate_shape, seen.shape) == shapes
    assert (seen.exact, seen.approximate, seen.max_ulp, seen.index) == (False, False, None, None)
    assert all(map(math.isnan, (seen.maxdiff, seen.candidate, seen.reference, seen.relative_error)))
    assert compare(torch.zeros(shapes[1]), torch.zeros(shapes[1])).exact


def test_dtypes_that_differ_are_compared_but_not_exact():
    seen = compare(torch.ones(3), torch.ones(3, dtype=torch.float64))
    assert (seen.candidate_dtype, seen.dtype) == ("float32", "float64")
    assert (seen.exact, seen.approximate, seen.maxdiff, seen.differing, seen.max_ulp) == (False, True, 0.0, 0, None)
    assert compare(torch.ones(3), torch.ones(3)).exact


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3)])
def test_nothing_equals_nothing(shape):
    seen = compare(torch.zeros(shape), torch.zeros(shape))
    assert (seen.exact, seen.approximate, seen.maxdiff, seen.index, seen.numel) == (True, True, 0.0, None, 0)
    assert (seen.max_ulp, seen.relative_error, seen.differing) == (0, 0.0, 0)
    assert math.isnan(seen.candidate)


@every_way
def test_tensors_that_require_grad_are_compared(way):
    leaf = torch.ones(40, requires_grad=True)
    with going(way):
        assert compare(leaf * 2, torch.full((40,), 2.0)).exact
        assert distance(leaf * 2, leaf).error == 1.0
        assert count_above(leaf * 2, 1.0) == (40, 40)


# Distances.


def distance_by_element(candidate, reference):
    pairs = list(zip(candidate.double().flatten().tolist(), reference.double().flatten().tolist(), strict=True))
    known = [(a, b) for a, b in pairs if math.isfinite(b)]
    errors = [abs(a - b) if math.isfinite(a) else INF for a, b in known]
    root = math.sqrt(max(1, len(known)))
    return Distance(
        error=max(errors, default=0.0),
        scale=max((abs(b) for _, b in known), default=0.0),
        rms_error=norm(errors) / root,
        rms_scale=norm([b for _, b in known]) / root,
        left_out=len(pairs) - len(known),
        nonfinite=sum(not math.isfinite(a) for a, _ in known),
    )


@drawn_from((*FLOATS, torch.int32), examples=20)
def test_distances_are_those_element_by_element(way, pair):
    """In float64 whatever the precisions; elements whose reference is not finite are left out."""
    with going(way):
        seen, expected = distance(*pair), distance_by_element(*pair)
    for field, value in vars(expected).items():
        tolerance = 1e-3 if field.startswith("rms") else 0.0
        assert same(getattr(seen, field), value, tolerance), (field, seen, expected)


@drawn_from((*FLOATS, torch.int32), examples=20)
def test_the_worst_element_is_where_the_error_is(way, pair):
    """Its index and both values; None where no reference is finite."""
    candidate, reference = pair
    with going(way):
        found, error = worst_element(candidate, reference), distance(candidate, reference).error
    if found is None:
        assert not reference.double().isfinite().any()
        return
    index, a, b = found
    assert same(a, float(candidate[index]))
    assert b == float(reference[index])
    assert (abs(a - b) if math.isfinite(a) else INF) == error


@drawn_from((*FLOATS, torch.int32), examples=15)
def test_elements_above_a_threshold_are_counted(way, pair):
    """Among those that are finite and not zero."""
    magnitudes = [abs(value) for value in pair[0].double().flatten().tolist() if math.isfinite(value) and value]
    for threshold in (0.0, *magnitudes[:2]):
        with going(way):
            counts = count_above(pair[0], threshold)
        assert counts == (sum(value > threshold for value in magnitudes), len(magnitudes))


def test_an_error_of_a_float32_candidate_is_measured_in_float64():
    reference = torch.tensor([1 / 3], dtype=torch.float64)
    assert distance(reference.float(), reference).error == abs(float(reference.float()) - 1 / 3) > 0
    assert distance(reference.float(), reference.float()).error == 0.0


# What cannot be compared.

TENSOR = torch.ones(3)
REFUSED = {
    "a float": (
        0.5,
        TENSOR,
        NotATensor,
        "the candidate must be a tensor, not a float: make it one with torch.as_tensor",
    ),
    "None": (TENSOR, None, NotATensor, "the reference must be a tensor, not None: make it one with torch.as_tensor"),
    "a sparse tensor": (
        TENSOR.to_sparse(),
        TENSOR,
        UsageError,
        "the candidate must be dense, but is torch.sparse_coo: give its .to_dense()",
    ),
    "complex numbers": (
        TENSOR,
        TENSOR * 1j,
        UsageError,
        "the reference is torch.complex64, which is not compared: give torch.view_as_real of both",
    ),
    "a dtype without arithmetic": (
        TENSOR.to(torch.float8_e4m3fn),
        TENSOR,
        UsageError,
        "the candidate is torch.float8_e4m3fn, which is not compared: give both as float32 or int64",
    ),
    "two devices": (
        TENSOR,
        TENSOR.to("meta"),
        UsageError,
        "both must be on one device, but the candidate is on cpu, the reference on meta: move one with .to(device)",
    ),
}


@pytest.mark.parametrize("function", [compare, distance, worst_element])
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_compared_is_refused(function, what):
    """With what came, and how to mend it."""
    candidate, reference, error, message = REFUSED[what]
    with pytest.raises(error) as caught:
        function(candidate, reference)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError) == (error is NotATensor)


@pytest.mark.parametrize("function", [distance, worst_element])
def test_distances_are_between_tensors_of_one_shape(function):
    with pytest.raises(UsageError) as caught:
        function(torch.zeros(1, 1), torch.zeros(1))
    assert (
        str(caught.value)
        == "both must have one shape, but the candidate's is (1, 1), the reference's (1,): reshape one"
    )
    function(torch.zeros(1), torch.zeros(1))


# What it costs.

LIMIT = 16 * 2**20
SHAPE = (2000, 3000)  # 24 MB of float32: one copy is more than the limit
LARGE = {
    "contiguous": lambda: torch.ones(SHAPE),
    "transposed": lambda: torch.ones(SHAPE[::-1]).t(),
    "sliced": lambda: torch.ones(*SHAPE, 2)[:, :, 1],
    "expanded": lambda: torch.ones(SHAPE[0], 1).expand(SHAPE),
    "of half precision": lambda: torch.ones(SHAPE[::-1], dtype=torch.bfloat16).t(),
    "of double precision": lambda: torch.ones(SHAPE[::-1], dtype=torch.float64).t(),
    "of integers": lambda: torch.ones(SHAPE, dtype=torch.int64),
    "half of it nan": lambda: torch.ones(SHAPE).index_fill_(0, torch.arange(0, SHAPE[0], 2), NAN),
    "nowhere near": lambda: torch.full(SHAPE, -1.0),
}


def peak_of(function, *arguments):
    """The most bytes of tensors that a call holds at one time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        function(*arguments)
    held = highest = 0
    events = (event for event in run.profiler.kineto_results.events() if event.name() == "[memory]")
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest


@pytest.mark.parametrize("candidate", LARGE)
def test_memory_does_not_grow_with_the_tensors(candidate):
    """Whatever their layouts, and in whichever order they are given."""
    one, other = LARGE[candidate](), torch.ones(SHAPE)
    assert peak_of(compare, one, other) < LIMIT
    assert peak_of(distance, other, one) < LIMIT


@pytest.mark.parametrize("candidate", ["transposed", "of double precision"])
def test_memory_of_an_accelerator_does_not_grow_with_the_tensors(candidate, monkeypatch):
    monkeypatch.setattr(block, "_is_free_to_read", lambda _: False)
    one, other = LARGE[candidate](), torch.ones(SHAPE)
    assert peak_of(compare, one, other) < LIMIT
    assert peak_of(distance, other, one) < LIMIT


def test_memory_of_a_count_does_not_grow_with_the_tensor():
    assert peak_of(count_above, LARGE["transposed"](), 0.5) < LIMIT
    assert peak_of(count_above, LARGE["half of it nan"](), 2.0) < LIMIT


def test_memory_of_a_copy_would_be_seen():
    assert peak_of(lambda tensor: tensor.contiguous(), LARGE["transposed"]()) > LIMIT


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for an accelerator."""

    OPERATIONS = (
        "aten::_local_scalar_dense",
        "aten::nonzero",
        "aten::equal",
        "aten::is_nonzero",
        "aten::masked_select",
    )

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function._schema.name in self.OPERATIONS
        return function(*args, **(kwargs or {}))


def waits_of(function, *arguments):
    """How often a call reads a tensor; `tolist` reads without an operation."""
    read = torch.Tensor.tolist
    with Waits() as waits, patch.object(torch.Tensor, "tolist", lambda tensor: lists.append(1) or read(tensor)):
        lists = []
        function(*arguments)
    return waits.count + len(lists)


@every_way
def test_an_accelerator_is_waited_for_once(way):
    """However many blocks there are; reading the CPU is free."""
    one, other = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    for candidate, reference in ((one, other), (one.t(), other.t().contiguous()), (one / 0, other)):
        with going(way):
            counts = {
                waits_of(compare, candidate, reference),
                waits_of(distance, candidate, reference),
                waits_of(worst_element, candidate, reference),
                waits_of(count_above, candidate, 0.5),
            }
        assert counts == {1} if way == "as on an accelerator" else max(counts) > 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_accelerator_says_what_the_cpu_says():
    for make in LARGE.values():
        one, other = make(), torch.full(SHAPE, 1.0 + 2.0**-20)
        here, there = compare(one, other), compare(one.cuda(), other.cuda())
        for field, value in vars(here).items():
            assert field == "index" or same(getattr(there, field), value, 1e-3), field
        assert vars(distance(one.cuda(), other.cuda())) == pytest.approx(vars(distance(one, other)))
        assert count_above(one.cuda(), 0.5) == count_above(one, 0.5)


def test_zeros_that_have_no_memory():
    """What autograd gives for the gradient of a sign; read element by element it raises."""
    zeros = torch._efficientzerotensor((3,), dtype=torch.float64)
    assert torch._is_zerotensor(zeros)
    assert compare(zeros, torch.zeros(3).double()).exact
    assert compare(torch.ones(3).double(), zeros).maxdiff == 1.0
