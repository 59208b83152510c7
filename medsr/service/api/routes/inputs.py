"""Uploads: a raw body to a file under its hash."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response

from medsr.jobs.inputs import Input, add_input, input_of
from medsr.jobs.watermark import check_room
from medsr.service.api.auth import Caller, requires
from medsr.service.api.desk import Here
from medsr.service.api.documented import BINARY_BODY, DIGEST_PATTERN, SHA_PATTERN, location, problems
from medsr.service.api.problem import Problem
from medsr.service.api.schemas import InputOut
from medsr.service.api.uploads import keep_stream, promised_digest

__all__ = ["router"]

router = APIRouter(prefix="/v1/inputs", tags=["inputs"])

_KINDS = {"application/dicom": "dicom", "application/zip": "zip", "application/octet-stream": "nifti"}


@router.post(
    "",
    status_code=201,
    dependencies=[requires("submit")],
    response_model=InputOut,
    openapi_extra=BINARY_BODY,
    responses={
        201: {"description": "Stored.", **location("The input.")},
        200: {"description": "Known already.", "model": InputOut, **location("The input.")},
        **problems(400, 408, 411, 413, 415, 422, 429, 507),
    },
)
async def upload(
    request: Request,
    response: Response,
    desk: Here,
    caller: Caller,
    repr_digest: Annotated[str | None, Header(pattern=DIGEST_PATTERN, max_length=2000)] = None,
) -> InputOut:
    """Store a scan: a NIfTI file, a DICOM object or a zip of them, as it is.

    The body is the file. With `Repr-Digest: sha-256=:...:` it is stored only if it arrived whole. Nothing is parsed
    here; whether it can be restored, the job tells.
    """
    kind = _kind(request.headers.get("content-type"))
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "http.encoding")
    wanted = promised_digest(repr_digest)
    coming = _declared(request)
    if coming is not None and coming > desk.settings.max_upload_bytes:
        raise Problem(413, "http.too_large")
    check_room(desk.store, coming=coming or 0)
    with desk.uploads.one(caller.key) as free:
        if not free:
            raise Problem(429, "input.uploads", headers={"Retry-After": "5"})
        kept = await keep_stream(
            desk.store.files,
            request.stream(),
            most=desk.settings.max_upload_bytes,
            code="http.too_large",
            wanted=wanted,
            limiter=desk.writers,
        )
    if kept.bytes == 0:
        raise Problem(422, "io.empty")
    made = await desk.calls.run(
        add_input, desk.store, kept, owner=caller.owner, kind=kind, actor=caller.key
    )  # fmt: skip
    response.status_code = 200 if made.known else 201
    response.headers["Location"] = f"/v1/inputs/{made.sha256}"
    return shown(made)


@router.get(
    "/{sha256}",
    dependencies=[requires("submit", "read")],
    response_model=InputOut,
    responses=problems(404),
)
async def find(desk: Here, caller: Caller, sha256: Annotated[str, Path(pattern=SHA_PATTERN)]) -> InputOut:
    """Whether these bytes are here already, so that they need not be sent again."""
    return shown(await desk.calls.run(input_of, desk.store, sha256, owner=caller.owner))


def shown(found: Input) -> InputOut:
    """An input as it is answered."""
    return InputOut(sha256=found.sha256, bytes=found.bytes, kind=found.kind, created=found.created)


def _kind(content_type: str | None) -> str:
    """What the sender says it is; forms are refused, since nothing here takes them apart."""
    name = (content_type or "application/octet-stream").split(";")[0].strip().lower()
    if name in ("application/gzip", "application/x-gzip", "application/x-nifti"):
        return "nifti"
    if name not in _KINDS:
        raise Problem(415, "http.media_type")
    return _KINDS[name]


def _declared(request: Request) -> int | None:
    value = request.headers.get("content-length", "")
    return int(value) if value.isdigit() and len(value) < 20 else None
