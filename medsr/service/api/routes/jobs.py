"""Jobs: made, listed, looked at, stopped, purged."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from medsr.jobs.keys import Principal
from medsr.jobs.listing import job as find_job
from medsr.jobs.listing import jobs as find_jobs
from medsr.jobs.nouns import IdempotencyKey, Job, JobRequest
from medsr.jobs.retention import purge
from medsr.jobs.states import JobState
from medsr.jobs.submit import cancel, submit
from medsr.service.api.auth import Caller, requires, visible_owner
from medsr.service.api.desk import Desk, Here
from medsr.service.api.documented import ID_PATTERN, location, problems
from medsr.service.api.problem import Problem
from medsr.service.api.schemas import JobIn, JobOut, JobPage, ValidationIn
from medsr.service.api.shown import shown_job
from medsr.service.pins import pins_of

__all__ = ["IdempotencyName", "JobId", "router", "submitted"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of a job.")]
IdempotencyName = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="Asked again with the same key and body, the first job is answered and none is made.",
    ),
]
_LARGEST_PAGE = 200


@router.post(
    "",
    status_code=202,
    dependencies=[requires("submit")],
    response_model=JobOut,
    responses={202: {"description": "Queued.", **location("The job.")}, **problems(404, 408, 413, 507)},
)
async def create(
    asked: JobIn,
    request: Request,
    response: Response,
    desk: Here,
    caller: Caller,
    idempotency_key: IdempotencyName = None,
) -> JobOut:
    """Queue the restoration of an upload. It is on disk when this answers."""
    parameters = asked.model_dump(exclude={"input", "policy", "priority"}, exclude_none=True)
    job = await submitted(desk, caller, request, asked, JobRequest(parameters), name=idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return await desk.calls.run(shown_job, desk.store, job)


async def submitted(
    desk: Desk,
    caller: Principal,
    request: Request,
    asked: JobIn | ValidationIn,
    wanted: JobRequest,
    *,
    name: str | None,
) -> Job:
    """Queue what was asked for; the key of the request names its body and its path."""
    if asked.priority > 0 and not caller.may("admin"):
        raise Problem(403, "auth.scope")
    key = None
    if name is not None:
        body = request.url.path.encode() + b"\n" + await request.body()
        key = IdempotencyKey(name, hashlib.sha256(body).hexdigest())

    def queue() -> Job:
        pins = pins_of(wanted, policy=asked.policy or desk.settings.policy)
        return submit(
            desk.store,
            owner=caller.owner,
            request=wanted,
            input_sha256=asked.input,
            pins=pins,
            key=key,
            api_key=caller.key,
            priority=asked.priority,
        )

    return await desk.calls.run(queue)


@router.get(
    "",
    dependencies=[requires("submit", "read", "review", "admin")],
    response_model=JobPage,
    responses=problems(),
)
async def listed(
    desk: Here,
    caller: Caller,
    state: Annotated[list[JobState] | None, Query(max_length=13, description="Only these states.")] = None,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=_LARGEST_PAGE)] = 50,
) -> JobPage:
    """Jobs, newest first: one's own; a reader and an administrator see everybody's."""

    def page() -> JobPage:
        found = find_jobs(
            desk.store, owner=visible_owner(caller), states=tuple(state or ()), cursor=cursor, limit=limit
        )
        jobs = [shown_job(desk.store, one, alone=False) for one in found.items]
        return JobPage(jobs=jobs, next=found.next)

    return await desk.calls.run(page)


@router.get(
    "/{job_id}",
    dependencies=[requires("submit", "read", "review", "admin")],
    response_model=JobOut,
    responses={
        200: {"headers": {"ETag": {"description": "For If-Match of a decision.", "schema": {"type": "string"}}}},
        **problems(404),
    },
)
async def one(job_id: JobId, response: Response, desk: Here, caller: Caller) -> JobOut:
    """A job: stage, fraction, place in the queue, and once it is judged its verdict and files."""

    def look() -> JobOut:
        return shown_job(desk.store, find_job(desk.store, job_id, owner=visible_owner(caller)))

    found = await desk.calls.run(look)
    response.headers["ETag"] = found.etag
    return found


@router.delete(
    "/{job_id}",
    status_code=202,
    dependencies=[requires("submit", "admin")],
    response_model=JobOut,
    responses={
        202: {"description": "It stops; a running job at its worker's next heartbeat."},
        204: {"description": "Purged: its data are gone, hashes and audit stay."},
        **problems(404, 409),
    },
)
async def remove(
    job_id: JobId,
    desk: Here,
    caller: Caller,
    purge_: Annotated[bool, Query(alias="purge", description="Remove its data; scope admin.")] = False,
) -> JobOut | Response:
    """Stop a job, or with `purge=1` remove the data of one that has ended."""
    owner = None if caller.may("admin") else caller.owner
    if purge_:
        if not caller.may("admin"):
            raise Problem(403, "auth.scope")
        await desk.calls.run(purge, desk.store, job_id, actor=caller.key)
        return Response(status_code=204)
    stopped = await desk.calls.run(cancel, desk.store, job_id, owner=owner, actor=caller.key)
    return await desk.calls.run(shown_job, desk.store, stopped)
