"""Folders, archives and lists hold the same series; what is no image is passed over, what is broken is not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from support.dicom import CT, image, save, series

from medsr.errors import MedsrError
from medsr.io import read


def refusal(path: Path) -> MedsrError:
    with pytest.raises(MedsrError) as caught:
        read(path)
    return caught.value


def as_volume(planes: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """(slices, rows, columns) to (i, j, k)."""
    return planes.transpose(2, 1, 0).astype(np.float32)


def test_folder_list_and_zip_read_alike(tmp_path: Path) -> None:
    planes = series(tmp_path / "deep" / "er", 4)
    (tmp_path / "deep" / "notes.txt").write_text("not DICOM")
    (tmp_path / "deep" / "DICOMDIR").write_bytes(b"never opened")
    archive = tmp_path / "scan.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in (tmp_path / "deep" / "er").iterdir():
            packed.write(path, f"x/{path.name}")
    files = sorted((tmp_path / "deep" / "er").iterdir())
    for volume in (read(tmp_path / "deep"), read(archive), read(files)):
        assert np.array_equal(volume.values, as_volume(planes) - 1024)
    assert any("dicom.not_dicom" in note for note in read(tmp_path / "deep").notes)


def test_a_broken_slice_is_not_passed_over(tmp_path: Path) -> None:
    series(tmp_path, 4)
    path = tmp_path / "001.dcm"
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(tmp_path).code == "pixel.truncated"


def test_localisers_and_other_classes_are_passed_over(tmp_path: Path) -> None:
    planes = series(tmp_path, 3)
    scout = image(CT, index=7)
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(tmp_path / "scout.dcm", scout)
    capture = image(CT, index=8)
    capture.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    save(tmp_path / "capture.dcm", capture)
    volume = read(tmp_path)
    assert np.array_equal(volume.values, as_volume(planes) - 1024)
    assert {"1 files skipped: skip.localizer", "1 files skipped: skip.sop_class"} <= set(volume.notes)


def test_links_are_not_followed(tmp_path: Path) -> None:
    series(tmp_path / "real", 3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "real")
    assert refusal(tmp_path / "folder").code == "io.empty"


def test_what_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none").code == "io.not_found"
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004")
    assert refusal(tmp_path / "a.nrrd").code == "io.format"
