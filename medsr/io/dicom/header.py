"""The part of a header that a derived object copies, and the hash that stays when an archive recompresses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from medsr.io.dicom.decode import PlaneFormat

__all__ = ["canonical_sha256", "copied", "encoded"]

_LARGEST_VALUE_BYTES = 1 << 16
_DEEPEST, _MOST_ITEMS = 8, 10_000
_REMOVED_GROUPS = {0x0002, 0x7FE0, 0xFFFA, 0xFFFC, 0x0004}
_CURVES_AND_OVERLAYS = (0x5000, 0x50FF, 0x6000, 0x60FF)
_REMOVED = {
    "IconImageSequence", "DigitalSignaturesSequence", "MACParametersSequence", "SOPInstanceStatus",
    "SOPAuthorizationDateTime", "SOPAuthorizationComment", "AuthorizationEquipmentCertificationNumber",
    "SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries", "LargestPixelValueInSeries",
    "PixelDataProviderURL", "EncryptedAttributesSequence", "OriginalAttributesSequence", "DataSetTrailingPadding",
    "StorageMediaFileSetUID", "StorageMediaFileSetID", "InstanceCreationDate", "InstanceCreationTime",
    "InstanceCreatorUID", "PaletteColorLookupTableUID", "ConvertedImageReferences", "ReferencedImageBoxSequence",
    "ReferencedPerformedProcedureStepSequence",
}  # fmt: skip
_REMOVED_STARTS = (
    "PerformedProcedureStep", "RedPalette", "GreenPalette", "BluePalette", "AlphaPalette", "SegmentedRed",
    "SegmentedGreen", "SegmentedBlue", "PixelDataArea",
)  # fmt: skip


def copied(header: Dataset, *, without: frozenset[str] = frozenset()) -> Dataset:
    """Standard attributes of a header, without private groups, signatures, overlays, palettes and step data.

    What cannot be written again (values of the wrong type, text in an unknown character set) is left out.
    """
    kept = Dataset()
    for element in _kept(header, without):
        kept.add(element)
    return kept


def encoded(header: Dataset) -> bytes:
    """A data set as explicit VR little endian bytes, elements that pydicom cannot write left out."""
    try:
        return _written(header)
    except Exception:  # noqa: BLE001 -- one bad value must not cost the whole header
        good = Dataset()
        for tag in list(header.keys()):
            single = Dataset()
            try:
                element = header[tag]
                single.add(element)
                _written(single)
            except Exception:  # noqa: BLE001, S112 -- left out, as the docstring says
                continue
            good.add(element)
        return _written(good)


def canonical_sha256(header: Dataset, planes: Iterator[tuple[npt.NDArray[np.int32], PlaneFormat]]) -> str:
    """Hash of an object as explicit little endian with decoded pixels, without group 2.

    The transfer syntax does not enter it: an archive that recompresses without loss keeps it.
    """
    digest = hashlib.sha256(encoded(header))
    for values, form in planes:
        digest.update(values.astype("<u1" if form.bits_allocated == 8 else "<u2", copy=False).tobytes())
    return digest.hexdigest()


def _written(header: Dataset) -> bytes:
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, header)
    return stream.getvalue()


def _kept(header: Dataset, without: frozenset[str], depth: int = 0) -> Iterator[DataElement]:
    for tag in list(header.keys()):
        if tag.is_private or tag.group in _REMOVED_GROUPS or tag.element == 0:
            continue
        if any(low <= tag.group <= high for low, high in zip(*[iter(_CURVES_AND_OVERLAYS)] * 2, strict=True)):
            continue
        try:
            element = header[tag]
        except Exception:  # noqa: BLE001, S112 -- a value that cannot be read cannot be copied
            continue
        keyword = element.keyword
        if not keyword or keyword in _REMOVED or keyword in without or keyword.startswith(_REMOVED_STARTS):
            continue
        if element.VR == "SQ":
            items = list(element.value or ())[:_MOST_ITEMS] if depth < _DEEPEST else []
            copies = [Dataset() for _ in items]
            for copy, item in zip(copies, items, strict=True):
                for inner in _kept(item, without, depth + 1):
                    copy.add(inner)
            yield DataElement(tag, "SQ", copies)
        elif element.VR != "UN" and _size(element) <= _LARGEST_VALUE_BYTES:
            yield element


def _size(element: DataElement) -> int:
    value = element.value
    if isinstance(value, bytes | str):
        return len(value)
    return 16 * len(value) if hasattr(value, "__len__") else 16
