"""What came out of a job: files once they are released, the report once it is judged, and where it all comes from."""

from __future__ import annotations

import html
import json
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Header, Path, Request, Response

from medsr.jobs.decisions import decisions
from medsr.jobs.keys import Scope
from medsr.jobs.listing import job as find_job
from medsr.jobs.nouns import Job
from medsr.jobs.results import ResultFile, open_result, result_files
from medsr.jobs.states import JUDGED
from medsr.service.api.auth import Caller, requires, visible_owner
from medsr.service.api.desk import Desk, Here
from medsr.service.api.documented import binary, problems
from medsr.service.api.guard import REPORT_POLICY
from medsr.service.api.problem import Problem
from medsr.service.api.ranges import file_response
from medsr.service.api.routes.jobs import JobId
from medsr.service.api.shown import job_out

__all__ = ["preferred", "router"]

router = APIRouter(prefix="/v1/jobs", tags=["results"])

_ANY: tuple[Scope, ...] = ("submit", "read", "review", "admin")
_JSON, _HTML = "application/json", "text/html"
_MEDIA = {".json": _JSON, ".html": _HTML, ".gz": "application/gzip", ".dcm": "application/dicom"}
_KINDS = ("application/octet-stream", *sorted(_MEDIA.values()))
_BOTH: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As Accept wants it.",
        "content": {_JSON: {"schema": {}}, _HTML: {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/{job_id}/result/{name:path}",
    dependencies=[requires(*_ANY)],
    response_class=Response,
    responses={
        200: {"description": "The file; its ETag is its sha256.", **binary(*_KINDS)},
        206: {"description": "The range.", **binary(*_KINDS)},
        304: {"description": "Not changed."},
        **problems(404, 409, 410, 416),
    },
)
async def result(
    job_id: JobId,
    name: Annotated[str, Path(max_length=255, description="As the job lists it.")],
    request: Request,
    desk: Here,
    caller: Caller,
) -> Response:
    """A file of the result, once the gate or a reader has released it; a reader's key sees it while it is held.

    The file is hashed at this read: bytes that rotted are not sent.
    """
    _, file, stream = await _opened(desk, caller, job_id, name)
    suffix = "." + name.rpartition(".")[2].lower()
    media_type = _MEDIA.get(suffix, "application/octet-stream")
    more = {"Content-Disposition": f'attachment; filename="{_plain(name)}"'}
    if media_type == _HTML:
        more["Content-Security-Policy"] = REPORT_POLICY
    return file_response(
        request, stream, sha256=file.sha256, size=file.bytes, media_type=media_type, headers=more
    )  # fmt: skip


@router.get(
    "/{job_id}/report",
    dependencies=[requires(*_ANY)],
    response_class=Response,
    responses={**_BOTH, 304: {"description": "Not changed."}, **problems(404, 406, 409, 410, 416)},
)
async def report(
    job_id: JobId,
    request: Request,
    desk: Here,
    caller: Caller,
    accept: Annotated[str, Header(max_length=500)] = "*/*",
) -> Response:
    """The report of a judged job, as JSON or as the page with its figures."""
    media_type = preferred(accept)
    _, file, stream = await _opened(desk, caller, job_id, "report.html" if media_type == _HTML else "report.json")
    more = {"Content-Security-Policy": REPORT_POLICY, "Vary": "Accept"}
    return file_response(request, stream, sha256=file.sha256, size=file.bytes, media_type=media_type, headers=more)


@router.get(
    "/{job_id}/provenance",
    dependencies=[requires(*_ANY)],
    response_class=Response,
    responses={**_BOTH, **problems(404, 406, 409)},
)
async def provenance(
    job_id: JobId,
    desk: Here,
    caller: Caller,
    accept: Annotated[str, Header(max_length=500)] = "*/*",
) -> Response:
    """What made this result: hashes of input, bundle, policy, configuration and output, and every decision on it."""
    media_type = preferred(accept)

    def collect() -> dict[str, object]:
        job = find_job(desk.store, job_id, owner=visible_owner(caller))
        if job.state not in JUDGED:
            raise Problem(409, "result.not_released")
        return _provenance(desk, job)

    told = json.dumps(await desk.calls.run(collect), indent=2)
    if media_type == _JSON:
        return Response(told, media_type=_JSON, headers={"Vary": "Accept"})
    page = f"<!doctype html><html lang='en'><title>Provenance</title><pre>{html.escape(told)}</pre></html>"
    return Response(page, media_type=_HTML, headers={"Content-Security-Policy": REPORT_POLICY, "Vary": "Accept"})


def preferred(accept: str) -> str:
    """JSON or HTML, whichever Accept weighs more; JSON where both weigh the same.

    Raises
    ------
    Problem : 406 ``http.not_acceptable``, for a client that takes neither.
    """
    weight = {_JSON: 0.0, _HTML: 0.0}
    exact: set[str] = set()
    for entry in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in entry.split(";"))
        quality = next((_quality(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
        if name in weight:
            weight[name] = quality
            exact.add(name)
        for kind in _matched(name) - exact:
            weight[kind] = max(weight[kind], quality)
    best = _HTML if weight[_HTML] > weight[_JSON] else _JSON
    if not weight[best]:
        raise Problem(406, "http.not_acceptable")
    return best


def _matched(name: str) -> set[str]:
    """The forms that a wildcard of Accept means."""
    return {kind for kind in (_JSON, _HTML) if name in ("*/*", kind.split("/")[0] + "/*")}


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


async def _opened(desk: Desk, caller: Caller, job_id: str, name: str) -> tuple[Job, ResultFile, BinaryIO]:
    def open_it() -> tuple[Job, ResultFile, BinaryIO]:
        job = find_job(desk.store, job_id, owner=visible_owner(caller))
        file, stream = open_result(desk.store, job, name, reader=caller.may("review"))
        return job, file, stream

    return await desk.calls.run(open_it)


def _provenance(desk: Desk, job: Job) -> dict[str, object]:
    shown = job_out(job)
    return {
        "schema": "medsr.provenance/1",
        "job": job.id,
        "state": job.state,
        "kind": job.request.kind,
        "input_sha256": job.input_sha256,
        "candidate_sha256": job.request.candidate_sha256,
        "request": dict(job.request.parameters),
        "bundle": job.pins.bundle,
        "policy": job.pins.policy,
        "pins": shown.pins,
        "gate": {"word": job.verdict, "label": job.label},
        "output_sha256": job.output_sha256,
        "files": {file.name: file.sha256 for file in result_files(desk.store, job.id)},
        "decisions": [
            {
                "verdict": one.verdict,
                "reader": one.identity,
                "key": one.api_key,
                "reason": one.reason,
                "at": one.at,
                "output_sha256": one.output_sha256,
            }
            for one in decisions(desk.store, job.id)
        ],
    }


def _plain(name: str) -> str:
    """The last part of a name, as a header may carry it."""
    last = name.rpartition("/")[2]
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in last)
