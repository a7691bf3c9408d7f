"""Case: a forward pass, the backward pass that someone derived for it, and the inputs to try both on."""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard, get_origin

from typing_extensions import Self, dataclass_transform

from gradverify.errors import CaseRaised, InvalidCase, UsageError, did_you_mean
from gradverify.location import caller, raised_at
from gradverify.settings import NAMES, Settings, read_settings

if TYPE_CHECKING:
    import torch

    from gradverify.gradients import Gradients
    from gradverify.oracles.estimate import Oracle
    from gradverify.trace import Trace

_BOUNDS = "gradverify.bounds"


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What values a size may take."""

    low: int = 1
    multiple_of: int = 1


def size(default: int, *, low: int = 1, multiple_of: int = 1) -> Any:
    """The default of a size field, with the bounds that every value of it has to keep.

    Args:
        default: the value where none is given.
        low: the smallest value.
        multiple_of: every value is a multiple of this.

    Raises:
        InvalidCase: if the default itself is out of bounds.
    """
    bounds = Bounds(low, multiple_of)
    complaint = _complaint(default, bounds)
    if complaint:
        raise InvalidCase(f"size({default}, ...): the default {complaint}", caller())
    # `Any`, as dataclasses.field has it: the annotation of the field says `int`.
    return dataclasses.field(default=default, metadata={_BOUNDS: bounds})


# `size` is not among the specifiers: a type checker sees a default only where one is given it by keyword.
@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(dataclasses.field,))
class Case(ABC):
    """A hand-derived backward pass to verify.

    A subclass defines `inputs`, `forward` and `backward`. Annotated attributes with defaults are fields,
    given by keyword: `LinearRegression(samples=10_000)`. Integer fields are sizes, which front ends can vary.

    The settings below are class attributes without annotation; see `gradverify.settings.Settings`.
    """

    dtypes: ClassVar[Sequence[str | torch.dtype] | None] = None
    devices: ClassVar[Sequence[str] | None] = None
    seeds: ClassVar[int | Sequence[int] | None] = None
    oracles: ClassVar[str | Oracle | Sequence[str | Oracle] | None] = None
    strict: ClassVar[bool | None] = None
    constants: ClassVar[Iterable[str] | None] = None
    partial: ClassVar[bool | None] = None
    known: ClassVar[Mapping[tuple[str, str], str] | None] = None
    expected_zero: ClassVar[Iterable[str] | None] = None

    @abstractmethod
    def inputs(self, generator: torch.Generator) -> Mapping[str, torch.Tensor | None]:
        """The inputs by name, drawn from `generator` (on the CPU); they are moved to the device afterwards."""

    @abstractmethod
    def forward(self, t: Trace) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Compute the output from `t.<input>`, assigning to `t` every tensor whose gradient is derived."""

    @abstractmethod
    def backward(self, t: Trace, d: Gradients) -> None:
        """Assign to `d.<name>` the gradient of every `t.<name>`; `d.<output>` is given."""

    def valid(self) -> bool:
        """Whether the sizes fit each other; overridden where they depend on one another."""
        return True

    def __new__(cls, *args: object, **keywords: object) -> Self:
        """Refuse arguments that no field takes, with what would mend the call."""
        missing = sorted(cls.__abstractmethods__)
        if missing:
            raise InvalidCase(f"{cls.__name__} does not define {' and '.join(missing)}", caller())
        if not _has_own_init(cls):
            _check_arguments(cls, args, keywords)
        return super().__new__(cls)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        _check_fields(cls)
        try:
            settings_of(cls)
            dataclasses.dataclass(kw_only=True, eq=False, repr=False, init=not _has_own_init(cls))(cls)
        except UsageError as error:
            raise InvalidCase(f"{cls.__name__}.{error.message}", caller()) from None
        except (TypeError, ValueError) as error:  # such as of a mutable default, in the words of dataclasses
            raise InvalidCase(f"{cls.__name__}: {error}", caller()) from None
        _check_defaults(cls)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in sizes_of(self).items())
        return f"{type(self).__name__}({shown})"


def bounds_of(cls: type[Case]) -> dict[str, Bounds]:
    """What each size of a class may be, by name: its integer fields that are given by keyword."""
    found: dict[str, Bounds] = {}
    for field in _fields(cls):
        if not field.init:  # computed by the case itself
            continue
        if _BOUNDS in field.metadata:
            found[field.name] = field.metadata[_BOUNDS]
        elif _is_integer(field.default) and field.type in (int, "int"):
            # A plain field such as `padding: int = 0` states no bound but its own default.
            found[field.name] = Bounds(low=min(1, field.default))
    return found


def sizes_of(case: Case) -> dict[str, int]:
    """The sizes of a case: its integer fields, by name."""
    return {name: getattr(case, name) for name in bounds_of(type(case))}


def changed_sizes(case: Case) -> dict[str, int]:
    """The sizes that differ from the defaults of the class."""
    defaults = {field.name: field.default for field in _fields(type(case))}
    return {name: value for name, value in sizes_of(case).items() if value != defaults[name]}


def with_sizes(case: Case, sizes: Mapping[str, int]) -> Case:
    """A copy of the case with some sizes changed.

    Raises:
        UsageError: for a name that is no size of the case, or a value out of its bounds.
    """
    if not sizes:
        return case
    known = bounds_of(type(case))
    for name, value in sizes.items():
        if name not in known:
            raise UsageError(f"{type(case).__name__} has no size {name!r}; {did_you_mean(name, known)}")
        _check_size(case, name, value, known[name])
    try:
        changed = dataclasses.replace(case, **sizes)  # type: ignore[type-var]  # every subclass is a dataclass
    except (TypeError, AttributeError) as error:
        if not _has_own_init(type(case)):
            raise
        raise UsageError(
            f"{error}: the sizes of {type(case).__name__} cannot be changed, because its own __init__ does not take "
            "every field by keyword; leave it out, and compute the rest in __post_init__"
        ) from None
    check_sizes(changed)
    return changed


def check_sizes(case: Case) -> None:
    """Check that every size is within its bounds, and that the sizes fit each other.

    Raises:
        UsageError: if they do not.
        CaseRaised: from what the case's own `valid` raised.
    """
    for name, bounds in bounds_of(type(case)).items():
        _check_size(case, name, getattr(case, name), bounds)
    try:
        fit = case.valid()
    except Exception as error:
        message = (
            f"{case!r}: valid raised {type(error).__name__}: {error}; let it return False for sizes that do not fit"
        )
        raise CaseRaised(message, raised_at(error.__traceback__)) from error
    if not fit:
        raise UsageError(f"{case!r} is not valid: its valid() says that these sizes do not fit each other")


def settings_of(case: Case | type[Case]) -> Settings:
    """The settings that a case class states itself."""
    return read_settings({name: getattr(case, name) for name in NAMES})


def is_case_class(value: object) -> TypeGuard[type[Case]]:
    """Whether something found in a module is Case or a subclass of it."""
    # Python 3.10 takes an alias such as list[int] for a type, and then refuses to ask what it is a subclass of.
    return isinstance(value, type) and get_origin(value) is None and issubclass(value, Case)


def is_complete(cls: type[Case]) -> bool:
    """Whether the class defines all that verifying it needs."""
    return not inspect.isabstract(cls)


def _fields(cls: type[Case]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls)  # type: ignore[arg-type]  # every subclass is a dataclass


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_size(case: Case, name: str, value: object, bounds: Bounds) -> None:
    if not _is_integer(value):
        raise UsageError(f"{type(case).__name__}.{name}: expected an integer, got {value!r}")
    complaint = _complaint(value, bounds)
    if complaint:
        raise UsageError(f"{type(case).__name__}.{name} = {value} {complaint}")


def _complaint(value: int, bounds: Bounds) -> str | None:
    if value < bounds.low:
        return f"is less than the least that it may be, {bounds.low}"
    if value % bounds.multiple_of:
        return f"is not a multiple of {bounds.multiple_of}"
    return None


def _has_own_init(cls: type) -> bool:
    """Whether a class of the case's own line wrote an `__init__` by hand."""
    for one in cls.__mro__:
        if one is Case:
            return False
        init = one.__dict__.get("__init__")
        if init is not None and not _is_generated(init):
            return True
    return False


def _is_generated(init: Any) -> bool:
    # dataclasses compiles its methods from text, so they have no file.
    return getattr(init, "__code__", None) is not None and init.__code__.co_filename == "<string>"


def _check_fields(cls: type[Case]) -> None:
    annotations = inspect.get_annotations(cls)
    for name, annotation in annotations.items():
        if _is_class_variable(annotation):
            continue
        if hasattr(Case, name):
            remedy = (
                f"write `{name} = ...` without annotation, it is a setting" if name in NAMES else "choose another name"
            )
            raise InvalidCase(
                f"{cls.__name__}: the field {name!r} has the name of an attribute of Case; {remedy}", caller()
            )
    bases = [base for base in cls.__mro__[1:] if dataclasses.is_dataclass(base)]
    inherited = {field.name: field for base in reversed(bases) for field in dataclasses.fields(base)}
    for name in sorted(inherited.keys() & vars(cls).keys() - annotations.keys()):
        # Python would take it for a class attribute, and the field would keep the default of its base.
        raise InvalidCase(
            f"{cls.__name__}: {name!r} is a field of its base; give it another default with its annotation, "
            f"`{name}: {_spell(inherited[name].type)} = ...`",
            caller(),
        )


def _check_defaults(cls: type[Case]) -> None:
    for field in _fields(cls):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.init and not has_default:
            raise InvalidCase(
                f"{cls.__name__}: the field {field.name!r} has no default; "
                f"write `{field.name}: {_spell(field.type)} = ...`",
                caller(),
            )


def _is_class_variable(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.split("[")[0].split(".")[-1].strip() == "ClassVar"
    return annotation is ClassVar or get_origin(annotation) is ClassVar


def _spell(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _check_arguments(cls: type[Case], args: tuple[object, ...], keywords: Mapping[str, object]) -> None:
    fields = [field.name for field in _fields(cls) if field.init]
    if args:
        example = f"{cls.__name__}({fields[0]}=...)" if fields else f"{cls.__name__}()"
        raise InvalidCase(f"{cls.__name__} takes its fields by keyword, such as {example}", caller())
    for name in keywords:
        if name in fields:
            continue
        if name in NAMES:
            remedy = f"{name!r} is a setting of the class: write it in the class body"
        elif hasattr(cls, name) and not hasattr(Case, name):
            value = getattr(cls, name)
            remedy = f"{name!r} is a class attribute: annotate it, `{name}: {type(value).__name__} = ...`"
        else:
            remedy = did_you_mean(name, fields)
        raise InvalidCase(f"{cls.__name__} has no field {name!r}; {remedy}", caller())
