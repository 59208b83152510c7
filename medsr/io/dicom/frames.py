"""Frames of CT and MR images, classic or multi-frame, as one kind of record."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import cast

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from medsr.errors import Refusal
from medsr.io.dicom.decode import NATIVE, PlaneFormat, known_syntax
from medsr.io.dicom.files import Item
from medsr.io.dicom.guard import Structure, check_dicom
from medsr.io.text import shown
from medsr.settings import settings

__all__ = [
    "CLASSES",
    "Frame",
    "Instance",
    "frames_of",
    "number_of",
    "numbers_of",
    "open_instance",
    "text_of",
]

CLASSES: Mapping[str, tuple[str, bool]] = {
    "1.2.840.10008.5.1.4.1.1.2": ("CT", False),
    "1.2.840.10008.5.1.4.1.1.2.1": ("CT", True),
    "1.2.840.10008.5.1.4.1.1.2.2": ("CT", True),
    "1.2.840.10008.5.1.4.1.1.4": ("MR", False),
    "1.2.840.10008.5.1.4.1.1.4.1": ("MR", True),
    "1.2.840.10008.5.1.4.1.1.4.4": ("MR", True),
}
"""SOP class: modality, and whether it is multi-frame with functional groups (enhanced, legacy converted)."""

_UID = re.compile(r"[0-9.]{1,64}")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_LARGEST_SLOPE, _LARGEST_INTERCEPT = 1e6, 1e7
_MULTI_FRAME_NAMES = {
    "EchoTime": "EffectiveEchoTime",
    "ImageType": "FrameType",
    "TemporalPositionIdentifier": "TemporalPositionIndex",
    "AcquisitionNumber": "FrameAcquisitionNumber",
}
_REFERENCES = {"ReferencedImageSequence", "DerivationImageSequence", "ConversionSourceAttributesSequence"}


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One object: where its bytes are, its hash, its parsed header without pixels, its structure."""

    item: Item
    sha256: str
    header: Dataset
    structure: Structure

    @property
    def sop_class(self) -> str:
        """SOP Class UID."""
        return str(self.header.get("SOPClassUID", ""))


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image plane.

    Parameters
    ----------
    instance : the object that holds it.
    number : 1-based frame number, 0 in a single-frame object.
    groups : the items that describe it, most specific first; searched by :meth:`get`.
    position : ImagePositionPatient, LPS mm.
    orientation : (2, 3), the directions of rows and of columns.
    spacing : between rows and between columns, mm.
    form : how it is stored.
    slope, intercept : of the rescale to HU or image units.
    """

    instance: Instance
    number: int
    groups: tuple[Dataset, ...]
    position: npt.NDArray[np.float64]
    orientation: npt.NDArray[np.float64]
    spacing: tuple[float, float]
    form: PlaneFormat
    slope: float
    intercept: float
    name: str = field(default="")

    def get(self, keyword: str) -> object:
        """The value of an attribute, or None."""
        return _lookup(self.groups, keyword)


def open_instance(item: Item) -> Instance:
    """Read and judge one object up to its pixels; broken ones are refused, other kinds skipped by name.

    Raises
    ------
    Refusal : ``dicom.*``, ``identity.uid``, ``skip.sop_class``, ``skip.localizer``.
    """
    data = item.read()
    structure = check_dicom(data, name=item.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(DicomBytesIO(data), stop_before_pixels=True)
            sop_class = text_of(header.get("SOPClassUID"))
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises what the bytes provoke
        raise Refusal("dicom.broken", f"{item.name} cannot be parsed as DICOM") from error
    if sop_class not in CLASSES:
        kind = shown(sop_class) or "none"
        raise Refusal("skip.sop_class", f"{item.name} is of class {kind}, no CT or MR image")
    if "LOCALIZER" in [part.upper() for part in _texts(_value(header, "ImageType"))]:
        raise Refusal("skip.localizer", f"{item.name} is a localiser")
    for keyword in _UIDS:
        if not _UID.fullmatch(text_of(_value(header, keyword, "0"))):
            raise Refusal("identity.uid", f"{keyword} of {item.name} is no unique identifier")
    return Instance(item, sha256(data).hexdigest(), header, structure)


def frames_of(instance: Instance) -> Iterator[Frame]:
    """The planes of an object.

    Raises
    ------
    Refusal : ``dicom.functional_groups``, ``geometry.*``, ``pixel.*``.
    """
    header, name = instance.header, instance.item.name
    form = _form(instance)
    if not CLASSES[instance.sop_class][1]:
        yield _frame(instance, 0, (header,), form, name)
        return
    per_frame = _items(header, "PerFrameFunctionalGroupsSequence")
    if len(per_frame) != instance.structure.frames:
        fact = f"{name} has functional groups for {len(per_frame)} of {instance.structure.frames} frames"
        raise Refusal("dicom.functional_groups", fact)
    shared = [item for group in _items(header, "SharedFunctionalGroupsSequence") for item in _described(group)]
    for index, group in enumerate(per_frame):
        groups = (*_described(group), *shared, header)
        yield _frame(instance, index + 1, groups, form, f"frame {index + 1} of {name}")


def number_of(value: object) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number ends in None
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def numbers_of(value: object, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or None."""
    parts = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    numbers = [number_of(part) for part in parts]
    whole = tuple(number for number in numbers if number is not None)
    return whole if len(parts) == len(whole) == count else None


def text_of(value: object) -> str:
    """A value as text; of several the first."""
    texts = _texts(value)
    return texts[0] if texts else ""


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(part) for part in value] if isinstance(value, MultiValue | list | tuple) else [str(value)]


def _described(group: Dataset) -> list[Dataset]:
    """The macro items of a functional group, each followed by what it nests (diffusion directions)."""
    found: list[Dataset] = []
    for name in group.dir():
        if name.endswith("Sequence") and name not in _REFERENCES:
            for item in _items(group, name)[:1]:
                found.append(item)
                nested = [inner for inner in item.dir() if inner.endswith("Sequence")]
                found += [part for inner in nested for part in _items(item, inner)[:1]]
    return found


def _items(group: Dataset, keyword: str) -> list[Dataset]:
    value = _value(group, keyword)
    return list(value) if isinstance(value, Sequence) else []


def _value(group: Dataset, keyword: str, default: object = None) -> object:
    """pydicom converts values when they are asked for, and raises there what the bytes provoke."""
    tag = _tag(keyword)
    if tag not in group.keys():  # noqa: SIM118 -- ten times as fast as asking the data set, which parses its argument
        return default
    try:
        return cast("object", group[tag].value)
    except MemoryError:
        raise
    except Exception as error:
        raise Refusal("dicom.broken", f"the value of {keyword} cannot be read") from error


def _lookup(groups: tuple[Dataset, ...], keyword: str) -> object:
    for name in (keyword, _MULTI_FRAME_NAMES.get(keyword, keyword)):
        for group in groups:
            if _tag(name) in group.keys():  # noqa: SIM118 -- as above
                return _value(group, name)
    return None


@cache
def _tag(keyword: str) -> int:
    """The tag of a standard attribute."""
    return tag_for_keyword(keyword) or 0


def _form(instance: Instance) -> PlaneFormat:
    header, name, structure = instance.header, instance.item.name, instance.structure
    if not known_syntax(structure.syntax):
        syntax = shown(structure.syntax)
        raise Refusal("pixel.syntax", f"{name} is in transfer syntax {syntax}, which medsr does not read")
    facts = [_value(header, keyword) for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored")]
    counts = [fact for fact in facts if isinstance(fact, int) and fact > 0]
    if structure.length == 0 or len(counts) < len(facts):
        raise Refusal("pixel.missing", f"{name} has no pixel data of stated size")
    rows, columns, allocated, stored = counts
    high = number_of(_value(header, "HighBit", stored - 1))
    usual = allocated in (8, 16) and stored <= allocated and high == stored - 1
    if number_of(_value(header, "SamplesPerPixel", 1)) != 1 or not usual:
        fact = f"{name} has {allocated} bits allocated, {stored} stored, or more than one sample"
        raise Refusal("pixel.format", fact)
    if text_of(_value(header, "PhotometricInterpretation")) not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refusal("pixel.format", f"{name} is not monochrome")
    if "ModalityLUTSequence" in header:
        raise Refusal("pixel.rescale", f"{name} maps its values through a table")
    frames, limits = structure.frames, settings()
    if frames != 1 and not CLASSES[instance.sop_class][1]:
        raise Refusal("pixel.format", f"{name} has {frames} frames without functional groups")
    if max(rows, columns, frames) > limits.max_side or rows * columns * frames > limits.max_voxels:
        fact = f"{name} claims {columns} x {rows} x {frames} pixels, over {limits.max_side} a side"
        raise Refusal("volume.too_large", fact)
    form = PlaneFormat(rows, columns, allocated, stored, _value(header, "PixelRepresentation", 0) == 1)
    if structure.syntax in NATIVE and structure.length < form.size * frames:
        fact = f"{name} has {structure.length} bytes of pixels, {form.size * frames} are needed"
        raise Refusal("pixel.truncated", fact)
    return form


def _frame(instance: Instance, number: int, groups: tuple[Dataset, ...], form: PlaneFormat, name: str) -> Frame:
    position = numbers_of(_lookup(groups, "ImagePositionPatient"), 3)
    if position is None:
        raise Refusal("geometry.position", f"{name} does not state three finite numbers as its position")
    orientation = numbers_of(_lookup(groups, "ImageOrientationPatient"), 6)
    if orientation is None:
        raise Refusal("geometry.orientation", f"{name} does not state six finite numbers as its orientation")
    spacing = numbers_of(_lookup(groups, "PixelSpacing"), 2)
    if spacing is None or min(spacing) <= 0:
        raise Refusal("geometry.spacing", f"{name} does not state two positive numbers as its pixel spacing")
    slope, intercept = _rescale(groups, name)
    return Frame(
        instance, number, groups, np.array(position), np.array(orientation).reshape(2, 3),
        (spacing[0], spacing[1]), form, slope, intercept, name,
    )  # fmt: skip


def _rescale(groups: tuple[Dataset, ...], name: str) -> tuple[float, float]:
    found = [_lookup(groups, "RescaleSlope"), _lookup(groups, "RescaleIntercept")]
    slope, intercept = (
        default if value in (None, "") else number_of(value) for value, default in zip(found, (1.0, 0.0), strict=True)
    )
    if slope is None or intercept is None:
        raise Refusal("pixel.rescale", f"{name} has a rescale slope or intercept that is no number")
    if not 0 < abs(slope) <= _LARGEST_SLOPE or not abs(intercept) <= _LARGEST_INTERCEPT:
        raise Refusal("pixel.rescale", f"{name} has a rescale slope of {slope:g}, intercept {intercept:g}")
    return slope, intercept
