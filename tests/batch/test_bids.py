"""BIDS in, BIDS out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medsr.batch import run
from medsr.batch.bids import bids_items
from medsr.batch.run import Where, run_batch
from medsr.errors import UsageError
from medsr.release import decide_held, verify_file
from tests.batch.test_run import here


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    monkeypatch.setattr(run, "run_pool", here)


def test_the_anatomical_images_are_found_with_their_entities(dataset):
    items = bids_items(dataset)
    assert [item.name for item in sorted(items, key=lambda item: item.name)] == [
        "sub-01/anat/sub-01_T1w",
        "sub-02/ses-a/anat/sub-02_ses-a_T2w",
    ]
    assert {item.bids.restored_name for item in items} == {
        "sub-01_desc-restored_T1w", "sub-02_ses-a_desc-restored_T2w",
    }  # fmt: skip


def test_participants_choose_and_an_unknown_one_is_refused(dataset):
    assert [item.name for item in bids_items(dataset, ("sub-02",))] == ["sub-02/ses-a/anat/sub-02_ses-a_T2w"]
    with pytest.raises(UsageError) as caught:
        bids_items(dataset, ("77",))
    assert caught.value.code == "batch.participants"


def test_only_what_is_released_stands_in_the_dataset(dataset, options, tmp_path):
    output = tmp_path / "out"
    summary = run_batch(dataset, output, options, where=Where())
    for row in summary.rows:
        folder = output / Path(row.name).parent
        images = list(folder.glob("*.nii.gz")) if folder.is_dir() else []
        assert bool(images) == (row.word == "released")


def test_a_held_result_takes_its_place_after_a_readers_decision(dataset, options, tmp_path):
    from dataclasses import replace

    output, clinical = tmp_path / "out", replace(options, policy="clinical")
    first = run_batch(dataset, output, clinical, where=Where())
    row = next(row for row in first.rows if row.word == "review")
    assert not list((output / Path(row.name).parent).glob("*.nii.gz"))
    decide_held(output / row.output, reader="A", reason="compared", event="approve")
    run_batch(dataset, output, clinical, where=Where())
    placed = list((output / Path(row.name).parent).glob("*_desc-restored_*.nii.gz"))
    assert len(placed) == 1
    assert verify_file(placed[0])
    sidecar = json.loads(placed[0].with_name(placed[0].name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["SkullStripped"] is False
    assert sidecar["Sources"]


def _validator() -> str | None:
    beside = Path(sys.executable).with_name("bids-validator-deno")
    return str(beside) if beside.exists() else shutil.which("bids-validator-deno")


@pytest.mark.slow
@pytest.mark.peer
def test_the_derivative_passes_the_bids_validator(dataset, options, tmp_path):
    validator = _validator()
    if validator is None:
        pytest.skip("bids-validator-deno is not installed (extra peers)")
    output = tmp_path / "out"
    summary = run_batch(dataset, output, options, where=Where())
    for row in summary.rows:
        if row.word == "review":
            decide_held(output / row.output, reader="A", reason="compared", event="approve")
    run_batch(dataset, output, options, where=Where())
    ran = subprocess.run([validator, str(output), "--json"], capture_output=True, text=True, check=False)
    report = json.loads(ran.stdout)
    errors = [issue for issue in report["issues"]["issues"] if issue.get("severity") == "error"]
    assert errors == []
