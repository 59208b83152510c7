"""Reading NIfTI: counted inflation, slice by slice, into float32."""

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
from medsr.io.modality import Known, modality_of, padding_of
from medsr.io.nifti_header import LARGEST_HEADER, NiftiHeader, parse_header
from medsr.io.sources import NiftiSource
from medsr.settings import settings
from medsr.volume import Geometry, Volume

__all__ = ["NIFTI_SUFFIXES", "read_nifti", "sidecar_of"]

NIFTI_SUFFIXES = (".nii", ".nii.gz")
_TRAILING_BYTES = 1 << 20


def read_nifti(path: Path, *, modality: str = "auto") -> Volume:
    """Read one time point of a NIfTI file.

    The header is judged first; then exactly as many bytes are inflated as it allows. Values are float32 in
    Fortran order, so that a slice along k is contiguous.

    Raises
    ------
    Refusal : ``nifti.*``, ``geometry.*``, ``volume.*``; see :func:`medsr.io.nifti_header.parse_header`.
    UsageError : ``modality.unknown``.
    """
    if path.stat().st_size == 0:
        raise Refusal("io.empty", f"{path.name} has no bytes")
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        stream = cast("BinaryIO", igzip.GzipFile(fileobj=plain, mode="rb")) if packed else plain
        try:
            header, values = _read(stream, path.name)
        except (igzip.BadGzipFile, isal_zlib.IsalError, EOFError) as error:
            raise Refusal("nifti.truncated", f"the gzip stream of {path.name} is cut short or broken") from error
    _check_finite(values)
    sidecar = sidecar_of(path)
    known = modality_of(values, declared=modality, sidecar=sidecar, name=path.name)
    geometry = Geometry(header.shape, header.world_from_voxel, header.slice_axis)
    integer = header.dtype.kind in "iu" and header.slope == 1.0 and header.intercept == int(header.intercept)
    with path.open("rb") as plain:
        digest = hashlib.file_digest(plain, "sha256").hexdigest()
    source = NiftiSource(
        name=path.name, sha256=digest, format="nifti", dtype=header.dtype.name, integer=integer,
        sform_code=header.sform_code, qform_code=header.qform_code,
    )  # fmt: skip
    return _volume(values, geometry, known, source, sidecar, header.notes)


def sidecar_of(path: Path) -> Mapping[str, object]:
    """The JSON beside a NIfTI file, empty if there is none.

    Raises
    ------
    Refusal : ``sidecar.broken``, if it is too large or no JSON object.
    """
    beside = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if not beside.is_file():
        return {}
    if beside.stat().st_size > settings().max_json_bytes:
        raise Refusal("sidecar.broken", f"{beside.name} is larger than {settings().max_json_bytes} bytes")
    try:
        record = json.loads(beside.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Refusal("sidecar.broken", f"{beside.name} cannot be read as JSON") from error
    if not isinstance(record, dict):
        raise Refusal("sidecar.broken", f"{beside.name} is not a JSON object")
    return record


def _read(stream: BinaryIO, name: str) -> tuple[NiftiHeader, npt.NDArray[np.float32]]:
    raw = stream.read(LARGEST_HEADER)
    header = parse_header(raw, name=name)
    if header.time_points > 1:
        fact = f"{name} holds {header.time_points} time points or directions of {header.shape} voxels"
        raise Refusal("nifti.time_points", fact)
    _skip_to(stream, header.offset, len(raw), raw)
    values = np.empty(header.shape, np.float32, order="F")
    head = raw[header.offset :]
    size = header.shape[0] * header.shape[1] * header.dtype.itemsize
    for index in range(header.shape[2]):
        data = _exactly(stream, size - len(head), head, name, index, header)
        head = b""
        plane = np.frombuffer(data, header.dtype).reshape(header.shape[:2], order="F")
        with np.errstate(over="ignore", invalid="ignore"):
            values[:, :, index] = plane * header.slope + header.intercept if _scaled(header) else plane
    if len(stream.read(_TRAILING_BYTES + 1)) > _TRAILING_BYTES:
        raise Refusal("nifti.inflates", f"{name} goes on for more than {_TRAILING_BYTES} bytes after its voxels")
    return header, values


def _check_finite(values: npt.NDArray[np.float32]) -> None:
    for index in range(values.shape[2]):
        bad = int(np.count_nonzero(~np.isfinite(values[:, :, index])))
        if bad:
            raise Refusal("volume.not_finite", f"{bad} voxels of slice {index} along k are NaN or infinite")


def _scaled(header: NiftiHeader) -> bool:
    return header.slope != 1.0 or header.intercept != 0.0


def _skip_to(stream: BinaryIO, offset: int, position: int, raw: bytes) -> None:
    if offset > position and len(stream.read(offset - position)) < offset - position:
        raise Refusal("nifti.truncated", f"the file ends before byte {offset}, where its voxels start")
    if offset < len(raw):
        return


def _exactly(stream: BinaryIO, size: int, head: bytes, name: str, index: int, header: NiftiHeader) -> bytes:
    """The next slice's bytes; `head` was read with the header already."""
    parts, missing = [head], size
    while missing > 0:
        part = stream.read(min(missing, 1 << 24))
        if not part:
            fact = f"{name} ends in slice {index} of {header.shape[2]}, {missing} bytes short"
            raise Refusal("nifti.truncated", fact)
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _volume(
    values: npt.NDArray[np.float32],
    geometry: Geometry,
    known: Known,
    source: NiftiSource,
    sidecar: Mapping[str, object],
    notes: tuple[str, ...],
) -> Volume:
    if not np.any(values):
        raise Refusal("volume.empty", "every voxel is zero")
    operator = sidecar if "operator" in sidecar else None
    return Volume(
        values=values,
        geometry=geometry,
        modality=known.modality,
        unit="HU" if known.modality == "CT" else "arbitrary",
        source=source,
        padding=padding_of(values, known.modality),
        degradation=operator,
        modality_provenance=known.provenance,
        notes=notes,
    )
