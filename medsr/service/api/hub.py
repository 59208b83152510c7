"""One look at the event table for all open streams: five hundred streams cost one query, not five hundred."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
import structlog

from medsr.errors import MedsrError
from medsr.jobs.store import Store, reading
from medsr.jobs.tables import event
from medsr.service.api.desk import Desk
from medsr.service.api.problem import Problem

__all__ = ["Hub", "newest"]

_LOT = 500
_log = structlog.get_logger(__name__)


def newest(store: Store, jobs: Sequence[str]) -> Mapping[str, int]:
    """Number of the newest event of each job."""
    found: dict[str, int] = {}
    with reading(store) as connection:
        for at in range(0, len(jobs), _LOT):
            wanted = (
                sa.select(event.c.job, sa.func.max(event.c.seq))
                .where(event.c.job.in_(jobs[at : at + _LOT]))
                .group_by(event.c.job)
            )
            found |= {str(job): int(seq) for job, seq in connection.execute(wanted)}
    return found


class Hub:
    """Wakes streams whose job has new events. It looks only while somebody watches."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._watched: Counter[str] = Counter()
        self._newest: dict[str, int] = {}
        self._looked: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watching(self, job: str) -> Iterator[None]:
        """Keep a job among those that are looked at."""
        self._watched[job] += 1
        if self._task is None or self._task.done():
            self._looked = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._look())
        try:
            yield
        finally:
            self._watched[job] -= 1
            if not self._watched[job]:
                del self._watched[job]
                self._newest.pop(job, None)

    async def news(self, job: str, seq: int, *, within_s: float) -> bool:
        """True once the job has an event above `seq`; False when the time is over or the service stops."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while not self._desk.closing:
            if self._newest.get(job, 0) > seq:
                return True
            left = end - loop.time()
            if left <= 0 or self._looked is None:
                return False
            try:
                await asyncio.wait_for(self._looked.wait(), left)
            except TimeoutError:
                return False
        return False

    async def _look(self) -> None:
        while self._watched and not self._desk.closing:
            try:
                found = await self._desk.calls.run(newest, self._desk.store, tuple(self._watched))
                self._newest.update({job: seq for job, seq in found.items() if job in self._watched})
            except (MedsrError, Problem) as error:
                _log.warning("events.look", code=error.code)
            looked, self._looked = self._looked, asyncio.Event()
            if looked is not None:
                looked.set()
            await asyncio.sleep(self._desk.settings.events_poll_s)
        if self._looked is not None:
            self._looked.set()
