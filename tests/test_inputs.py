"""The inputs of a case: a seed means the same ones everywhere, rounded once; what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
import torch.utils.checkpoint

from gradverify import verify
from gradverify.errors import EmptyTensor, InvalidInputs
from gradverify.evaluation import draw_cotangents, run_forward
from gradverify.trace import values_of
from passes import Square, drawn, first_line


class Mixed(Square):
    """Inputs of every kind."""

    def inputs(self, generator):
        return {
            "x": torch.randn(2, generator=generator, dtype=torch.float64),
            "w": torch.randn(2, generator=generator).bfloat16(),
            "i": torch.tensor([1, 0]),
            "m": torch.tensor([True, False]),
            "none": None,
        }


def test_inputs_are_rounded_to_the_working_dtype():
    """Floating ones; integers, booleans and None pass through; constants are not differentiated."""
    inputs = drawn(Mixed(), constants={"w"})
    assert {name: getattr(value, "dtype", None) for name, value in inputs.values.items()} == {
        "x": torch.float32,
        "w": torch.float32,
        "i": torch.int64,
        "m": torch.bool,
        "none": None,
    }
    assert inputs.differentiated == {"x"}
    assert all(value is None or not value.requires_grad for value in inputs.values.values())


def test_the_float64_pass_sees_the_inputs_after_they_were_rounded():
    """Else the reference would be that of other inputs."""
    case = Square()
    inputs = drawn(case, torch.bfloat16)
    x = values_of(run_forward(case, inputs, torch.float64).trace)["x"]
    assert x.dtype == torch.float64
    assert torch.equal(x, inputs.values["x"].double())
    assert x.data_ptr() != inputs.values["x"].data_ptr()


def test_a_constant_on_the_case_is_rounded_as_the_inputs_are():
    """Else the float64 reference would be that of another function."""

    class Scaled(Square):
        scale = torch.tensor(0.1)

        def forward(self, t):
            t.y = t.x * self.scale
            return t.y

    inputs = drawn(Scaled(), torch.bfloat16)
    for dtype in (torch.bfloat16, torch.float64):
        scale = run_forward(Scaled(), inputs, dtype).case.scale
        assert scale.dtype == dtype
        assert scale.item() == torch.tensor(0.1, dtype=torch.bfloat16).item()


def test_a_seed_means_the_same_inputs_and_cotangents():
    """And another seed others."""

    class Vector(Square):
        def forward(self, t):
            t.y = t.x**2
            return t.y

    def draw(seed):
        inputs = drawn(Vector(), seed=seed)
        return inputs.values["x"], draw_cotangents(inputs, run_forward(Vector(), inputs, torch.float32))["y"]

    (x, y), (same_x, same_y), (other_x, other_y) = draw(1), draw(1), draw(2)
    assert torch.equal(x, same_x)
    assert torch.equal(y, same_y)
    assert not torch.equal(x, other_x)
    assert not torch.equal(y, other_y)


def test_a_default_device_of_the_users_changes_nothing():
    """The generator is on the CPU, wherever else they work."""

    class Vector(Square):
        def forward(self, t):
            t.y = t.x**2
            return t.y

        def backward(self, t, d):
            d.x = 2 * t.x * d.y

    with torch.device("meta"):
        report = verify(Vector)
    assert report.passed, str(report)
    with torch.no_grad():
        assert verify(Vector).passed


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        (None, InvalidInputs, "inputs returned None; expected a mapping such as {'x': x}"),
        ([torch.ones(1)], InvalidInputs, "inputs returned a list; expected a mapping"),
        (torch.ones(1), InvalidInputs, "inputs returned a float32 tensor; expected a mapping"),
        ({"x": 3.0}, InvalidInputs, "inputs: 'x' is 3.0, expected a tensor: torch.tensor(...) makes one"),
        ({"x": [1.0]}, InvalidInputs, "inputs: 'x' is a list, expected a tensor"),
        ({3: torch.ones(1)}, InvalidInputs, "inputs: a name is a string, got 3"),
        ({"x": torch.ones(1) + 0j}, InvalidInputs, "inputs: 'x' is complex; "),
        ({"x": torch.eye(2).to_sparse()}, InvalidInputs, "inputs: 'x' is sparse_coo; pass its values and indices"),
        ({"x": torch.ones(0, 3)}, EmptyTensor, "inputs: 'x' has no elements (shape (0, 3)), so that nothing"),
        ({"i": torch.ones(1, dtype=torch.int64)}, InvalidInputs, "no input has a gradient: at least one must be a flo"),
        ({}, InvalidInputs, "no input has a gradient: at least one must be a floating tensor that is not in `constan"),
        ({"none": None}, InvalidInputs, "no input has a gradient"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(returned, kind, message):
    """At the definition of `inputs`, with what came."""

    class Bad(Square):
        def inputs(self, generator):
            return returned

    with pytest.raises(kind) as caught:
        drawn(Bad())
    assert caught.value.message.startswith(message)
    assert (caught.value.case, caught.value.location.line) == ("Bad", first_line(Bad.inputs))


def test_constants_name_inputs():
    """And leave at least one to differentiate."""
    with pytest.raises(InvalidInputs, match="`constants` names 'mask', which is no input; inputs: x"):
        drawn(Square(), constants={"mask"})
    with pytest.raises(InvalidInputs, match=r"no input has a gradient: .*; got x \(a float32 tensor\)"):
        drawn(Square(), constants={"x"})
