"""A process that hangs, crashes or takes too much memory is ended, and none is left behind."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import gradverify
from gradverify.supervision import Ended, Silent, Worker, bounded_memory, peak_memory

# A process that starts on a busy machine takes seconds; what hangs would hang for ever.
LONG, SHORT = 120.0, 0.2


def count(send, first, amount):
    for number in range(first, first + amount):
        send(number)


def hang(send):
    send("before")
    while True:
        pass


def crash(send):
    send("before")
    os.kill(os.getpid(), signal.SIGKILL)


def give_up(send):
    send("before")
    raise SystemExit


def send_pid_and_wait(send):
    send(os.getpid())
    time.sleep(LONG)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_process_sends_is_received_in_order():
    """With the arguments that it was given, and then its end."""
    with Worker(count, 3, 2) as worker:
        assert worker.receive(LONG) == 3
        assert worker.receive(None) == 4
        with pytest.raises(Ended):
            worker.receive(LONG)


def test_a_process_that_hangs_is_ended():
    """In a loop of Python's that never lets go."""
    with Worker(hang) as worker:
        assert worker.receive(LONG) == "before"
        with pytest.raises(Silent):
            worker.receive(SHORT)
        assert multiprocessing.active_children() == []


@pytest.mark.parametrize("work", [crash, give_up])
def test_a_process_that_ends_is_noticed_at_once(work):
    """Killed from outside, or by itself."""
    with Worker(work) as worker:
        assert worker.receive(LONG) == "before"
        with pytest.raises(Ended):
            worker.receive(LONG)
    assert multiprocessing.active_children() == []


def test_a_worker_that_is_left_ends_its_process():
    """At the end of the block, by an error too; to stop it again does nothing."""
    worker = Worker(send_pid_and_wait)
    pid = worker.receive(LONG)
    assert is_running(pid)
    with contextlib.suppress(RuntimeError), worker:
        raise RuntimeError
    assert not is_running(pid)
    worker.stop()


PARENT = """
    import os, signal
    from test_supervision import send_pid_and_wait
    from gradverify.supervision import Worker

    if __name__ == "__main__":
        print(Worker(send_pid_and_wait).receive(None), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_does_not_outlive_the_one_that_started_it(tmp_path):
    """Not even if that is killed and has no time to say so."""
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    folders = [str(Path(gradverify.__file__).parents[1]), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        timeout=LONG / 2,  # what it prints ends when the last process ends that could print
    )
    assert done.returncode == -signal.SIGKILL
    assert int(done.stdout) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the bound")
def test_memory_beyond_the_allowance_is_refused():
    """Within the block alone, and not below the allowance."""
    with bounded_memory(1 << 27):
        assert len(bytearray(1 << 25)) == 1 << 25
        with pytest.raises(MemoryError):
            bytearray(1 << 28)
    assert len(bytearray(1 << 28)) == 1 << 28


def test_a_process_has_held_some_memory():
    """In bytes: an interpreter takes megabytes, and this test no terabyte."""
    assert 1 << 22 < peak_memory() < 1 << 40
