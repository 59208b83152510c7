"""Room on the disk: intake stops early, and a ballast file can be given up so that deleting still works."""

from __future__ import annotations

import os
from dataclasses import dataclass

from medsr.errors import Unavailable
from medsr.jobs.store import Store

__all__ = ["Room", "check_room", "room"]


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
    """How much is left, now."""
    found = os.statvfs(store.folder)
    total = found.f_blocks * found.f_frsize
    needed = min(max(int(store.limits.min_free_fraction * total), store.limits.min_free_bytes), total // 2)
    return Room(found.f_bavail * found.f_frsize, total, needed)


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
