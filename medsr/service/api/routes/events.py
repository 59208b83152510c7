"""What happens to a job, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from medsr.jobs.events import Event, events_after
from medsr.jobs.listing import job as find_job
from medsr.jobs.listing import queue_position
from medsr.jobs.nouns import Job
from medsr.jobs.states import ENDED
from medsr.service.api.auth import Caller, requires, visible_owner
from medsr.service.api.desk import Desk, Here
from medsr.service.api.documented import problems
from medsr.service.api.hub import Hub
from medsr.service.api.routes.jobs import JobId

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_QUEUE_S = 2.0
_LOT = 500


@router.get(
    "/{job_id}/events",
    dependencies=[requires("submit", "read", "review", "admin")],
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events `state`, `progress`, `finding`, `decision` with their numbers, `queue` with the "
            "place in the queue, a comment every 15 s, and `end` once nothing more comes.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The job has ended and Last-Event-ID has seen it all: do not connect again."},
        **problems(404),
    },
)
async def events(
    job_id: JobId,
    request: Request,
    desk: Here,
    caller: Caller,
    last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,9}$", description="Replay what came after.")] = None,
) -> Response:
    """Follow a job: everything since Last-Event-ID, then what happens, until the job has ended."""
    job = await desk.calls.run(find_job, desk.store, job_id, owner=visible_owner(caller))
    seen = int(last_event_id or 0)
    if job.state in ENDED and seen and not await desk.calls.run(events_after, desk.store, job_id, seen, limit=1):
        return Response(status_code=204)
    hub: Hub = request.app.state.hub
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(desk, hub, job, seen), media_type="text/event-stream", headers=headers)


async def _stream(desk: Desk, hub: Hub, job: Job, seen: int) -> AsyncIterator[bytes]:
    """The job's row is read before its events: an end that the row tells has its event among those read after."""
    place: int | None = None
    quiet_s = 0.0
    with hub.watching(job.id):
        yield b"retry: 2000\n\n"
        while True:
            found = await desk.calls.run(events_after, desk.store, job.id, seen, limit=_LOT)
            for event in found:
                seen = event.seq
                yield _event(event)
            if found:
                quiet_s = 0.0
            if len(found) == _LOT:
                continue
            if job.state in ENDED:
                yield b"event: end\ndata: {}\n\n"
                return
            if job.state == "queued":
                there = await desk.calls.run(queue_position, desk.store, job)
                if there != place and there is not None:
                    place = there
                    yield f'event: queue\ndata: {{"position": {there}}}\n\n'.encode()
            patience = min(_QUEUE_S, desk.settings.events_comment_s)
            if not await hub.news(job.id, seen, within_s=patience):
                if desk.closing:
                    return
                quiet_s += patience
                if quiet_s >= desk.settings.events_comment_s:
                    quiet_s = 0.0
                    yield b": still here\n\n"
            job = await desk.calls.run(find_job, desk.store, job.id)


def _event(event: Event) -> bytes:
    body = {"job": event.job_id, "seq": event.seq, "at": event.at, "kind": event.kind, "data": dict(event.data)}
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {json.dumps(body)}\n\n".encode()
