"""How the child answers: length-prefixed JSON with a blob of bytes. No pickle: the child is not trusted."""

from __future__ import annotations

import array
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["GRANT", "STATUS", "Broken", "Message", "receive", "receive_descriptors", "send", "send_descriptors"]

STATUS = struct.Struct("<iQ")
"""Wait status of a child and its largest resident size in bytes."""
GRANT = struct.Struct("<QQQ")
"""Bytes of the shared memory, bytes of address space and CPU seconds that the asking process allows."""
_LENGTHS = struct.Struct("<II")
_LARGEST_JSON, _LARGEST_BLOB = 32 << 20, 512 << 20


class Broken(Exception):
    """What came over the socket is no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One record and its bytes."""

    record: Mapping[str, object]
    blob: bytes = field(default=b"", repr=False)


def send(channel: socket.socket, record: Mapping[str, object], blob: bytes = b"") -> None:
    """Send one message whole."""
    text = json.dumps(record, allow_nan=False, separators=(",", ":")).encode()
    channel.sendall(_LENGTHS.pack(len(text), len(blob)) + text)
    if blob:
        channel.sendall(blob)


def receive(channel: socket.socket) -> Message | None:
    """The next message, or None where the other side has gone.

    Raises
    ------
    Broken : if it is no message, or ends inside one.
    """
    head = _exactly(channel, _LENGTHS.size)
    if not head:
        return None
    if len(head) < _LENGTHS.size:
        raise Broken("ends inside a message")
    text_size, blob_size = _LENGTHS.unpack(head)
    if text_size > _LARGEST_JSON or blob_size > _LARGEST_BLOB:
        raise Broken("message too large")
    text, blob = _exactly(channel, text_size), _exactly(channel, blob_size)
    if len(text) < text_size or len(blob) < blob_size:
        raise Broken("ends inside a message")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Broken("no JSON") from error
    if not isinstance(record, dict):
        raise Broken("no record")
    return Message(record, blob)


def send_descriptors(channel: socket.socket, data: bytes, descriptors: list[int]) -> None:
    """Send `data` (short) with open file descriptors."""
    numbers = array.array("i", descriptors)
    channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])


def receive_descriptors(channel: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Up to `size` bytes and `most` descriptors; empty bytes where the other side has gone."""
    numbers = array.array("i")
    data, ancillary, _flags, _address = channel.recvmsg(size, socket.CMSG_LEN(most * numbers.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    return data, list(numbers)


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = channel.recv(min(size, 1 << 20))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
