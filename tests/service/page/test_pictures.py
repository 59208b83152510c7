"""Pictures and volumes of a view: the right voxels, no text, and a refusal instead of a guess."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from skimage.io import imread
from support.reports import restoration_of

from medsr.errors import UsageError
from medsr.report.view import View
from medsr.report.viewing import write_view
from medsr.service.page.pictures import picture, presets
from medsr.service.page.volumes import VolumeRequest, nifti_gz


@pytest.fixture
def view(tmp_path: Path) -> View:
    write_view(tmp_path / "v", restoration_of("superres", name="DOE^JANE.nii.gz"))
    return View(tmp_path / "v")


def test_png_is_the_turned_slice_at_the_window(view: View, tmp_path: Path) -> None:
    low, high = 100.0, 1100.0
    (tmp_path / "p.png").write_bytes(picture(view, "restored", "axial", 2, window=(low, high)))
    turned = view.display("axial").picture(view.slice_of("restored", "axial", 2))
    wanted = np.clip((turned - low) / (high - low) * 255, 0, 255)
    assert np.abs(imread(tmp_path / "p.png").astype(float) - wanted).max() <= 0.51


def test_synthetic_slice_is_slate_not_black(tmp_path: Path) -> None:
    write_view(tmp_path / "v", replace(restoration_of(), synthetic_slices=(1,)))
    (tmp_path / "p.png").write_bytes(picture(View(tmp_path / "v"), "input", "axial", 1))
    assert (imread(tmp_path / "p.png")[..., :3] == (74, 80, 88)).all()


def test_what_is_not_there_is_refused(view: View) -> None:
    for asked in (("spread", "axial", 0), ("restored", "axial", 99)):
        with pytest.raises(UsageError, match=r"preview\.none"):
            picture(view, *asked)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"preview\.window"):
        picture(view, "restored", "axial", 0, window=(5.0, 5.0))


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_five_windows_for_each_modality(modality: str, tmp_path: Path) -> None:
    write_view(tmp_path / "v", restoration_of("denoise", modality))  # type: ignore[arg-type]
    found = presets(View(tmp_path / "v").facts)
    assert [item.key for item in found] == [1, 2, 3, 4, 5]
    assert all(item.high > item.low for item in found)


def test_volume_is_a_nifti_of_the_same_voxels_and_no_text(view: View, tmp_path: Path) -> None:
    made = restoration_of("superres")
    data = b"".join(nifti_gz(view, VolumeRequest("restored")))
    (tmp_path / "v.nii.gz").write_bytes(data)
    read = nibabel.load(tmp_path / "v.nii.gz")
    assert np.abs(read.get_fdata() - made.image).max() <= 0.51 * view.facts.slopes["restored"]
    assert read.affine == pytest.approx(made.geometry.world_from_voxel, abs=1e-4)
    header = gzip.decompress(data)[:352]
    assert not any(chr(byte).isalpha() for byte in header[148:252] + header[328:344])


def test_half_and_box_lie_where_their_voxels_lie(view: View, tmp_path: Path) -> None:
    for request in (VolumeRequest("restored", half=True), VolumeRequest("restored", box=((4, 6, 1), (20, 18, 3)))):
        (tmp_path / "v.nii.gz").write_bytes(b"".join(nifti_gz(view, request)))
        read = nibabel.load(tmp_path / "v.nii.gz")
        offset = np.array((0.5, 0.5, 0.5)) if request.half else np.array((4, 6, 1))
        assert read.affine[:3, 3] == pytest.approx(view.facts.geometry.world(offset), abs=1e-3)
