"""A frame of a multi-frame object as a single-frame header, for archives and viewers that take no other."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from medsr.io.sources import DicomSource, SourceSlice
from medsr.io.write.dicom import content

__all__ = ["SINGLE_FRAME_CLASSES", "flattened"]

SINGLE_FRAME_CLASSES: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.2.1": "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.2": "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4.1": "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.4": "1.2.840.10008.5.1.4.1.1.4",
}
_MR = "1.2.840.10008.5.1.4.1.1.4"
_MULTI_FRAME_ONLY = {
    "SharedFunctionalGroupsSequence", "DimensionOrganizationSequence", "DimensionIndexSequence", "NumberOfFrames",
    "DimensionOrganizationType", "SourceImageEvidenceSequence", "ReferencedImageEvidenceSequence", "PixelPresentation",
    "VolumetricProperties", "VolumeBasedCalculationTechnique", "ComplexImageComponent", "AcquisitionContrast",
    "ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber",
    "SOPInstanceUIDOfConcatenationSource", "FrameType", "StackID", "InStackPositionNumber", "DimensionIndexValues",
    "FrameComments",
}  # fmt: skip
_REFERENCES = {"DerivationImageSequence", "ConversionSourceAttributesSequence", "ReferencedImageSequence"}
_OTHER_NAMES = {"EchoTime": "EffectiveEchoTime", "AcquisitionNumber": "FrameAcquisitionNumber"}
_SEQUENCES = {"GRADIENT": ["GR"], "SPIN": ["SE"], "BOTH": ["SE", "GR"]}
_EMPTY_IF_UNKNOWN = ("ScanOptions", "MRAcquisitionType", "EchoTime", "RepetitionTime", "EchoTrainLength")


def flattened(source: DicomSource, item: SourceSlice) -> Dataset:
    """The object's attributes with those of one frame's functional groups, under their single-frame names."""
    data = content.parsed(source.object_header, name="the header of the object")
    shared = data.get("SharedFunctionalGroupsSequence") or ()
    for group in (content.parsed(item.header, name="a functional group"), *shared):
        _merge(group, data)
    for keyword, other in _OTHER_NAMES.items():
        if keyword not in data and other in data:
            setattr(data, keyword, data.get(other))
    data.SOPClassUID = SINGLE_FRAME_CLASSES[str(item.sop_class_uid)]
    if data.SOPClassUID == _MR:
        _mr_module(data)
    for keyword in _MULTI_FRAME_ONLY:
        if keyword in data:
            delattr(data, keyword)
    _fill_required(data)
    return data


def _merge(group: Dataset, data: Dataset) -> None:
    for macro in _macros(group):
        for element in macro:
            if element.VR != "SQ" and element.tag not in data:
                data.add(copy.deepcopy(element))


def _fill_required(data: Dataset) -> None:
    """Attributes that must be there, be they empty."""
    if "BodyPartExamined" not in data and "Laterality" not in data:
        data.Laterality = ""  # of a body part that is not known
    if "AcquisitionNumber" not in data:
        data.AcquisitionNumber = None
    if data.SOPClassUID != _MR and "KVP" not in data:
        data.KVP = None


def _macros(group: Dataset) -> Iterator[Dataset]:
    for element in group:
        if element.VR == "SQ" and element.value and element.keyword not in _REFERENCES:
            yield element.value[0]


def _mr_module(data: Dataset) -> None:
    """What the single-frame MR module must have and the multi-frame one says in other words."""
    if "ScanningSequence" not in data:
        data.ScanningSequence = _SEQUENCES.get(str(data.get("EchoPulseSequence", "")), ["RM"])
    if "SequenceVariant" not in data:
        data.SequenceVariant = "NONE"
    for keyword in _EMPTY_IF_UNKNOWN:
        if keyword not in data:
            setattr(data, keyword, None)
