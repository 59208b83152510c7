"""Attributes of derived objects: pacs.md's table, row by row, for single-frame objects and the root of others."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from medsr.io.dicom.frames import numbers_of
from medsr.io.dicom.guard import check_dataset
from medsr.io.encoding import Stored
from medsr.io.sources import DicomSource, SourceSlice
from medsr.io.write.dicom.grid import Plane
from medsr.io.write.dicom.uids import IMPLEMENTATION
from medsr.io.write.facts import DerivedFacts
from medsr.volume import Volume

__all__ = [
    "code",
    "derived_type",
    "equipment",
    "identity",
    "meta",
    "parsed",
    "pixel_module",
    "place",
    "plane_module",
    "references",
]

_SCHEME = "99MEDSR"
_CODES: Mapping[str, tuple[str, str, str]] = {
    "superres": ("113085", "DCM", "Spatial resampling"),
    "denoise": ("denoise", _SCHEME, "Noise reduction by trained model"),
    "inpaint": ("inpaint", _SCHEME, "Slice synthesis by trained model"),
}
_ACQUISITION, _SYNTHESIZING = ("109101", "Acquisition Equipment"), ("109100", "Synthesizing Equipment")
_SOURCE_IMAGE = ("121322", "DCM", "Source image for image processing operation")
_SCANNER = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "StationName",
            "InstitutionName")  # fmt: skip
_STATION = ("ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "StationName", "DeviceUID",
            "GantryID", "UDISequence")  # fmt: skip
_DERIVED_SERIES_NUMBER = 900_000
_LARGEST_SERIES_NUMBER = 100_000_000
_SAME_NUMBER = 1e-4


def parsed(header: bytes, *, name: str) -> Dataset:
    """A source header as a data set; judged again, since a reader child wrote it.

    Raises
    ------
    Refusal : ``dicom.*``, as :func:`medsr.io.dicom.guard.check_dataset`.
    """
    check_dataset(header, name=name)
    return read_dataset(BytesIO(header), is_implicit_VR=False, is_little_endian=True)


def meta(data: Dataset) -> FileMetaDataset:
    """File meta information; the preamble is zero, whatever the source's held."""
    made = FileMetaDataset()
    made.MediaStorageSOPClassUID, made.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    made.TransferSyntaxUID = ExplicitVRLittleEndian
    made.ImplementationClassUID, made.ImplementationVersionName = UID(IMPLEMENTATION), "MEDSR"
    return made


def identity(data: Dataset, source: DicomSource, facts: DerivedFacts, *, series_uid: str, instance_uid: str) -> None:
    """What tells the derived series from its source, and what it was made of; patient and study stay."""
    data.SOPInstanceUID, data.SeriesInstanceUID = instance_uid, series_uid
    data.SeriesNumber = _DERIVED_SERIES_NUMBER + 10 * min(source.series_number, _LARGEST_SERIES_NUMBER)
    words = ["AI-RESTORED", facts.label, facts.task, str(data.get("SeriesDescription", ""))]
    data.SeriesDescription = " ".join(word for word in words if word)[:64].rstrip()
    data.ImageType = derived_type(data.get("ImageType"), multi_frame=source.multi_frame and not facts.single_frame)
    data.DerivationDescription = facts.description[:1024]
    data.SyntheticData = "YES"
    data.ContentQualification = "RESEARCH"
    derivation = code(*_CODES[facts.task])
    data.DerivationCodeSequence = [derivation]
    if derivation.CodingSchemeDesignator == _SCHEME:
        _identify_scheme(data)
    equipment(data, facts)


def derived_type(value: Any, *, multi_frame: bool) -> list[str]:
    """The source's image or frame type as a derived one.

    SECONDARY, since it was made after the examination (PS3.3 C.7.6.1.1.2); multi-frame CT and MR allow PRIMARY alone
    (PS3.3 C.8.16.1.2).
    """
    return ["DERIVED", "PRIMARY" if multi_frame else "SECONDARY", *_texts(value)[2:]]


def equipment(data: Dataset, facts: DerivedFacts) -> None:
    """Source items, the scanner, and medsr; then medsr in the scanner's place, unless that is to stay."""
    scanner = Dataset()
    for keyword in _SCANNER:
        if data.get(keyword):
            scanner.add(copy.deepcopy(data[keyword]))
    if "Manufacturer" not in scanner:
        scanner.Manufacturer = "unknown"
    scanner.PurposeOfReferenceCodeSequence = [code(_ACQUISITION[0], "DCM", _ACQUISITION[1])]
    ours = Dataset()
    ours.Manufacturer, ours.ManufacturerModelName = "medsr developers", "medsr"
    weights = f"{facts.bundle} sha256:{facts.weights_sha256[:40]}".strip()[:64]
    ours.SoftwareVersions = [facts.version, weights] if facts.bundle else facts.version
    ours.DeviceSerialNumber = facts.device_serial
    ours.ContributionDescription = f"{facts.task} by medsr {facts.version}"[:64]
    ours.PurposeOfReferenceCodeSequence = [code(_SYNTHESIZING[0], "DCM", _SYNTHESIZING[1])]
    data.ContributingEquipmentSequence = [*(data.get("ContributingEquipmentSequence") or ()), scanner, ours]
    if facts.keep_equipment:
        return
    for keyword in _STATION:
        if keyword in data:
            delattr(data, keyword)
    data.Manufacturer, data.ManufacturerModelName = ours.Manufacturer, ours.ManufacturerModelName
    data.SoftwareVersions, data.DeviceSerialNumber = ours.SoftwareVersions, ours.DeviceSerialNumber


def references(sources: Iterable[SourceSlice], *, preserved: bool) -> list[Dataset]:
    """Items of SourceImageSequence; frames of one object share an item."""
    items: dict[str, Dataset] = {}
    frames: dict[str, list[int]] = {}
    for source in sources:
        if source.sop_instance_uid not in items:
            item = Dataset()
            item.ReferencedSOPClassUID = source.sop_class_uid
            item.ReferencedSOPInstanceUID = source.sop_instance_uid
            item.SpatialLocationsPreserved = "YES" if preserved else "NO"
            item.PurposeOfReferenceCodeSequence = [code(*_SOURCE_IMAGE)]
            items[source.sop_instance_uid] = item
        if source.frame:
            frames.setdefault(source.sop_instance_uid, []).append(source.frame)
    for uid, numbers in frames.items():
        items[uid].ReferencedFrameNumber = numbers if len(numbers) > 1 else numbers[0]
    return list(items.values())


def plane_module(data: Dataset, plane: Plane, thickness_mm: float | None) -> None:
    """Position, orientation and spacing of the output; the thickness is the slice profile's, not the spacing."""
    place(data, "ImagePositionPatient", plane.position)
    place(data, "ImageOrientationPatient", plane.orientation)
    place(data, "PixelSpacing", plane.pixel_spacing)
    data.SliceLocation = plane.location
    if thickness_mm is not None:
        data.SliceThickness = thickness_mm
    if "SpacingBetweenSlices" in data:
        data.SpacingBetweenSlices = plane.spacing_between_slices


def place(data: Dataset, keyword: str, numbers: tuple[float, ...]) -> None:
    """Set numbers of the geometry, but leave the source's own words where they say the same."""
    stated = numbers_of(data.get(keyword), len(numbers))
    if stated is None or max(abs(a - b) for a, b in zip(stated, numbers, strict=True)) > _SAME_NUMBER:
        setattr(data, keyword, list(numbers))


def pixel_module(data: Dataset, stored: Stored, measured: Volume, source: DicomSource) -> None:
    """Bits and padding of the output; a lossy source stays lossy for ever."""
    signed = stored.dtype.kind == "i"
    bits = stored.bits or 8 * stored.dtype.itemsize
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Columns, data.Rows = stored.values.shape[:2]
    data.BitsAllocated, data.BitsStored, data.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    data.PixelRepresentation = int(signed)
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit", "VOILUTSequence", "PixelAspectRatio"):
        if keyword in data:
            delattr(data, keyword)
    if source.monochrome1 and "PresentationLUTShape" in data:
        data.PresentationLUTShape = "IDENTITY"
    padding = _padding(stored, source)
    if padding is not None:
        data.add_new("PixelPaddingValue", "SS" if signed else "US", padding)
    if measured.acquisition.lossy:
        data.LossyImageCompression = "01"
    for keyword in ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"):
        if keyword in data and np.ndim(data.get(keyword)):
            setattr(data, keyword, next(iter(data.get(keyword)), ""))


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _identify_scheme(data: Dataset) -> None:
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = _SCHEME, "Codes of medsr"
    item.CodingSchemeResponsibleOrganization = "medsr developers"
    stated = data.get("CodingSchemeIdentificationSequence") or ()
    others = [other for other in stated if other.get("CodingSchemeDesignator") != _SCHEME]
    data.CodingSchemeIdentificationSequence = [*others, item]


def _padding(stored: Stored, source: DicomSource) -> int | None:
    """The source's padding value as a number of the output, if it is one."""
    if source.padding_value is None or not source.bits_stored:
        return None
    number = source.padding_value
    if source.monochrome1:
        number = (-1 if source.signed else (1 << source.bits_stored) - 1) - number
    exact = (number * source.slope + source.intercept - stored.intercept) / stored.slope
    limits = np.iinfo(stored.dtype)  # type: ignore[type-var]  # DICOM pixels are integers
    return round(exact) if abs(exact - round(exact)) < 1e-6 and limits.min <= exact <= limits.max else None


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(part) for part in value]
