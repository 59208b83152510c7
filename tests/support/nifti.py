"""NIfTI files made byte by byte, so that a test can lie in any field."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["header", "write"]


def header(
    shape: tuple[int, ...] = (8, 9, 5),
    *,
    datatype: int = 4,
    bits: int = 16,
    pixdim: tuple[float, ...] = (1.0, 2.0, 2.0, 3.0),
    offset: float = 352.0,
    srow: npt.NDArray[np.float64] | None = None,
    codes: tuple[int, int] = (0, 1),
    slope: tuple[float, float] = (1.0, 0.0),
    units: int = 2,
    dim_info: int = 0,
) -> bytes:
    """A NIfTI-1 header and its four bytes of extension flag; codes are (qform, sform)."""
    raw = bytearray(352)
    struct.pack_into("<i", raw, 0, 348)
    raw[39] = dim_info
    struct.pack_into("<8h", raw, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<2h", raw, 70, datatype, bits)
    struct.pack_into("<8f", raw, 76, *pixdim, *[1.0] * (8 - len(pixdim)))
    struct.pack_into("<3f", raw, 108, offset, *slope)
    raw[123] = units
    struct.pack_into("<2h", raw, 252, *codes)
    rows = np.diag([*pixdim[1:4], 1.0])[:3] if srow is None else srow[:3]
    struct.pack_into("<12f", raw, 280, *np.asarray(rows, float).ravel())
    raw[344:348] = b"n+1\0"
    return bytes(raw)


def write(path: Path, head: bytes, data: bytes) -> Path:
    """Write header and voxels, compressed if the name says so."""
    if path.name.endswith(".gz"):
        with gzip.GzipFile(path, "wb", 6, mtime=0) as stream:
            stream.write(head + data)
    else:
        path.write_bytes(head + data)
    return path
