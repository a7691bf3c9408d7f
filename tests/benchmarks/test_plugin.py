"""What the plugin costs a project that has no case: a session with it against the same session without it."""

import re
import statistics
import subprocess
import sys
import time

import pytest

# 300 tests in 30 modules: a session that lasts long enough for its start not to be all of it.
MODULE = "\n".join(f"def test_{number}(tmp_path_factory): assert {number} >= 0" for number in range(10))
SESSIONS = {"without": ["-p", "no:gradverify"], "with": []}
# No other plugin: hypothesis alone takes seconds at the end of a session.
QUIET = [word for name in ("hypothesispytest", "randomly", "benchmark", "xdist") for word in ("-p", f"no:{name}")]


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory):
    """Compiled once, as what is installed is, also where the environment forbids Python to keep what it compiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project without a case."""
    folder = tmp_path_factory.mktemp("project")
    for number in range(30):
        folder.joinpath(f"test_module_{number}.py").write_text(MODULE)
    return folder


def run_session(folder, session):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUIET, *SESSIONS[session]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "300 passed" in done.stdout


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.benchmark(group="a session of 300 tests without a case")
def test_session_without_cases(benchmark, folder, session):
    """Compare the medians of the group: they are the same."""
    benchmark.pedantic(run_session, (folder, session), rounds=5, warmup_rounds=1)


def test_ratio(capsys, folder):
    """The same, interleaved, so that a machine that slows down slows both; prints the ratio."""
    times = {session: [] for session in SESSIONS}
    for round in range(9):
        for session in SESSIONS:
            start = time.perf_counter()
            run_session(folder, session)
            if round:
                times[session].append(time.perf_counter() - start)
    medians = {session: statistics.median(one) for session, one in times.items()}
    with capsys.disabled():
        print(f"\nwith / without the plugin: {medians['with'] / medians['without']:.3f}", file=sys.stderr)


def test_import_time(capsys):
    """What importing the plugin adds to importing pytest; the aim is less than 30 ms."""
    command = [sys.executable, "-X", "importtime", "-c", "import pytest; import gradverify.pytest_plugin"]
    milliseconds = []
    for _ in range(8):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cumulative = re.search(r"\|\s*(\d+) \| gradverify.pytest_plugin$", done.stderr, re.MULTILINE)
        milliseconds.append(int(cumulative.group(1)) / 1000)
    with capsys.disabled():
        print(f"\nimporting the plugin: {statistics.median(milliseconds[1:]):.1f} ms", file=sys.stderr)
