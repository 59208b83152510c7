"""Where the one job of a worker stands, and the heart that watches it and keeps its lease.

The work runs on the main thread and moves a Pace; the heart is a thread that beats only while the pace moves. Steps and
CPU seconds of the main thread both count as moving: judging reports no steps, and a deadlock burns no CPU. A reader
child has deadlines of its own. A worker that stands still for a lease, or passes its wall clock, ends itself, since
nothing else can stop a thread; the supervisor starts another.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import structlog

from medsr.errors import Conflict, MedsrError, Unavailable
from medsr.jobs.claims import beat, cancelled, fail, hand_back
from medsr.jobs.nouns import Claim, Progress
from medsr.jobs.store import Store
from medsr.service.settings import ServiceSettings

__all__ = ["Heart", "Pace", "Stage", "Stopped"]

Stage = Literal["claimed", "read", "restore", "judge", "publish"]
Order = Literal["go_on", "cancel", "lost"]

_SPANS: dict[Stage, tuple[float, float]] = {
    "claimed": (0.0, 0.0), "read": (0.0, 0.05), "restore": (0.05, 0.7), "judge": (0.7, 0.95), "publish": (0.95, 1.0),
}  # fmt: skip
_QUICK_S = 1.0
_MARGIN_S = 2.0

_log = structlog.get_logger("medsr.service")


class Stopped(Exception):
    """The job is not to go on. order tells why."""

    def __init__(self, order: Order) -> None:
        self.order = order
        super().__init__(order)


@dataclass(slots=True)
class Pace:
    """Moved by the work, read by the heart. Every field is one reference or number, so no lock is needed."""

    stage: Stage = "claimed"
    fraction: float = 0.0
    steps: int = 0
    waits_for_child: bool = False
    order: Order = "go_on"
    wall_until: float = float("inf")

    def tick(self, done: int, total: int) -> None:
        """Progress of the stage, as restorers report it.

        Raises
        ------
        Stopped : if the job was cancelled or lost meanwhile.
        """
        low, high = _SPANS[self.stage]
        self.fraction = low + (high - low) * done / max(total, 1)
        self.steps += 1
        self.check()

    def check(self) -> None:
        """Go on, or stop here.

        Raises
        ------
        Stopped : as :meth:`tick`.
        """
        if self.order != "go_on":
            raise Stopped(self.order)

    @contextmanager
    def entering(self, stage: Stage) -> Iterator[None]:
        """A stage of the job; checks before it and after it, but not after publishing, which ends the claim."""
        self.stage, self.fraction = stage, _SPANS[stage][0]
        self.steps += 1
        self.waits_for_child = stage == "read"
        self.check()
        try:
            yield
        finally:
            self.waits_for_child = False
            self.steps += 1
        if stage != "publish":
            self.check()


@dataclass(slots=True, eq=False)
class Heart:
    """Keeps the lease of whatever job is set, says `draining` after SIGTERM, and ends a worker that hangs.

    Parameters
    ----------
    pulse : called at every beat, job or none, for the supervisor that watches this process.
    """

    store: Store
    settings: ServiceSettings
    pulse: Callable[[], None]
    draining: bool = False
    _pace: Pace | None = None
    _claim: Claim | None = None
    _main: int = field(default_factory=threading.get_ident)
    _wake: tuple[int, int] = field(default_factory=os.pipe)
    _thread: threading.Thread | None = None
    _drain_until: float = float("inf")
    _order_at: float = float("inf")
    _stopping: bool = False

    def start(self) -> None:
        """Begin to beat; SIGTERM and SIGINT begin the drain, also while the main thread is deep in a computation."""
        for end in self._wake:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, so that nothing beats for a process that leaves."""
        self._stopping = True
        self._poke()
        if self._thread is not None:
            self._thread.join(timeout=self.settings.store_busy_s)

    @contextmanager
    def holding(self, claim: Claim, pace: Pace) -> Iterator[None]:
        """Keep this claim alive while the block runs."""
        self._order_at = float("inf")
        self._pace, self._claim = pace, claim
        self._poke()
        try:
            yield
        finally:
            self._pace = self._claim = None

    def wait(self, seconds: float) -> None:
        """Sleep on the main thread, at most until the drain begins."""
        until = time.monotonic() + seconds
        while not self.draining and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _poke(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake[1], b"\0")

    def _run(self) -> None:
        moved = _Moved(self._main)
        beaten = shown = 0.0
        while not self._stopping:
            self._listen(0.2 if self._claim is not None else self.settings.heartbeat_s / 2)
            claim, pace, now = self._claim, self._pace, time.monotonic()
            due = now - beaten >= self.settings.heartbeat_s
            if claim is None or pace is None:
                moved.forget()
            else:
                still = moved.still_s(claim, pace)
                self._end_if_hopeless(claim, pace, still)
                changed = pace.fraction != shown and now - beaten >= _QUICK_S
                if (due or changed) and still < self.settings.lease_s:
                    shown, due = pace.fraction, True
                    self._beat(claim, pace)
            if due:
                beaten = now
                self.pulse()

    def _listen(self, seconds: float) -> None:
        """Wait; a byte that is a signal's number begins the drain."""
        ready, _, _ = select.select([self._wake[0]], [], [], seconds)
        heard = os.read(self._wake[0], 64) if ready else b""
        if not self.draining and any(number in heard for number in (signal.SIGTERM, signal.SIGINT)):
            self.draining = True
            self._drain_until = time.monotonic() + max(self.settings.drain_s - _MARGIN_S, 0.1)

    def _beat(self, claim: Claim, pace: Pace) -> None:
        try:
            said = beat(self.store, claim, Progress(pace.stage, pace.fraction, pace.steps))
        except Unavailable:
            return  # the store is busy; the lease has room for several beats
        except MedsrError:
            _log.exception("heart.failed", job=claim.job_id)
            return
        if said != "go_on" and pace.order == "go_on" and self._claim is claim:
            pace.order, self._order_at = said, time.monotonic()

    def _end_if_hopeless(self, claim: Claim, pace: Pace, still: float) -> None:
        """End this process where the work does not end: hung, over its time, deaf to an order, or out of drain time."""
        now = time.monotonic()
        if self._claim is not claim:
            return
        if pace.order != "go_on" and now - self._order_at > self.settings.heartbeat_s:
            self._leave(cancelled if pace.order == "cancel" else None, claim, "deaf")
        if now > pace.wall_until:
            self._leave(lambda store, held: fail(store, held, "job.wall"), claim, "wall")
        if now > self._drain_until:
            self._leave(hand_back, claim, "drained")
        if still > 2 * self.settings.lease_s:
            self._leave(None, claim, "hung")

    def _leave(self, deed: Callable[[Store, Claim], object] | None, claim: Claim, why: str) -> None:
        """Do what the store must know, then die at once: the main thread cannot be asked to."""
        _log.warning("worker.leaves", job=claim.job_id, reason=why)
        if deed is not None:
            with suppress(Conflict, Unavailable):
                deed(self.store, claim)
        os._exit(0 if why == "drained" else 1)


class _Moved:
    """How long a pace has stood still."""

    def __init__(self, main: int) -> None:
        self._clock = time.pthread_getcpuclockid(main)
        self._seen: tuple[object, int, int] = (None, 0, 0)
        self._since = time.monotonic()

    def forget(self) -> None:
        self._seen = (None, 0, 0)

    def still_s(self, claim: Claim, pace: Pace) -> float:
        now = time.monotonic()
        seen = (claim, pace.steps, int(time.clock_gettime(self._clock) * 10))
        if pace.waits_for_child or self._seen[0] is not claim or seen[1:] != self._seen[1:]:
            self._seen, self._since = seen, now
        return now - self._since
