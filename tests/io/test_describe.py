"""What `medsr info` says: stacks, geometry, and what would be refused and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from support.dicom import image, save, series

from medsr.errors import MedsrError
from medsr.io import describe, read
from medsr.settings import settings


def two_series(folder: Path) -> None:
    def other(index: int, data: Dataset) -> None:
        data.SeriesInstanceUID, data.SeriesNumber, data.SeriesDescription = "1.2.9", 7, "thin"
        data.SOPInstanceUID = f"1.2.9.{index + 1}"
        if index == 2:
            data.ImagePositionPatient = [-20.0, -30.0, 40.0]

    series(folder / "a", 4)
    series(folder / "b", 3, change=other)
    (folder / "readme.txt").write_text("no DICOM")


def test_a_folder_is_a_table_of_stacks_with_their_refusals(tmp_path: Path) -> None:
    two_series(tmp_path)
    description = describe(tmp_path)
    first, second = description.stacks
    assert (first["number"], first["modality"], first["slices"], first["refused"]) == (1, "CT", 4, None)
    assert first["spacing_mm"] == [0.5, 0.75, 2.5]
    assert second["description"] == "thin"
    assert second["refused"]["code"] == "geometry.missing_slice"  # type: ignore[index]  # a record
    assert second["refused"]["remedy"]  # type: ignore[index]  # a record
    assert description.skipped == {"dicom.not_dicom": 1}
    assert description.facts["refused"] == "series.several_stacks"


def test_the_text_is_a_table_and_the_json_one_document(tmp_path: Path) -> None:
    two_series(tmp_path)
    text = describe(tmp_path).to_text()
    assert "pick" in text
    assert "refused: geometry.missing_slice" in text
    assert "skipped: 1 of dicom.not_dicom" in text
    document = json.loads(json.dumps(describe(tmp_path).to_json()))
    assert [stack["number"] for stack in document["stacks"]] == [1, 2]


def test_a_broken_slice_is_counted_and_the_rest_is_listed(tmp_path: Path) -> None:
    two_series(tmp_path)
    path = tmp_path / "a" / "001.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    description = describe(tmp_path)
    assert description.facts["refused"] == "pixel.truncated"
    assert description.skipped == {"dicom.not_dicom": 1, "pixel.truncated": 1}
    assert [row["slices"] for row in description.stacks] == [3, 3]


def test_what_is_picked_is_described(tmp_path: Path) -> None:
    two_series(tmp_path)
    facts = describe(tmp_path, pick="1").facts
    assert facts["shape"] == [20, 16, 4]
    assert facts["modality"] == "CT (header)"


def test_one_series_needs_no_table(tmp_path: Path) -> None:
    series(tmp_path / "scan", 3)
    text = describe(tmp_path / "scan").to_text()
    assert "pick" not in text
    assert "0.5 x 0.75 x 2.5" in text


def test_nifti_and_refusals_are_facts(t1_head: Path, tmp_path: Path) -> None:
    assert describe(t1_head).facts["format"] == "nifti"
    assert "stacks" not in describe(t1_head).to_json()
    (tmp_path / "a.nii").write_bytes(b"x" * 600)
    assert describe(tmp_path / "a.nii").facts["refused"] == "nifti.not_nifti"
    assert describe(tmp_path / "none").facts["refused"] == "io.not_found"


def test_an_index_alone_is_no_scan(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(b"x" * 200)
    assert describe(tmp_path / "DICOMDIR").facts["refused"] == "skip.dicomdir"


@pytest.mark.parametrize(
    ("limit", "value", "code"), [("MAX_FILES", "2", "io.too_many"), ("MAX_UPLOAD_BYTES", "100", "io.too_large")]
)
def test_inputs_over_their_limits_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: str, code: str
) -> None:
    series(tmp_path, 3)
    monkeypatch.setenv(f"MEDSR_{limit}", value)
    settings.cache_clear()
    try:
        with pytest.raises(MedsrError) as caught:
            read(tmp_path)
    finally:
        settings.cache_clear()
    assert caught.value.code == code


def test_an_attribute_that_cannot_be_read_is_a_broken_object(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", image())
    raw = path.read_bytes()
    place = raw.index(b"\x28\x00\x10\x00US")
    path.write_bytes(raw[: place + 6] + b"\x03\x00" + raw[place + 8 : place + 10] + b"\0" + raw[place + 10 :])
    with pytest.raises(MedsrError) as caught:
        read(path)
    assert caught.value.code == "dicom.broken"
