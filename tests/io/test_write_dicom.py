"""Derived DICOM series: pacs.md's table, row by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from support.derived import FACTS, scan, written
from support.dicom import CT, ENHANCED_CT, ENHANCED_MR, MR, enhanced, save, series
from support.volumes import ct_volume

from medsr.errors import Refusal
from medsr.io import read
from medsr.io.encoding import as_stored, decimal
from medsr.io.sources import DicomSource
from medsr.io.write import write_dicom_series


def test_it_reads_back_as_it_was_judged_on_the_same_grid(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    _, stored = written(tmp_path / "out", volume, image=volume.values * np.float32(0.97) + 3)
    again = read(tmp_path / "out")
    assert np.array_equal(again.values, stored.values)
    assert np.array_equal(again.geometry.world_from_voxel, volume.geometry.world_from_voxel)


def test_patient_study_frame_of_reference_and_dates_are_the_source_s(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    source = pydicom.dcmread(tmp_path / "in" / "001.dcm")
    for data in written(tmp_path / "out", volume)[0]:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID",
                        "AccessionNumber", "FrameOfReferenceUID", "BodyPartExamined", "StudyDate", "SeriesDate",
                        "SeriesTime", "ContentDate", "ContentTime", "AcquisitionDate", "SpecificCharacterSet",
                        "PatientPosition", "WindowCenter", "WindowWidth", "SOPClassUID", "KVP"):  # fmt: skip
            assert data.get(keyword) == source.get(keyword), keyword
        assert "InstanceCreationDate" not in data
        assert "ContributionDateTime" not in str(data)


def test_it_is_told_from_the_original_everywhere(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    assert isinstance(volume.source, DicomSource)
    originals = {item.sop_instance_uid for item in volume.source.slices}
    files, _ = written(tmp_path / "out", volume)
    assert len({data.SOPInstanceUID for data in files}) == 4
    for data in files:
        assert data.SOPInstanceUID not in originals
        assert data.SOPInstanceUID.startswith("2.25.")
        assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
        assert data.SeriesInstanceUID != volume.source.series_uid
        assert data.SeriesNumber == 900_030
        assert data.SeriesDescription == "AI-RESTORED UNVERIFIED denoise Series of a test"
        assert list(data.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert data.SyntheticData == "YES"
        assert data.ContentQualification == "RESEARCH"
        assert data.DerivationDescription == FACTS.description


def test_sources_are_named_slice_by_slice(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    assert isinstance(volume.source, DicomSource)
    by_place = {float(data.ImagePositionPatient[2]): data for data in written(tmp_path / "out", volume)[0]}
    for item in volume.source.slices:
        data = by_place[2.5 * item.index]
        reference = data.SourceImageSequence[0]
        assert len(data.SourceImageSequence) == 1
        assert reference.ReferencedSOPInstanceUID == item.sop_instance_uid
        assert reference.SpatialLocationsPreserved == "YES"
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        referenced = data.ReferencedSeriesSequence[0]
        assert referenced.SeriesInstanceUID == volume.source.series_uid
        assert referenced.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == item.sop_instance_uid


def test_a_synthetic_slice_names_its_neighbours(tmp_path: Path) -> None:
    series(tmp_path / "in", 5)
    (tmp_path / "in" / "003.dcm").unlink()
    volume = read(tmp_path / "in", gaps=True)
    facts = replace(FACTS, task="inpaint", synthetic_slices=(2,))
    files, _ = written(tmp_path / "out", volume, facts=facts)
    middle = next(data for data in files if float(data.ImagePositionPatient[2]) == 5.0)
    assert {item.ReferencedSOPInstanceUID[-2:] for item in middle.SourceImageSequence} == {".2", ".4"}
    assert middle.DerivationCodeSequence[0].CodeValue == "inpaint"
    assert np.array_equal(read(tmp_path / "out").values[:, :, 3], volume.values[:, :, 3])


def test_equipment_names_scanner_and_medsr(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    data = written(tmp_path / "out", volume)[0][0]
    assert [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in data.ContributingEquipmentSequence] == [
        "109101", "109100"]  # fmt: skip
    scanner, ours = data.ContributingEquipmentSequence
    assert (scanner.Manufacturer, scanner.ManufacturerModelName) == ("ACME", "Sim 1")
    assert ours.SoftwareVersions[0] == "0.1.0"
    assert "ct-inplane@1 sha256:abab" in ours.SoftwareVersions[1]
    assert (data.Manufacturer, data.ManufacturerModelName) == ("medsr developers", "medsr")
    kept = written(tmp_path / "kept", volume, facts=replace(FACTS, keep_equipment=True))[0][0]
    assert (kept.Manufacturer, kept.ManufacturerModelName) == ("ACME", "Sim 1")


def test_codes_without_a_standard_one_name_their_scheme(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    data = written(tmp_path / "out", volume)[0][0]
    assert data.DerivationCodeSequence[0].CodingSchemeDesignator == "99MEDSR"
    assert data.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99MEDSR"
    data = written(tmp_path / "other", volume, facts=replace(FACTS, task="superres"))[0][0]
    assert (data.DerivationCodeSequence[0].CodeValue, data.DerivationCodeSequence[0].CodingSchemeDesignator) == (
        "113085", "DCM")  # fmt: skip
    assert "CodingSchemeIdentificationSequence" not in data


def test_what_must_not_travel_is_removed(tmp_path: Path) -> None:
    def burden(_index: int, data: Dataset) -> None:
        block = data.private_block(0x0009, "ACME SECRET", create=True)
        block.add_new(1, "LO", "private")
        data.SmallestImagePixelValue, data.LargestImagePixelValue = 1, 2
        data.SOPInstanceStatus = "NS"
        data.PerformedProcedureStepID, data.PerformedProcedureStepStartDate = "9", "20260101"
        data.IconImageSequence = [Dataset()]
        data.add_new(0x60000010, "US", 16)
        data.InstanceCreationDate = "20260101"
        item = Dataset()
        item.private_block(0x0009, "ACME SECRET", create=True).add_new(1, "LO", "private")
        item.StudyInstanceUID = "1.2.3"
        data.RequestAttributesSequence = [item]

    data = written(tmp_path / "out", scan(tmp_path / "in", change=burden))[0][0]
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue", "SOPInstanceStatus", "IconImageSequence",
                    "PerformedProcedureStepID", "PerformedProcedureStepStartDate", "InstanceCreationDate"):  # fmt: skip
        assert keyword not in data
    assert data.RequestAttributesSequence[0].StudyInstanceUID == "1.2.3"
    assert not any(element.tag.is_private or element.tag.group == 0x6000 for element in data.iterall())


def test_a12_a_program_in_the_source_s_preamble_does_not_come_out(tmp_path: Path) -> None:
    series(tmp_path / "in", 3)
    for path in (tmp_path / "in").iterdir():
        path.write_bytes(b"MZ\x90\0".ljust(128, b"x") + path.read_bytes()[128:])
    written(tmp_path / "out", read(tmp_path / "in"))
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"


def test_a14_files_are_named_by_number(tmp_path: Path) -> None:
    written(tmp_path / "out", scan(tmp_path / "in"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"000{n}.dcm" for n in (1, 2, 3, 4)]


def test_instances_are_numbered_as_the_source_s_were(tmp_path: Path) -> None:
    def falling(index: int, data: Dataset) -> None:
        data.InstanceNumber = 10 - index

    files, _ = written(tmp_path / "out", scan(tmp_path / "in", change=falling))
    assert [float(data.ImagePositionPatient[2]) for data in files] == [7.5, 5.0, 2.5, 0.0]
    assert [data.InstanceNumber for data in files] == [1, 2, 3, 4]


def test_lossy_never_returns_to_lossless(tmp_path: Path) -> None:
    def lossy(_index: int, data: Dataset) -> None:
        data.LossyImageCompression = "01"
        data.LossyImageCompressionRatio, data.LossyImageCompressionMethod = "10", "ISO_10918_1"

    data = written(tmp_path / "out", scan(tmp_path / "in", change=lossy))[0][0]
    assert (data.LossyImageCompression, data.LossyImageCompressionRatio) == ("01", 10)


class TestEncoding:
    """Bits, sign and rescale: the source's where all values fit, else int16."""

    def test_the_source_s_form_where_values_fit(self, tmp_path: Path) -> None:
        files, stored = written(tmp_path / "out", scan(tmp_path / "in"))
        assert (stored.dtype, stored.bits, stored.slope, stored.intercept) == (np.uint16, 12, 1.0, -1024.0)
        assert (files[0].BitsStored, files[0].HighBit, files[0].PixelRepresentation) == (12, 11, 0)
        assert (files[0].RescaleSlope, files[0].RescaleIntercept, files[0].RescaleType) == (1, -1024, "HU")

    def test_int16_where_one_value_does_not_fit(self, tmp_path: Path) -> None:
        volume = scan(tmp_path / "in")
        image = np.array(volume.values)
        image[0, 0, 0] = -1100.4
        files, stored = written(tmp_path / "out", volume, image=image)
        assert (stored.dtype, stored.slope, stored.intercept) == (np.int16, 1.0, 0.0)
        assert (files[0].BitsStored, files[0].PixelRepresentation, files[0].RescaleIntercept) == (16, 1, 0)
        assert read(tmp_path / "out").values[0, 0, 0] == -1100

    def test_ct_of_coarse_levels_is_not_rounded_to_them(self, tmp_path: Path) -> None:
        def coarse(_index: int, data: Dataset) -> None:
            data.RescaleSlope = "4"

        volume = scan(tmp_path / "in", change=coarse)
        _, stored = written(tmp_path / "out", volume, image=volume.values + 1)
        assert stored.slope == 1.0
        assert np.abs(stored.values - volume.values - 1).max() <= 0.5

    def test_mr_of_many_slopes_gets_one_that_spans_it(self, tmp_path: Path) -> None:
        def scale(index: int, data: Dataset) -> None:
            data.RescaleSlope, data.RescaleIntercept, data.RescaleType = f"{0.001 + 0.0001 * index:.4f}", "0", "US"

        volume = scan(tmp_path / "in", sop_class=MR, change=scale)
        files, stored = written(tmp_path / "out", volume, sigma=0.01)
        assert {data.RescaleSlope for data in files} == {files[0].RescaleSlope}
        assert np.abs(stored.values - volume.values).max() <= stored.slope / 2 * 1.01
        assert stored.values.max() / stored.slope > 30_000
        assert np.array_equal(read(tmp_path / "out").values, stored.values)

    def test_padding_is_kept_bit_for_bit(self, tmp_path: Path) -> None:
        def pad(index: int, data: Dataset) -> None:
            plane = np.full((16, 20), 900 + index, np.int16)
            plane[:3] = -2000
            data.PixelData = plane.tobytes()
            data.PixelRepresentation, data.BitsStored, data.HighBit, data.RescaleIntercept = 1, 16, 15, "0"
            data.add_new("PixelPaddingValue", "SS", -2000)

        volume = scan(tmp_path / "in", change=pad)
        files, _ = written(tmp_path / "out", volume, image=volume.values + 5)
        assert files[0].PixelPaddingValue == -2000
        assert (files[0].pixel_array[:3] == -2000).all()
        assert (files[0].pixel_array[3:] >= 905).all()
        again = read(tmp_path / "out")
        assert again.padding is not None
        assert volume.padding is not None
        assert np.array_equal(again.padding, volume.padding)

    def test_monochrome1_comes_out_as_monochrome2_with_the_same_values(self, tmp_path: Path) -> None:
        def invert(_index: int, data: Dataset) -> None:
            data.PhotometricInterpretation = "MONOCHROME1"

        volume = scan(tmp_path / "in", sop_class=MR, change=invert)
        files, stored = written(tmp_path / "out", volume)
        assert files[0].PhotometricInterpretation == "MONOCHROME2"
        assert np.array_equal(read(tmp_path / "out").values, stored.values)

    @given(number=st.floats(-1e7, 1e7, allow_nan=False))
    def test_decimal_is_what_a_decimal_string_gives_back(self, number: float) -> None:
        from pydicom.valuerep import DSfloat

        assert float(str(DSfloat(decimal(number), auto_format=True))) == decimal(number)
        assert abs(decimal(number) - number) <= 1e-8 * abs(number)


class TestGrid:
    """Another grid than the source's."""

    def test_in_plane_super_resolution(self, tmp_path: Path) -> None:
        volume = scan(tmp_path / "in")
        fine = volume.geometry.resized((40, 32, 4))
        image = np.repeat(np.repeat(volume.values, 2, 0), 2, 1)
        files, stored = written(tmp_path / "out", volume, geometry=fine, image=image)
        assert (files[0].Rows, files[0].Columns) == (32, 40)
        assert [float(size) for size in files[0].PixelSpacing] == [0.375, 0.25]
        assert [float(x) for x in files[0].ImagePositionPatient][:2] == [-20.125, -30.1875]
        assert files[0].SourceImageSequence[0].SpatialLocationsPreserved == "NO"
        again = read(tmp_path / "out")
        assert again.geometry.matches(fine)
        assert np.array_equal(again.values, stored.values)

    def test_through_plane_slices_name_the_slices_they_overlap(self, tmp_path: Path) -> None:
        volume = scan(tmp_path / "in")
        fine = volume.geometry.resized((20, 16, 8))
        files, _ = written(tmp_path / "out", volume, geometry=fine, image=np.repeat(volume.values, 2, 2))
        assert len(files) == 8
        places = [float(data.ImagePositionPatient[2]) for data in files]
        assert np.allclose(np.diff(places), 1.25)
        assert all(1 <= len(data.SourceImageSequence) <= 2 for data in files)
        assert read(tmp_path / "out").geometry.matches(replace(fine, slice_thickness_mm=None))


class TestMultiFrame:
    """Enhanced stays enhanced."""

    @pytest.mark.parametrize("sop_class", [ENHANCED_CT, ENHANCED_MR])
    def test_one_object_of_the_source_s_class(self, tmp_path: Path, sop_class: object) -> None:
        save(tmp_path / "in.dcm", enhanced(sop_class))  # type: ignore[arg-type]  # a UID
        volume = read(tmp_path / "in.dcm")
        files, stored = written(tmp_path / "out", volume)
        assert len(files) == 1
        assert files[0].SOPClassUID == sop_class
        assert list(files[0].ImageType)[:2] == ["DERIVED", "PRIMARY"]
        assert np.array_equal(read(tmp_path / "out").values, stored.values)
        derivation = files[0].PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
        assert derivation.SourceImageSequence[0].ReferencedFrameNumber == 1
        evidence = files[0].SourceImageEvidenceSequence[0].ReferencedSeriesSequence[0]
        assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.10.999.3.1"

    @pytest.mark.parametrize("sop_class", [ENHANCED_CT, ENHANCED_MR])
    def test_single_frames_where_they_are_asked_for(self, tmp_path: Path, sop_class: object) -> None:
        save(tmp_path / "in.dcm", enhanced(sop_class))  # type: ignore[arg-type]  # a UID
        volume = read(tmp_path / "in.dcm")
        files, stored = written(tmp_path / "out", volume, facts=replace(FACTS, single_frame=True))
        assert len(files) == 4
        assert {data.SOPClassUID for data in files} == {CT if sop_class == ENHANCED_CT else MR}
        assert list(files[0].ImageType)[:2] == ["DERIVED", "SECONDARY"]
        assert "PerFrameFunctionalGroupsSequence" not in files[0]
        assert "SharedFunctionalGroupsSequence" not in files[0]
        assert [item.ReferencedFrameNumber for item in files[0].SourceImageSequence] == [1]
        again = read(tmp_path / "out")
        assert np.array_equal(again.values, stored.values)
        assert again.geometry.matches(volume.geometry)
        assert again.acquisition.echo_time_ms == volume.acquisition.echo_time_ms

    def test_another_number_of_frames(self, tmp_path: Path) -> None:
        save(tmp_path / "in.dcm", enhanced(ENHANCED_CT))
        volume = read(tmp_path / "in.dcm")
        fine = volume.geometry.resized((20, 16, 8))
        files, stored = written(tmp_path / "out", volume, geometry=fine, image=np.repeat(volume.values, 2, 2))
        assert files[0].NumberOfFrames == 8
        again = read(tmp_path / "out")
        assert np.array_equal(again.values, stored.values)
        assert again.geometry.matches(fine)


def test_a_scan_without_a_patient_gives_no_dicom(tmp_path: Path) -> None:
    volume = ct_volume()
    stored = as_stored(volume.values, volume.geometry, volume, sigma=10, container="dicom")
    with pytest.raises(Refusal) as caught:
        write_dicom_series(tmp_path / "out", stored.values, volume.geometry, volume, stored, FACTS)
    assert caught.value.code == "write.no_headers"


def test_values_that_were_not_judged_are_not_written(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    stored = as_stored(volume.values, volume.geometry, volume, sigma=10, container="dicom")
    with pytest.raises(Refusal) as caught:
        write_dicom_series(tmp_path / "out", stored.values + 1, volume.geometry, volume, stored, FACTS)
    assert caught.value.code == "write.form"
    assert not (tmp_path / "out").exists()


def test_nothing_is_there_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = scan(tmp_path / "in")
    stored = as_stored(volume.values, volume.geometry, volume, sigma=10, container="dicom")
    monkeypatch.setattr(
        "medsr.io.write.dicom.series.sync_folder", lambda _folder: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(OSError, match="No space"):
        write_dicom_series(tmp_path / "out", stored.values, volume.geometry, volume, stored, FACTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
