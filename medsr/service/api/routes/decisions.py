"""A reader's decision. There is no way to decide by GET: a link or a picture in a page must never approve."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

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

# Declared here and read by hand: FastAPI answers a missing header with 422, HTTP has 428 for this one.
_IF_MATCH = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "required": True,
            "description": "The job's ETag as it was read.",
            "schema": {"type": "string", "maxLength": 100},
        }
    ]
}


@router.post(
    "/{job_id}/decision",
    dependencies=[requires("review")],
    response_model=JobOut,
    openapi_extra=_IF_MATCH,
    responses={
        200: {"headers": {"ETag": {"description": "Of the job as it is now.", "schema": {"type": "string"}}}},
        **problems(404, 408, 409, 413, 428),
    },
)
async def decision(
    job_id: JobId,
    asked: DecisionIn,
    request: Request,
    response: Response,
    desk: Here,
    caller: Caller,
) -> JobOut:
    """Release or reject what is held, or withdraw what was released.

    If-Match names the job as the reader saw it and `output_sha256` the bytes: on anything else the answer is 409 and
    nothing happens. Where the service asks for four eyes, the submitting key cannot release.
    """
    if_match = request.headers.get("if-match")
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
