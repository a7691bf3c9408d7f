"""The state in which a case's own code runs, and how what it raises is told."""

from __future__ import annotations

import contextlib
import copy
import inspect
import traceback
from collections.abc import Iterator
from types import CodeType, FunctionType, NoneType

import torch
from torch import Tensor
from torch.utils._pytree import tree_iter, tree_map

from gradverify.capture import CaptureGuard
from gradverify.case import Case
from gradverify.errors import CaseRaised, GradverifyError
from gradverify.location import UNKNOWN, Location, is_users, raised_at, raised_by_gradverify, statement

# Attributes that hold no tensor, which most are; looking into one by torch's means takes microseconds.
_BARE = (FunctionType, classmethod, staticmethod, property, type, str, int, float, NoneType)


@contextlib.contextmanager
def user_code(
    case: Case, method: str, dtype: torch.dtype, device: torch.device, guard: CaptureGuard | None = None
) -> Iterator[None]:
    """Run code of the case under the default dtype and device of a pass.

    Raises:
        GradverifyError: what gradverify found wrong, told with the name of the case.
        CaseRaised: from what the user's code raised, told with the line and the statement.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with contextlib.ExitStack() as stack:
            if torch.get_default_device() != device:
                # Every torch function passes through this mode: it is entered only where it changes something.
                stack.enter_context(device)
            if guard is not None and guard.is_needed:
                stack.enter_context(guard)
            yield
    except GradverifyError as error:
        error.case = error.case or type(case).__name__
        raise
    except Exception as error:
        if raised_by_gradverify(error.__traceback__):
            raise
        raise _told(case, method, dtype, error) from error
    finally:
        torch.set_default_dtype(before)


def defined_at(case: Case, method: str) -> Location:
    """The line of a method's definition."""
    code = code_of(case, method)
    return Location(code.co_filename, code.co_firstlineno, code.co_name) if code else UNKNOWN


def code_of(case: Case, method: str) -> CodeType | None:
    """The code that the user wrote for a method, under its decorators; None where it is no Python function."""
    function = inspect.unwrap(getattr(type(case), method))
    return getattr(function, "__code__", None)


def own_copy(case: Case, dtype: torch.dtype, device: torch.device) -> Case:
    """The case as one pass sees it: what the pass stores on it stays there, and its tensors are those of the pass.

    Tensors and modules among the attributes are converted, in lists and dictionaries too.
    """

    def convert(value: object) -> object:
        if isinstance(value, torch.nn.Module):
            return copy.deepcopy(value).to(device, dtype)
        if isinstance(value, Tensor):
            # Always a copy: a pass may change it in place, as batch norm does its running mean.
            return value.to(device, dtype if value.is_floating_point() else value.dtype, copy=True)
        return value

    own = copy.copy(case)
    # What Case itself has is the same for every case, and no tensor.
    classes = [cls for cls in reversed(type(case).__mro__) if cls not in Case.__mro__]
    attributes = {name: value for cls in classes for name, value in vars(cls).items()}
    for name, value in {**attributes, **vars(case)}.items():
        if isinstance(value, _BARE):
            continue
        if any(isinstance(leaf, (Tensor, torch.nn.Module)) for leaf in tree_iter(value)):
            object.__setattr__(own, name, tree_map(convert, value))
    return own


def user_traceback(error: GradverifyError) -> str | None:
    """The user's own part of the traceback of what a case raised, as Python prints it."""
    cause = error.__cause__
    if not isinstance(error, CaseRaised) or cause is None:
        return None
    shown = traceback.TracebackException.from_exception(cause)
    shown.stack = traceback.StackSummary.from_list([frame for frame in shown.stack if is_users(frame.filename)])
    return "".join(shown.format()).rstrip()


def dtype_name(dtype: torch.dtype) -> str:
    """The name without its module, "float32"."""
    return str(dtype).removeprefix("torch.")


def _told(case: Case, method: str, dtype: torch.dtype, error: Exception) -> CaseRaised:
    where = raised_at(error.__traceback__)
    source = statement(where) if where else None
    at = f" at `{' '.join(source.split())}`" if source else ""
    message = f"{method} raised {type(error).__name__} in the {dtype_name(dtype)} pass{at}: {error}"
    if isinstance(error, RuntimeError) and "dtype" in str(error):
        message += (
            "; if a tensor made outside the case meets those of the pass, return it from `inputs` or keep it on "
            "`self`: both are converted to the dtype of the pass"
        )
    told = CaseRaised(message, where)
    told.case = type(case).__name__
    return told
