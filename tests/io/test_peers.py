"""What other programs say: dcm2niix of geometry and values, dciodvfy of attributes, Orthanc of whole series."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from medsr.errors import MedsrError
from medsr.io import read
from medsr.io.encoding import as_stored
from medsr.io.write import DerivedFacts, write_dicom_series
from medsr.volume import Volume

pytestmark = pytest.mark.peer
Program = Callable[[str], str]

READABLE = (
    "ct/kits_classic", "ct/single_syntax/jpeg_lossless_sv1.dcm", "ct/single_syntax/jpeg2000_lossless.dcm",
    "ct/single_syntax/rle.dcm", "ct/enhanced_ct_2frames.dcm", "ct/legacy_converted_enhanced_ct_tiny.dcm",
    "mr/prostatex_0001_t2_cor", "mr/xa30_t1_enhanced",
)  # fmt: skip
WRITTEN = (
    "ct/kits_classic", "mr/prostatex_0001_t2_cor", "ct/enhanced_ct_2frames.dcm", "mr/xa30_t1_enhanced",
    "ct/legacy_converted_enhanced_ct_tiny.dcm",
)  # fmt: skip
FACTS = DerivedFacts(
    task="denoise", description="medsr 0.1.0 denoise mr-inplane@1 sha256:abc gate: review (uncalibrated)",
    version="0.1.0", bundle="mr-inplane@1", weights_sha256="ab" * 32, label="UNVERIFIED",
)  # fmt: skip
SAME_PLACE_MM = 2e-4
"""dcm2niix keeps float32 affines: 1e-4 mm at 100 mm is its last digit but one."""
UNKNOWN_TO_2022 = "(0x0008,0x001c)"


@dataclass(frozen=True)
class Derived:
    """A dev series, and what was written from it."""

    source: Path
    volume: Volume
    folder: Path


@pytest.fixture(scope="module", params=WRITTEN)
def derived(request: pytest.FixtureRequest, dev_scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Derived:
    source = dev_scans / "dicom" / request.param
    volume = read(source)
    image = volume.values * np.float32(0.98)
    stored = as_stored(image, volume.geometry, volume, sigma=20, container="dicom")
    folder = tmp_path_factory.mktemp("derived") / "out"
    write_dicom_series(folder, stored.values, volume.geometry, volume, stored, FACTS)
    return Derived(source, volume, folder)


def dcm2niix(binary: str, source: Path, folder: Path) -> nibabel.Nifti1Image:
    folder.mkdir(parents=True)
    if source.is_file():
        (folder / "in").mkdir()
        (folder / "in" / source.name).symlink_to(source)
        source = folder / "in"
    subprocess.run(
        [binary, "-z", "n", "-b", "n", "-f", "out", "-o", str(folder), str(source)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    found = sorted(folder.glob("*.nii"))
    assert len(found) == 1, found
    return nibabel.load(found[0])


@pytest.mark.parametrize("name", READABLE)
def test_geometry_and_values_equal_dcm2niix_voxel_by_voxel(
    dev_scans: Path, tmp_path: Path, program: Program, name: str
) -> None:
    """In world space: dcm2niix flips rows, and turns sagittal 3-D scans."""
    image = dcm2niix(program("dcm2niix"), dev_scans / "dicom" / name, tmp_path / "theirs")
    ours = read(dev_scans / "dicom" / name)
    theirs = np.asarray(image.dataobj, np.float32)
    place = np.linalg.inv(image.affine) @ ours.geometry.world_from_voxel
    index = np.indices(ours.geometry.shape).reshape(3, -1)
    exact = place[:3, :3] @ index + place[:3, 3:]
    nearest = np.rint(exact).astype(int)
    assert np.abs(exact - nearest).max() < 1e-3
    assert np.array_equal(theirs[tuple(nearest)], ours.values.reshape(-1))
    assert theirs.size == ours.values.size


def test_every_dev_series_is_read_or_refused_for_its_reason(dev_scans: Path) -> None:
    refused = {"ct/ge_head_tilt_irregular": "geometry.tilt", "ct/rider_jpegls_missing": "geometry.missing_slice"}
    for name, code in refused.items():
        with pytest.raises(MedsrError) as caught:
            read(dev_scans / "dicom" / name)
        assert caught.value.code == code
    volume = read(dev_scans / "dicom/ct/rider_jpegls_missing", gaps=True)
    assert volume.geometry.shape == (512, 512, 9)
    assert set(READABLE) | set(refused) == {
        path.relative_to(dev_scans / "dicom").as_posix()
        for folder in ("ct", "mr")
        for path in _series(dev_scans / "dicom" / folder)
    }


def _series(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name == "single_syntax":
            yield from path.iterdir()
        else:
            yield path


@pytest.mark.parametrize("name", ["ct/kits_classic", "mr/prostatex_0001_t2_cor"])
def test_highdicom_sees_the_same_grid(dev_scans: Path, name: str) -> None:
    """A second opinion that refuses irregular stacks, though it does not say where."""
    highdicom = pytest.importorskip("highdicom", reason="highdicom comes with medsr[dicom]")
    folder = dev_scans / "dicom" / name
    theirs = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in sorted(folder.iterdir())])
    ours = read(folder)
    corners = np.array([[0, 0, 0, 1], [*(size - 1 for size in theirs.spatial_shape), 1]]).T
    world = (np.diag([-1, -1, 1, 1]) @ theirs.affine @ corners)[:3]
    index = np.linalg.inv(ours.geometry.world_from_voxel) @ np.vstack([world, [1, 1]])
    assert np.abs(index - np.rint(index)).max() < 1e-3
    extent = np.ptp(np.rint(index[:3]), axis=1)
    assert [int(size) + 1 for size in extent] == list(ours.geometry.shape)


def test_restored_series_have_the_source_s_affine_in_dcm2niix(
    derived: Derived, tmp_path: Path, program: Program
) -> None:
    before = dcm2niix(program("dcm2niix"), derived.source, tmp_path / "before")
    after = dcm2niix(program("dcm2niix"), derived.folder, tmp_path / "after")
    assert before.shape == after.shape
    assert np.abs(before.affine - after.affine).max() < SAME_PLACE_MM


def test_dciodvfy_finds_only_synthetic_data_and_the_source_s_faults(derived: Derived, program: Program) -> None:
    source = derived.source if derived.source.is_file() else min(derived.source.iterdir())
    faults = errors(program("dciodvfy"), source)
    for path in derived.folder.iterdir():
        new = errors(program("dciodvfy"), path) - faults
        assert {line for line in new if UNKNOWN_TO_2022 not in line} == set()
        assert len(new) == 1


@pytest.mark.parametrize("name", WRITTEN[2:])
def test_dciodvfy_takes_multi_frame_sources_as_single_frames(
    dev_scans: Path, tmp_path: Path, program: Program, name: str
) -> None:
    volume = read(dev_scans / "dicom" / name)
    stored = as_stored(volume.values, volume.geometry, volume, sigma=20, container="dicom")
    facts = replace(FACTS, single_frame=True)
    path = write_dicom_series(tmp_path / "out", stored.values, volume.geometry, volume, stored, facts)[0]
    faults = errors(program("dciodvfy"), next(iter(_files(dev_scans / "dicom" / name))))
    new = {line for line in errors(program("dciodvfy"), path) - faults if UNKNOWN_TO_2022 not in line}
    assert new == set()


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.iterdir())


def errors(binary: str, path: Path) -> set[str]:
    done = subprocess.run([binary, str(path)], capture_output=True, text=True, timeout=60, check=False)
    return {line.strip() for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")}


@pytest.fixture(scope="module")
def orthanc(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An archive of our own on loopback, with nothing in it; the address of its REST interface."""
    binary = program("Orthanc")
    folder = tmp_path_factory.mktemp("orthanc")
    http, dicom = free_port(), free_port()
    settings = {
        "Name": "test", "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"),
        "HttpPort": http, "DicomPort": dicom, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "HttpBindAddresses": ["127.0.0.1"], "Plugins": [], "StableAge": 1,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    address = f"http://127.0.0.1:{http}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([binary, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
        try:
            wait_for(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "Orthanc ended"
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            ask(f"{address}/system")
            return
        time.sleep(0.1)
    pytest.fail("Orthanc does not answer")


def ask(address: str, data: bytes | None = None) -> object:
    request = urllib.request.Request(address, data=data)  # noqa: S310 -- loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- loopback
        return json.loads(answer.read())


@pytest.mark.slow
def test_orthanc_loads_restored_series_beside_their_source(derived: Derived, orthanc: str) -> None:
    source = [derived.source] if derived.source.is_file() else sorted(derived.source.iterdir())
    for path in source:
        ask(f"{orthanc}/instances", path.read_bytes())
    files = sorted(derived.folder.iterdir())
    for path in files:
        answer = ask(f"{orthanc}/instances", path.read_bytes())
        assert answer["Status"] == "Success"  # type: ignore[index]  # a record
    found = ask(f"{orthanc}/series/{answer['ParentSeries']}")  # type: ignore[index]  # a record
    assert len(found["Instances"]) == len(files)  # type: ignore[index]  # a record
    study = ask(f"{orthanc}/studies/{answer['ParentStudy']}")  # type: ignore[index]  # a record
    assert len(study["Series"]) >= 2  # type: ignore[index]  # a record
    tags = found["MainDicomTags"]  # type: ignore[index]  # a record
    assert tags["SeriesInstanceUID"] == str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    again = ask(f"{orthanc}/instances", files[0].read_bytes())
    assert again["Status"] == "AlreadyStored"  # type: ignore[index]  # a record
