"""What happened to a job, in order: what the event stream replays and the page shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.jobs.nouns import Json
from medsr.jobs.store import Store, canonical, many, reading
from medsr.jobs.tables import event

__all__ = ["Event", "EventKind", "append_event", "events_after"]

EventKind = Literal["state", "progress", "finding", "decision"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `seq` counts from 1 within the job, without gaps."""

    job_id: str
    seq: int
    at: float
    kind: EventKind
    data: Json


def append_event(connection: Connection, store: Store, job_id: str, kind: EventKind, data: Json) -> int:
    """Append inside the deed's transaction, which holds the job's row; returns the number of the event."""
    last = connection.execute(sa.select(sa.func.max(event.c.seq)).where(event.c.job == job_id)).scalar_one()
    seq = int(last or 0) + 1
    values = {"job": job_id, "seq": seq, "at": store.now(), "kind": kind, "data": canonical(dict(data))}
    connection.execute(sa.insert(event).values(values))
    return seq


def events_after(store: Store, job_id: str, seq: int = 0, *, limit: int = 500) -> tuple[Event, ...]:
    """Events with a number above `seq`, in order. Whose job it is, the caller has asked `listing.job`."""
    wanted = sa.select(event).where(event.c.job == job_id, event.c.seq > seq).order_by(event.c.seq).limit(limit)
    with reading(store) as connection:
        rows = many(connection, wanted)
    return tuple(
        Event(row["job"], row["seq"], row["at"], cast(EventKind, row["kind"]), json.loads(row["data"])) for row in rows
    )
