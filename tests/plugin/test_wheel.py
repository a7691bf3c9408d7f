"""What a stranger's project gets: the built wheel and nothing else of this repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from plugin.project import DOUBLED, LINEAR

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the installed wheel; a wheel of pure Python is installed by unpacking it."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    zipfile.ZipFile(wheel).extractall(site)
    return site


def test_the_wheel_holds_the_package_alone(site):
    """No cases and no tests; the plugin is announced, and types are."""
    assert {path.name.partition("-")[0] for path in site.iterdir()} == {"gradverify"}
    (metadata,) = site.glob("*.dist-info")
    assert "[pytest11]\ngradverify = gradverify.pytest_plugin" in metadata.joinpath("entry_points.txt").read_text()
    assert site.joinpath("gradverify", "py.typed").exists()
    assert site.joinpath("gradverify", "report.schema.json").exists()


def test_a_project_with_the_wheel(site, tmp_path):
    """One right and one wrong case, the wrong line named; the same inside a class, imported, in two sizes, expected."""
    files = {
        "test_plain.py": LINEAR + DOUBLED,
        "test_imported.py": """
import pytest
import gradverify
from test_plain import Doubled, Linear

CASES = [Linear(samples=2), Linear(samples=7)]

class TestGroup:
    class Inside(Linear): pass

@pytest.mark.xfail(reason="planted")
class Expected(Doubled): pass

def test_origin():
    print("imported from", gradverify.__file__)
""",
    }
    for name, source in files.items():
        tmp_path.joinpath(name).write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-W", "error"],  # and every plugin that is installed
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"imported from {site}" in result.stdout
    assert "1 failed, 5 passed, 1 xfailed" in result.stdout
    line = next(number for number, text in enumerate(files["test_plain.py"].splitlines(), 1) if "# planted" in text)
    assert "first: W (wrong) is off by" in result.stdout
    assert f"test_plain.py:{line}: GradientMismatch" in result.stdout
