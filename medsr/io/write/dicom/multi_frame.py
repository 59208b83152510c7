"""A derived multi-frame object: enhanced and legacy converted sources stay what they are."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import numpy as np
from pydicom.dataset import Dataset

from medsr.io.sources import SourceSlice
from medsr.io.write.dicom import content
from medsr.io.write.dicom.grid import Plane, nearest, same_grid, sources_of
from medsr.io.write.dicom.uids import uid

if TYPE_CHECKING:
    from medsr.io.write.dicom.series import Job

__all__ = ["derived"]

_OURS = ("PlaneOrientationSequence", "PixelMeasuresSequence", "DerivationImageSequence",
         "PixelValueTransformationSequence")  # fmt: skip
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence")
_ORIGINAL_ONLY = (
    "PulseSequenceName", "MRAcquisitionType", "EchoPulseSequence", "MultiPlanarExcitation", "PhaseContrast",
    "TimeOfFlightContrast", "ArterialSpinLabelingContrast", "SteadyStatePulseSequence", "EchoPlanarPulseSequence",
    "SaturationRecovery", "SpectrallySelectedSuppression", "OversamplingPhase", "GeometryOfKSpaceTraversal",
    "RectilinearPhaseEncodeReordering", "SegmentedKSpaceTraversal", "CoverageOfKSpace", "NumberOfKSpaceTrajectories",
    "MultipleSpinEcho", "TagAngleFirstAxis", "TagSpacingFirstDimension", "TagAngleSecondAxis", "TaggingDelay",
)  # fmt: skip
"""The MR Pulse Sequence module, which describes original frames and which validators refuse in derived ones."""
_STACK_ID, _POSITION_IN_STACK, _FRAME_CONTENT = 0x00209056, 0x00209057, 0x00209111


def derived(job: Job) -> Dataset:
    """The one object of the derived series."""
    data = content.parsed(job.source.object_header, name="the header of the object")
    content.identity(data, job.source, job.facts, series_uid=job.series_uid, instance_uid=job.instance_uid(0))
    pulse_sequence = _pulse_sequence(data)
    derivation = data.DerivationCodeSequence
    del data.DerivationCodeSequence
    data.InstanceNumber, data.NumberOfFrames = 1, job.geometry.shape[2]
    content.pixel_module(data, job.stored, job.measured, job.source)
    planes = [job.planes[index] for index in job.order]
    shared = (data.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    orientation = _stated(job, shared, "PlaneOrientationSequence")
    measures = _stated(job, shared, "PixelMeasuresSequence")
    _drop(shared)
    _derived_type(shared)
    content.place(orientation, "ImageOrientationPatient", planes[0].orientation)
    shared.PlaneOrientationSequence = [orientation]
    _measure(measures, planes[0], job)
    shared.PixelMeasuresSequence = [measures]
    shared.PixelValueTransformationSequence = [_transformation(job)]
    _monochrome(data)
    if pulse_sequence:
        shared.UnassignedSharedConvertedAttributesSequence = [pulse_sequence]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = [
        _frame(job, plane, derivation, number) for number, plane in enumerate(planes, 1)
    ]
    if not _one_to_one(job):
        _dimensions(data, job)
    _evidence(data, job)
    numbers = [np.ascontiguousarray(job.stored.numbers(plane.index).T) for plane in planes]
    data.PixelData = b"".join(plane.astype(plane.dtype.newbyteorder("<")).tobytes() for plane in numbers)
    data["PixelData"].VR = "OW" if numbers[0].dtype.itemsize == 2 else "OB"
    return data


def _frame(job: Job, plane: Plane, derivation: object, number: int) -> Dataset:
    measured, index = job.measured.geometry, plane.index
    nearby = nearest(job.source, measured, job.geometry, index)
    group = content.parsed(nearby.header, name=f"the functional group of slice {nearby.index + 1}")
    _drop(group)
    _derived_type(group)
    position = (group.get("PlanePositionSequence") or [Dataset()])[0]
    content.place(position, "ImagePositionPatient", plane.position)
    group.PlanePositionSequence = [position]
    if not _one_to_one(job):
        frame = (group.get("FrameContentSequence") or [Dataset()])[0]
        frame.StackID, frame.InStackPositionNumber = "1", number
        frame.DimensionIndexValues = [1, number]
        group.FrameContentSequence = [frame]
    sources = sources_of(job.source, measured, job.geometry, index, synthetic=index in job.facts.synthetic_slices)
    made = Dataset()
    made.DerivationDescription = job.facts.description[:1024]
    made.DerivationCodeSequence = derivation
    made.SourceImageSequence = content.references(sources, preserved=same_grid(measured, job.geometry))
    group.DerivationImageSequence = [made]
    return group


def _pulse_sequence(data: Dataset) -> Dataset:
    """Take the module's attributes out of the object, as an item that keeps them where validators allow it."""
    taken = Dataset()
    for keyword in _ORIGINAL_ONLY:
        if keyword in data:
            taken.add(data[keyword])
            delattr(data, keyword)
    return taken


def _drop(group: Dataset) -> None:
    for keyword in _OURS:
        if keyword in group:
            delattr(group, keyword)


def _derived_type(group: Dataset) -> None:
    for keyword in _FRAME_TYPES:
        for item in group.get(keyword) or ():
            if "FrameType" in item:
                item.FrameType = content.derived_type(item.FrameType, multi_frame=True)
            _monochrome(item)


def _monochrome(item: Dataset) -> None:
    """The source may have shown its values through a palette, which is not copied."""
    if item.get("PixelPresentation", "MONOCHROME") != "MONOCHROME":
        item.PixelPresentation = "MONOCHROME"


def _stated(job: Job, shared: Dataset, keyword: str) -> Dataset:
    """A copy of the source's own item, from the shared groups or the first frame's."""
    first = content.parsed(job.source.slices[0].header, name="the functional group of the first slice")
    for group in (first, shared):
        for item in group.get(keyword) or ():
            return cast("Dataset", copy.deepcopy(item))
    return Dataset()


def _measure(measures: Dataset, plane: Plane, job: Job) -> None:
    content.place(measures, "PixelSpacing", plane.pixel_spacing)
    if job.geometry.slice_thickness_mm is not None:
        measures.SliceThickness = job.geometry.slice_thickness_mm
    elif "SliceThickness" not in measures:
        measures.SliceThickness = plane.spacing_between_slices
    if "SpacingBetweenSlices" in measures:
        measures.SpacingBetweenSlices = plane.spacing_between_slices


def _transformation(job: Job) -> Dataset:
    """One slope and intercept for the object, with the source's word on the unit."""
    shared = content.parsed(job.source.object_header, name="the header of the object")
    groups = (shared.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    made = _stated(job, groups, "PixelValueTransformationSequence")
    made.RescaleIntercept, made.RescaleSlope = job.stored.intercept, job.stored.slope
    if not made.get("RescaleType"):
        made.RescaleType = "HU" if job.measured.modality == "CT" else "US"
    return made


def _one_to_one(job: Job) -> bool:
    """True where every frame stands for one of the source, whose index of dimensions then fits."""
    frames = len(job.source.slices) == job.geometry.shape[2]
    return frames and same_grid(job.measured.geometry, job.geometry)


def _dimensions(data: Dataset, job: Job) -> None:
    """Frames are indexed by stack and position, since the source's own index may not fit the number of slices."""
    organisation = uid("image", "dimensions", job.digest)
    item = Dataset()
    item.DimensionOrganizationUID = organisation
    data.DimensionOrganizationSequence = [item]
    indices = []
    for pointer in (_STACK_ID, _POSITION_IN_STACK):
        index = Dataset()
        index.DimensionOrganizationUID = organisation
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, _FRAME_CONTENT
        indices.append(index)
    data.DimensionIndexSequence = indices
    if "DimensionOrganizationType" in data:
        del data.DimensionOrganizationType


def _evidence(data: Dataset, job: Job) -> None:
    """Every source object by study and series, as objects that name sources in their frames must state."""
    by_class: dict[str, SourceSlice] = {item.sop_instance_uid: item for item in job.source.slices}
    instances = []
    for item in by_class.values():
        instance = Dataset()
        instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = item.sop_class_uid, item.sop_instance_uid
        instances.append(instance)
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = job.source.series_uid, instances
    study.StudyInstanceUID, study.ReferencedSeriesSequence = job.source.study_uid, [series]
    data.SourceImageEvidenceSequence = [study]
