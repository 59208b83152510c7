"""One lock file a store: byte 0 is held by the one instance that serves it, byte 1 is shared by all who have it open.

Locks are those of the open file (Linux OFD): children inherit them, and the kernel drops them with the last holder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medsr.errors import UsageError

__all__ = ["exclusive", "hold_instance", "refuse_network", "share"]

LOCK_FILE = "store.lock"
_INSTANCE, _USERS = 0, 1
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "beegfs", "afs"})


def share(folder: Path) -> int:
    """Say that this process uses the store; returns the handle to close at the end.

    Raises
    ------
    UsageError : ``store.locked``, while the store is being restored from a back-up.
    """
    handle = _open(folder)
    if not _lock(handle, fcntl.F_RDLCK, _USERS):
        os.close(handle)
        raise UsageError("store.locked", "the store is being restored from a back-up")
    return handle


@contextmanager
def hold_instance(folder: Path) -> Iterator[int]:
    """Be the one instance that serves this SQLite store (on PostgreSQL several may: do not call it there).

    Yields the handle, which children may inherit.

    Raises
    ------
    UsageError : ``store.locked``, if another instance serves it.
    """
    with _held(folder, _INSTANCE, "another instance of medsr serves this store") as handle:
        yield handle


@contextmanager
def exclusive(folder: Path) -> Iterator[int]:
    """Be the only process that has the store open, as a restore from a back-up must.

    Raises
    ------
    UsageError : ``store.locked``.
    """
    with _held(folder, _USERS, "other processes have this store open") as handle:
        yield handle


def refuse_network(folder: Path) -> None:
    """SQLite's locks and shared memory do not work between hosts.

    Raises
    ------
    UsageError : ``store.network``.
    """
    kind = _file_system(folder)
    if kind in _NETWORK or kind.startswith("fuse.sshfs"):
        raise UsageError("store.network", f"SQLite cannot stand on a {kind} file system")


@contextmanager
def _held(folder: Path, byte: int, fact: str) -> Iterator[int]:
    handle = _open(folder)
    try:
        if not _lock(handle, fcntl.F_WRLCK, byte):
            raise UsageError("store.locked", fact)
        yield handle
    finally:
        os.close(handle)


def _open(folder: Path) -> int:
    return os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(handle: int, kind: int, byte: int) -> bool:
    # struct flock of 64-bit Linux: type, whence, padding, start, length, pid (0 with OFD locks).
    request = struct.pack("hhiqqi4x", kind, os.SEEK_SET, 0, byte, 1, 0)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _file_system(folder: Path) -> str:
    """Type of the mount that holds `folder`, from the kernel's table."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(" ")
        if fields[2] == wanted:
            return fields[fields.index("-") + 1]
    return "unknown"
