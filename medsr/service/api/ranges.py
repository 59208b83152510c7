"""One file as a response: a range of it if asked, and nothing of it that does not hash to its name."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from medsr.service.api.problem import Problem

__all__ = ["file_response", "span_of"]

_PIECE = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def file_response(
    request: Request,
    stream: BinaryIO,
    *,
    sha256: str,
    size: int,
    media_type: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The open file, or the part that Range asks for; 304 if the client has it. Closes the file.

    Raises
    ------
    Problem : 416 ``http.range``.
    """
    etag = f'"{sha256}"'
    sent = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache", **(headers or {})}
    if etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        stream.close()
        return Response(status_code=304, headers=sent)
    asked = request.headers.get("range")
    if request.headers.get("if-range", etag) != etag:
        asked = None
    try:
        span = span_of(asked, size)
    except Problem:
        stream.close()
        raise
    start, end = (0, size) if span is None else span
    sent["Content-Length"] = str(end - start)
    if span is not None:
        sent["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 200 if span is None else 206
    return StreamingResponse(_pieces(stream, start, end), status, headers=sent, media_type=media_type)


def span_of(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (half open) of a single range; None for no range, for several, and for what is no range at all.

    Raises
    ------
    Problem : 416 ``http.range``, for a range outside the file.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        length = int(found[2])
        start, end = max(size - length, 0), size
        beyond = length == 0
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
        beyond = start >= size
    if beyond:
        raise Problem(416, "http.range", headers={"Content-Range": f"bytes */{size}"})
    return start, end


async def _pieces(stream: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        await run_in_threadpool(stream.seek, start)
        left = end - start
        while left > 0:
            piece = await run_in_threadpool(stream.read, min(_PIECE, left))
            if not piece:
                return
            left -= len(piece)
            yield piece
    finally:
        stream.close()
