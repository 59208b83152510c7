"""How much one client may ask: arithmetic over an injected clock, kept in memory of one api process."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Attempts", "Pace", "Slots"]

_MOST_CLIENTS = 10_000

Clock = Callable[[], float]


@dataclass(slots=True)
class Pace:
    """Requests a second of each client: a bucket that holds one second's worth and fills steadily.

    Parameters
    ----------
    clock : monotonic seconds.
    """

    per_second: float
    clock: Clock
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_s(self, client: str) -> float:
        """0 and one request taken, or the seconds until there will be one."""
        at = self.clock()
        burst = max(self.per_second, 1.0)
        left, then = self._left.pop(client, (burst, at))
        left = min(burst, left + (at - then) * self.per_second)
        allowed = left >= 1 - 1e-9
        self._left[client] = (left - 1 if allowed else left, at)
        _forget(self._left)
        return 0.0 if allowed else (1 - left) / self.per_second


@dataclass(slots=True)
class Attempts:
    """Wrong keys of each address within the last minute."""

    per_minute: int
    clock: Clock
    _failed: dict[str, deque[float]] = field(default_factory=dict)

    def failed(self, address: str) -> float:
        """Count a wrong key; 0 while they are few, else the seconds until the oldest is a minute old."""
        at = self.clock()
        times = self._failed.pop(address, deque(maxlen=self.per_minute + 1))
        times.append(at)
        while times and at - times[0] >= 60:
            times.popleft()
        self._failed[address] = times
        _forget(self._failed)
        return 0.0 if len(times) <= self.per_minute else 60 - (at - times[0])


@dataclass(slots=True)
class Slots:
    """Things that one client may have open at a time."""

    most: int
    _open: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def one(self, client: str) -> Iterator[bool]:
        """Yield whether a slot was free; hold it meanwhile."""
        free = self._open[client] < self.most
        if not free:
            yield False
            return
        self._open[client] += 1
        try:
            yield True
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]


def _forget(table: dict[str, object] | dict[str, tuple[float, float]] | dict[str, deque[float]]) -> None:
    """Drop the client that was seen longest ago, so that a flood of addresses costs bounded memory."""
    while len(table) > _MOST_CLIENTS:
        del table[next(iter(table))]
