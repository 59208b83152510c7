"""Every parser and decoder on mutants of sound files: 2,000 each, ten minutes each under the marker torture."""

from __future__ import annotations

import gzip
import zipfile
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian
from support.dicom import ENHANCED_MR, enhanced, image, save, stored_planes
from support.fuzz import MEMORY_ABOVE_START, Case, fuzz, mutant

MUTANTS, TORTURE_SECONDS = 2000, 600.0
KINDS = ("nifti", "nifti2", "nifti.gz", "explicit", "implicit", "enhanced", "survey", "zip", "rle", "jpegls",
         "jpeg-lossless", "jpeg-12-bit", "j2k", "htj2k")  # fmt: skip


def case_of(kind: str, folder: Path) -> Case:
    if kind.startswith("nifti"):
        return _nifti(kind)
    if kind in ("explicit", "implicit", "survey"):
        data = image()
        if kind == "implicit":
            data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        raw = save(folder / "made.dcm", data).read_bytes()
        return Case(kind, raw, ".dcm", verb="survey" if kind == "survey" else "dicom", region=(128, len(raw) - 500))
    if kind == "enhanced":
        raw = save(folder / "made.dcm", enhanced(ENHANCED_MR)).read_bytes()
        return Case(kind, raw, ".dcm", region=(128, len(raw) - 2000))
    if kind == "zip":
        return _zip(folder)
    return _coded(kind, folder)


def _nifti(kind: str) -> Case:
    header = nibabel.Nifti2Image if kind == "nifti2" else nibabel.Nifti1Image
    scan = header((np.arange(360) + 1).astype(np.int16).reshape(8, 9, 5), np.diag([1.0, 2.0, 3.0, 1.0]))
    scan.header.set_xyzt_units("mm")
    raw = scan.to_bytes()
    if kind == "nifti.gz":
        return Case(kind, gzip.compress(raw, 6, mtime=0), ".nii.gz", verb="nifti")
    return Case(kind, raw, ".nii", verb="nifti", region=(0, 560))


def _zip(folder: Path) -> Case:
    raw = save(folder / "made.dcm", image()).read_bytes()
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.dcm", "b.dcm"):
            archive.writestr(name, raw)
    data = packed.getvalue()
    return Case("zip", data, ".zip")


def _coded(kind: str, folder: Path) -> Case:
    """The frame alone is mutated; the header round it stays sound, so that the decoder sees the mutant."""
    plane = stored_planes(1, 64, 64)[0]
    syntax, frame = _encoded(kind, plane)

    def wrap(mutated: bytes) -> bytes:
        data: Dataset = image(pixels=plane)
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = encapsulate([mutated])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        return save(folder / f"wrapped-{kind}.dcm", data).read_bytes()

    around = wrap(frame)
    head, tail = around[: around.index(frame) - 8], around[-8:]

    def fast(mutated: bytes) -> bytes:
        even = mutated + b"\0" * (len(mutated) % 2)
        return head + b"\xfe\xff\x00\xe0" + len(even).to_bytes(4, "little") + even + tail

    return Case(kind, frame, ".dcm", wrap=fast)


def _encoded(kind: str, plane: np.ndarray) -> tuple[str, bytes]:
    import imagecodecs
    import jpeg_ls

    if kind == "rle":
        data = image(pixels=plane)
        data.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        from pydicom.encaps import generate_frames

        return "1.2.840.10008.1.2.5", next(generate_frames(data.PixelData, number_of_frames=1))
    if kind == "jpegls":
        return "1.2.840.10008.1.2.4.80", bytes(jpeg_ls.encode_array(plane))
    if kind == "jpeg-lossless":
        return "1.2.840.10008.1.2.4.70", imagecodecs.ljpeg_encode(plane, bitspersample=12)
    if kind == "jpeg-12-bit":
        return "1.2.840.10008.1.2.4.51", imagecodecs.jpeg8_encode(plane, bitspersample=12)
    if kind == "htj2k":
        return "1.2.840.10008.1.2.4.201", imagecodecs.htj2k_encode(plane, reversible=True)
    return "1.2.840.10008.1.2.4.90", imagecodecs.jpeg2k_encode(plane, reversible=True, codecformat="j2k")


@pytest.mark.parametrize("kind", KINDS)
def test_the_unmutated_file_is_read(kind: str, tmp_path: Path) -> None:
    """Else the mutants would all fail at the door."""
    from support.fuzz import _planes

    from medsr.io.child import work
    from medsr.io.child.task import Task

    case = case_of(kind, tmp_path)
    path = tmp_path / f"sound{case.suffix}"
    path.write_bytes(case.wrap(case.data))
    reply = work.answer(Task(case.verb, path.name, (str(path),)), _planes, at=lambda _name: None)
    assert "failed" not in reply.record, reply.record


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_mutants_meet_typed_refusals_in_bounded_time_and_memory(kind: str, tmp_path: Path) -> None:
    _check(case_of(kind, tmp_path), tmp_path, mutants=MUTANTS, seconds=500)


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_ten_minutes_of_mutants(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    _check(case_of(kind, tmp_path), tmp_path, mutants=1 << 62, seconds=TORTURE_SECONDS, seed=1)


def _check(case: Case, folder: Path, *, mutants: int, seconds: float, seed: int = 0) -> None:
    report = fuzz(case, folder, mutants=mutants, seconds=seconds, seed=seed)
    print(case.name, report.mutants, dict(report.codes), dict(report.died), f"{report.slowest_s:.2f} s")  # noqa: T201 -- pytest -s shows the figures
    assert report.escapes == []
    assert report.slowest_s < 10
    assert report.largest_resident_bytes < MEMORY_ABOVE_START
    assert report.mutants >= min(mutants, MUTANTS)
    assert len(report.codes) > 1, "no mutant reached the parser, or none got past it"


def test_mutants_are_the_same_on_every_run(tmp_path: Path) -> None:
    case = case_of("explicit", tmp_path)
    assert mutant(case, 5) == mutant(case, 5)
    assert mutant(case, 5) != mutant(case, 6)
