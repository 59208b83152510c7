"""What every route needs, made once for an app, and the way into the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from fastapi import Depends, Request

from medsr.jobs.store import Store
from medsr.service.api.limits import Attempts, Pace, Slots
from medsr.service.api.problem import Problem
from medsr.service.api.settings import ApiSettings

__all__ = ["Calls", "Desk", "Here", "new_desk"]

P = ParamSpec("P")
T = TypeVar("T")

_UPLOAD_THREADS = 64


class Calls:
    """Calls into the store: each in a thread, few at a time, few in waiting, none for long.

    A store that is locked for a minute would else hold every thread and every connection, and with them the health
    check; whoever cannot be served soon is told at once.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self.limiter = anyio.CapacityLimiter(settings.store_calls)
        self.threads = anyio.CapacityLimiter(settings.store_calls)
        self.waiting, self.seconds = settings.store_waiting, settings.store_seconds

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call and return what it returns.

        Raises
        ------
        Problem : 503 ``store.busy``, if too many wait or the wait is over.
        """
        if self.limiter.statistics().tasks_waiting >= self.waiting:
            raise Problem(503, "store.busy", headers={"Retry-After": "2"})
        borrower = object()
        try:
            with anyio.fail_after(self.seconds):
                await self.limiter.acquire_on_behalf_of(borrower)
        except TimeoutError:
            raise Problem(503, "store.busy", headers={"Retry-After": "2"}) from None
        try:
            return await anyio.to_thread.run_sync(partial(function, *args, **kwargs), limiter=self.threads)
        finally:
            self.limiter.release_on_behalf_of(borrower)


@dataclass(slots=True)
class Desk:
    """State of one app: handles and counters, no data."""

    store: Store
    settings: ApiSettings
    calls: Calls
    pace: Pace
    attempts: Attempts
    uploads: Slots
    writers: anyio.CapacityLimiter
    started: float = field(default_factory=time.time)
    closing: bool = False


def new_desk(store: Store, settings: ApiSettings) -> Desk:
    """A desk over an open store."""
    return Desk(
        store=store,
        settings=settings,
        calls=Calls(settings),
        pace=Pace(settings.requests_per_s, time.monotonic),
        attempts=Attempts(settings.failures_per_minute, time.monotonic),
        uploads=Slots(settings.uploads_per_key),
        writers=anyio.CapacityLimiter(_UPLOAD_THREADS),
    )


def _desk(request: Request) -> Desk:
    desk = request.app.state.desk
    if not isinstance(desk, Desk):
        raise TypeError("the app was made without a desk")
    return desk


Here = Annotated[Desk, Depends(_desk)]
"""The desk, as a parameter of a route."""
