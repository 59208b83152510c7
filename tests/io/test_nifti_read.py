"""NIfTI: attacks A1 to A4, and values and geometry as nibabel reads them."""

from __future__ import annotations

import gzip
import json
import math
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nifti import header, write

from medsr.errors import MedsrError, Refusal, UsageError
from medsr.io import read
from medsr.io.nifti.read import read_nifti
from medsr.io.planes import Declared, Planes

DEV_SCANS = ("mri/forrest_t1_1mm_head", "mri/fnndsc_adi_t2_fse", "ct/rider0117", "ct/kits00072", "mri/fruit_t1_ood")
CODES = {"int16": 4, "uint8": 2, "int32": 8, "float32": 16, "float64": 64, "int8": 256, "uint16": 512, "uint32": 768}


def refusal(path: Path) -> MedsrError:
    with pytest.raises(MedsrError) as caught:
        read(path)
    return caught.value


def voxels(shape: tuple[int, ...] = (8, 9, 5), dtype: str = "<i2") -> bytes:
    count = math.prod(shape)
    return (np.arange(count) % 120 + 1).astype(dtype).tobytes()


def test_a01_header_that_claims_more_than_the_file_holds_is_refused_before_allocation(tmp_path: Path) -> None:
    claim = header((1000, 1000, 500), datatype=8, bits=32)
    for name in ("claim.nii", "claim.nii.gz"):
        path = write(tmp_path / name, claim, bytes(100))
        assert refusal(path).code == "nifti.truncated"
    path = write(tmp_path / "over.nii", header((4096, 4096, 4096)), bytes(100))
    assert refusal(path).code == "volume.too_large"


def test_a01_a_claim_that_gzip_could_hold_is_counted_before_memory_is_asked_for(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(100_000)
    path = write(tmp_path / "claim.nii.gz", header((256, 256, 512)), noise + bytes(30_000_000))

    def grant(_declared: Declared) -> Planes:
        pytest.fail("memory was asked for")

    with pytest.raises(Refusal) as caught:
        read_nifti(path, grant)
    assert caught.value.code == "nifti.truncated"


def test_a02_bytes_beyond_the_header_s_voxels_are_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    with gzip.open(path, "wb", 9) as stream:
        stream.write(header() + voxels())
        for _ in range(64):
            stream.write(bytes(1 << 20))
    assert refusal(path).code == "nifti.inflates"


def test_a02_a_far_offset_is_refused(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "far.nii.gz", header(offset=2e9), voxels())).code == "nifti.offset"
    assert refusal(write(tmp_path / "nan.nii.gz", header(offset=math.nan), voxels())).code == "nifti.offset"


@pytest.mark.parametrize("spacing", [math.nan, math.inf, 0.0, 1e-4, 51.0])
def test_a03_spacing_is_judged_as_it_stands_in_the_file(tmp_path: Path, spacing: float) -> None:
    path = write(tmp_path / "spacing.nii", header(pixdim=(1.0, 2.0, spacing, 3.0)), voxels())
    assert refusal(path).code in ("geometry.spacing", "nifti.affine")


def test_a03_affine_must_agree_with_the_spacing(tmp_path: Path) -> None:
    path = write(tmp_path / "affine.nii", header(srow=np.diag([1.0, 2.0, 3.0, 1.0])), voxels())
    assert refusal(path).code == "nifti.affine"
    path = write(tmp_path / "singular.nii", header(srow=np.diag([2.0, 0.0, 3.0, 1.0])), voxels())
    assert refusal(path).code == "nifti.affine"


def test_a03_left_handed_affine_keeps_its_sign(tmp_path: Path) -> None:
    path = write(tmp_path / "left.nii", header(srow=np.diag([-2.0, 2.0, 3.0, 1.0])), voxels())
    assert read(path, modality="MR").geometry.world_from_voxel[0, 0] == -2.0


def test_a04_a_file_cut_after_reading_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.nii", header(), voxels())
    volume = read(path, modality="MR")
    before = float(volume.values.sum())
    path.write_bytes(path.read_bytes()[:400])
    assert float(volume.values.sum()) == before


def test_a04_a_truncated_file_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.nii", header(), voxels()[:-90])
    error = refusal(path)
    assert error.code == "nifti.truncated"
    assert "90 bytes short of the 8 x 9 x 5" in error.fact


@pytest.mark.parametrize("name", DEV_SCANS)
def test_values_and_geometry_equal_nibabel(dev_scans: Path, name: str) -> None:
    path = dev_scans / f"{name}.nii.gz"
    volume, image = read(path), nibabel.load(path)
    assert np.array_equal(volume.values, np.asarray(image.dataobj, np.float32))
    assert np.allclose(volume.geometry.world_from_voxel, image.affine, atol=1e-5)
    assert np.allclose(volume.geometry.spacing_mm, image.header.get_zooms(), atol=1e-5)


@pytest.mark.slow
def test_every_dev_scan_equals_nibabel_or_is_refused(dev_scans: Path) -> None:
    refused = {}
    for path in sorted([*(dev_scans / "mri").glob("*.nii.gz"), *(dev_scans / "ct").rglob("*.nii.gz")]):
        try:
            volume = read(path)
        except MedsrError as error:
            refused[path.name] = error.code
            continue
        image = nibabel.load(path)
        values = np.asarray(image.dataobj, np.float32).reshape(volume.values.shape)
        assert np.array_equal(volume.values, values), path.name
        assert np.allclose(volume.geometry.world_from_voxel, image.affine, atol=1e-4), path.name
    assert refused.pop("prostatex_0001_dwi_4d.nii.gz") == "nifti.time_points"
    assert set(refused.values()) <= {"modality.unknown"}, refused


@given(data=st.data())
def test_made_files_equal_nibabel(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("made") / data.draw(st.sampled_from(["a.nii", "a.nii.gz"]))
    dtype = data.draw(st.sampled_from(sorted(CODES)))
    order = data.draw(st.sampled_from("<>"))
    kind = data.draw(st.sampled_from([nibabel.Nifti1Image, nibabel.Nifti2Image]))
    shape = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(1, 5)))
    angle = data.draw(st.floats(-1.0, 1.0))
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.7, 0.9, 2.5])
    affine[:3, 3] = data.draw(st.tuples(*[st.floats(-200, 200)] * 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    values = rng.integers(1, 100, shape).astype(np.dtype(dtype).newbyteorder(order))
    image = kind(values, affine, kind.header_class(endianness=order))
    image.set_data_dtype(np.dtype(dtype))
    slope = data.draw(st.sampled_from([None, 0.5, 2.0]))
    image.header.set_slope_inter(slope, None if slope is None else 3.0)
    image.set_sform(affine, code=data.draw(st.integers(0, 2)))
    image.set_qform(affine, code=data.draw(st.integers(0, 2)))
    nibabel.save(image, path)
    volume, seen = read(path, modality="MR"), nibabel.load(path)
    assert np.array_equal(volume.values, np.asarray(seen.dataobj, np.float32))
    assert np.allclose(volume.geometry.world_from_voxel, seen.affine, atol=1e-3)
    assert (volume.source.qform_code, volume.source.sform_code) == (
        int(seen.header["qform_code"]), int(seen.header["sform_code"]))  # fmt: skip


def test_one_slice_along_k_is_read_and_one_voxel_along_i_is_not(tmp_path: Path) -> None:
    flat = write(tmp_path / "flat.nii", header((12, 12, 1)), voxels((12, 12, 1)))
    assert read(flat, modality="MR").geometry.spacing_mm == (2.0, 2.0, 3.0)
    thin = write(tmp_path / "thin.nii", header((1, 12, 12)), voxels((1, 12, 12)))
    assert refusal(thin).code == "geometry.singleton"


def test_slice_axis_comes_from_the_header_then_from_the_spacing(tmp_path: Path) -> None:
    stated = write(tmp_path / "stated.nii", header(dim_info=1 << 4), voxels())
    assert read(stated, modality="MR").geometry.slice_axis == 0
    thick = header(pixdim=(1.0, 1.0, 5.0, 1.0))
    assert read(write(tmp_path / "thick.nii", thick, voxels()), modality="MR").geometry.slice_axis == 1


def test_units_of_metres_are_refused(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "metres.nii", header(units=1), voxels())).code == "nifti.unit"


def test_nan_slope_means_no_scaling(tmp_path: Path) -> None:
    path = write(tmp_path / "nan.nii", header(slope=(math.nan, math.nan)), voxels())
    assert read(path, modality="MR").values[0, 0, 0] == 1.0
    assert refusal(write(tmp_path / "inf.nii", header(slope=(math.inf, 0.0)), voxels())).code == "nifti.scale"


def test_large_integers_are_noted_as_rounded(tmp_path: Path) -> None:
    data = np.full(8 * 9 * 5, (1 << 24) + 1, "<i4").tobytes()
    path = write(tmp_path / "large.nii", header(datatype=8, bits=32), data)
    assert any("rounded to float32" in note for note in read(path, modality="MR").notes)


def test_a_pair_header_is_no_nifti_file(tmp_path: Path) -> None:
    raw = bytearray(header())
    raw[344:348] = b"ni1\0"
    assert refusal(write(tmp_path / "pair.nii", bytes(raw), voxels())).code == "nifti.not_nifti"


class TestModality:
    """Sidecar, BIDS suffix, values: in this order."""

    def scan(self, path: Path, values: np.ndarray) -> Path:
        return write(path, header(values.shape), np.asarray(values, "<i2").tobytes(order="F"))

    def test_negative_integers_are_ct_and_positive_ones_mr(self, tmp_path: Path) -> None:
        body = np.arange(360).reshape(8, 9, 5)
        assert read(self.scan(tmp_path / "a.nii", body * 5 - 1000)).modality == "CT"
        found = read(self.scan(tmp_path / "b.nii", body))
        assert (found.modality, found.modality_provenance) == ("MR", "guessed")

    def test_what_tells_nothing_must_be_stated(self, tmp_path: Path) -> None:
        path = self.scan(tmp_path / "a.nii", np.arange(360).reshape(8, 9, 5) - 100)
        with pytest.raises(UsageError) as caught:
            read(path)
        assert caught.value.code == "modality.unknown"

    def test_sidecar_wins_over_the_values(self, tmp_path: Path) -> None:
        path = self.scan(tmp_path / "a.nii", np.arange(360).reshape(8, 9, 5))
        (tmp_path / "a.json").write_text(json.dumps({"Modality": "MR"}))
        assert read(path).modality_provenance == "header"

    def test_bids_suffix_tells(self, tmp_path: Path) -> None:
        path = self.scan(tmp_path / "sub-1_T1w.nii", np.arange(360).reshape(8, 9, 5))
        assert (read(path).modality, read(path).modality_provenance) == ("MR", "header")
        other = self.scan(tmp_path / "notT1w.nii", np.arange(360).reshape(8, 9, 5))
        assert read(other).modality_provenance == "guessed"

    def test_ct_that_is_no_hu_is_refused(self, tmp_path: Path) -> None:
        path = self.scan(tmp_path / "a.nii", np.arange(360).reshape(8, 9, 5) % 150)
        with pytest.raises(Refusal) as caught:
            read(path, modality="CT")
        assert caught.value.code == "volume.not_hu"

    def test_mr_that_is_no_magnitude_is_refused(self, tmp_path: Path) -> None:
        path = self.scan(tmp_path / "a.nii", np.arange(360).reshape(8, 9, 5) * 5 - 1000)
        with pytest.raises(Refusal) as caught:
            read(path, modality="MR")
        assert caught.value.code == "volume.not_magnitude"


class TestSidecar:
    """The JSON beside a scan."""

    @pytest.mark.parametrize("text", ["[1]", "{", '{"a": ' * 3000, "\xff"])
    def test_broken_sidecar_is_refused(self, tmp_path: Path, text: str) -> None:
        path = write(tmp_path / "a.nii.gz", header(), voxels())
        (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
        assert refusal(path).code == "sidecar.broken"

    def test_huge_sidecar_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.nii.gz", header(), voxels())
        (tmp_path / "a.json").write_bytes(b" " * ((1 << 20) + 1))
        assert refusal(path).code == "sidecar.broken"

    def test_nan_of_a_bids_sidecar_does_no_harm(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.nii.gz", header(), voxels())
        (tmp_path / "a.json").write_text('{"Modality": "MR", "EchoTime": NaN}')
        assert read(path).degradation is None

    def test_operator_comes_along(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.nii.gz", header(), voxels())
        record = {"operator": {"kind": "identity", "parameters": {"shape": [8, 9, 5]}}}
        (tmp_path / "a.json").write_text(json.dumps(record))
        assert read(path).degradation == record


def test_padding_is_a_mask(tmp_path: Path) -> None:
    values = (np.arange(360).reshape(8, 9, 5) * 5 - 1000).astype("<i2")
    values[:2] = -2000
    path = write(tmp_path / "ct.nii", header((8, 9, 5)), values.tobytes(order="F"))
    padding = read(path).padding
    assert padding is not None
    assert padding[:2].all()
    assert not padding[2:].any()


def test_header_extensions_are_stepped_over(tmp_path: Path) -> None:
    extension = struct.pack("<ii", 32, 6) + b"comment".ljust(24, b"\0")
    raw = header(offset=384.0)[:348] + b"\1\0\0\0" + extension
    assert read(write(tmp_path / "ext.nii", raw, voxels()), modality="MR").values[1, 0, 0] == 2.0
