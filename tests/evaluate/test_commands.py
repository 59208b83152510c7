"""The command from folder to Markdown, JSON and figure; taking up again; tuning."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.evaluate_rows import row
from support.volumes import mr_volume

from medsr.errors import UsageError
from medsr.evaluate.cases import cases_of, cropped
from medsr.evaluate.commands import EvaluateRequest, earlier_run, evaluate_files, tune_file
from medsr.evaluate.evaluate import EvaluationRequest
from medsr.evaluate.levels import levels_named
from medsr.evaluate.methods import MethodChoice
from medsr.evaluate.peers.peer import Setting
from medsr.evaluate.scans import EvaluationScan
from medsr.models.bundle import find_bundle


@pytest.fixture
def folder(tmp_path: Path, t1_head: Path) -> Path:
    """A folder with a part of a real slab and one file that is no scan."""
    scans = tmp_path / "scans"
    scans.mkdir()
    image = nibabel.load(t1_head)
    part = np.asarray(image.dataobj)[50:122, 90:154, 3:10]
    nibabel.save(nibabel.Nifti1Image(part, image.affine, image.header), scans / "t1_head.nii.gz")
    (scans / "broken.nii.gz").write_bytes(b"no scan")
    return scans


@pytest.mark.slow
def test_a_folder_becomes_a_table_a_document_and_a_figure(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.md"
    request = EvaluateRequest((folder,), output, levels=("MR denoise 5", "MR x2"), slices=1)
    text, record = evaluate_files(request, log=[].append)
    assert output.read_text() == text
    assert json.loads(output.with_suffix(".json").read_bytes())["rows"] == record["rows"]
    assert output.with_suffix(".svg").read_bytes().startswith(b"<?xml")
    assert "| MR denoise 5 % | mr-inplane | 1 of 1 scans |" in text
    assert "| MR x2 | mr-inplane | 1 of 1 scans |" in text
    assert "broken.nii.gz (nifti.not_nifti)" in text


@pytest.mark.slow
def test_a_run_is_taken_up_again_without_running_anything_twice(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.md"
    first = EvaluateRequest((folder,), output, levels=("MR x2",), slices=1, peers="none")
    evaluate_files(first, log=[].append)
    said: list[str] = []
    again = EvaluateRequest((folder,), output, levels=("MR x",), slices=1, peers="none", resume=True)
    _, record = evaluate_files(again, log=said.append)
    assert not any(line.startswith("t1_head, MR x2") for line in said)
    assert {row["level"] for row in record["rows"]} == {"MR x2", "MR x4"}


def test_rows_of_another_bundle_or_another_setting_are_run_again(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    tuned = {("MR denoise 3 %", "TV"): Setting(0.5, corrected=True)}
    wanted = EvaluationRequest((tmp_path,), MethodChoice("none", best_nlm=False, settings=tuned), slices=2)
    assert earlier_run(path, wanted).rows == {}
    installed = find_bundle("MR", task="denoise").sha256[:12]
    for method, bundle, setting, kept in (
        ("net", installed, "", 1),
        ("net", "other", "", 0),
        ("TV", "", "0.5, Rician-corrected", 1),
        ("TV", "", "0.7, Rician-corrected", 0),
        ("BM4D", "", "1, untuned", 1),
        ("BM4D", "", "1", 0),
    ):
        entry = asdict(replace(row("a", "a", method, 30, bundle=bundle), setting=setting))
        path.write_text(json.dumps({"rows": [entry]}))
        assert len(earlier_run(path, wanted).rows) == kept, (method, bundle, setting)


def test_settings_are_written_as_toml_alone(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        tune_file(EvaluateRequest((folder,), tmp_path / "peers.json"), log=[].append)
    assert error.value.code == "evaluate.tune"


@pytest.mark.slow
def test_tuning_writes_a_setting_for_every_free_peer(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "peers.toml"
    text = tune_file(EvaluateRequest((folder,), output, levels=("MR denoise 9",), slices=1), log=[].append)
    assert output.read_text() == text
    for peer in ("NLM 3-D", "TV", "wavelet"):
        assert f'[levels."MR denoise 9 %"."{peer}"]' in text


def test_a_cropped_case_keeps_its_noise_and_its_operator() -> None:
    scan = EvaluationScan("scan", "someone", "domain", "unseen", mr_volume((96, 80, 5)))
    case = next(cases_of(scan, levels_named(("MR denoise 9",)), slices=1))
    small = cropped(case, 48)
    assert small.reference.geometry.shape == small.degraded.geometry.shape == (48, 48, 5)
    assert small.operator.noise == case.operator.noise
    assert small.operator.linear.fine_shape == (48, 48, 5)
    place = (slice(24, 72), slice(16, 64))
    offset = (small.degraded.values - small.reference.values).std()
    assert offset == pytest.approx((case.degraded.values - case.reference.values)[place].std(), rel=0.05)
