"""The whole job on two scans that travel with medsr: degrade, restore, judge, and catch two planted mistakes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.errors import IntegrityError
from medsr.io import read
from medsr.physics.lesions import contrast_for, disc_at
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.pipeline.walk import Result, judge_restoration, restore_volume
from medsr.records import Restoration
from medsr.release import verify_file
from medsr.report.demo_page import demo_entry, demo_page
from medsr.resources import data_root, write_bytes
from medsr.restore.request import RestoreRequest
from medsr.volume import Volume

__all__ = ["Demo", "DemoCase", "run_demo"]

Plane = npt.NDArray[np.float32]
Log = Callable[[str], None]

_SCANS = (("T1 head", "t1_head.nii.gz"), ("CT chest", "ct_chest.nii.gz"))
_LESION_PX = 8.0
_LESION_DPRIME = 10.0
_SEED = 7
_LEVELS: Mapping[str, tuple[tuple[str, DegradeRequest], ...]] = {
    "MR": (("5 % noise added", DegradeRequest("denoise", noise="5%", seed=_SEED)),),
    "CT": (
        ("dose cut to a tenth by simulated noise", DegradeRequest("denoise", dose=0.1, seed=_SEED)),
        ("dose cut to a quarter by simulated noise", DegradeRequest("denoise", dose=0.25, seed=_SEED)),
    ),
}
_AIR_HU = -300.0


@dataclass(frozen=True, slots=True)
class DemoCase:
    """One line of the demo: what was done, and what the gate said."""

    title: str
    story: str
    word: str
    sentence: str
    report: Path


@dataclass(frozen=True, slots=True)
class Demo:
    """All cases, and what `medsr verify` says of a released file in which one byte was flipped."""

    cases: tuple[DemoCase, ...]
    flipped: str


def run_demo(output: Path, *, scan: Path | None = None, overwrite: bool = False, log: Log) -> Demo:
    """Run every case into a folder of its own below `output` and write index.html there.

    Parameters
    ----------
    scan : a scan of the user's instead of the two of medsr.

    Raises
    ------
    UsageError, Refusal : of reading and restoring `scan`.
    """
    scans = (
        [("your scan", scan)] if scan else [(name, data_root("validation") / "demo" / file) for name, file in _SCANS]
    )
    cases, entries, flipped = [], [], ""
    for name, path in scans:
        # CT shows a release alone: false and lost structure look the same there and cost their time.
        whole = scan is not None or name == _SCANS[0][0]
        for title, story, result in _results(name, read(path), whole=whole):
            folder = output / _folder(title)
            release = result.save(folder, overwrite=overwrite)
            case = DemoCase(title, story, result.verdict.word, result.sentence, folder / "report.html")
            log(f"{title}: {case.sentence}")
            cases.append(case)
            entries.append(
                demo_entry(
                    title, story, result.restoration, result.judgement, result.verdict,
                    report=case.report.relative_to(output).as_posix(),
                )
            )  # fmt: skip
            if not flipped and release.word == "released":
                flipped = _flipped(folder)
                log(flipped)
    write_bytes(output / "index.html", demo_page(entries, flipped=flipped))
    return Demo(tuple(cases), flipped)


def _results(name: str, scan: Volume, *, whole: bool) -> Iterator[tuple[str, str, Result]]:
    words, denoised = _denoised(scan)
    yield f"{name}, denoised", f"{words}, then denoised", denoised
    if not whole:
        return
    planted = _planted(denoised.restoration)
    yield f"{name}, false lesion", "the same result with a lesion painted in that the scan never held", planted
    removed = _removed(denoised.restoration)
    yield f"{name}, lost structure", "the same result with a structure of the scan painted out", removed
    coarse = degrade(scan, DegradeRequest("superres", scale=2, seed=_SEED))
    yield (
        f"{name}, x2",
        "matrix halved, then super-resolved by 2",
        restore_volume(coarse, RestoreRequest("superres", scale=2)),
    )


def _denoised(scan: Volume) -> tuple[str, Result]:
    """The scan denoised at the first level that a calibration record covers; the first level where none does."""
    found: list[tuple[str, Result]] = []
    for words, request in _LEVELS[scan.modality]:
        result = restore_volume(degrade(scan, request), RestoreRequest("denoise"))
        if result.judgement.calibration is not None and result.verdict.word == "released":
            return words, result
        found.append((words, result))
        if not any((data_root("validation") / "calibration").rglob("*.json")):
            break
    return found[0]


def _flipped(folder: Path) -> str:
    """What `medsr verify` says of a copy of a released result in which one byte was flipped."""
    with tempfile.TemporaryDirectory() as copy:
        place = Path(shutil.copytree(folder, Path(copy) / folder.name))
        file = next(path for path in sorted(place.iterdir()) if path.name.endswith((".nii.gz", ".nii")))
        verify_file(file)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        try:
            verify_file(file)
        except IntegrityError as error:
            return f"one byte of a copy of {file.name} flipped, and medsr verify said: {error}"
    return "one byte flipped, and medsr verify did not notice"


def _planted(restoration: Restoration) -> Result:
    """A disc of d' 10 where the middle slice is flattest."""
    plane, index = _middle(restoration)
    place = _flattest(plane, restoration)
    contrast = contrast_for(_LESION_DPRIME, _LESION_PX, sigma=restoration.noise.sigma)
    return _changed(restoration, index, plane + contrast * disc_at(_shape(plane), place, _LESION_PX))


def _removed(restoration: Restoration) -> Result:
    """The most conspicuous blob of the middle slice, filled from its surroundings."""
    from skimage.restoration import inpaint_biharmonic

    plane, index = _middle(restoration)
    place = _blob(plane, restoration)
    mask = disc_at(_shape(plane), place, 2 * _LESION_PX) > 0.5
    rows, columns = (slice(max(0, at - 24), at + 25) for at in place)
    filled = plane.copy()
    filled[rows, columns] = inpaint_biharmonic(plane[rows, columns].astype(np.float64), mask[rows, columns])
    return _changed(restoration, index, filled)


def _changed(restoration: Restoration, index: int, plane: Plane) -> Result:
    """The restoration with another slice in estimate and image alike, as if the model had made it so."""
    place: list[int | slice] = [slice(None)] * 3
    place[restoration.geometry.slice_axis] = index
    image = restoration.image.copy(order="F")
    image[tuple(place)] = plane
    return judge_restoration(replace(restoration, image=image, estimate=image))


def _middle(restoration: Restoration) -> tuple[Plane, int]:
    axis = restoration.geometry.slice_axis
    index = restoration.geometry.shape[axis] // 2
    return np.array(np.take(restoration.image, index, axis), np.float32), index


def _body(plane: Plane, restoration: Restoration, margin: int) -> npt.NDArray[np.bool_]:
    level = _AIR_HU if restoration.measured.modality == "CT" else 0.15 * float(np.percentile(plane, 99.5))
    inside = ndimage.binary_fill_holes(ndimage.binary_opening(plane > level, iterations=2))
    return np.asarray(ndimage.binary_erosion(inside, iterations=margin))


def _flattest(plane: Plane, restoration: Restoration) -> tuple[int, int]:
    """Place inside soft tissue where the gradient over 20 pixels is least."""
    level = _AIR_HU if restoration.measured.modality == "CT" else 0.15 * float(np.percentile(plane, 99.5))
    gradient = ndimage.uniform_filter(ndimage.gaussian_gradient_magnitude(plane, 1.5), 20)
    usable = _body(plane, restoration, 12) & (ndimage.uniform_filter((plane > level).astype(np.float32), 24) > 0.99)
    row, column = np.unravel_index(int(np.where(usable, gradient, np.inf).argmin()), plane.shape)
    return int(row), int(column)


def _blob(plane: Plane, restoration: Restoration) -> tuple[int, int]:
    """Place of the strongest isolated bright blob of about the lesion's size."""
    sigma = _LESION_PX / 2 / np.sqrt(2)
    response = -ndimage.gaussian_laplace(plane, sigma)
    ring = ndimage.uniform_filter(ndimage.gaussian_gradient_magnitude(plane, 1.0), 3 * int(_LESION_PX))
    isolated = response / (ring + 1e-3 * float(np.ptp(plane)))
    row, column = np.unravel_index(
        int(np.where(_body(plane, restoration, 25), isolated, -np.inf).argmax()), plane.shape
    )
    return int(row), int(column)


def _shape(plane: Plane) -> tuple[int, int]:
    return int(plane.shape[0]), int(plane.shape[1])


def _folder(title: str) -> str:
    return title.lower().replace(", ", "-").replace(" ", "-")
