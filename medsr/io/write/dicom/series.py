"""A derived series in a folder of its own: whole or not there, and the same bytes on every run."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import JPEGLSLossless

from medsr.errors import MissingExtra, Refusal
from medsr.io.dicom.frames import number_of
from medsr.io.encoding import Stored
from medsr.io.sources import DicomSource, SourceSlice
from medsr.io.write.dicom import content, multi_frame
from medsr.io.write.dicom.flatten import flattened
from medsr.io.write.dicom.grid import Plane, nearest, planes_of, same_grid, sources_of
from medsr.io.write.dicom.uids import content_digest, uid
from medsr.io.write.facts import DerivedFacts
from medsr.resources import sync_folder, write_bytes
from medsr.volume import Geometry, Volume

__all__ = ["Job", "write_dicom_series"]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """All that decides the bytes of a derived series."""

    stored: Stored
    geometry: Geometry
    measured: Volume
    source: DicomSource
    facts: DerivedFacts
    digest: str
    planes: list[Plane]

    @property
    def series_uid(self) -> str:
        """The derived series' UID."""
        return uid("image", "series", self.digest)

    @property
    def order(self) -> list[int]:
        """Output slices as the source numbered its own, so that both series scroll the same way."""
        first, last = self.source.slices[0], self.source.slices[-1]
        numbers = [
            item.frame or number_of(content.parsed(item.header, name="a source header").get("InstanceNumber")) or 0
            for item in (first, last)
        ]
        indices = list(range(self.geometry.shape[2]))
        return indices[::-1] if numbers[0] > numbers[1] else indices

    def instance_uid(self, index: int) -> str:
        """The UID of the object that holds output slice `index`, or of the only object, 0."""
        return uid("image", "instance", str(index), self.digest)


def write_dicom_series(
    folder: Path,
    values: npt.NDArray[np.float32],
    geometry: Geometry,
    measured: Volume,
    stored: Stored,
    facts: DerivedFacts,
) -> tuple[Path, ...]:
    """Write a restored volume as a series derived from the one it was measured in.

    Single-frame sources give one object a slice, multi-frame ones a single object of the source's class, unless
    ``facts.single_frame`` asks for slices. Patient,
    study, frame of reference, acquisition and dates are the source's; series and instance UIDs, description, type,
    derivation, equipment and pixels are ours. No clock, host or random number enters, so that the same input gives
    the same bytes on any machine.

    Parameters
    ----------
    folder : made by this call; must not exist, or be empty.
    values : (I, J, K) float32, exactly `stored.values`.
    geometry : of `values`; slices lie along k.
    measured : the scan, as read from DICOM.
    stored : from :func:`medsr.io.encoding.as_stored` with ``container="dicom"``.
    facts : what the objects say of their making.

    Returns
    -------
    The files by instance number, ``0001.dcm`` and so on, which rises along the normal where the source's does.

    Raises
    ------
    Refusal : ``write.no_headers``, if the scan did not come from DICOM; ``write.form``, if `stored` holds no
        integers, or not `values`.
    """
    source = measured.source
    if not isinstance(source, DicomSource) or not source.slices:
        raise Refusal("write.no_headers", f"{source.name} is no DICOM series: there is no patient to derive from")
    if stored.dtype.kind not in "iu" or not np.array_equal(stored.values, values) or geometry.slice_axis != 2:
        raise Refusal("write.form", f"values are stored as {stored.dtype}, not as the judged integers")
    digest = content_digest(source, stored, geometry, facts)
    job = Job(stored, geometry, measured, source, facts, digest, planes_of(geometry))
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name[:80]}.", suffix=".part"))
    try:
        names = []
        for index, data in enumerate(_objects(job)):
            names.append(f"{index + 1:04d}.dcm")
            write_bytes(part / names[-1], _encoded(data, compress=facts.compress))
        part.chmod(0o777 & ~_umask())
        sync_folder(part)
        part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return tuple(folder / name for name in names)


def _objects(job: Job) -> Iterator[Dataset]:
    if job.source.multi_frame and not job.facts.single_frame:
        yield multi_frame.derived(job)
        return
    for number, index in enumerate(job.order, 1):
        yield _single_frame(job, index, number)


def _single_frame(job: Job, index: int, number: int) -> Dataset:
    nearby = nearest(job.source, job.measured.geometry, job.geometry, index)
    if job.source.multi_frame:
        data = flattened(job.source, nearby)
    else:
        data = content.parsed(nearby.header, name=f"the header of slice {nearby.index + 1}")
    content.identity(
        data, job.source, job.facts, series_uid=job.series_uid, instance_uid=job.instance_uid(index)
    )  # fmt: skip
    sources = sources_of(
        job.source, job.measured.geometry, job.geometry, index, synthetic=index in job.facts.synthetic_slices
    )
    data.SourceImageSequence = content.references(sources, preserved=same_grid(job.measured.geometry, job.geometry))
    data.ReferencedSeriesSequence = [_referenced_series(job.source, sources)]
    data.InstanceNumber = number
    content.plane_module(data, job.planes[index], job.geometry.slice_thickness_mm)
    content.pixel_module(data, job.stored, job.measured, job.source)
    _rescale(data, job)
    numbers = job.stored.numbers(index).T
    data.PixelData = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).tobytes()
    data["PixelData"].VR = "OW" if numbers.dtype.itemsize == 2 else "OB"
    return data


def _referenced_series(source: DicomSource, sources: list[SourceSlice]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = source.series_uid
    instances = []
    for reference in content.references(sources, preserved=True):
        instance = Dataset()
        instance.ReferencedSOPClassUID = reference.ReferencedSOPClassUID
        instance.ReferencedSOPInstanceUID = reference.ReferencedSOPInstanceUID
        instances.append(instance)
    item.ReferencedInstanceSequence = instances
    return item


def _rescale(data: Dataset, job: Job) -> None:
    """One slope and intercept for the series; MR gets them where it needs them or had them."""
    needed = job.stored.slope != 1 or job.stored.intercept != 0
    if job.measured.modality == "CT" or needed or "RescaleSlope" in data:
        data.RescaleSlope, data.RescaleIntercept = job.stored.slope, job.stored.intercept
        if "RescaleType" not in data:
            data.RescaleType = "HU" if job.measured.modality == "CT" else "US"


def _encoded(data: Dataset, *, compress: bool) -> bytes:
    data.file_meta = content.meta(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the source's own odd values are copied as they are
        if compress:
            try:
                data.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
            except (ImportError, RuntimeError) as error:
                raise MissingExtra("pixel.decoder", "JPEG-LS needs pyjpegls, which is not installed") from error
        stream = DicomBytesIO()
        data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
