"""DICOM series: order, geometry, values, and every irregularity named with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from support.dicom import ENHANCED_CT, ENHANCED_MR, MR, Change, enhanced, image, save, series, stored_planes

from medsr.errors import MedsrError, UsageError
from medsr.io import read
from medsr.io.sources import DicomSource


def refusal(path: Path, **options: object) -> MedsrError:
    with pytest.raises(MedsrError) as caught:
        read(path, **options)  # type: ignore[arg-type]  # options of read
    return caught.value


def as_volume(planes: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """(slices, rows, columns) to (i, j, k)."""
    return planes.transpose(2, 1, 0).astype(np.float32)


def test_values_are_hu_in_order_of_position(tmp_path: Path) -> None:
    planes = series(tmp_path)
    volume = read(tmp_path)
    assert (volume.modality, volume.unit) == ("CT", "HU")
    assert np.array_equal(volume.values, as_volume(planes) - 1024)
    assert volume.values.flags.f_contiguous
    assert volume.geometry.spacing_mm == (0.5, 0.75, 2.5)
    assert np.array_equal(volume.geometry.world_from_voxel[:3, 3], [20.0, 30.0, 0.0])
    assert volume.geometry.slice_thickness_mm == 2.5


def test_instance_numbers_locations_and_names_do_not_order_slices(tmp_path: Path) -> None:
    """M20: a stack sorted by InstanceNumber is a shuffled patient."""

    def shuffle(index: int, data: Dataset) -> None:
        data.InstanceNumber = (index * 3) % 5 + 1
        data.SliceLocation = float(-index)

    planes = series(tmp_path, 5, change=shuffle)
    assert np.array_equal(read(tmp_path).values, as_volume(planes) - 1024)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    """M21: PET-like and Philips series scale every slice by itself."""

    def scale(index: int, data: Dataset) -> None:
        data.RescaleSlope, data.RescaleIntercept = str(1 + index), str(-10 * index)

    planes = series(tmp_path, 4, change=scale)
    expected = [planes[k] * (1.0 + k) - 10.0 * k for k in range(4)]
    assert np.array_equal(read(tmp_path).values, as_volume(np.stack(expected)))
    source = read(tmp_path).source
    assert isinstance(source, DicomSource)
    assert source.bits_stored == 0
    assert not source.integer


@given(bits=st.integers(9, 16), signed=st.booleans(), seed=st.integers(0, 99))
def test_bits_and_sign_are_those_of_the_header(
    tmp_path_factory: pytest.TempPathFactory, bits: int, signed: bool, seed: int
) -> None:
    """Whatever stands above BitsStored is no part of the value."""
    folder = tmp_path_factory.mktemp("bits")
    rng = np.random.default_rng(seed)
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    wanted = rng.integers(low, high, (16, 20))
    rubbish = rng.integers(0, 1 << 16, (16, 20)) & ~((1 << bits) - 1)
    data = image(MR, pixels=((wanted & ((1 << bits) - 1)) | rubbish).astype(np.uint16))
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, int(signed)
    save(folder / "a.dcm", data)
    assert np.array_equal(read(folder).values[:, :, 0], wanted.T.astype(np.float32))


def test_padding_value_and_range_are_a_mask(tmp_path: Path) -> None:
    def pad(index: int, data: Dataset) -> None:
        data.PixelRepresentation = 1
        data.BitsStored, data.HighBit = 16, 15
        plane = stored_planes(index + 1)[index].astype(np.int16)
        plane[:3], plane[3] = -2000, -1990
        data.PixelData = plane.tobytes()
        data.RescaleIntercept = "0"
        data.add_new("PixelPaddingValue", "SS", -2000)
        data.add_new("PixelPaddingRangeLimit", "SS", -1985)

    series(tmp_path, 3, change=pad)
    padding = read(tmp_path).padding
    assert padding is not None
    assert padding[:, :4].all()
    assert not padding[:, 4:].any()


def test_monochrome1_is_inverted_about_the_stored_range_and_noted(tmp_path: Path) -> None:
    def invert(index: int, data: Dataset) -> None:
        data.PhotometricInterpretation = "MONOCHROME1"
        data.PixelData = (4095 - stored_planes(index + 1)[index]).astype(np.uint16).tobytes()

    series(tmp_path, 3, change=invert)
    volume = read(tmp_path)
    assert np.array_equal(volume.values[:, :, 2], (stored_planes(3)[2].astype(np.float32) - 1024).T)
    assert "MONOCHROME1 inverted" in volume.notes


def test_a_lossy_source_is_told_to_the_gate(tmp_path: Path) -> None:
    def lossy(_index: int, data: Dataset) -> None:
        data.LossyImageCompression, data.LossyImageCompressionRatio = "01", "12.5"

    series(tmp_path, 3, change=lossy)
    acquisition = read(tmp_path).acquisition
    assert acquisition.lossy
    assert acquisition.lossy_ratio == 12.5


class TestIrregularStacks:
    """What is no regular volume is refused with the place and the size in mm."""

    @pytest.mark.parametrize("lost", [(2,), (2, 3), (1, 4)])
    def test_missing_slices_are_named(self, tmp_path: Path, lost: tuple[int, ...]) -> None:
        series(tmp_path, 8)
        for index in lost:
            (tmp_path / f"{8 - index:03d}.dcm").unlink()
        error = refusal(tmp_path)
        assert error.code == "geometry.missing_slice"
        assert ", ".join(str(index + 1) for index in lost) in error.fact
        assert f"{2.5 * lost[0]:.2f}" in error.fact

    def test_with_gaps_allowed_missing_slices_are_blank_and_declared(self, tmp_path: Path) -> None:
        planes = series(tmp_path, 6)
        (tmp_path / "003.dcm").unlink()
        volume = read(tmp_path, gaps=True)
        assert volume.geometry.shape == (20, 16, 6)
        assert (volume.values[:, :, 3] == -1024).all()
        assert np.array_equal(volume.values[:, :, 4], (planes[4].astype(np.float32) - 1024).T)
        operator = volume.degradation["operator"]  # type: ignore[index]  # declared
        assert operator["kind"] == "slice_mask"  # type: ignore[index]  # a record
        assert operator["parameters"]["kept"] == [0, 1, 2, 4, 5]  # type: ignore[index]  # a record
        assert isinstance(volume.source, DicomSource)
        assert volume.source.missing == (3,)

    def test_uneven_step_is_named(self, tmp_path: Path) -> None:
        def shift(index: int, data: Dataset) -> None:
            data.ImagePositionPatient = [-20.0, -30.0, 2.5 * index + (0.4 if index > 2 else 0.0)]

        series(tmp_path, 6, change=shift)
        error = refusal(tmp_path)
        assert error.code == "geometry.uneven"
        assert "a step of 2.90 mm at 5.00 mm, others 2.50 mm" in error.fact

    def test_tilt_is_named_in_mm_and_degrees(self, tmp_path: Path) -> None:
        def tilt(index: int, data: Dataset) -> None:
            data.ImagePositionPatient = [-20.0, -30.0 + 0.5 * index, 2.5 * index]

        series(tmp_path, 4, change=tilt)
        error = refusal(tmp_path)
        assert error.code == "geometry.tilt"
        assert "0.50 mm" in error.fact
        assert "11.3 degrees" in error.fact

    def test_a_lean_within_rounding_is_followed_and_half_a_degree_is_tilt(self, tmp_path: Path) -> None:
        def lean(share: float) -> Change:
            def change(index: int, data: Dataset) -> None:
                data.ImagePositionPatient = [-20.0, f"{-30.0 + share * 2.5 * index:.6f}", 2.5 * index]

            return change

        series(tmp_path / "little", 30, change=lean(0.0005))
        world = read(tmp_path / "little").geometry.world([0, 0, 29])
        assert np.allclose(world, [20.0, 30.0 - 0.0005 * 72.5, 72.5], atol=1e-5)
        series(tmp_path / "more", 30, change=lean(0.009))
        assert refusal(tmp_path / "more").code == "geometry.tilt"

    def test_two_slices_at_one_position(self, tmp_path: Path) -> None:
        def stay(index: int, data: Dataset) -> None:
            data.ImagePositionPatient = [-20.0, -30.0, 2.5 * min(index, 2)]

        series(tmp_path, 4, change=stay)
        assert refusal(tmp_path).code == "geometry.duplicate"

    def test_the_same_object_twice_counts_once(self, tmp_path: Path) -> None:
        planes = series(tmp_path, 4)
        shutil.copy(tmp_path / "001.dcm", tmp_path / "copy.dcm")
        assert np.array_equal(read(tmp_path).values, as_volume(planes) - 1024)

    def test_the_same_object_in_another_syntax_counts_once(self, tmp_path: Path) -> None:
        planes = series(tmp_path, 3)
        twin = image(index=1, pixels=planes[1])
        twin.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        save(tmp_path / "twin.dcm", twin)
        assert np.array_equal(read(tmp_path).values, as_volume(planes) - 1024)

    def test_one_uid_with_two_contents_is_refused(self, tmp_path: Path) -> None:
        series(tmp_path, 3)
        save(tmp_path / "other.dcm", image(index=1, pixels=stored_planes(2, seed=5)[1]))
        assert refusal(tmp_path).code == "identity.two_contents"

    @pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "FrameOfReferenceUID"])
    def test_mixed_identity_is_refused(self, tmp_path: Path, keyword: str) -> None:
        def change(index: int, data: Dataset) -> None:
            if index == 1:
                setattr(data, keyword, "1.2.3")

        series(tmp_path, 3, change=change)
        assert refusal(tmp_path).code == "identity.mixed"

    def test_a_single_slice_of_unknown_thickness_is_no_volume(self, tmp_path: Path) -> None:
        data = image()
        del data.SliceThickness
        save(tmp_path / "a.dcm", data)
        assert refusal(tmp_path).code == "geometry.spacing"


class TestSeveralStacks:
    """The splitter, and what `pick` chooses."""

    @pytest.mark.parametrize(
        ("keyword", "value", "word"),
        [
            ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1], "orientation"),
            ("PixelSpacing", [0.8, 0.8], "pixel spacing"),
            ("EchoTime", "9", "echo time"),
            ("ConvolutionKernel", "B70f", "kernel"),
            ("ImageType", ["ORIGINAL", "PRIMARY", "P", "ND"], "image type"),
        ],
    )
    def test_what_a_volume_must_share_parts_stacks(
        self, tmp_path: Path, keyword: str, value: object, word: str
    ) -> None:
        def change(index: int, data: Dataset) -> None:
            if index >= 3:
                setattr(data, keyword, value)

        series(tmp_path, 6, sop_class=MR, change=change)
        error = refusal(tmp_path)
        assert error.code == "series.several_stacks"
        assert word in error.fact
        assert read(tmp_path, pick="1").geometry.shape[2] == 3

    def test_acquisition_number_parts_only_slices_at_one_place(self, tmp_path: Path) -> None:
        def change(index: int, data: Dataset) -> None:
            data.AcquisitionNumber = index + 1

        planes = series(tmp_path / "steps", 4, change=change)
        assert np.array_equal(read(tmp_path / "steps").values, as_volume(planes) - 1024)

        def twice(index: int, data: Dataset) -> None:
            data.AcquisitionNumber = index // 3 + 1
            data.ImagePositionPatient = [-20.0, -30.0, 2.5 * (index % 3)]

        planes = series(tmp_path / "twice", 6, change=twice)
        assert refusal(tmp_path / "twice").code == "series.several_stacks"
        assert np.array_equal(read(tmp_path / "twice", pick="2").values, as_volume(planes[3:]) - 1024)

    def test_series_are_picked_by_uid_number_or_word(self, tmp_path: Path) -> None:
        def other(index: int, data: Dataset) -> None:
            data.SeriesInstanceUID, data.SeriesNumber, data.SliceThickness = "1.2.9", 1, "1"
            data.SOPInstanceUID = f"1.2.9.{index + 1}"

        series(tmp_path / "a", 5)
        series(tmp_path / "b", 3, change=other)
        assert refusal(tmp_path).code == "series.several_stacks"
        assert read(tmp_path, pick="1.2.9").geometry.shape[2] == 3
        assert read(tmp_path, pick="1").geometry.shape[2] == 3
        assert read(tmp_path, pick="thinnest").geometry.shape[2] == 3
        assert read(tmp_path, pick="longest").geometry.shape[2] == 5
        with pytest.raises(UsageError) as caught:
            read(tmp_path, pick="7")
        assert caught.value.code == "series.pick"


class TestMultiFrame:
    """Enhanced objects: everything per frame, else shared."""

    def test_enhanced_ct(self, tmp_path: Path) -> None:
        save(tmp_path / "a.dcm", enhanced(ENHANCED_CT))
        volume = read(tmp_path / "a.dcm")
        assert np.array_equal(volume.values, as_volume(stored_planes(4)[::-1]) - 1024)
        assert volume.geometry.spacing_mm == (0.5, 0.75, 2.5)

    def test_enhanced_mr_with_its_own_slope_a_frame(self, tmp_path: Path) -> None:
        save(tmp_path / "a.dcm", enhanced(ENHANCED_MR))
        volume = read(tmp_path / "a.dcm")
        expected = [plane * (1 + 0.5 * index) for index, plane in enumerate(stored_planes(4))][::-1]
        assert np.array_equal(volume.values, as_volume(np.stack(expected)))
        assert volume.acquisition.echo_time_ms == 3.0

    def test_two_echoes_are_two_stacks(self, tmp_path: Path) -> None:
        data = enhanced(ENHANCED_MR, 6)
        for index, group in enumerate(data.PerFrameFunctionalGroupsSequence):
            group.MREchoSequence[0].EffectiveEchoTime = 3.0 if index < 3 else 9.0
        save(tmp_path / "a.dcm", data)
        assert "echo time" in refusal(tmp_path).fact
        assert read(tmp_path, pick="2").geometry.shape[2] == 3

    def test_without_functional_groups_it_is_refused(self, tmp_path: Path) -> None:
        data = enhanced()
        del data.PerFrameFunctionalGroupsSequence
        save(tmp_path / "a.dcm", data)
        assert refusal(tmp_path).code == "dicom.functional_groups"

    def test_multi_frame_without_the_class_for_it_is_refused(self, tmp_path: Path) -> None:
        data = image()
        data.NumberOfFrames, data.PixelData = 3, stored_planes(3).tobytes()
        save(tmp_path / "a.dcm", data)
        assert refusal(tmp_path).code == "pixel.format"


class TestPixels:
    """Formats that are refused by name."""

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"BitsStored": 17}, "pixel.format"),
            ({"HighBit": 15}, "pixel.format"),
            ({"SamplesPerPixel": 3}, "pixel.format"),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "pixel.format"),
            ({"RescaleSlope": "0"}, "pixel.rescale"),
            ({"RescaleSlope": "1e30"}, "pixel.rescale"),
            ({"RescaleIntercept": "1e30"}, "pixel.rescale"),
            ({"Rows": 17}, "pixel.truncated"),
            ({"PixelData": b""}, "pixel.missing"),
            ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "geometry.orientation"),
            ({"PixelSpacing": [-1, 1]}, "geometry.spacing"),
        ],
    )
    def test_fault_meets_its_reason(self, tmp_path: Path, changes: dict[str, object], code: str) -> None:
        data = image()
        for keyword, value in changes.items():
            setattr(data, keyword, value)
        save(tmp_path / "a.dcm", data)
        assert refusal(tmp_path / "a.dcm").code == code

    def test_float_pixels_are_refused(self, tmp_path: Path) -> None:
        data = image()
        del data.PixelData
        data.FloatPixelData = np.zeros(320, np.float32).tobytes()
        save(tmp_path / "a.dcm", data)
        assert refusal(tmp_path / "a.dcm").code == "pixel.format"

    def test_all_zero_is_no_scan(self, tmp_path: Path) -> None:
        save(tmp_path / "a.dcm", image(MR, pixels=np.zeros((16, 20), np.uint16)))
        assert refusal(tmp_path / "a.dcm").code == "volume.empty"

    def test_the_wrong_modality_is_a_usage_error(self, tmp_path: Path) -> None:
        series(tmp_path, 3)
        with pytest.raises(UsageError) as caught:
            read(tmp_path, modality="MR")
        assert caught.value.code == "modality.contradicts"
