"""The house: every module imports from the floors below its own, and reading results needs no torch."""

from __future__ import annotations

import ast
import fnmatch
import graphlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import gradverify

PACKAGE = Path(gradverify.__file__).parent

# From the ground up; the modules of one package, or of one front end, may import each other.
FLOORS = (
    ("word",),
    (
        "gradverify",
        "location",
        "verdict",
        "ulp",
        "block",
        "progress",
        "supervision",
        "mutants",
        "witness",
        "scalar",
        "scalar.*",
    ),
    ("errors", "judge", "signature", "magnitude", "graph"),
    ("settings", "entry", "capture", "report", "spacing", "folding", "scalar_graph", "artifact", "selection", "script"),
    ("trace", "gradients"),
    ("case", "changes", "tally", "misfit", "importer", "study", "timing"),
    ("comparison", "scaling", "configuration", "environment"),
    ("render", "render.*", "scope", "targets", "rewriting", "function_case"),
    ("inputs", "loader", "notebook", "sweep"),
    ("evaluation",),
    ("determinism", "noise"),
    ("replay", "diagnosis", "diagnosis.*"),
    ("measurement", "oracles", "oracles.*"),
    ("assessment", "inspection"),
    ("redraw", "witnesses"),
    ("origin",),
    ("candidate", "candidate.*"),
    ("contract", "contract.*"),
    ("topology",),
    ("examination",),
    ("verification",),
    ("mutation", "reproducer", "bench", "bench.*"),
    ("commands", "commands.*", "pytest_*"),
    ("cli",),
    ("__main__",),
)

# A report that prints itself, also in a notebook, is worth an import upwards, inside a function.
EXCEPTIONS = {
    ("report", "render.table"),
    ("report", "render.fragment"),
    ("scalar.graph", "render.graph"),
    ("scalar.graph", "scalar_graph"),
}

FRONT_ENDS = (("commands", "commands.*", "cli", "__main__"), ("pytest_*",))

TORCH_FREE = (
    "gradverify",
    "word",
    "location",
    "verdict",
    "errors",
    "judge",
    "witness",
    "settings",
    "case",
    "report",
    "graph",
    "folding",
    "render",
    "render.*",
    "importer",
    "targets",
    "loader",
    "selection",
    "artifact",
    "changes",
    "progress",
    "timing",
    "scaling",
    "configuration",
    "cli",
    "pytest_plugin",
)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "gradverify"


MODULES = {name_of(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(source: str, known: Mapping[str, str]) -> set[str]:
    """The modules of the package that a source imports when it runs, wherever in it."""
    return {name for node in running(ast.parse(source)) for name in imported(node, known)}


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING`."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children: list[ast.AST] = [*node.orelse]
    else:
        children = [*ast.iter_child_nodes(node)]
    for child in children:
        yield from running(child)


def imported(node: ast.AST, known: Mapping[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "the package imports by absolute names"
        # `from gradverify.render import spelling` imports a module, `from gradverify.case import Case` a class.
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return
    for name in names:
        top, _, rest = name.partition(".")
        if top == "gradverify":
            yield next((one for one in (rest, rest.rpartition(".")[0]) if one in known), "gradverify")


def matches(name: str, patterns: tuple[str, ...]) -> str | None:
    return next((one for one in patterns if fnmatch.fnmatchcase(name, one)), None)


def floor_of(name: str) -> int:
    for floor, patterns in enumerate(FLOORS):
        if matches(name, patterns):
            return floor
    raise AssertionError(f"{name} has no floor: give it one in FLOORS")


def family_of(name: str) -> str:
    """What may import each other on one floor: a package, or a front end."""
    return "pytest" if name.startswith("pytest_") else name.partition(".")[0]


def offences(modules: Mapping[str, str]) -> list[str]:
    """The imports that do not go down."""
    return [
        f"{name} imports {other}"
        for name, source in modules.items()
        for other in sorted(imports_of(source, MODULES))
        if not (floor_of(other) < floor_of(name) or family_of(other) == family_of(name))
        and (name, other) not in EXCEPTIONS
    ]


def test_a_module_imports_from_the_floors_below():
    """And from nowhere else in the package."""
    assert offences(MODULES) == []


@pytest.mark.parametrize(
    ("name", "statement", "offence"),
    [
        ("errors", "from gradverify.report import Report", "errors imports report"),
        ("errors", "def f():\n    import gradverify.verification", "errors imports verification"),
        ("trace", "from gradverify import case", "trace imports case"),
        ("capture", "from gradverify.trace import Trace", "capture imports trace"),
        ("comparison", "from gradverify.render.table import render_table", "comparison imports render.table"),
        (
            "errors",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gradverify.report import Report",
            None,
        ),
        ("verification", "from gradverify.trace import Trace", None),
        ("verification", "from gradverify import __version__", None),
        ("render.table", "from gradverify.render import color", None),
    ],
)
def test_an_import_that_goes_up_is_found(name, statement, offence):
    """The twin: planted at the top or inside a function, and not where only a type checker reads it."""
    planted = offences({name: f"{MODULES[name]}\n{statement}\n"})
    assert planted == ([offence] if offence else [])


def test_no_module_imports_itself_in_a_circle():
    """Not even within a package."""
    graph = {name: imports_of(source, MODULES) - {name} for name, source in MODULES.items()}
    for name, other in EXCEPTIONS:
        graph[name].discard(other)
    assert list(graphlib.TopologicalSorter(graph).static_order())
    graph["errors"].add("report")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({**graph, "report": {"errors"}}).prepare()


def test_front_ends_never_import_each_other():
    """The command line works without pytest's plugin, and the plugin without the command line."""
    for mine, others in (FRONT_ENDS, FRONT_ENDS[::-1]):
        for name in (name for name in MODULES if matches(name, mine)):
            assert not [one for one in imports_of(MODULES[name], MODULES) if matches(one, others)], name


def test_nothing_below_the_renderers_prints():
    """A result is data until a front end shows it."""
    for name, source in MODULES.items():
        if matches(name, ("commands.*", "pytest_*", "cli", "notebook", "progress")):
            continue
        calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        assert not [one for one in calls if isinstance(one, ast.Name) and one.id == "print"], name


PROBE = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module("gradverify" if name == "gradverify" else f"gradverify.{name}")
    if "torch" in sys.modules:
        sys.exit(f"{name} imports torch")
"""


def imports_torch(*names: str) -> str:
    """The first of some modules that imports torch, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", PROBE, *names], capture_output=True, text=True, cwd=PACKAGE.parent)
    return done.stderr.strip()


def test_reading_results_and_finding_cases_import_no_torch():
    """Saved reports, the controller of a parallel run, `--help` and a session without cases start at once."""
    assert imports_torch(*(name for name in MODULES if matches(name, TORCH_FREE))) == ""


def test_a_module_that_imports_torch_is_found():
    """The twin."""
    assert imports_torch("verdict", "trace") == "trace imports torch"


def test_public_names_are_found_when_they_are_asked_for():
    """The package lists them without importing them, and knows no others."""
    assert {"Case", "verify", "check", "Verdict", "size"} <= set(gradverify.__all__) <= set(dir(gradverify))
    assert gradverify.Verdict is sys.modules["gradverify.verdict"].Verdict
    with pytest.raises(AttributeError, match="module 'gradverify' has no attribute 'verfy'"):
        gradverify.verfy  # noqa: B018  # reading it is the test


def test_every_public_name_has_a_home():
    """`from gradverify import *` gives them all, and a type checker sees the same ones."""
    for name in gradverify.__all__:
        assert getattr(gradverify, name) is not None
    block = next(node for node in ast.parse(MODULES["gradverify"]).body if isinstance(node, ast.If))
    typed = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == set(gradverify.__all__) - {"__version__"}
