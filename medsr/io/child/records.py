"""What a reader child may say: closed records, every field judged before it is used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["DicomSourceRecord", "NiftiSourceRecord", "SliceRecord", "SurveyRecord", "VolumeRecord"]

_Uid = Annotated[str, StringConstraints(pattern=r"^[0-9.]{0,64}$")]
_Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Text = Annotated[str, StringConstraints(max_length=256)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Index = Annotated[int, Field(ge=0, lt=1 << 20)]
_Shape = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NiftiSourceRecord(_Closed):
    """Of :class:`medsr.io.sources.NiftiSource`."""

    format: Literal["nifti"]
    name: _Text
    sha256: _Hash
    dtype: _Text
    integer: bool
    sform_code: int
    qform_code: int


class SliceRecord(_Closed):
    """Of :class:`medsr.io.sources.SourceSlice`, without its header bytes."""

    sop_class_uid: _Uid
    sop_instance_uid: _Uid
    frame: _Index
    canonical_sha256: _Hash
    index: _Index


class DicomSourceRecord(_Closed):
    """Of :class:`medsr.io.sources.DicomSource`."""

    format: Literal["dicom"]
    name: _Text
    sha256: _Hash
    dtype: Literal["uint8", "int8", "uint16", "int16"]
    integer: bool
    study_uid: _Uid
    series_uid: _Uid
    frame_of_reference_uid: _Uid
    series_number: int
    slices: tuple[SliceRecord, ...]
    missing: tuple[_Index, ...]
    bits_stored: Annotated[int, Field(ge=0, le=16)]
    signed: bool
    slope: _Number
    intercept: _Number
    padding_value: int | None
    monochrome1: bool


class AcquisitionRecord(_Closed):
    """Of :class:`medsr.volume.Acquisition`."""

    manufacturer: _Text | None = None
    model: _Text | None = None
    body_part: _Text | None = None
    field_strength_t: _Number | None = None
    echo_time_ms: _Number | None = None
    repetition_time_ms: _Number | None = None
    tube_voltage_kv: _Number | None = None
    exposure_mas: _Number | None = None
    kernel: _Text | None = None
    lossy: bool = False
    lossy_ratio: _Number | None = None


class VolumeRecord(_Closed):
    """A volume but for its voxels."""

    shape: _Shape
    affine: Annotated[tuple[_Number, ...], Field(min_length=16, max_length=16)]
    slice_axis: Literal[0, 1, 2]
    slice_thickness_mm: _Number | None
    modality: Literal["CT", "MR"]
    provenance: Literal["declared", "header", "guessed"]
    padded: bool
    degradation: dict[str, object] | None
    notes: tuple[_Text, ...]
    acquisition: AcquisitionRecord = AcquisitionRecord()
    source: NiftiSourceRecord | DicomSourceRecord = Field(discriminator="format")
    header_sizes: tuple[Annotated[int, Field(ge=0)], ...] = ()


class RefusedRecord(_Closed):
    """Why a stack would be refused."""

    code: _Text
    fact: Annotated[str, StringConstraints(max_length=1000)]


class StackRecord(_Closed):
    """A row of the survey."""

    number: int
    series_uid: _Uid
    series_number: _Number | None
    description: _Text
    modality: Literal["CT", "MR"]
    multi_frame: bool
    slices: int
    shape: _Shape
    transfer_syntax: _Uid
    lossy: bool
    spacing_mm: tuple[_Number, _Number, _Number] | None
    slice_thickness_mm: _Number | None
    refused: RefusedRecord | None


class SurveyRecord(_Closed):
    """What is there."""

    stacks: tuple[StackRecord, ...]
    skipped: dict[str, int]
