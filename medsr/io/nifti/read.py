"""Reading NIfTI in the reader child: counted inflation, slice by slice, into granted memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
from isal import igzip, isal_zlib

from medsr.errors import Refusal
from medsr.io.modality import modality_of, padding_of
from medsr.io.nifti.header import LARGEST_HEADER, NiftiHeader, parse_header
from medsr.io.planes import Declared, Grant, Planes, Reply
from medsr.io.text import shown
from medsr.settings import settings

__all__ = ["NIFTI_SUFFIXES", "read_nifti", "sidecar_of"]

NIFTI_SUFFIXES = (".nii", ".nii.gz")
_TRAILING_BYTES = 1 << 20
_CHUNK = 1 << 20
_USUAL_RATIO, _LARGEST_RATIO = 32, 1032
"""gzip ratios: scans reach 32 with much air; deflate itself cannot exceed 1032."""
_EXACT_IN_FLOAT32 = 1 << 24
_BROKEN_STREAM = (igzip.BadGzipFile, cast("type[Exception]", isal_zlib.IsalError), EOFError)


def read_nifti(path: Path, grant: Grant, *, modality: str = "auto") -> Reply:
    """Read one time point of a NIfTI file into granted memory.

    The header is judged first, then held against the bytes that are there, and only then is memory asked for.
    Values are float32 in Fortran order, so that a slice along k is contiguous.

    Raises
    ------
    Refusal : ``nifti.*``, ``geometry.*``, ``volume.*``; see :func:`medsr.io.nifti.header.parse_header`.
    UsageError : ``modality.unknown``.
    """
    name = shown(path.name)
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        try:
            header = _header(_rewound(plain, packed=packed), name)
            if packed:
                _check_ratio(plain, header, path.stat().st_size, name)
            elif header.offset + header.bytes_of_volume > path.stat().st_size:
                raise _short(name, header, header.offset + header.bytes_of_volume - path.stat().st_size)
            planes = grant(Declared(header.shape))
            _fill(_rewound(plain, packed=packed), header, planes.values, name)
        except _BROKEN_STREAM as error:
            raise Refusal("nifti.truncated", f"the gzip stream of {name} is cut short or broken") from error
        plain.seek(0)
        digest = hashlib.file_digest(plain, "sha256").hexdigest()
    return Reply(_record(path, header, planes, digest, modality))


def sidecar_of(path: Path) -> Mapping[str, object]:
    """The JSON beside a NIfTI file, empty if there is none.

    Raises
    ------
    Refusal : ``sidecar.broken``, if it is too large or no JSON object.
    """
    beside = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if not beside.is_file():
        return {}
    name = shown(beside.name)
    if beside.stat().st_size > settings().max_json_bytes:
        raise Refusal("sidecar.broken", f"{name} is larger than {settings().max_json_bytes} bytes")
    try:
        record = json.loads(beside.read_bytes(), parse_constant=lambda _name: None)
    except (ValueError, RecursionError) as error:
        raise Refusal("sidecar.broken", f"{name} cannot be read as JSON") from error
    if not isinstance(record, dict):
        raise Refusal("sidecar.broken", f"{name} is not a JSON object")
    return record


def _rewound(plain: BinaryIO, *, packed: bool) -> BinaryIO:
    plain.seek(0)
    return cast("BinaryIO", igzip.GzipFile(fileobj=plain, mode="rb")) if packed else plain


def _header(stream: BinaryIO, name: str) -> NiftiHeader:
    header = parse_header(stream.read(LARGEST_HEADER), name=name)
    if header.time_points > 1:
        fact = f"{name} holds {header.time_points} time points or directions of {header.shape} voxels"
        raise Refusal("nifti.time_points", fact)
    return header


def _check_ratio(plain: BinaryIO, header: NiftiHeader, size: int, name: str) -> None:
    """Hold the header's word against the file before memory is asked for.

    What no deflate stream can hold is refused at once; what few scans reach is inflated once and counted.
    """
    wanted = header.offset + header.bytes_of_volume
    if wanted > _LARGEST_RATIO * size + LARGEST_HEADER:
        raise _short(name, header, wanted - size)
    if wanted <= _USUAL_RATIO * size:
        return
    stream, missing = _rewound(plain, packed=True), wanted
    while missing > 0:
        part = stream.read(min(missing, _CHUNK))
        if not part:
            raise _short(name, header, missing)
        missing -= len(part)


def _fill(stream: BinaryIO, header: NiftiHeader, values: npt.NDArray[np.float32], name: str) -> None:
    if len(_exactly(stream, header.offset)) < header.offset:
        raise _short(name, header, header.bytes_of_volume)
    size = header.shape[0] * header.shape[1] * header.dtype.itemsize
    for index in range(header.shape[2]):
        data = _exactly(stream, size)
        if len(data) < size:
            fact = f"{name} ends in slice {index} of {header.shape[2]}, {size - len(data)} bytes short"
            raise Refusal("nifti.truncated", fact)
        plane = np.frombuffer(data, header.dtype).reshape(header.shape[:2], order="F")
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = header.slope != 1.0 or header.intercept != 0.0
            values[:, :, index] = plane * header.slope + header.intercept if scaled else plane
        bad = int(np.count_nonzero(~np.isfinite(values[:, :, index])))
        if bad:
            raise Refusal("volume.not_finite", f"{bad} voxels of slice {index} along k are NaN or infinite")
    if len(_exactly(stream, _TRAILING_BYTES + 1)) > _TRAILING_BYTES:
        raise Refusal("nifti.inflates", f"{name} goes on for more than {_TRAILING_BYTES} bytes after its voxels")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0:
        part = stream.read(min(size, _CHUNK))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _short(name: str, header: NiftiHeader, missing: int) -> Refusal:
    shape = " x ".join(map(str, header.shape))
    return Refusal("nifti.truncated", f"{name} is {missing} bytes short of the {shape} voxels that its header states")


def _record(path: Path, header: NiftiHeader, planes: Planes, digest: str, modality: str) -> dict[str, object]:
    values = planes.values
    if not np.any(values):
        raise Refusal("volume.empty", "every voxel is zero")
    sidecar = sidecar_of(path)
    known = modality_of(values, declared=modality, sidecar=sidecar, name=path.name)
    mask = padding_of(values, known.modality)
    if mask is not None:
        planes.padding[...] = mask
    notes = list(header.notes)
    whole = header.dtype.kind in "iu" and header.slope == 1.0 and header.intercept == int(header.intercept)
    if whole and max(abs(float(values.min())), abs(float(values.max()))) >= _EXACT_IN_FLOAT32:
        notes.append("values above 2^24 are rounded to float32")
    return {
        "shape": list(header.shape),
        "affine": header.world_from_voxel.ravel().tolist(),
        "slice_axis": header.slice_axis,
        "slice_thickness_mm": None,
        "modality": known.modality,
        "provenance": known.provenance,
        "padded": mask is not None,
        "degradation": dict(sidecar) if "operator" in sidecar else None,
        "notes": notes,
        "source": {
            "format": "nifti",
            "name": shown(path.name, longest=200),
            "sha256": digest,
            "dtype": header.dtype.name,
            "integer": whole,
            "sform_code": header.sform_code,
            "qform_code": header.qform_code,
        },
    }
