"""A DICOM series in, a derived series out: through the gate, with the source's geometry, the same bytes each time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from support import dicom as made

import medsr
from medsr.errors import UsageError
from medsr.pipeline.walk import restore_volume
from medsr.release import decide_held, verify_file
from medsr.restore.request import RestoreRequest

READER = {"reader": "A. Reader", "reason": "compared with the input"}


@pytest.fixture(autouse=True)
def _own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def series(tmp_path, ct_chest):
    """Three slices of the chest that travels with medsr, 128 x 112, as a classic series."""
    clean = np.asarray(nibabel.load(ct_chest).dataobj)[180:308, 40:152, 2:5]
    folder = tmp_path / "series"
    folder.mkdir()
    for index in range(3):
        item = made.image(made.CT, index=index, pixels=(clean[:, :, index].T + 1024).astype(np.uint16))
        item.RescaleIntercept, item.RescaleSlope = -1024, 1
        made.save(folder / f"{index}.dcm", item)
    return folder


def restored(series: Path, output: Path, policy: str = "clinical", **options: object):
    volume = medsr.read(series)
    result = restore_volume(volume, RestoreRequest("denoise"), policy=policy, **options)  # type: ignore[arg-type]
    result.save(output)
    return volume, result


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.dcm"))}


def test_the_form_of_the_result_is_that_of_the_input(series, tmp_path):
    restored(series, tmp_path / "a")
    assert len(files(tmp_path / "a" / "held" / "series_restored")) == 3
    restored(series, tmp_path / "b", container="nifti")
    assert (tmp_path / "b" / "held" / "series_restored.nii.gz").is_file()


def test_a_derived_series_can_be_read_again_and_holds_what_was_judged(series, tmp_path):
    volume, result = restored(series, tmp_path / "out")
    again = medsr.read(tmp_path / "out" / "held" / "series_restored")
    assert again.geometry.matches(volume.geometry)
    assert np.array_equal(again.values, result.restoration.image)


def test_a_second_run_writes_the_same_bytes(series, tmp_path):
    for name in ("a", "b"):
        restored(series, tmp_path / name)
    assert files(tmp_path / "a" / "held" / "series_restored") == files(tmp_path / "b" / "held" / "series_restored")


def test_approval_changes_no_byte_of_a_derived_series(series, tmp_path):
    restored(series, tmp_path / "out")
    before = files(tmp_path / "out" / "held" / "series_restored")
    decide_held(tmp_path / "out", event="approve", **READER)
    assert files(tmp_path / "out" / "series_restored") == before
    assert not (tmp_path / "out" / "held").exists()
    assert verify_file(tmp_path / "out" / "series_restored" / "0001.dcm")


def test_the_objects_say_what_they_are(series, tmp_path):
    restored(series, tmp_path / "out")
    item = pydicom.dcmread(tmp_path / "out" / "held" / "series_restored" / "0001.dcm")
    assert item.ImageType[0] == "DERIVED"
    assert item[0x0008, 0x001C].value == "YES"
    assert item.SeriesDescription.startswith("AI-RESTORED UNVERIFIED")
    assert "gate: review (UNVERIFIED), policy clinical" in item.DerivationDescription
    source = pydicom.dcmread(series / "0.dcm")
    assert item.PatientID == source.PatientID
    assert item.StudyInstanceUID == source.StudyInstanceUID
    assert item.SeriesInstanceUID != source.SeriesInstanceUID


def test_dicom_out_of_nifti_is_refused(t1_head):
    with pytest.raises(UsageError) as caught:
        restore_volume(medsr.read(t1_head), RestoreRequest("denoise"), container="dicom")
    assert caught.value.code == "write.no_headers"


def test_dcm2niix_reads_the_same_affine_from_source_and_result(series, tmp_path, program):
    restored(series, tmp_path / "out")
    affines = []
    for name, folder in (("source", series), ("result", tmp_path / "out" / "held" / "series_restored")):
        (tmp_path / name).mkdir()
        command = [program("dcm2niix"), "-z", "n", "-f", name, "-o", tmp_path / name, folder]
        subprocess.run(command, check=True, capture_output=True)
        affines.append(nibabel.load(next((tmp_path / name).glob("*.nii"))).affine)
    assert np.allclose(affines[0], affines[1], atol=1e-4)
