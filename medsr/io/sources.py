"""What the writers need to know of the file a volume came from. Closed records: no parser's objects, no paths."""

from __future__ import annotations

from dataclasses import dataclass, field

from medsr.volume import Source

__all__ = ["DicomSource", "NiftiSource", "SourceSlice"]


@dataclass(frozen=True, slots=True)
class NiftiSource(Source):
    """A NIfTI file: the codes that say what its affines mean."""

    sform_code: int = 1
    qform_code: int = 1


@dataclass(frozen=True, slots=True)
class SourceSlice:
    """One slice of a DICOM series, in order of position along the slice normal.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid : of the object that holds it.
    frame : 1-based frame number within a multi-frame object, 0 for a single-frame one.
    canonical_sha256 : of the object as explicit little endian with decoded pixels, without group 2, so that an
        archive that recompresses changes nothing.
    index : place along the slice axis of the volume.
    header : the slice's attributes that a derived object copies, as an explicit VR little endian data set without
        pixels, private, overlay and signature elements; of a multi-frame object its functional groups, flattened.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame: int
    canonical_sha256: str
    index: int
    header: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DicomSource(Source):
    """A DICOM series as one volume.

    Parameters
    ----------
    study_uid, series_uid, frame_of_reference_uid : identifiers.
    series_number : 0 where the source has none.
    slices : what was read, ascending; slices that are missing on the grid have no entry.
    missing : indices on the grid that no slice stands for (only where the caller asked to go on).
    bits_stored, signed, slope, intercept : the stored form, if all slices share it, else 0 bits.
    padding_value : the stored value that stands for "not measured", or None.
    object_header : of a multi-frame source, its attributes outside the functional groups; empty otherwise.
    monochrome1 : whether the values were inverted on reading.
    """

    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference_uid: str = ""
    series_number: int = 0
    slices: tuple[SourceSlice, ...] = ()
    missing: tuple[int, ...] = ()
    bits_stored: int = 0
    signed: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    padding_value: int | None = None
    object_header: bytes = field(default=b"", repr=False)
    monochrome1: bool = False

    @property
    def instance_uids(self) -> tuple[str, ...]:
        """The SOP Instance UIDs that hold the volume, each once, in order of position."""
        return tuple(dict.fromkeys(item.sop_instance_uid for item in self.slices))

    @property
    def multi_frame(self) -> bool:
        """True for enhanced and legacy converted objects."""
        return any(item.frame for item in self.slices)
