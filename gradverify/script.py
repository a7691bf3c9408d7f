"""A Python script, put together from what it has to import and what it has to call."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gradverify.errors import UsageError
from gradverify.signature import name_of

# More numbers than these are not written into a script that is read.
_MOST_NUMBERS = 64


@dataclass
class Script:
    """What a script needs so far; expressions are spelt by it, and text at the end.

    Attributes:
        modules: the names to import from each; folders: where they are found.
        numbers: how many are written into it.
    """

    modules: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, None] = field(default_factory=dict)
    numbers: int = 0

    def spell(self, value: Any) -> str:
        """An expression for something that a module has a name for, which the script then imports.

        Raises:
            UsageError: if no module has.
        """
        owner = getattr(value, "__self__", None)
        if isinstance(owner, type):  # such as Function.apply
            return f"{self.spell(owner)}.{value.__name__}"
        name = getattr(value, "__name__", "")
        for module, spelled in ((torch, "torch"), (torch.nn.functional, "torch.nn.functional")):
            if name and getattr(module, name, None) is value:
                return f"{spelled}.{name}"
        for home in map(sys.modules.get, (getattr(value, "__module__", None) or "", type(value).__module__)):
            found = next((name for name, one in vars(home).items() if one is value), None) if home else None
            if home is not None and found is not None:
                self._import(home, found)
                return found
        raise UsageError(
            f"no script can import {name_of(value)}: give it a name at the top of a module, as a function, an "
            "autograd.Function or a FunctionCase has"
        )

    def literal(self, what: str, value: Any) -> str:
        """An expression for an input or an option.

        Raises:
            UsageError: if it has none.
        """
        if isinstance(value, Tensor):
            self.numbers += value.numel()
            spelled = f"torch.tensor({value.tolist()}, dtype={value.dtype}, device={str(value.device)!r})"
            if value.is_contiguous():
                return spelled
            # A mistake may hang on how the numbers lie in memory.
            layout = f"{tuple(value.shape)}, {value.stride()}, dtype={value.dtype}, device={str(value.device)!r}"
            return f"torch.empty_strided({layout}).copy_({spelled})"
        text = repr(value)
        try:
            if not isinstance(value, (torch.dtype, torch.Size)):
                ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise UsageError(f"no script can spell {what}, a {type(value).__name__}") from None
        return text

    def text(self, story: str, arguments: list[str]) -> str:
        """The script: what it shows, its imports, and a call of `check`.

        Raises:
            UsageError: if too many numbers are written into it.
        """
        if self.numbers > _MOST_NUMBERS:
            raise UsageError(
                f"the smallest inputs that fail have {self.numbers} numbers, too many for a script: pass a function, "
                "inputs=f(generator, **sizes), which it can call"
            )
        imports = [f"from {module} import {', '.join(names)}" for module, names in sorted(self.modules.items())]
        lines = [
            f'"""{story}"""',
            "",
            *(["import sys"] if self.folders else []),
            "from math import inf, nan",
            "",
            "import torch",
            "",
            *(f"sys.path.insert(0, {folder!r})" for folder in self.folders),
            "from gradverify import check",
            *imports,
            "",
            "check(",
            *(f"    {argument}," for argument in arguments),
            ")",
            "",
        ]
        return "\n".join(_used(lines))

    def _import(self, module: ModuleType, name: str) -> None:
        file = getattr(module, "__file__", None)
        if file is None:
            raise UsageError(f"no script can import {name}: it was made at a prompt; put it into a file")
        dotted = module.__name__
        if dotted == "__main__" or dotted.startswith("_gradverify_"):  # a file that is run, or loaded by its path
            dotted = os.path.splitext(os.path.basename(file))[0]
        if "-packages" not in file:
            is_package = os.path.basename(file) == "__init__.py"
            levels = dotted.count(".") + (2 if is_package else 1)
            folder = os.path.abspath(file)
            for _ in range(levels):
                folder = os.path.dirname(folder)
            self.folders[folder] = None
        names = self.modules.setdefault(dotted, [])
        if name not in names:
            names.append(name)


def _used(lines: list[str]) -> list[str]:
    """The lines without the imports that none of them needs."""
    body = "\n".join(lines[lines.index("check(") :])
    without = [
        line
        for line in lines
        if not (line == "import torch" and "torch." not in body)
        and not (line.startswith("from math") and "inf" not in body and "nan" not in body)
    ]
    return [line for place, line in enumerate(without) if line or (place and without[place - 1])]
