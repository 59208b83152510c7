"""Room on the disk: intake stops early, and a ballast file can be given up so that deleting still works.

On a full disk SQLite refuses even DELETE, which it must write to its log first.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from medsr.errors import Unavailable
from medsr.jobs.store import DATABASE, Store
from medsr.resources import sync_folder

__all__ = ["Room", "check_room", "give_up_ballast", "make_ballast", "room", "trim_wal", "wal_bytes"]

BALLAST = "ballast"


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of the store's disk.

    Parameters
    ----------
    free : what an unprivileged process may still write.
    needed : below this intake is refused.
    """

    free: int
    total: int
    needed: int

    @property
    def enough(self) -> bool:
        """Whether intake goes on."""
        return self.free >= self.needed


def room(store: Store) -> Room:
    """How much is left, now. What must stay free is at most half of the disk, so that small disks serve too."""
    found = os.statvfs(store.folder)
    total = found.f_blocks * found.f_frsize
    wanted = max(int(store.limits.min_free_fraction * total), store.limits.min_free_bytes)
    return Room(found.f_bavail * found.f_frsize, total, min(wanted, total // 2))


def check_room(store: Store, *, coming: int = 0) -> None:
    """Refuse intake below the watermark (HTTP 507); reviews and deletions go on.

    Parameters
    ----------
    coming : bytes that the request announces.

    Raises
    ------
    Unavailable : ``store.full``.
    """
    found = room(store)
    if found.free - coming < found.needed:
        raise Unavailable("store.full", f"{found.free >> 20} MiB are free, {found.needed >> 20} MiB must stay free")


def make_ballast(store: Store) -> bool:
    """Reserve the ballast's blocks if it is not there and the disk has room; True if it is there afterwards."""
    path = _ballast(store)
    if path.is_file():
        return True
    if room(store).free < 2 * store.limits.ballast_bytes:
        return False
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(handle, 0, store.limits.ballast_bytes)
        os.fsync(handle)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(handle)
    sync_folder(store.folder)
    return True


def give_up_ballast(store: Store) -> bool:
    """Free the ballast's blocks; True if there were any. `retention.sweep` makes it again once there is room."""
    with contextlib.suppress(FileNotFoundError):
        _ballast(store).unlink()
        return True
    return False


def wal_bytes(store: Store) -> int:
    """Size of SQLite's write-ahead log; 0 on PostgreSQL."""
    path = store.folder / f"{DATABASE}-wal"
    return path.stat().st_size if store.sqlite and path.is_file() else 0


def trim_wal(store: Store) -> bool:
    """Cut the write-ahead log back if it is above its limit; True if that was done. A long reader may prevent it."""
    if wal_bytes(store) <= store.limits.wal_bytes:
        return False
    with store.engine.connect() as connection:
        cursor = connection.connection.cursor()
        busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        cursor.close()
    return not busy


def _ballast(store: Store) -> Path:
    return store.folder / BALLAST
