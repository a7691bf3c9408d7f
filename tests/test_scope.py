"""The state in which a case's own code runs, and how what it raises is told."""

from __future__ import annotations

import functools
import sys

import pytest
import torch

from gradverify import Case
from gradverify.capture import CaptureGuard
from gradverify.errors import CapturedTensor, CaseRaised, GradverifyError, NotATensor, UsageError
from gradverify.location import UNKNOWN
from gradverify.scope import code_of, defined_at, dtype_name, own_copy, user_code, user_traceback
from test_location import in_package, in_torch

CPU, META = torch.device("cpu"), torch.device("meta")


class Net(Case):
    """A case that is never run as a whole."""

    __test__ = False

    n: int = 3

    def inputs(self, generator): ...

    def forward(self, t): ...

    def backward(self, t, d): ...


def line(offset: int = 0) -> int:
    return sys._getframe(1).f_lineno + offset


@pytest.fixture(autouse=True)
def unchanged():
    """Whatever a test runs, torch is left as it was."""
    before = torch.get_default_dtype(), torch.get_default_device()
    yield
    assert (torch.get_default_dtype(), torch.get_default_device()) == before


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("device", [CPU, META])
def test_code_runs_under_the_dtype_and_the_device_of_the_pass(dtype, device):
    """What it makes without naming either is of both."""
    with user_code(Net(), "forward", dtype, device):
        made = torch.ones(2)
    assert (made.dtype, made.device) == (dtype, device)


def test_a_default_device_of_the_users_does_not_reach_a_pass_elsewhere():
    """`torch.set_default_device` is a choice for other code."""
    with META, user_code(Net(), "forward", torch.float64, CPU):
        assert torch.ones(2).device == CPU


@pytest.mark.parametrize("error", [ValueError("planted"), NotATensor("planted"), KeyboardInterrupt()])
def test_an_error_leaves_nothing_behind(error):
    """As the fixture checks; an interrupt is not told as the case's fault."""
    with (
        pytest.raises((CaseRaised, NotATensor, KeyboardInterrupt)) as caught,
        user_code(Net(), "forward", torch.float64, META, CaptureGuard(torch.float64, [])),
    ):
        raise error
    assert isinstance(caught.value, KeyboardInterrupt) == isinstance(error, KeyboardInterrupt)


def test_the_guard_watches_a_float64_pass_alone():
    """Elsewhere a float32 constant is as precise as the rest."""
    outside = torch.ones(2)
    with user_code(Net(), "forward", torch.float32, CPU, CaptureGuard(torch.float32, [])):
        outside.sum()
    with (
        pytest.raises(CapturedTensor, match="Net: a float32 tensor"),
        user_code(Net(), "forward", torch.float64, CPU, CaptureGuard(torch.float64, [])),
    ):
        outside.sum()


def test_what_the_user_raises_is_told_with_the_line_and_the_statement():
    """The original exception is the cause, and its traceback is the user's alone."""

    def helper():
        return {}["loss"]

    with pytest.raises(CaseRaised) as caught, user_code(Net(), "backward", torch.float32, CPU):
        in_torch(helper)
    error = caught.value
    assert str(error).startswith("Net: backward raised KeyError in the float32 pass at `return {}[\"loss\"]`: 'loss' (")
    assert (error.location.line, error.location.function) == (helper.__code__.co_firstlineno + 1, "helper")
    assert isinstance(error.__cause__, KeyError)
    shown = user_traceback(error)
    assert shown.startswith("Traceback (most recent call last):\n")
    assert shown.endswith("KeyError: 'loss'")
    assert 'return {}["loss"]' in shown
    assert "imagined.py" not in shown


def test_a_statement_of_several_lines_is_told_on_one():
    """The first line of a message is the whole story."""
    with pytest.raises(CaseRaised) as caught, user_code(Net(), "forward", torch.float32, CPU):
        torch.cat(
            [torch.ones(2), torch.ones(2, 2)],
        )
    told = "Net: forward raised RuntimeError in the float32 pass at `torch.cat( [torch.ones(2), torch.ones(2, 2)], )`: "
    assert str(caught.value).startswith(told)


def test_a_mixture_of_precisions_has_a_remedy():
    """torch says only that they differ."""
    with (
        pytest.raises(CaseRaised, match="return it from `inputs` or keep it on `self`"),
        user_code(Net(), "forward", torch.float64, CPU),
    ):
        torch.ones(2) @ torch.ones(2, dtype=torch.float32)
    with pytest.raises(CaseRaised) as caught, user_code(Net(), "forward", torch.float64, CPU):
        torch.ones(2) @ torch.ones(3)
    assert "keep it on `self`" not in str(caught.value)


def test_what_gradverify_finds_wrong_is_told_with_the_name_of_the_case():
    """The first name stays where scopes lie within each other."""
    with pytest.raises(UsageError, match="^Net: planted$"), user_code(Net(), "forward", torch.float32, CPU):
        raise UsageError("planted")
    inner = UsageError("planted")
    inner.case = "Inner"
    with pytest.raises(UsageError, match="^Inner: planted$"), user_code(Net(), "forward", torch.float32, CPU):
        raise inner


def test_a_mistake_of_gradverifys_own_is_not_told_as_the_users():
    """It comes out as it is."""
    with pytest.raises(ValueError, match="invalid literal"), user_code(Net(), "forward", torch.float32, CPU):
        in_package(functools.partial(int, "planted"))


def test_only_what_a_case_raised_has_a_traceback_to_show():
    """The message of every other error stands by itself."""
    assert user_traceback(GradverifyError("planted")) is None
    assert user_traceback(CaseRaised("planted")) is None


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


class Decorated(Net):
    @torch.no_grad()
    @decorated
    def forward(self, t): ...

    backward = functools.partialmethod(Net.backward)
    inputs = dict.get


def test_a_method_is_where_the_user_wrote_it():
    """Under its decorators, inherited or not; a method without code of Python's is nowhere."""
    case = Decorated()
    start = Decorated.__dict__["forward"].__wrapped__.__wrapped__.__code__.co_firstlineno
    assert (defined_at(case, "forward").line, defined_at(case, "forward").file) == (start, __file__)
    assert code_of(case, "forward").co_name == "forward"
    assert defined_at(Net(), "backward").line == Net.backward.__code__.co_firstlineno
    assert code_of(case, "inputs") is None
    assert defined_at(case, "inputs") == UNKNOWN


class Holding(Net):
    on_class = torch.tensor([0.1])
    field: torch.Tensor = torch.tensor([0.3])
    count = torch.tensor([3])

    def __post_init__(self):
        self.on_self = torch.tensor([0.2])
        self.listed = [torch.tensor([0.4]), {"deep": (torch.tensor([0.5]), "text")}]
        self.layer = torch.nn.BatchNorm1d(2)
        self.plain = [1, 2]


def test_a_pass_has_its_own_copy_of_the_tensors():
    """Of the precision and on the device of the pass, in containers and modules too; integers keep their dtype."""
    case = Holding(n=5)
    own = own_copy(case, torch.float64, CPU)
    for tensor in (own.on_class, own.field, own.on_self, own.listed[0], own.listed[1]["deep"][0], own.layer.weight):
        assert tensor.dtype == torch.float64
    assert own.count.dtype == torch.int64
    assert own.listed[1]["deep"][1] == "text"
    assert (type(own), own.n, own.plain is case.plain) == (Holding, 5, True)
    assert own_copy(case, torch.float32, META).on_self.device == META


def test_what_a_pass_changes_does_not_reach_the_case():
    """Neither a new attribute, nor a change in place, nor the running mean of a batch norm."""
    case = Holding()
    own = own_copy(case, torch.float32, CPU)
    own.seen = 1
    own.on_class.zero_()
    own.listed[0].zero_()
    own.layer(torch.randn(4, 2) + 5)
    assert not hasattr(case, "seen")
    assert (case.on_class.item(), case.listed[0].item()) == (Holding.on_class.item(), pytest.approx(0.4))
    assert case.on_class.item() == pytest.approx(0.1)
    assert case.layer.running_mean.tolist() == [0.0, 0.0]


def test_a_parameter_on_the_case_can_still_be_differentiated():
    """So that `t.W = self.W` has a gradient."""
    case = Net()
    case.W = torch.nn.Parameter(torch.ones(2))
    assert own_copy(case, torch.float64, CPU).W.requires_grad


def test_the_name_of_a_dtype():
    """As users write it."""
    assert dtype_name(torch.bfloat16) == "bfloat16"
