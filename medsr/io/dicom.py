"""Reading one regular, uncompressed, single-frame CT or MR series. What is more is refused by name."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders import ExplicitVRLittleEndianDecoder, ImplicitVRLittleEndianDecoder

from medsr.errors import Refusal, UsageError
from medsr.io.dicom_guard import check_dicom
from medsr.io.sources import DicomSource
from medsr.settings import settings
from medsr.volume import Acquisition, Geometry, Volume
from medsr.volume.geometry import ORTHOGONALITY_TOLERANCE

__all__ = ["dicom_files", "read_dicom"]

_CLASSES = {"1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.4": "MR"}
_DECODERS = {
    "1.2.840.10008.1.2": ImplicitVRLittleEndianDecoder,
    "1.2.840.10008.1.2.1": ExplicitVRLittleEndianDecoder,
}
_STEP_TOLERANCE_MM, _STEP_TOLERANCE_SHARE = 0.01, 0.01
_DIRECTION_TOLERANCE = 1e-4
_LARGEST_SLOPE, _LARGEST_INTERCEPT = 1e6, 1e7
_UID = re.compile(r"[0-9.]{1,64}")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_UNIFORM = {
    "PatientID": "identity.mixed",
    "StudyInstanceUID": "identity.mixed",
    "FrameOfReferenceUID": "identity.mixed",
    "SeriesInstanceUID": "series.several",
    "SOPClassUID": "series.several",
    "Rows": "series.several",
    "Columns": "series.several",
    "PhotometricInterpretation": "series.several",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """One instance: its header, its file's hash, and where it lies (LPS, mm)."""

    header: pydicom.Dataset
    sha256: str
    name: str
    position: npt.NDArray[np.float64]


def dicom_files(path: Path) -> list[Path]:
    """The files of a folder (not below it) that start like DICOM, or the file itself."""
    if path.is_file():
        return [path]
    return sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))


def read_dicom(path: Path, *, modality: str = "auto", pick: str | None = None) -> Volume:
    """Read a folder or a file of one classic CT or MR series.

    Axes of the result: i along a row (columns), j down the columns (rows), k along the slice normal, ascending.
    Values are stored values times the slope plus the intercept of each slice.

    Raises
    ------
    Refusal : ``dicom.*``, ``geometry.*``, ``identity.mixed``, ``pixel.*``, ``series.several``, ``skip.*``.
    UsageError : ``modality.contradicts``, if the user names another modality.
    """
    files = dicom_files(path)
    if not files:
        raise Refusal("io.empty", f"{path.name} holds no files")
    slices = [_header(file) for file in files]
    if pick is not None:
        slices = [item for item in slices if str(item.header.get("SeriesInstanceUID", "")) == pick]
        if not slices:
            raise UsageError("series.pick", f"no instance of series {pick[:64]} in {path.name}")
    for keyword, code in _UNIFORM.items():
        values = {str(item.header.get(keyword, "")) for item in slices}
        if len(values) > 1:
            raise Refusal(code, f"{len(slices)} files hold {len(values)} values of {keyword}")
    found = _CLASSES[str(slices[0].header.SOPClassUID)]
    if modality not in ("auto", found):
        raise UsageError("modality.contradicts", f"the headers say {found}, not {modality}")
    ordered, geometry = _stack(slices)
    values, padding, notes = _values(ordered, geometry)
    digest = hashlib.sha256("".join(sorted(item.sha256 for item in ordered)).encode()).hexdigest()
    first = ordered[0].header
    source = DicomSource(
        name=path.name,
        sha256=digest,
        format="dicom",
        dtype=f"{'int' if first.PixelRepresentation else 'uint'}{first.BitsAllocated}",
        integer=_integer(ordered),
        study_uid=str(first.get("StudyInstanceUID", "")),
        series_uid=str(first.get("SeriesInstanceUID", "")),
        frame_of_reference_uid=str(first.get("FrameOfReferenceUID", "")),
        instance_uids=tuple(str(item.header.get("SOPInstanceUID", "")) for item in ordered),
    )
    return Volume(
        values=values, geometry=geometry, modality="CT" if found == "CT" else "MR",
        unit="HU" if found == "CT" else "arbitrary", source=source, acquisition=_acquisition(first),
        padding=padding, modality_provenance="header", notes=notes,
    )  # fmt: skip


def _header(file: Path) -> _Slice:
    data = _bytes(file)
    check_dicom(data, name=file.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
    except (InvalidDicomError, ValueError, KeyError, TypeError, AttributeError, EOFError, RecursionError) as error:
        raise Refusal("dicom.broken", f"{file.name} cannot be parsed as DICOM") from error
    sop_class = str(header.get("SOPClassUID", ""))
    if sop_class not in _CLASSES:
        raise Refusal(
            "skip.sop_class", f"{file.name} is of class {sop_class[:64] or 'none'}, no classic CT or MR image"
        )
    if "LOCALIZER" in [str(part).upper() for part in header.get("ImageType", [])]:
        raise Refusal("skip.localizer", f"{file.name} is a localiser")
    for keyword in _UIDS:
        if not _UID.fullmatch(str(header.get(keyword, "0"))):
            raise Refusal("identity.uid", f"{keyword} of {file.name} is no unique identifier")
    _check_pixels(header, file.name)
    position = _numbers(header, "ImagePositionPatient", 3, "geometry.position")
    return _Slice(header, hashlib.sha256(data).hexdigest(), file.name, position)


def _bytes(file: Path) -> bytes:
    size = file.stat().st_size
    if size == 0:
        raise Refusal("io.empty", f"{file.name} has no bytes")
    if size > settings().max_object_bytes:
        raise Refusal("dicom.too_large", f"{file.name} has {size} bytes, over {settings().max_object_bytes}")
    return file.read_bytes()


def _check_pixels(header: pydicom.Dataset, name: str) -> None:
    syntax = str(getattr(header.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2"))
    if syntax not in _DECODERS:
        raise Refusal("pixel.syntax", f"{name} is in transfer syntax {syntax[:64]}, which is compressed or unknown")
    facts = [header.get(keyword) for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored")]
    if any(not isinstance(fact, int) or fact < 1 for fact in facts) or "PixelData" not in header:
        raise Refusal("pixel.missing", f"{name} has no pixel data of stated size")
    rows, columns, allocated, stored = (int(fact) for fact in facts)
    if int(header.get("SamplesPerPixel", 1)) != 1 or allocated not in (8, 16) or stored > allocated:
        raise Refusal(
            "pixel.format", f"{name} has {allocated} bits allocated, {stored} stored, or more than one sample"
        )
    if header.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refusal("pixel.format", f"{name} is not monochrome")
    if int(header.get("NumberOfFrames", 1) or 1) != 1:
        raise Refusal("pixel.format", f"{name} has more than one frame")
    if len(header.PixelData) < rows * columns * allocated // 8:
        raise Refusal("pixel.truncated", f"{name} has {len(header.PixelData)} bytes for {rows} x {columns} pixels")


def _numbers(header: pydicom.Dataset, keyword: str, count: int, code: str) -> npt.NDArray[np.float64]:
    try:
        values = np.array([float(value) for value in header.get(keyword) or ()])
    except (TypeError, ValueError) as error:
        raise Refusal(code, f"{keyword} holds no numbers") from error
    if len(values) != count or not np.isfinite(values).all():
        raise Refusal(code, f"{keyword} does not hold {count} finite numbers")
    return values


def _stack(slices: list[_Slice]) -> tuple[list[_Slice], Geometry]:
    """Slices by position along the normal, and their grid.

    Raises
    ------
    Refusal : ``geometry.*`` with the place in mm.
    """
    first = slices[0].header
    orientation = _numbers(first, "ImageOrientationPatient", 6, "geometry.orientation")
    spacing = _numbers(first, "PixelSpacing", 2, "geometry.spacing")
    for item in slices[1:]:
        same = _numbers(item.header, "ImageOrientationPatient", 6, "geometry.orientation")
        if np.abs(same - orientation).max() > _DIRECTION_TOLERANCE:
            raise Refusal("geometry.orientation", f"{item.name} is turned against {slices[0].name}")
        other = _numbers(item.header, "PixelSpacing", 2, "geometry.spacing")
        if np.abs(other - spacing).max() > 1e-4 * abs(spacing).max():
            raise Refusal(
                "geometry.mixed_spacing", f"{item.name} has pixels of {other[0]:g} mm, others {spacing[0]:g} mm"
            )
    row, column = orientation[:3], orientation[3:]
    lengths = (abs(np.linalg.norm(row) - 1), abs(np.linalg.norm(column) - 1), abs(float(row @ column)))
    if max(lengths) > ORTHOGONALITY_TOLERANCE:
        raise Refusal("geometry.orientation", "row and column directions are not at right angles")
    normal = np.cross(row, column)
    ordered = sorted(slices, key=lambda item: float(item.position @ normal))
    along = np.array([float(item.position @ normal) for item in ordered])
    step = _step(ordered, along)
    _check_drift(ordered, normal, along)
    thickness = first.get("SliceThickness")
    distance = step or float(thickness or math.nan)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = row * spacing[1], column * spacing[0], normal * distance
    lps[:3, 3] = ordered[0].position
    shape = (int(first.Columns), int(first.Rows), len(ordered))
    wide = float(thickness) if thickness is not None and math.isfinite(float(thickness)) else None
    return ordered, Geometry(shape, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps, 2, wide)


def _step(ordered: list[_Slice], along: npt.NDArray[np.float64]) -> float | None:
    if len(ordered) == 1:
        return None
    steps = np.diff(along)
    for index, size in enumerate(steps):
        if size <= _STEP_TOLERANCE_MM:
            names = f"{ordered[index].name} and {ordered[index + 1].name}"
            raise Refusal("geometry.duplicate", f"{names} lie at the same position, {along[index]:.2f} mm")
    step = float(np.median(steps)) if len(steps) > 2 else float(steps.min())
    for index, size in enumerate(steps):
        if abs(size - step) <= max(_STEP_TOLERANCE_MM, _STEP_TOLERANCE_SHARE * step):
            continue
        count = round(size / step)
        if count >= 2 and abs(size - count * step) <= _STEP_TOLERANCE_SHARE * count * step:
            lost = ", ".join(f"{along[index] + n * step:.2f}" for n in range(1, count))
            raise Refusal("geometry.missing_slice", f"{count - 1} slices are missing, at {lost} mm along the normal")
        raise Refusal("geometry.uneven", f"a step of {size:.2f} mm at {along[index]:.2f} mm, others {step:.2f} mm")
    return step


def _check_drift(ordered: list[_Slice], normal: npt.NDArray[np.float64], along: npt.NDArray[np.float64]) -> None:
    for item, place in zip(ordered, along, strict=True):
        offset = item.position - ordered[0].position
        drift = float(np.linalg.norm(offset - (offset @ normal) * normal))
        if drift > max(_STEP_TOLERANCE_MM, 0.01 * abs(place - along[0])):
            raise Refusal("geometry.tilt", f"{item.name} is shifted {drift:.2f} mm in plane against the first slice")


def _values(
    ordered: list[_Slice], geometry: Geometry
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None, tuple[str, ...]]:
    values = np.empty(geometry.shape, np.float32, order="F")
    padding = np.zeros(geometry.shape, bool, order="F")
    for index, item in enumerate(ordered):
        stored = _pixels(item)
        slope, intercept = _rescale(item)
        values[:, :, index] = (stored.astype(np.float64) * slope + intercept).T
        fill = item.header.get("PixelPaddingValue")
        if isinstance(fill, int):
            padding[:, :, index] = (stored == fill).T
    notes: tuple[str, ...] = ()
    if ordered[0].header.PhotometricInterpretation == "MONOCHROME1":
        np.subtract(float(values.max()) + float(values.min()), values, out=values)
        notes = ("MONOCHROME1 inverted",)
    if not np.any(values):
        raise Refusal("volume.empty", "every voxel is zero")
    return values, padding if padding.any() else None, notes


def _pixels(item: _Slice) -> npt.NDArray[np.integer]:
    header = item.header
    syntax = str(getattr(header.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2"))
    try:
        array, _ = _DECODERS[syntax].as_array(header, raw=True, index=0)
    except (ValueError, AttributeError, RuntimeError, KeyError, NotImplementedError) as error:
        raise Refusal("pixel.broken", f"the pixels of {item.name} cannot be decoded") from error
    bits, signed = int(header.BitsStored), bool(header.PixelRepresentation)
    if bits < int(header.BitsAllocated):
        masked = array.astype(np.int32) & ((1 << bits) - 1)
        array = np.where(masked >> (bits - 1), masked - (1 << bits), masked) if signed else masked
    return np.asarray(array)


def _rescale(item: _Slice) -> tuple[float, float]:
    try:
        slope = float(item.header.get("RescaleSlope", 1) or 0)
        intercept = float(item.header.get("RescaleIntercept", 0) or 0)
    except (TypeError, ValueError) as error:
        raise Refusal("pixel.rescale", f"{item.name} has a rescale slope or intercept that is no number") from error
    if not 0 < abs(slope) <= _LARGEST_SLOPE or not abs(intercept) <= _LARGEST_INTERCEPT:
        raise Refusal("pixel.rescale", f"{item.name} has a rescale slope of {slope:g}, intercept {intercept:g}")
    return slope, intercept


def _integer(ordered: list[_Slice]) -> bool:
    return all(
        float(value).is_integer() and abs(_rescale(item)[0]) == 1 for item in ordered for value in _rescale(item)
    )


def _acquisition(header: pydicom.Dataset) -> Acquisition:
    def number(keyword: str) -> float | None:
        try:
            return float(header.get(keyword))
        except (TypeError, ValueError):
            return None

    def text(keyword: str) -> str | None:
        value = header.get(keyword)
        return str(value)[:64] if value else None

    return Acquisition(
        manufacturer=text("Manufacturer"), model=text("ManufacturerModelName"), body_part=text("BodyPartExamined"),
        field_strength_t=number("MagneticFieldStrength"), echo_time_ms=number("EchoTime"),
        repetition_time_ms=number("RepetitionTime"), tube_voltage_kv=number("KVP"), kernel=text("ConvolutionKernel"),
        lossy=str(header.get("LossyImageCompression", "00")) == "01",
    )  # fmt: skip
