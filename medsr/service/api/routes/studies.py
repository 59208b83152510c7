"""STOW-RS: a study as multipart/related, streamed into one input. Objects are not parsed here; the job judges them."""

from __future__ import annotations

import secrets
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from medsr.jobs.files import chunks_of, keep
from medsr.jobs.inputs import add_input
from medsr.jobs.watermark import check_room
from medsr.service.api.auth import Caller, requires
from medsr.service.api.desk import Desk, Here
from medsr.service.api.documented import location, problems
from medsr.service.api.multipart import boundary_of, parts
from medsr.service.api.problem import Problem

__all__ = ["router"]

router = APIRouter(prefix="/v1/studies", tags=["inputs"])

_DICOM_JSON = "application/dicom+json"
_FAILED_SEQUENCE, _FAILURE_REASON = "00081198", "00081197"
_CANNOT_UNDERSTAND = 0xC000
_PREAMBLE, _MAGIC = 128, b"DICM"
_PIECE = 1 << 20

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/related": {"schema": {"type": "string", "format": "binary"}, "example": "--b\r\n..."},
        },
    }
}
_ANSWER = {"content": {_DICOM_JSON: {"schema": {"type": "object"}}}}


@dataclass(slots=True)
class _Study:
    """Objects taken so far."""

    archive: zipfile.ZipFile
    taken: int = 0
    failed: int = 0
    size: int = 0


@router.post(
    "",
    dependencies=[requires("submit")],
    response_class=Response,
    openapi_extra=_BODY,
    responses={
        200: {"description": "All objects are stored.", **_ANSWER, **location("The input that holds them.")},
        202: {"description": "Some objects failed.", **_ANSWER, **location("The input that holds the others.")},
        **problems(400, 408, 409, 413, 415, 507),
    },
)
async def store(request: Request, desk: Here, caller: Caller) -> Response:
    """Store the DICOM objects of a series or study (PS3.18, 10.5) as one input; Location names it for `POST /v1/jobs`.

    A part that is no DICOM object fails alone and is listed in FailedSOPSequence.
    """
    boundary = boundary_of(request.headers.get("content-type", ""))
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "http.encoding")
    check_room(desk.store)
    path = desk.store.files.incoming / f"{secrets.token_hex(16)}.part"
    with desk.uploads.one(caller.key) as free:
        if not free:
            raise Problem(429, "input.uploads", headers={"Retry-After": "5"})
        try:
            study = await _received(desk, request.stream(), boundary, path)
            if not study.taken:
                raise Problem(409, "studies.none_stored")
            sha256 = await desk.calls.run(_kept, desk, path, caller.owner, caller.key)
        finally:
            with suppress(FileNotFoundError):
                path.unlink()
    failures = [{_FAILURE_REASON: {"vr": "US", "Value": [_CANNOT_UNDERSTAND]}}] * study.failed
    body = {_FAILED_SEQUENCE: {"vr": "SQ", "Value": failures}} if failures else {}
    headers = {"Location": f"/v1/inputs/{sha256}"}
    return JSONResponse(body, 202 if failures else 200, headers=headers, media_type=_DICOM_JSON)


async def _received(desk: Desk, body: AsyncIterator[bytes], boundary: bytes, path: Path) -> _Study:
    """Write every object into an uncompressed zip, in order, with nothing of the time or the sender in it."""
    with path.open("xb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        path.chmod(0o600)
        study = _Study(archive)
        async for part in parts(body, boundary):
            if study.taken + study.failed >= desk.settings.max_objects:
                raise Problem(413, "io.too_many")
            await _object(desk, study, part.media_type, part.body)
    return study


async def _object(desk: Desk, study: _Study, media_type: str, body: AsyncIterator[bytes]) -> None:
    held = bytearray()
    async for piece in body:
        held += piece
        if len(held) >= _PREAMBLE + len(_MAGIC):
            break
    if media_type not in ("application/dicom", "") or held[_PREAMBLE : _PREAMBLE + len(_MAGIC)] != _MAGIC:
        study.failed += 1
        return
    size = 0
    with study.archive.open(zipfile.ZipInfo(f"{study.taken:05d}.dcm"), "w", force_zip64=True) as entry:
        async for piece in _rest(held, body):
            size += len(piece)
            study.size += len(piece)
            if size > desk.settings.max_object_bytes or study.size > desk.settings.max_upload_bytes:
                raise Problem(413, "http.too_large")
            await run_in_threadpool(entry.write, piece)
    study.taken += 1


async def _rest(held: bytearray, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What is held and what follows, in pieces of about a mebibyte."""
    async for piece in body:
        held += piece
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _kept(desk: Desk, path: Path, owner: str, key: str) -> str:
    with path.open("rb") as stream:
        kept = keep(desk.store.files, chunks_of(stream))
    return add_input(desk.store, kept, owner=owner, kind="zip", actor=key).sha256
