"""DICOM series made by code: every attribute can be set, and every fault planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

__all__ = ["CT", "ENHANCED_CT", "ENHANCED_MR", "MR", "enhanced", "image", "save", "series", "stored_planes"]

CT, MR = UID("1.2.840.10008.5.1.4.1.1.2"), UID("1.2.840.10008.5.1.4.1.1.4")
ENHANCED_CT, ENHANCED_MR = UID("1.2.840.10008.5.1.4.1.1.2.1"), UID("1.2.840.10008.5.1.4.1.1.4.1")
_ROOT = "1.2.826.0.1.3680043.10.999"

Change = Callable[[int, Dataset], None]


def stored_planes(count: int, rows: int = 16, columns: int = 20, *, seed: int = 0) -> npt.NDArray[np.uint16]:
    """(count, rows, columns) stored values of 12 bits, no two planes alike."""
    rng = np.random.default_rng(seed)
    ramp = np.arange(rows)[:, None] * 40 + np.arange(columns)[None, :] * 7
    noise = rng.integers(0, 30, (count, rows, columns))
    return (1000 + ramp[None] + 50 * np.arange(count)[:, None, None] + noise).astype(np.uint16)


def image(sop_class: UID = CT, *, index: int = 0, pixels: npt.NDArray[Any] | None = None) -> Dataset:
    """One slice with the attributes of its module, at z = 2.5 mm x index."""
    plane = stored_planes(index + 1)[index] if pixels is None else pixels
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = f"{_ROOT}.3.{index + 1}"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if sop_class == CT else ["ORIGINAL", "PRIMARY", "M", "ND"]
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20260101"
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101112"
    data.AccessionNumber, data.StudyID, data.ReferringPhysicianName = "ACC1", "1", ""
    data.Modality = "CT" if sop_class == CT else "MR"
    data.Manufacturer, data.ManufacturerModelName = "ACME", "Sim 1"
    data.StudyDescription, data.SeriesDescription = "MADE BY CODE", "Series of a test"
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Müller^Test", "P1", "19700101", "O"
    data.BodyPartExamined, data.PatientPosition = "CHEST", "HFS"
    data.StudyInstanceUID, data.SeriesInstanceUID = f"{_ROOT}.1", f"{_ROOT}.2"
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = f"{_ROOT}.4", ""
    data.SeriesNumber, data.AcquisitionNumber, data.InstanceNumber = 3, 1, index + 1
    data.SliceThickness = "2.5"
    data.ImagePositionPatient = [-20.0, -30.0, 2.5 * index]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [0.75, 0.5]
    if sop_class == CT:
        data.KVP, data.ConvolutionKernel, data.Exposure = "120", "B30f", 100
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "-1024", "1", "HU"
    else:
        data.ScanningSequence, data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = "GR", "SP", "", "3D"
        data.EchoTime, data.RepetitionTime, data.EchoTrainLength, data.FlipAngle = "3", "8", 1, "9"
        data.MagneticFieldStrength = "3"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = plane.shape[-2:]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = "40", "400"
    data.PixelData = plane.tobytes()
    data["PixelData"].VR = "OW"
    return data


def series(
    folder: Path, count: int = 5, *, sop_class: UID = CT, change: Change | None = None, seed: int = 0
) -> npt.NDArray[np.uint16]:
    """Write a series; file names run against the positions, so that neither names nor order tell anything."""
    folder.mkdir(parents=True, exist_ok=True)
    planes = stored_planes(count, seed=seed)
    for index in range(count):
        data = image(sop_class, index=index, pixels=planes[index])
        if change is not None:
            change(index, data)
        save(folder / f"{count - index:03d}.dcm", data)
    return planes


def enhanced(sop_class: UID = ENHANCED_CT, count: int = 4, *, seed: int = 0) -> Dataset:
    """A multi-frame object with functional groups; frames stand in falling order of position."""
    planes = stored_planes(count, seed=seed)
    classic = image(CT if sop_class == ENHANCED_CT else MR, pixels=planes[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "WindowCenter",
                    "WindowWidth", "RescaleSlope", "RescaleIntercept", "RescaleType", "EchoTime"):  # fmt: skip
        if keyword in classic:
            del classic[keyword]
    classic.SOPClassUID = sop_class
    classic.ImageType = [*list(classic.ImageType)[:3], "NONE"]
    classic.NumberOfFrames = count
    classic.PixelData = planes.tobytes()
    classic["PixelData"].VR = "OW"
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.75, 0.5], SliceThickness="2.5")]
    classic.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in range(count):
        group = Dataset()
        place = count - 1 - index
        group.FrameContentSequence = [_item(StackID="1", InStackPositionNumber=place + 1, FrameAcquisitionNumber=1)]
        group.PlanePositionSequence = [_item(ImagePositionPatient=[-20.0, -30.0, 2.5 * place])]
        unit = "HU" if sop_class == ENHANCED_CT else "US"
        slope = "1" if sop_class == ENHANCED_CT else str(1 + 0.5 * index)
        intercept = "-1024" if sop_class == ENHANCED_CT else "0"
        rescale = _item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType=unit)
        group.PixelValueTransformationSequence = [rescale]
        group.FrameVOILUTSequence = [_item(WindowCenter="40", WindowWidth="400")]
        if sop_class == ENHANCED_MR:
            group.MREchoSequence = [_item(EffectiveEchoTime=3.0)]
        frames.append(group)
    classic.PerFrameFunctionalGroupsSequence = frames
    return classic


def save(path: Path, data: Dataset) -> Path:
    """Write a Part 10 file."""
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.ImplementationClassUID = f"{_ROOT}.9"
    data.save_as(path, enforce_file_format=True)
    return path


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
