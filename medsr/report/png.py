"""8-bit PNG pictures as data URIs: grey or palette, lossless, the same bytes for the same pixels."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

__all__ = ["data_uri", "png"]

Bytes = npt.NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_LEVEL = 9


def png(pixels: Bytes, palette: Bytes | None = None, *, level: int = _LEVEL) -> bytes:
    """Encode a picture.

    Parameters
    ----------
    pixels : (rows, columns); grey values, or indices into `palette`.
    palette : (n, 3) red, green, blue.
    level : of zlib, 1 (fast) to 9 (small).
    """
    rows, columns = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, _GREY if palette is None else _PALETTE, 0, 0, 0)
    parts = [_SIGNATURE, _chunk(b"IHDR", header)]
    if palette is not None:
        parts.append(_chunk(b"PLTE", np.ascontiguousarray(palette, np.uint8).tobytes()))
    parts += [_chunk(b"IDAT", zlib.compress(_filtered(pixels), level)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def data_uri(pixels: Bytes, palette: Bytes | None = None) -> str:
    """The picture as ``data:image/png;base64,...``, so that the page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(png(pixels, palette)).decode("ascii")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _filtered(pixels: Bytes) -> bytes:
    """Each row by the filter (none, sub, up, average) of least absolute sum, the heuristic of PNG 1.2, section 9.6."""
    image = np.ascontiguousarray(pixels, np.uint8).astype(np.int16)
    left = np.pad(image, ((0, 0), (1, 0)))[:, :-1]
    above = np.pad(image, ((1, 0), (0, 0)))[:-1]
    candidates = np.stack([image, image - left, image - above, image - (left + above) // 2]).astype(np.uint8)
    costs = np.abs(candidates.astype(np.int8).astype(np.int32)).sum(2)
    best = costs.argmin(0)
    rows = np.take_along_axis(candidates, best[None, :, None], 0)[0]
    lines: Bytes = np.concatenate([best[:, None].astype(np.uint8), rows], 1)
    return bytes(lines)
