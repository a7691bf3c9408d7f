"""Case: fields and sizes, settings, what is refused when a class is defined and when it is made."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
from typing import ClassVar

import pytest
import torch

from gradverify import Case, size
from gradverify.case import (
    changed_sizes,
    check_sizes,
    is_complete,
    settings_of,
    sizes_of,
    with_sizes,
)
from gradverify.errors import CaseRaised, InvalidCase, UsageError


class Net(Case):
    """A case with every kind of field; it is never run."""

    __test__ = False

    samples: int = 10
    heads: int = size(8, low=4, multiple_of=4)
    padding: int = 0
    shift: int = -2
    scale: float = 1.0
    mode: str = "mean"
    bias: bool = True
    names: list[str] = dataclasses.field(default_factory=list)
    total: int = dataclasses.field(init=False, default=0)
    constant: ClassVar[int] = 3
    plain = 5

    def __post_init__(self):
        self.total = self.samples * self.heads

    def inputs(self, generator): ...

    def forward(self, t): ...

    def backward(self, t, d): ...


def line_of(offset: int = 0) -> int:
    return sys._getframe(1).f_lineno + offset


def test_annotated_attributes_are_fields_given_by_keyword():
    """With their defaults, however the annotations are written."""
    net = Net(samples=3, mode="sum")
    assert (net.samples, net.mode, net.scale, net.names, net.total) == (3, "sum", 1.0, [], 24)
    assert Net().names is not Net().names


def test_annotations_that_are_no_strings_make_the_same_fields():
    """Without `from __future__ import annotations`."""
    namespace = {"Case": Case, "ClassVar": ClassVar, "__name__": __name__}
    source = "class Plain(Case):\n    n: int = 2\n    k: ClassVar[int] = 3\n    s: float = 1.0\n"
    exec(compile(source, __file__, "exec", dont_inherit=True), namespace)
    plain = namespace["Plain"]
    assert [field.name for field in dataclasses.fields(plain)] == ["n", "s"]
    assert list(sizes_of(type("Made", (plain, Net), {})())) == ["samples", "heads", "padding", "shift", "n"]


def test_integer_fields_are_sizes():
    """Neither a boolean, nor a number with a point, nor what the case computes itself, is one."""
    assert sizes_of(Net(samples=3)) == {"samples": 3, "heads": 8, "padding": 0, "shift": -2}
    assert changed_sizes(Net(samples=3, heads=8)) == {"samples": 3}
    assert repr(Net(samples=3)) == "Net(samples=3, heads=8, padding=0, shift=-2)"


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"samples": 0}, "Net.samples = 0 is less than the least that it may be, 1"),
        ({"heads": 0}, "Net.heads = 0 is less than the least that it may be, 4"),
        ({"heads": 10}, "Net.heads = 10 is not a multiple of 4"),
        # Without a bound of its own, the default is the bound where it is less than 1.
        ({"padding": -1}, "Net.padding = -1 is less than the least that it may be, 0"),
        ({"shift": -3}, "Net.shift = -3 is less than the least that it may be, -2"),
        ({"samples": 2.5}, "Net.samples: expected an integer, got 2.5"),
        ({"samples": True}, "Net.samples: expected an integer, got True"),
        ({"samples": "10"}, "Net.samples: expected an integer, got '10'"),
        ({"sample": 1}, "Net has no size 'sample'; did you mean 'samples'?"),
        ({"scale": 2}, "Net has no size 'scale'; "),
        ({"total": 2}, "Net has no size 'total'; "),
    ],
)
def test_a_size_that_does_not_fit_is_refused(sizes, complaint):
    """Where it is changed, and where it was given to the case itself."""
    with pytest.raises(UsageError) as caught:
        with_sizes(Net(), sizes)
    assert str(caught.value).startswith(complaint)
    if sizes.keys() <= sizes_of(Net()).keys():
        with pytest.raises(UsageError) as caught:
            check_sizes(Net(**sizes))
        assert str(caught.value) == complaint


def test_a_copy_with_other_sizes_keeps_the_rest():
    """And leaves the case as it was; what is computed from them is computed again."""
    net = Net(mode="sum")
    changed = with_sizes(net, {"samples": 2, "heads": 12})
    assert (changed.samples, changed.heads, changed.mode, changed.total) == (2, 12, "sum", 24)
    assert (net.samples, net.total) == (10, 80)
    assert with_sizes(net, {}) is net


@pytest.mark.parametrize(
    ("default", "bounds", "complaint"),
    [
        (8, {"low": 9}, "the default is less than the least that it may be, 9"),
        (0, {}, "the default is less than the least that it may be, 1"),
        (10, {"multiple_of": 8}, "the default is not a multiple of 8"),
    ],
)
def test_the_default_of_a_size_keeps_its_own_bounds(default, bounds, complaint):
    """Else no case could be made without a keyword."""
    with pytest.raises(InvalidCase) as caught:
        size(default, **bounds)
    assert str(caught.value).startswith(f"size({default}, ...): {complaint}")
    assert (caught.value.location.file, caught.value.location.line) == (__file__, line_of(-2))


class Fitting(Net):
    """Sizes that depend on one another."""

    def valid(self):
        return self.samples % self.heads == 0


def test_sizes_that_do_not_fit_each_other_are_refused():
    """As `valid` says."""
    check_sizes(Fitting(samples=16))
    with pytest.raises(UsageError, match=r"Fitting\(samples=10, .*\) is not valid: its valid\(\) says"):
        check_sizes(Fitting())
    with pytest.raises(UsageError, match="is not valid"):
        with_sizes(Fitting(samples=16), {"samples": 17})


def test_a_valid_that_raises_is_told_with_its_line():
    """It is the user's code as much as the rest."""

    class Raising(Net):
        def valid(self):
            return self.samples % self.padding == 0

    with pytest.raises(
        CaseRaised, match=r"Raising\(.*\): valid raised ZeroDivisionError: .*; let it return False"
    ) as caught:
        check_sizes(Raising())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.location.line == Raising.valid.__code__.co_firstlineno + 1


def annotated_setting():
    class Bad(Net):
        constants: frozenset[str] = frozenset()


def annotated_method():
    class Bad(Net):
        valid: bool = True


def no_default():
    class Bad(Net):
        width: int


def no_default_in_field():
    class Bad(Net):
        width: int = dataclasses.field(metadata={"unit": "px"})


def size_without_annotation():
    class Bad(Net):
        width = size(3)


def mutable_default():
    class Bad(Net):
        widths: list[int] = []


def another_default_without_annotation():
    class Bad(Net):
        samples = 3


def bad_setting():
    class Bad(Net):
        dtypes = ("float31",)


def bad_known():
    class Bad(Net):
        known = {"b": "issue 123"}


@pytest.mark.parametrize(
    ("define", "complaint"),
    [
        (
            annotated_setting,
            "Bad: the field 'constants' has the name of an attribute of Case; write `constants = ...` without",
        ),
        (annotated_method, "Bad: the field 'valid' has the name of an attribute of Case; choose another name"),
        (no_default, "Bad: the field 'width' has no default; write `width: int = ...`"),
        (no_default_in_field, "Bad: the field 'width' has no default; write `width: int = ...`"),
        (size_without_annotation, "Bad: 'width' is a field but has no type annotation"),
        (mutable_default, "Bad: mutable default <class 'list'> for field widths is not allowed: use default_factory"),
        (another_default_without_annotation, "Bad: 'samples' is a field of its base; give it another default with its"),
        (bad_setting, "Bad.dtypes: 'float31' is not a floating dtype that can be verified"),
        (bad_known, 'Bad.known: expected {("b", "bfloat16"): "why"}'),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_class_that_is_not_well_formed_is_refused(define, complaint):
    """Where it is defined, with what to write instead."""
    with pytest.raises(InvalidCase) as caught:
        define()
    assert str(caught.value).startswith(complaint)
    where = caught.value.location
    assert (where.file, where.line, where.function) == (__file__, define.__code__.co_firstlineno + 1, define.__name__)


@pytest.mark.parametrize(
    ("arguments", "keywords", "complaint"),
    [
        ((3,), {}, "Net takes its fields by keyword, such as Net(samples=...)"),
        ((), {"sample": 3}, "Net has no field 'sample'; did you mean 'samples'?"),
        ((), {"plain": 3}, "Net has no field 'plain'; 'plain' is a class attribute: annotate it, `plain: int = ...`"),
        ((), {"constant": 3}, "Net has no field 'constant'; 'constant' is a class attribute: annotate it"),
        (
            (),
            {"strict": True},
            "Net has no field 'strict'; 'strict' is a setting of the class: write it in the class body",
        ),
        ((), {"total": 3}, "Net has no field 'total'; "),
        # A method is not to be annotated.
        ((), {"inputs": 3}, "Net has no field 'inputs'; known names: samples"),
    ],
)
def test_arguments_that_no_field_takes_are_refused(arguments, keywords, complaint):
    """At the line of the call, with the nearest name or the remedy."""
    with pytest.raises(InvalidCase) as caught:
        Net(*arguments, **keywords)
    assert str(caught.value).startswith(complaint)
    assert (caught.value.location.file, caught.value.location.line) == (__file__, line_of(-2))


def test_an_unfinished_case_is_not_made():
    """And says what it lacks; a class to inherit from may well be unfinished."""

    class Half(Case):
        __test__ = False

        def inputs(self, generator): ...

    with pytest.raises(InvalidCase, match="Half does not define backward and forward"):
        Half()
    assert not is_complete(Half)
    assert is_complete(Net)


def test_fields_and_settings_are_inherited():
    """And each class has its own defaults and its own settings."""

    class Base(Net):
        dtypes = "float64"
        seeds = 1, 2

    class Derived(Base):
        samples: int = 3
        extra: int = 4
        seeds = 5
        dtypes = None

    assert sizes_of(Derived(heads=4)) == {"samples": 3, "heads": 4, "padding": 0, "shift": -2, "extra": 4}
    assert sizes_of(Base())["samples"] == 10
    assert (settings_of(Base).dtypes, settings_of(Base()).seeds) == (("float64",), (1, 2))
    assert (settings_of(Derived).dtypes, settings_of(Derived).seeds) == (None, (5,))
    assert settings_of(Net()).dtypes is None


def test_a_case_with_an_init_of_its_own_takes_what_that_takes():
    """Positional arguments too; only its sizes must be keywords to be changed."""

    class Own(Net):
        def __init__(self, samples=10):
            self.samples = samples

    class Inherits(Own):
        deep: int = 3

    assert Own(4).samples == Inherits(4).samples == 4
    with pytest.raises(UsageError, match="the sizes of Own cannot be changed, because its own __init__ does not take"):
        with_sizes(Own(4), {"samples": 5})


@pytest.mark.parametrize("remade", [copy.copy, copy.deepcopy, lambda case: pickle.loads(pickle.dumps(case))])
def test_a_case_can_be_copied_and_sent(remade):
    """To the worker of a parallel run, with its fields."""
    again = remade(Net(samples=3, names=["a"]))
    assert type(again) is Net
    assert (sizes_of(again), again.names) == (sizes_of(Net(samples=3)), ["a"])


def test_cases_are_compared_and_kept_as_objects():
    """A case may hold tensors, which have no single truth value."""
    first, second = Net(), Net()
    assert first == first
    assert first != second
    assert len({first, second}) == 2


def test_a_decorated_case_is_the_same_case():
    """`@dataclass` on top is what a reader of dataclasses may write; it adds nothing."""

    @dataclasses.dataclass
    class Decorated(Net):
        extra: int = 2

    assert sizes_of(Decorated(extra=3, samples=1))["extra"] == 3
    with pytest.raises(InvalidCase, match="by keyword"):
        Decorated(1)


def test_a_tensor_may_be_a_default():
    """A constant that the case keeps on itself."""

    class Weighted(Net):
        weight: torch.Tensor = torch.ones(2)  # never changed: every pass has a copy

    assert torch.equal(Weighted().weight, torch.ones(2))
    assert "weight" not in repr(Weighted())
