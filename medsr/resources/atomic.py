"""The one atomic writer: a file is either whole and on disk, or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["sync_folder", "write_bytes", "writing"]


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable (fsync on the folder)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it appears whole or not at all.

    Bytes go to a hidden name ending in ``.part`` in the same folder; on success the file is fsynced, renamed and the
    folder fsynced; on any exception the temporary file is removed and `path` is left as it was. A kill can leave the
    ``.part`` file, never a part of `path`. Mode bits are those of a file made under the process's umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name does not repeat `path.name`: together they could pass the 255 bytes of a file name. The kernel applies
    # the umask, since reading it takes setting it, and another thread may create a file in between.
    temporary = path.parent / f".{secrets.token_hex(12)}.part"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
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


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically and durably."""
    with writing(path) as stream:
        stream.write(data)
