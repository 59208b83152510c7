"""What the writers need to know of the file a volume came from."""

from __future__ import annotations

from dataclasses import dataclass

from medsr.volume import Source

__all__ = ["DicomSource", "NiftiSource"]


@dataclass(frozen=True, slots=True)
class NiftiSource(Source):
    """A NIfTI file: the codes that say what its affines mean."""

    sform_code: int = 1
    qform_code: int = 1


@dataclass(frozen=True, slots=True)
class DicomSource(Source):
    """A DICOM series: its identifiers, and the instances in order of position along the slice normal."""

    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference_uid: str = ""
    instance_uids: tuple[str, ...] = ()
