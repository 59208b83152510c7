"""The one door for scans: NIfTI or DICOM, read by a child process under limits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from medsr.errors import Refusal, UsageError
from medsr.io.child.client import Answer, ask
from medsr.io.child.records import DicomSourceRecord, VolumeRecord
from medsr.io.child.task import Task
from medsr.io.sources import DicomSource, NiftiSource, SourceSlice
from medsr.io.text import shown
from medsr.settings import settings
from medsr.volume import Acquisition, Geometry, Volume

__all__ = ["files_of", "is_dicom_file", "is_nifti", "read", "volume_of"]

_NIFTI_SUFFIXES = (".nii", ".nii.gz")
_OTHER_FORMATS = (".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".img", ".hdr", ".png", ".jpg", ".tif", ".tiff")
_DEEPEST_FOLDER = 16


def read(path: Path | Sequence[Path], *, modality: str = "auto", pick: str | None = None, gaps: bool = False) -> Volume:
    """Read a NIfTI file, or DICOM: a file, a folder (and those below it), a zip archive, or a list of files.

    The bytes are parsed and decoded in a child process; a decoder that dies there is a refusal here.

    Parameters
    ----------
    modality : ``auto``, ``CT`` or ``MR``.
    pick : which of several stacks: SeriesInstanceUID, its number in `medsr info`, ``thinnest`` or ``longest``.
    gaps : go on where DICOM slices are missing: they come out blank, and `degradation` holds the slice mask.

    Raises
    ------
    UsageError : ``io.not_found``, ``modality.unknown``, ``modality.contradicts``, ``series.pick``.
    Refusal : what the file's own reader refuses; ``io.format`` for formats medsr does not read; ``reader.*``.
    """
    files, name = files_of(path)
    verb = "nifti" if is_nifti(files[0]) and len(files) == 1 else "dicom"
    answer = ask(Task(verb, name, tuple(str(file) for file in files), modality, pick, gaps))
    return volume_of(answer)


def is_nifti(path: Path) -> bool:
    """True for a file that is called .nii or .nii.gz."""
    return path.name.lower().endswith(_NIFTI_SUFFIXES)


def is_dicom_file(path: Path) -> bool:
    """True for a file with the DICOM preamble (PS3.10, section 7.1); it is not parsed."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def files_of(path: Path | Sequence[Path]) -> tuple[list[Path], str]:
    """Absolute paths of the files meant, and what the input is called.

    Raises
    ------
    UsageError : ``io.not_found``.
    Refusal : ``io.empty``, ``io.format``, ``io.too_large``, ``io.too_many``.
    """
    given = [path] if isinstance(path, Path) else list(path)
    name = shown(given[0].name if len(given) == 1 else f"{len(given)} files", longest=200)
    files: list[Path] = []
    for item in given:
        if not item.exists():
            raise UsageError("io.not_found", f"{shown(item.name)} does not exist")
        if item.is_file() and item.name.lower().endswith(_OTHER_FORMATS):
            raise Refusal("io.format", f"{shown(item.name)} is in a format that medsr does not read")
        files += [file.absolute() for file in _within(item)]
    if not files:
        raise Refusal("io.empty", f"{name} holds no files")
    for file in files:
        size = file.stat().st_size
        if size > settings().max_upload_bytes:
            raise Refusal("io.too_large", f"{shown(file.name)} has {size} bytes")
        if size == 0 and len(files) == 1:
            raise Refusal("io.empty", f"{shown(file.name)} has no bytes")
    return files, name


def _within(path: Path) -> list[Path]:
    """A file itself, or the files of a folder and below; links and hidden files are left out."""
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop()
        for item in sorted(folder.iterdir()):
            if item.name.startswith(".") or item.is_symlink():
                continue
            if item.is_dir():
                waiting.append((item, depth + 1))
            elif item.is_file():
                found.append(item)
        if len(found) > settings().max_files or depth > _DEEPEST_FOLDER:
            limit = f"{settings().max_files} files or {_DEEPEST_FOLDER} folders deep"
            raise Refusal("io.too_many", f"{shown(path.name)} holds over {limit}")
    return sorted(found)


def volume_of(answer: Answer) -> Volume:
    """A volume from what the child said, judged again: the child has read hostile bytes.

    Raises
    ------
    Refusal : ``reader.failed``, if the record does not hold together; ``geometry.*``, ``volume.*``.
    """
    try:
        record = VolumeRecord.model_validate(dict(answer.record))
    except ValidationError as error:
        fact = f"the reader's record does not hold together ({error.error_count()} faults)"
        raise Refusal("reader.failed", fact) from error
    planes = answer.planes
    if planes is None or planes.values.shape != record.shape:
        raise Refusal("reader.failed", "the reader's record does not fit its voxels")
    affine = np.array(record.affine).reshape(4, 4)
    geometry = Geometry(record.shape, affine, record.slice_axis, record.slice_thickness_mm)
    return Volume(
        values=planes.values,
        geometry=geometry,
        modality=record.modality,
        unit="HU" if record.modality == "CT" else "arbitrary",
        source=_source(record, answer.blob),
        acquisition=Acquisition(**record.acquisition.model_dump()),
        padding=planes.padding if record.padded else None,
        degradation=record.degradation,
        modality_provenance=record.provenance,
        notes=record.notes,
    )


def _source(record: VolumeRecord, blob: bytes) -> DicomSource | NiftiSource:
    stated = record.source
    if not isinstance(stated, DicomSourceRecord):
        return NiftiSource(**stated.model_dump())
    sizes = record.header_sizes
    if len(sizes) != len(stated.slices) + 1 or sum(sizes) != len(blob):
        raise Refusal("reader.failed", "the reader's headers do not fit its slices")
    ends = np.cumsum([0, *sizes])
    parts = [blob[start:end] for start, end in pairwise(ends)]
    slices = tuple(
        SourceSlice(**item.model_dump(), header=part) for item, part in zip(stated.slices, parts[1:], strict=True)
    )
    return DicomSource(**{**stated.model_dump(), "slices": slices, "object_header": parts[0]})
