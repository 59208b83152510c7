"""What a method takes: CPU seconds and peak memory of one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["Used", "measured"]

T = TypeVar("T")

_STATUS, _REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of all threads, and the process's peak resident memory in MB (None where it cannot be reset)."""

    cpu_s: float
    peak_mb: float | None


def measured(deed: Callable[[], T]) -> tuple[T, Used]:
    """Run `deed`; returns its result and what it took.

    The peak is that of the whole process during the call, with what was already in memory: it is what a user's
    machine must hold.
    """
    resettable = _reset_peak()
    started = time.process_time()
    result = deed()
    seconds = time.process_time() - started
    return result, Used(seconds, _peak_mb() if resettable else None)


def _reset_peak() -> bool:
    """Linux: writing 5 to clear_refs sets the high-water mark back to what is resident at this moment."""
    try:
        _REFS.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _peak_mb() -> float | None:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) / 1024
    return None
