"""NIfTI and JSON files, atomic and repeatable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import nibabel
import numpy as np
import numpy.typing as npt
from isal import igzip

from medsr.io.encoding import Stored
from medsr.io.sources import NiftiSource
from medsr.resources import write_bytes, writing
from medsr.volume import Geometry, Volume

__all__ = ["write_json", "write_nifti"]

_MILLIMETRES = 2


def write_nifti(
    path: Path, values: npt.NDArray[np.float32], geometry: Geometry, measured: Volume, stored: Stored
) -> None:
    """Write an image slice by slice, atomically; the same values give the same bytes.

    The affine is written as sform and qform with the codes of the source; scanner, 1, where that is no NIfTI file.
    """
    header = _header(geometry, measured, stored)
    with writing(path) as plain:
        if path.name.endswith(".gz"):
            packed = igzip.IGzipFile(filename="", fileobj=plain, mode="wb", compresslevel=1, mtime=0)
            with cast("BinaryIO", packed) as stream:
                _write(stream, header, values, stored)
        else:
            _write(plain, header, values, stored)


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Write a JSON object atomically, two spaces deep, keys in the order given."""
    write_bytes(path, (json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def _write(stream: BinaryIO, header: nibabel.Nifti1Header, values: npt.NDArray[np.float32], stored: Stored) -> None:
    stream.write(header.binaryblock)
    stream.write(b"\0" * 4)
    for index in range(values.shape[2]):
        plane = values[:, :, index].astype(stored.dtype.newbyteorder("<"))
        stream.write(plane.tobytes(order="F"))


def _header(geometry: Geometry, measured: Volume, stored: Stored) -> nibabel.Nifti1Header:
    source = measured.source
    codes = (source.sform_code, source.qform_code) if isinstance(source, NiftiSource) else (1, 1)
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_shape(geometry.shape)
    header.set_data_dtype(stored.dtype)
    header.set_zooms(geometry.spacing_mm)
    header.set_qform(geometry.world_from_voxel, code=codes[1])
    header.set_sform(geometry.world_from_voxel, code=codes[0])
    header.set_slope_inter(1.0, 0.0)
    header["xyzt_units"] = _MILLIMETRES
    header["dim_info"] = (geometry.slice_axis + 1) << 4
    header["descrip"] = b"medsr"
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    return header
