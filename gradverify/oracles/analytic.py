"""What may happen to a complex number on its way through a forward for the complex step to be a derivative."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

from gradverify.errors import GradverifyError
from gradverify.location import caller

# Only what is listed is let through: a function that takes a real part, compares or branches in silence is worse
# than one that is refused for no reason.
_FUNCTIONS = """
    acos acosh add addcdiv addcmul asin asinh atan atanh cos cosh cumprod cumsum div exp exp2 expm1 log log10 log1p log2
    mean mul neg positive prod reciprocal rsqrt rsub sigmoid sin sinh sqrt square sub sum tan tanh trace
    addbmm addmm addmv addr baddbmm bmm dot mm mv
    _linalg_det linalg_inv_ex _linalg_solve_ex
"""
_REARRANGEMENTS = """
    _reshape_alias _unsafe_view alias as_strided cat clone constant_pad_nd contiguous copy detach diag_embed diagonal
    empty_like expand fill flip full_like gather index index_add index_copy index_put index_select lift_fresh
    masked_fill masked_select new_empty new_full new_ones new_zeros ones_like permute repeat roll scatter scatter_add
    select slice split split_with_sizes squeeze stack t transpose tril triu unbind unfold unsqueeze view where zero
    zeros_like
"""
_ANALYTIC = frozenset((_FUNCTIONS + _REARRANGEMENTS).split())
# Beyond this a power is left to logarithms.
_LARGEST_POWER = 64


class NotAnalytic(GradverifyError):
    """A forward does to a complex number what no analytic function does."""


class AnalyticOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """While it is entered, complex numbers meet analytic functions alone, and real ones anything.

    Raises:
        NotAnalytic: with the name of the function and the line, where they meet another.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Check the function, and write it in terms of others where torch has it for real numbers only."""
        kwargs = kwargs or {}
        if not any(isinstance(one, Tensor) and one.is_complex() for one in tree_iter((args, kwargs))):
            return func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        if name in _WRITTEN_OUT:
            return _WRITTEN_OUT[name](*args, **kwargs)
        if name.removesuffix("_") not in _ANALYTIC:
            raise NotAnalytic(f"{name.strip('_')} is not known to be analytic", caller())
        if func._schema.is_mutable and not args[0].is_complex():
            raise NotAnalytic(f"{name.strip('_')} writes into a real tensor; make it from the values written", caller())
        args, kwargs = tree_map(_widened, (args, kwargs))
        return func(*args, **kwargs)


def _widened(value: object) -> object:
    """A real tensor as a complex one: matrix products take no mixture."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.complex128)
    return value


def _power(base: Tensor, exponent: float) -> Tensor:
    """Whole powers by multiplication: through the logarithm, a negative base would lose a tiny imaginary part."""
    whole = int(exponent)
    if whole != exponent or abs(whole) > _LARGEST_POWER:
        return torch.pow(base, exponent)
    result = torch.ones_like(base)
    for _ in range(abs(whole)):
        result = result * base
    return result if whole >= 0 else 1 / result


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    return torch.where(beta * x.real > threshold, x, torch.log1p(torch.exp(beta * x)) / beta)


def _softmax(x: Tensor, dim: int, *_: object) -> Tensor:
    powers = torch.exp(x - x.real.amax(dim, keepdim=True))
    return powers / powers.sum(dim, keepdim=True)


def _log_softmax(x: Tensor, dim: int, *_: object) -> Tensor:
    return x - _logsumexp(x, (dim,), keepdim=True)


def _logsumexp(x: Tensor, dim: tuple[int, ...], keepdim: bool = False) -> Tensor:
    shift = x.real.amax(dim, keepdim=True)
    total = torch.log(torch.exp(x - shift).sum(dim, keepdim=True)) + shift
    return total if keepdim else total.squeeze(tuple(dim))


def _mse_loss(x: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    squares = (x - target) ** 2
    return (squares, squares.mean(), squares.sum())[reduction]


def _to_copy(x: Tensor, *, dtype: torch.dtype | None = None, **_: object) -> Tensor:
    if dtype is not None and not dtype.is_complex:
        if dtype.is_floating_point:  # a cast between real dtypes, as it is in the real forward
            return x.to(torch.complex128 if dtype is torch.float64 else torch.complex64)
        raise NotAnalytic(f"a cast to {str(dtype).removeprefix('torch.')} is not analytic", caller())
    return x.clone()


_WRITTEN_OUT: dict[str, Callable[..., Tensor]] = {
    "_log_softmax": _log_softmax,
    "_softmax": _softmax,
    "_to_copy": _to_copy,
    "logsumexp": _logsumexp,
    "mse_loss": _mse_loss,
    "pow": _power,
    "silu": lambda x: x * torch.sigmoid(x),
    "softplus": _softplus,
}
