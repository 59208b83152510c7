"""A reader's decision. There is no way to decide by GET: a link or a picture in a page must never approve."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from medsr.jobs.decisions import decide
from medsr.service.api.auth import Caller, requires
from medsr.service.api.desk import Here
from medsr.service.api.documented import problems
from medsr.service.api.problem import Problem
from medsr.service.api.routes.jobs import JobId
from medsr.service.api.schemas import DecisionIn, JobOut
from medsr.service.api.shown import shown_job

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["results"])


@router.post(
    "/{job_id}/decision",
    dependencies=[requires("review")],
    response_model=JobOut,
    responses={
        200: {"headers": {"ETag": {"description": "Of the job as it is now.", "schema": {"type": "string"}}}},
        **problems(404, 408, 409, 413, 428),
    },
)
async def decision(
    job_id: JobId,
    asked: DecisionIn,
    response: Response,
    desk: Here,
    caller: Caller,
    if_match: Annotated[str | None, Header(max_length=100, description="The job's ETag as it was read.")] = None,
) -> JobOut:
    """Release or reject what is held, or withdraw what was released.

    If-Match names the job as the reader saw it and `output_sha256` the bytes: on anything else the answer is 409 and
    nothing happens. Where the service asks for four eyes, the submitting key cannot release.
    """
    if if_match is None:
        raise Problem(428, "http.precondition")

    def decided() -> JobOut:
        job = decide(
            desk.store,
            job_id,
            reader=caller,
            identity=asked.reader or caller.label,
            verdict=asked.verdict,
            reason=asked.reason,
            output_sha256=asked.output_sha256,
            etag=if_match.strip().removeprefix("W/").strip('"'),
            four_eyes=desk.settings.four_eyes,
        )
        return shown_job(desk.store, job)

    made = await desk.calls.run(decided)
    response.headers["ETag"] = made.etag
    return made
