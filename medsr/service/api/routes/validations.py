"""Judging anybody's output."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from medsr.jobs.nouns import JobRequest
from medsr.service.api.auth import Caller, requires
from medsr.service.api.desk import Here
from medsr.service.api.documented import location, problems
from medsr.service.api.routes.jobs import IdempotencyName, submitted
from medsr.service.api.schemas import JobOut, ValidationIn
from medsr.service.api.shown import shown_job

__all__ = ["router"]

router = APIRouter(prefix="/v1/validations", tags=["jobs"])


@router.post(
    "",
    status_code=202,
    dependencies=[requires("submit")],
    response_model=JobOut,
    responses={202: {"description": "Queued.", **location("The job.")}, **problems(404, 408, 413, 507)},
)
async def create(
    asked: ValidationIn,
    request: Request,
    response: Response,
    desk: Here,
    caller: Caller,
    idempotency_key: IdempotencyName = None,
) -> JobOut:
    """Queue the judgement of a restored volume against the scan that it was made from. Both are uploads."""
    parameters = asked.model_dump(exclude={"input", "candidate", "policy", "priority"}, exclude_none=True)
    wanted = JobRequest(parameters, kind="validate", candidate_sha256=asked.candidate)
    job = await submitted(desk, caller, request, asked, wanted, name=idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return await desk.calls.run(shown_job, desk.store, job)
