"""gradverify: is a hand-derived gradient right, which line is wrong, and what is the mistake?

Public names are resolved on first use (PEP 562), so that importing the package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradverify.case import Case as Case
    from gradverify.case import size as size
    from gradverify.comparison import compare as compare
    from gradverify.errors import GradientMismatch as GradientMismatch
    from gradverify.errors import GradverifyError as GradverifyError
    from gradverify.function_case import FunctionCase as FunctionCase
    from gradverify.gradients import Gradients as Gradients
    from gradverify.notebook import cmp as cmp
    from gradverify.report import Clause as Clause
    from gradverify.report import Comparison as Comparison
    from gradverify.report import Report as Report
    from gradverify.report import Row as Row
    from gradverify.trace import Trace as Trace
    from gradverify.verdict import Observance as Observance
    from gradverify.verdict import Verdict as Verdict
    from gradverify.verification import check as check
    from gradverify.verification import verify as verify

    __version__: str

_HOMES = {
    "Case": "case",
    "Clause": "report",
    "Comparison": "report",
    "FunctionCase": "function_case",
    "Gradients": "gradients",
    "GradientMismatch": "errors",
    "GradverifyError": "errors",
    "Observance": "verdict",
    "Report": "report",
    "Row": "report",
    "Trace": "trace",
    "Verdict": "verdict",
    "check": "verification",
    "cmp": "notebook",
    "compare": "comparison",
    "size": "case",
    "verify": "verification",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("gradverify")
    if name not in _HOMES:
        raise AttributeError(f"module 'gradverify' has no attribute {name!r}")
    value = getattr(import_module(f"gradverify.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
