"""Every file of dev/bad, as its LIST.md says: one reason, nothing written, little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXPECTED = {
    "dicom_bad_vr.dcm": "skip.sop_class",
    "dicom_deep_sequence.dcm": "dicom.structure",
    "dicom_deflated.dcm": "pixel.syntax",
    "dicom_degenerate_orientation.dcm": "geometry.orientation",
    "dicom_garbage_j2k.dcm": "pixel.codestream",
    "dicom_html_in_tags.dcm": "read",
    "dicom_huge_rows.dcm": "volume.too_large",
    "dicom_jpegls_65535.dcm": "pixel.codestream",
    "dicom_localizer.dcm": "skip.localizer",
    "dicom_mr_single.dcm": "read",
    "dicom_nan_spacing.dcm": "geometry.spacing",
    "dicom_no_meta.dcm": "dicom.not_dicom",
    "dicom_no_position.dcm": "geometry.position",
    "dicom_ok_control.dcm": "read",
    "dicom_path_in_uid.dcm": "identity.uid",
    "dicom_rtdose.dcm": "skip.sop_class",
    "dicom_rtstruct.dcm": "dicom.not_dicom",
    "dicom_sc_rgb_jpeg.dcm": "skip.sop_class",
    "dicom_slope_huge.dcm": "pixel.rescale",
    "dicom_slope_zero.dcm": "pixel.rescale",
    "dicom_sr.dcm": "skip.sop_class",
    "dicom_truncated_mr.dcm": "pixel.truncated",
    "dicom_zero_spacing.dcm": "geometry.spacing",
    "empty.dcm": "io.empty",
    "empty.nii.gz": "io.empty",
    "nifti_2d.nii.gz": "geometry.singleton",
    "nifti_4d_huge.nii.gz": "nifti.time_points",
    "nifti_4d_two_volumes.nii.gz": "nifti.time_points",
    "nifti_all_nan.nii.gz": "volume.not_finite",
    "nifti_all_zero.nii.gz": "volume.empty",
    "nifti_bad_datatype.nii.gz": "nifti.datatype",
    "nifti_complex.nii.gz": "nifti.datatype",
    "nifti_gzip_bomb.nii.gz": "nifti.offset",
    "nifti_huge_dims.nii.gz": "volume.too_large",
    "nifti_km_spacing.nii.gz": "geometry.spacing",
    "nifti_nan_affine.nii.gz": "nifti.affine",
    "nifti_negative_dim.nii.gz": "nifti.dimensions",
    "nifti_one_nan_inf.nii.gz": "volume.not_finite",
    "nifti_rgb.nii.gz": "nifti.datatype",
    "nifti_scl_inf.nii.gz": "nifti.scale",
    "nifti_singular_affine.nii.gz": "nifti.affine",
    "nifti_truncated_gz.nii.gz": "nifti.truncated",
    "nifti_um_spacing.nii.gz": "geometry.spacing",
    "nifti_vox_offset_far.nii.gz": "nifti.offset",
    "nifti_wrong_modality_values.nii.gz": "modality.unknown",
    "nifti_zero_pixdim.nii.gz": "geometry.spacing",
    "png_named.nii.gz": "nifti.not_nifti",
    "series_duplicate_position": "geometry.duplicate",
    "series_missing_slice": "geometry.missing_slice",
    "series_mixed_orientation": "series.several_stacks",
    "series_mixed_patient": "identity.mixed",
    "series_mixed_spacing": "series.several_stacks",
    "series_shear_no_tilt_tag": "geometry.tilt",
    "text.dcm": "dicom.not_dicom",
}
GIGABYTE = 1 << 30

PROGRAM = """
import json, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from medsr.errors import MedsrError
from medsr.io import read
from medsr.io.child import client
found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    started = time.monotonic()
    try:
        read(path)
        found[path.name] = ["read", "", 0]
    except MedsrError as error:
        found[path.name] = [error.code, error.fact, 0]
    found[path.name][2] = time.monotonic() - started
client._close_server()
own, theirs = (resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"files": found, "own": own, "theirs": theirs}))
"""


@pytest.fixture(scope="module")
def verdicts(dev_scans: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """All files read by one process that may take one gigabyte of address space, in an empty folder."""
    folder = tmp_path_factory.mktemp("empty")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(dev_scans / "bad")],
        capture_output=True, text=True, timeout=120, cwd=folder, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return {"stderr": done.stderr, **json.loads(done.stdout)}


def test_the_table_names_every_file(dev_scans: Path) -> None:
    assert {path.name for path in (dev_scans / "bad").iterdir()} == {*EXPECTED, "LIST.md"}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_bad_file_meets_its_reason(verdicts: dict[str, object], name: str) -> None:
    code, fact, seconds = verdicts["files"][name]
    assert code == EXPECTED[name], fact
    assert "\n" not in fact
    assert len(fact) < 300
    assert seconds < 10


def test_bad_files_cost_less_than_a_gigabyte(verdicts: dict[str, object]) -> None:
    assert verdicts["own"] < GIGABYTE
    assert verdicts["theirs"] < GIGABYTE
    assert verdicts["stderr"] == ""


def test_a_missing_slice_is_named_with_its_place_in_mm(verdicts: dict[str, object]) -> None:
    assert "slice 4 of 6 missing, at 3.00 mm" in verdicts["files"]["series_missing_slice"][1]
