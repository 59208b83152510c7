"""Folders of small scans, and a key of the tests' own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.files import save_nifti
from support.volumes import mr_volume

from medsr.batch.item import BatchOptions
from medsr.restore.request import RestoreRequest

SHAPE = (32, 32, 4)


@pytest.fixture(autouse=True)
def own_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two MR scans and a broken file."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in (1, 2):
        save_nifti(mr_volume(SHAPE, sigma=30, seed=number), folder / f"scan{number}.nii.gz")
    (folder / "broken.nii.gz").write_bytes(b"junk")
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A BIDS dataset of two subjects, one with a T1w in a session."""
    root = tmp_path / "dataset"
    for place, seed in (("sub-01/anat/sub-01_T1w", 1), ("sub-02/ses-a/anat/sub-02_ses-a_T2w", 2)):
        path = root / f"{place}.nii.gz"
        path.parent.mkdir(parents=True)
        save_nifti(mr_volume(SHAPE, sigma=30, seed=seed), path)
    record = {"Name": "made", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (root / "dataset_description.json").write_text(json.dumps(record))
    (root / "README").write_text("made by code\n")
    return root


@pytest.fixture
def options() -> BatchOptions:
    return BatchOptions(RestoreRequest("denoise", noise=30.0, precision="fp32", threads=1))
