"""The bytes of a derived series are a function of what is written: a second run, another machine, the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.derived import FACTS, scan, written

from medsr.io import read
from medsr.io.write.dicom.uids import uid

GOLDEN = "13ff72d63225e6fa"
"""First characters of the SHA-256 over the digests of a made series' files: changes only with what is written."""


def digests(folder: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("compress", [False, True])
def test_a_second_run_writes_the_same_bytes(tmp_path: Path, compress: bool) -> None:
    facts = replace(FACTS, compress=compress)
    for name in ("one", "two"):
        written(tmp_path / name, scan(tmp_path / "in"), facts=facts)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_bytes_are_those_of_the_last_release(tmp_path: Path) -> None:
    written(tmp_path / "out", scan(tmp_path / "in"))
    whole = hashlib.sha256("".join(digests(tmp_path / "out")).encode()).hexdigest()
    assert whole.startswith(GOLDEN)


def test_compressed_is_jpeg_ls_and_reads_the_same(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    files, stored = written(tmp_path / "out", volume, facts=replace(FACTS, compress=True))
    assert files[0].file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    assert np.array_equal(read(tmp_path / "out").values, stored.values)


@pytest.mark.parametrize(
    "change",
    [{"description": "x"}, {"label": ""}, {"version": "0.2"}, {"weights_sha256": "cd" * 32},
     {"configuration": {"seed": "1"}}, {"task": "superres"}],
)  # fmt: skip
def test_other_words_are_another_series(tmp_path: Path, change: dict[str, object]) -> None:
    volume = scan(tmp_path / "in")
    first = written(tmp_path / "one", volume)[0][0]
    second = written(tmp_path / "two", volume, facts=replace(FACTS, **change))[0][0]
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_other_pixels_are_another_series(tmp_path: Path) -> None:
    volume = scan(tmp_path / "in")
    first = written(tmp_path / "one", volume)[0][0]
    image = np.array(volume.values)
    image[3, 3, 3] += 1
    second = written(tmp_path / "two", volume, image=image)[0][0]
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_uids_are_valid_version_8_uuids() -> None:
    import uuid

    made = uuid.UUID(int=int(uid("a", "b").removeprefix("2.25.")))
    assert made.version == 8
    assert made.variant == uuid.RFC_4122
    assert uid("a", "b") != uid("ab")
