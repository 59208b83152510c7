"""Which scans a run finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from support.dicom import series

from medsr.batch.find import find_items, of_shard, sha256_of
from medsr.errors import UsageError


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_gives_every_nifti_file_below_it_by_name(tmp_path: Path) -> None:
    _touch(tmp_path / "b.nii.gz", tmp_path / "a" / "c.nii", tmp_path / "notes.pdf", tmp_path / ".hidden" / "d.nii")
    assert [item.name for item in find_items(tmp_path, besides=tmp_path / "out")] == ["a/c", "b"]


def test_the_output_folder_inside_the_input_is_not_searched(tmp_path: Path) -> None:
    _touch(tmp_path / "b.nii.gz", tmp_path / "out" / "scans" / "b" / "b_restored.nii.gz")
    assert [item.name for item in find_items(tmp_path, besides=tmp_path / "out")] == ["b"]


def test_names_that_would_share_an_output_folder_are_kept_apart(tmp_path: Path) -> None:
    _touch(tmp_path / "b.nii.gz", tmp_path / "b.nii", tmp_path / "B.nii.gz")
    names = [item.name for item in find_items(tmp_path, besides=tmp_path / "out")]
    assert len({name.lower() for name in names}) == 3


def test_a_dicom_folder_is_one_scan_and_its_stacks_are_scans_of_their_own(tmp_path: Path) -> None:
    def other(index: int, data: Dataset) -> None:
        data.SeriesInstanceUID = "1.2.3.4.5"
        data.SOPInstanceUID = f"1.2.3.4.5.{index + 1}"
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID

    series(tmp_path / "one" / "series")
    series(tmp_path / "two" / "all")
    series(tmp_path / "two" / "all" / "more", change=other)
    names = [item.name for item in find_items(tmp_path, besides=tmp_path / "out")]
    assert names == ["one/series", "two/all/1", "two/all/2"]


def test_a_list_gives_its_paths_relative_to_itself(tmp_path: Path) -> None:
    _touch(tmp_path / "x" / "b.nii.gz")
    listing = tmp_path / "scans.txt"
    listing.write_text("# two scans\nx/b.nii.gz\n\nx/missing.nii.gz\n")
    items = find_items(listing, besides=tmp_path / "out")
    assert [item.name for item in items] == ["x/b", "x/missing"]
    assert Path(items[0].path).is_file()


def test_shards_share_the_scans_and_a_new_scan_moves_no_other(tmp_path: Path) -> None:
    _touch(*(tmp_path / f"{number}.nii" for number in range(40)))
    items = find_items(tmp_path, besides=tmp_path / "out")
    parts = [{item.name for item in of_shard(items, (number, 3))} for number in (1, 2, 3)]
    assert set.union(*parts) == {item.name for item in items}
    assert sum(map(len, parts)) == 40
    _touch(tmp_path / "zz.nii")
    again = {item.name for item in of_shard(find_items(tmp_path, besides=tmp_path / "out"), (1, 3))}
    assert parts[0] <= again


@pytest.mark.parametrize(
    ("make", "code"),
    [(Path.exists, "io.not_found"), (Path.mkdir, "batch.nothing")],
)
def test_nothing_to_do_is_said(tmp_path: Path, make: object, code: str) -> None:
    make(tmp_path / "scans")  # type: ignore[operator]  # a callable of the table above
    with pytest.raises(UsageError) as caught:
        find_items(tmp_path / "scans", besides=tmp_path / "out")
    assert caught.value.code == code


def test_participants_of_a_folder_that_is_no_dataset_are_refused(tmp_path: Path) -> None:
    _touch(tmp_path / "b.nii")
    with pytest.raises(UsageError) as caught:
        find_items(tmp_path, besides=tmp_path / "out", participants=("01",))
    assert caught.value.code == "batch.participants"


def test_the_hash_of_a_folder_follows_names_and_bytes(tmp_path: Path) -> None:
    _touch(tmp_path / "a" / "1", tmp_path / "a" / "2", tmp_path / "b" / "1", tmp_path / "b" / "3")
    assert sha256_of(tmp_path / "a") != sha256_of(tmp_path / "b")
    (tmp_path / "b" / "3").rename(tmp_path / "b" / "2")
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")
