"""Bodies to the store's files: counted and hashed as they come, never whole in memory, never parsed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.from_thread
import anyio.to_thread

from medsr.errors import IntegrityError
from medsr.jobs.files import FileStore, Kept, keep
from medsr.service.api.problem import Problem

__all__ = ["keep_stream", "promised_digest"]

_PIECE = 1 << 20
_MEMBER = re.compile(r"\s*([a-z0-9*_.-]+)=:([A-Za-z0-9+/=]*):\s*")


async def keep_stream(
    files: FileStore,
    pieces: AsyncIterator[bytes],
    *,
    most: int,
    code: str,
    wanted: str | None = None,
    limiter: anyio.CapacityLimiter,
) -> Kept:
    """Write a body to a durable file under its hash.

    One thread of `limiter` writes it and asks for the next mebibyte when the last is written: a slow disk slows this
    body alone, and a body is never further ahead than that.

    Raises
    ------
    Problem : 413 with `code` once more than `most` bytes came, whatever the header claimed; 422 ``input.digest`` if
        the bytes do not hash to `wanted`.
    """
    lots = _lots(pieces, most=most, code=code)

    async def following() -> bytes:
        return await anext(lots, b"")

    def chunks() -> Iterator[bytes]:
        while lot := anyio.from_thread.run(following):
            yield lot

    try:
        return await anyio.to_thread.run_sync(lambda: keep(files, chunks(), wanted=wanted), limiter=limiter)
    except IntegrityError as error:
        if error.code != "store.hash":
            raise
        raise Problem(422, "input.digest") from error


async def _lots(pieces: AsyncIterator[bytes], *, most: int, code: str) -> AsyncIterator[bytes]:
    """The same bytes in lots of about a mebibyte, since each lot costs a change of threads."""
    held, size = bytearray(), 0
    async for piece in pieces:
        size += len(piece)
        if size > most:
            raise Problem(413, code)
        held += piece
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def promised_digest(header: str | None) -> str | None:
    """The sha-256 that a ``Repr-Digest`` header promises, as hex (RFC 9530); None without one.

    Raises
    ------
    Problem : 400 ``input.digest_form``, if the header is there but holds no readable sha-256.
    """
    if header is None:
        return None
    for member in header.split(","):
        found = _MEMBER.fullmatch(member)
        if found is not None and found[1] == "sha-256":
            try:
                value = base64.b64decode(found[2], validate=True)
            except binascii.Error:
                break
            if len(value) == hashlib.sha256().digest_size:
                return value.hex()
    raise Problem(400, "input.digest_form")
