"""Time and chance, injected: the simulation of histories runs on a clock and a generator of its own."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["SYSTEM_CLOCK", "SYSTEM_RANDOM", "Clock", "Random"]


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks.

    Parameters
    ----------
    wall : seconds since 1970, for what people read; it may jump.
    steady : seconds that never jump while the machine is up and count through its sleep; leases run on it.
    epoch : names the start of `steady`: a lease of another epoch has ended, since its holder died with its machine.
    """

    wall: Callable[[], float]
    steady: Callable[[], float]
    epoch: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Random:
    """A source of unguessable bytes."""

    token: Callable[[int], bytes]

    def uuid(self) -> str:
        """A UUID of version 4."""
        return str(uuid.UUID(bytes=self.token(16), version=4))


SYSTEM_CLOCK = Clock(time.time, lambda: time.clock_gettime(time.CLOCK_BOOTTIME), _boot)
SYSTEM_RANDOM = Random(secrets.token_bytes)
