"""What the plugin costs those who do not use it: nothing that they would notice."""

import subprocess
import sys

import pytest

from plugin.project import LINEAR

# What the plugin may bring with it of the package.
OWN = {"gradverify", "gradverify.pytest_options", "gradverify.pytest_plugin", "gradverify.pytest_summary"}
NEW_MODULES = """
import pytest, sys
before = set(sys.modules)
import gradverify.pytest_plugin
print(*sorted(set(sys.modules) - before))
"""
AT_THE_END = """
import sys

def pytest_unconfigure():
    print("\\nheavy:", sorted({"torch", "tabulate", "gradverify.settings"} & set(sys.modules)))
"""

# What a test module holds, the options, and which of three heavy modules are there at the end.
SESSIONS = {
    "nothing of gradverify": ("", [], []),
    "the package alone": ("import gradverify\n", [], []),
    "every option": ("", ["--gradverify-json=out.json", "--gradverify-dtype=float64"], ["gradverify.settings"]),
    "the base of all cases": ("from gradverify import Case\n", [], ["gradverify.settings", "tabulate"]),
    "a case": (LINEAR, [], ["gradverify.settings", "tabulate", "torch"]),
}


def test_the_plugin_imports_neither_torch_nor_what_imports_it():
    """Nothing from outside the standard library, and of the package only what is light."""
    result = subprocess.run([sys.executable, "-c", NEW_MODULES], capture_output=True, text=True, check=True)
    new = set(result.stdout.split())
    assert {name for name in new if name.startswith("gradverify")} == OWN
    assert {name.partition(".")[0] for name in new} - {"gradverify"} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(("source", "arguments", "heavy"), SESSIONS.values(), ids=list(SESSIONS))
def test_a_session_imports_what_it_needs(project, source, arguments, heavy):
    """And torch with a case alone; the last line of the table is the twin in which it is seen."""
    project.write(conftest=AT_THE_END, test_it=source + "\ndef test_it(): ...\n")
    result = project.run_alone("-p", "no:randomly", "-p", "no:benchmark", "-p", "no:hypothesispytest", *arguments)
    assert result.ret == 0
    assert f"heavy: {heavy}" in result.outlines
