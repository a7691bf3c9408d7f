"""A file that a run leaves behind: written whole, or not at all."""

from __future__ import annotations

import os
import shutil

from gradverify.errors import UsageError


def check_writable(path: str) -> None:
    """Find out before the work, not after it, that its result cannot be written.

    Raises:
        UsageError: if the folder does not exist or is closed, or the path is something else than a file.
    """
    if not path:
        raise UsageError("the name of the file to write is empty; give its path")
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    if os.path.exists(real) and not os.path.isfile(real):
        raise UsageError(f"{path} is no regular file; give the path of a file to write")
    if not os.path.isdir(folder):
        raise UsageError(f"{path} cannot be written: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{path} cannot be written: the folder {folder} does not allow it")


def check_all_writable(*paths: str | None) -> None:
    """The same for several files, of which no two may be one; None stands for a file that is not asked for.

    Raises:
        UsageError: for the first that cannot be written, or that another one would overwrite.
    """
    seen: dict[str, str] = {}
    for path in paths:
        if path is None:
            continue
        check_writable(path)
        real = os.path.realpath(path)
        if real in seen:
            raise UsageError(f"{path} and {seen[real]} are one file, which would be written twice; name two")
        seen[real] = path


def write_whole(path: str, content: str | bytes) -> None:
    """Write a file such that whoever reads it sees the old content or the new one, never a part.

    Raises:
        UsageError: if the folder does not take it; nothing is left behind.
    """
    real = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(real), f".{os.path.basename(real)}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(real):
            shutil.copymode(real, temporary)
        os.replace(temporary, real)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
