"""multipart/related as STOW-RS sends it (RFC 2387), taken apart as it streams: memory is one piece, not one part."""

from __future__ import annotations

import email.message
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from medsr.service.api.problem import Problem

__all__ = ["Part", "boundary_of", "parts"]

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{1,70}")
_HEADER_BYTES = 8 << 10
_BLANK = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its media type in lower case, and its bytes, to be read before the next part is asked for."""

    media_type: str
    body: AsyncIterator[bytes]


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart/related body of DICOM objects.

    Raises
    ------
    Problem : 415 ``studies.media_type`` for anything else.
    """
    message = email.message.Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    kind = message.get_param("type", "application/dicom")
    if message.get_content_type() != "multipart/related" or str(kind).lower() != "application/dicom":
        raise Problem(415, "studies.media_type")
    if not isinstance(boundary, str) or not _BOUNDARY.fullmatch(boundary) or boundary.endswith(" "):
        raise Problem(415, "studies.media_type")
    return boundary.encode("ascii")


async def parts(body: AsyncIterator[bytes], boundary: bytes) -> AsyncGenerator[Part, None]:
    """The parts of a body, one after the other.

    Raises
    ------
    Problem : 400 ``studies.multipart``, if the body ends before its last boundary or a part has no sound header.
    """
    # The first delimiter has no line before it; with one put in front, all delimiters look alike.
    reader = _Reader(body, b"\r\n--" + boundary)
    async for _ in reader.until_delimiter():
        pass  # a preamble means nothing
    while await reader.another():
        header = await reader.header()
        part = reader.until_delimiter()
        yield Part(_media_type(header), part)
        async for _ in part:
            pass  # what the caller left unread


def _media_type(header: bytes) -> str:
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-type":
            return value.split(b";")[0].strip().lower().decode("ascii", "replace")
    return ""


class _Reader:
    """A window over a stream of bytes."""

    def __init__(self, body: AsyncIterator[bytes], delimiter: bytes) -> None:
        self._body, self._delimiter = body, delimiter
        self._held = bytearray(b"\r\n")

    async def _more(self) -> None:
        try:
            self._held += await anext(self._body)
        except StopAsyncIteration:
            raise Problem(400, "studies.multipart") from None

    async def until_delimiter(self) -> AsyncGenerator[bytes, None]:
        """Bytes up to the next delimiter, which is taken away."""
        keep = len(self._delimiter) - 1
        while True:
            at = self._held.find(self._delimiter)
            if at >= 0:
                piece = bytes(self._held[:at])
                del self._held[: at + len(self._delimiter)]
                if piece:
                    yield piece
                return
            if len(self._held) > keep:
                piece = bytes(self._held[:-keep])
                del self._held[:-keep]
                yield piece
            await self._more()

    async def another(self) -> bool:
        """Whether a part follows the delimiter just taken; two hyphens end the body."""
        while len(self._held) < 2:
            await self._more()
        if self._held.startswith(b"--"):
            return False
        while b"\r\n" not in self._held[:_HEADER_BYTES]:
            if len(self._held) >= _HEADER_BYTES:
                raise Problem(400, "studies.multipart")
            await self._more()
        at = self._held.index(b"\r\n")
        if bytes(self._held[:at]).strip(b" \t"):
            raise Problem(400, "studies.multipart")
        del self._held[:at]
        return True

    async def header(self) -> bytes:
        """The header lines of a part, which end with an empty line."""
        while (at := self._held.find(_BLANK, 0, _HEADER_BYTES)) < 0:
            if len(self._held) >= _HEADER_BYTES:
                raise Problem(400, "studies.multipart")
            await self._more()
        header = bytes(self._held[:at])
        del self._held[: at + len(_BLANK)]
        return header
