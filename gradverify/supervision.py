"""A process of its own for code that may hang, exhaust the memory, or crash; it never outlives this one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import connection

# How long a process that has been told to end may take before nothing more is asked of it.
_GRACE = 10.0


class Silent(Exception):
    """Nothing came in time; the process is gone."""


class Ended(Exception):
    """The process ended, by itself or by a crash, before it sent anything more."""


Send = Callable[[object], None]


class Worker:
    """Runs a function in a fresh process and receives what it sends.

    The process is spawned, not forked: threads of torch and devices in use do not survive a fork.
    """

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        """Start `work(send, *arguments)`; the function is found by its module and name, the arguments are pickled."""
        context = multiprocessing.get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(sender, work, arguments), daemon=True)
        self._process.start()
        sender.close()  # this end of it, so that the end of the process is the end of what it sends

    def receive(self, seconds: float | None) -> object:
        """What the process sends next.

        Args:
            seconds: how long to wait; None waits as long as it lives.

        Raises:
            Silent: if nothing came in time; the process is ended.
            Ended: if it ended first.
        """
        if not self._receiver.poll(seconds):
            self.stop()
            raise Silent
        try:
            return self._receiver.recv()
        except EOFError:
            self.stop()
            raise Ended from None

    def stop(self) -> None:
        """End the process, whatever it is doing; once it has ended, this does nothing."""
        self._process.kill()
        self._process.join(_GRACE)
        self._receiver.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.contextmanager
def bounded_memory(allowance: int) -> Iterator[None]:
    """Let this process take so many more bytes than it has now; beyond that, allocations fail.

    Only Linux enforces such a bound, and only for memory of the CPU; elsewhere this does nothing.
    """
    taken = _taken()
    if sys.platform != "linux" or taken is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = taken + allowance
    resource.setrlimit(resource.RLIMIT_DATA, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def peak_memory() -> int:
    """The most bytes of memory that this process has held so far; 0 where that is not to be had."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, the others kibibytes


def _run(sender: connection.Connection, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C reaches both processes; the other one ends this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(sender.send, *arguments)
    sender.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _taken() -> int | None:
    """The bytes that RLIMIT_DATA counts, from the sixth number of Linux's statm, in pages."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
