"""The one atomic writer: a file is either whole and on disk, or not there."""

from __future__ import annotations

import ctypes
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["exchange", "sync_folder", "write_bytes", "writing"]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable (fsync on the folder)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it appears whole or not at all, with permissions `mode` less the umask.

    Bytes go to a hidden name ending in ``.part`` in the same folder; on success the file is fsynced, renamed and the
    folder fsynced; on any exception the temporary file is removed and `path` is left as it was. A kill can leave the
    ``.part`` file, never a part of `path`. Mode bits are those of a file made under the process's umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name does not repeat `path.name`: together they could pass the 255 bytes of a file name. The kernel applies
    # the umask, since reading it takes setting it, and another thread may create a file in between.
    temporary = path.parent / f".{secrets.token_hex(12)}.part"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write `data` to `path` atomically and durably."""
    with writing(path, mode=mode) as stream:
        stream.write(data)


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step (Linux renameat2): at no moment is either missing."""
    libc = ctypes.CDLL("libc.so.6", use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one), None, str(other))
