"""The one door for scans: NIfTI or DICOM by what the bytes say, not by the name alone."""

from __future__ import annotations

from pathlib import Path

from medsr.errors import Refusal, UsageError
from medsr.io.dicom import read_dicom
from medsr.io.nifti import NIFTI_SUFFIXES, read_nifti
from medsr.volume import Volume

__all__ = ["read"]

_OTHER_FORMATS = (".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".img", ".hdr", ".png", ".jpg", ".tif", ".tiff")


def read(path: Path, *, modality: str = "auto", pick: str | None = None) -> Volume:
    """Read a NIfTI file, a DICOM file, or a folder of DICOM files.

    Parameters
    ----------
    modality : ``auto``, ``CT`` or ``MR``.
    pick : SeriesInstanceUID, where a folder holds several series.

    Raises
    ------
    UsageError : ``io.not_found``, ``modality.unknown``, ``modality.contradicts``.
    Refusal : what the file's own reader refuses; ``io.format`` for formats medsr does not read.
    """
    if not path.exists():
        raise UsageError("io.not_found", f"{path.name} does not exist")
    if path.is_dir():
        return read_dicom(path, modality=modality, pick=pick)
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return read_nifti(path, modality=modality)
    if path.name.lower().endswith(_OTHER_FORMATS):
        raise Refusal("io.format", f"{path.name} is in a format that medsr does not read")
    return read_dicom(path, modality=modality, pick=pick)
