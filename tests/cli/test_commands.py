"""Commands as a user runs them: exit codes, messages, files."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from support.files import save_nifti
from support.volumes import mr_volume


@pytest.fixture
def scan(tmp_path):
    return save_nifti(mr_volume((64, 56, 6), seed=3), tmp_path / "scan.nii.gz")


@pytest.fixture
def noisy(medsr, scan, tmp_path):
    ran = medsr("degrade", scan, "-o", tmp_path / "low.nii.gz", "--noise", "5%", "--seed", 7)
    assert ran.code == 0
    return tmp_path / "low.nii.gz"


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_degrade_writes_the_operator_beside_the_scan(noisy):
    record = json.loads(noisy.with_name("low.json").read_bytes())
    assert record["schema"] == "medsr.operator/1"
    assert record["operator"]["kind"] == "identity"
    assert record["operator"]["noise"]["model"] == "magnitude"
    assert record["seed"] == 7


def test_the_same_seed_gives_the_same_bytes(medsr, scan, tmp_path):
    for name in ("a", "b"):
        medsr("degrade", scan, "-o", tmp_path / f"{name}.nii.gz", "--noise", "5%", "--seed", 7)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    medsr("degrade", scan, "-o", tmp_path / "c.nii.gz", "--noise", "5%", "--seed", 8)
    assert (tmp_path / "a.nii.gz").read_bytes() != (tmp_path / "c.nii.gz").read_bytes()


def test_restore_under_the_clinical_policy_is_held_until_a_reader_lets_it_out(medsr, noisy, tmp_path):
    out = tmp_path / "out"
    ran = medsr("restore", noisy, "-o", out, "--policy", "clinical", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["word"]) == (3, "review")
    assert "uncalibrated" in document["reasons"]
    assert "held/low_restored.nii.gz" in files(out)
    held = (out / "held" / "low_restored.nii.gz").read_bytes()
    ran = medsr("release", out, "--reader", "A. Reader", "--reason", "compared with the input")
    assert ran.code == 0
    assert (out / "low_restored.nii.gz").read_bytes() == held
    assert medsr("verify", out / "low_restored.nii.gz").code == 0


def test_a_flipped_byte_in_a_result_is_found_by_verify(medsr, noisy, tmp_path):
    medsr("restore", noisy, "-o", tmp_path / "out", "--policy", "clinical", "--quiet")
    path = tmp_path / "out" / "held" / "low_restored.nii.gz"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    ran = medsr("verify", path)
    assert ran.code == 4
    assert "[record.hash]" in ran.err


def test_a_restored_image_keeps_geometry_and_is_closer_to_the_truth(medsr, scan, noisy, tmp_path):
    medsr("restore", noisy, "-o", tmp_path / "out", "--policy", "clinical")
    restored = nibabel.load(tmp_path / "out" / "held" / "low_restored.nii.gz")
    truth, low = nibabel.load(scan), nibabel.load(noisy)
    assert np.array_equal(restored.affine, low.affine)
    errors = [np.std(image.get_fdata() - truth.get_fdata()) for image in (restored, low)]
    assert errors[0] < 0.8 * errors[1]


def test_superres_doubles_the_matrix_and_keeps_the_field_of_view(medsr, t1_head, tmp_path):
    medsr("degrade", t1_head, "-o", tmp_path / "low.nii.gz", "--task", "superres", "--scale", 2)
    ran = medsr("restore", tmp_path / "low.nii.gz", "-o", tmp_path / "out", "--task", "superres", "--scale", 2)
    assert ran.code in (0, 3)
    image, truth = nibabel.load(next((tmp_path / "out").rglob("low_restored.nii.gz"))), nibabel.load(t1_head)
    assert image.shape == truth.shape
    assert np.allclose(image.affine, truth.affine, atol=1e-4)


def test_progress_and_messages_go_to_stderr_and_results_to_stdout(medsr, noisy, tmp_path):
    ran = medsr("restore", noisy, "-o", tmp_path / "out")
    assert ran.out == ""
    assert "restoring: 6/6" in ran.err
    quiet = medsr("restore", noisy, "-o", tmp_path / "out2", "--quiet")
    assert (quiet.out, quiet.err) == ("", "")


def test_validate_reports_and_writes_no_image(medsr, scan, noisy, tmp_path):
    ran = medsr("validate", noisy, scan, "-o", tmp_path / "judged", "--json")
    assert ran.code in (3, 4)
    assert files(tmp_path / "judged") == ["report.html", "report.json"]
    assert json.loads(ran.out)["word"] in ("review", "rejected")


def test_demo_json_is_one_document_and_its_exit_code_is_0(medsr, scan, tmp_path):
    ran = medsr("demo", "--scan", scan, "-o", tmp_path / "demo", "--json")
    document = json.loads(ran.out)
    assert ran.code == 0
    assert len(document["cases"]) == 4
    assert "[record.hash]" in document["flipped_byte"] or not any(c["word"] == "released" for c in document["cases"])
    assert (tmp_path / "demo" / "index.html").is_file()
    assert all((tmp_path / "demo").joinpath(case["report"]).exists() for case in document["cases"])


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["restore", "absent.nii.gz", "-o", "OUT"], 2, "io.not_found"),
        (["restore", "SCAN", "-o", "OUT", "--policy", "lenient"], 2, "policy.unknown"),
        (["restore", "SCAN", "-o", "OUT", "--task", "superres"], 2, "restore.scale"),
        (["restore", "SCAN", "-o", "OUT", "--task", "superres", "--scale", "9"], 2, "restore.scale"),
        (["restore", "SCAN", "-o", "OUT", "--noise", "much"], 2, "restore.noise"),
        (["restore", "SCAN", "-o", "OUT", "--device", "cuda"], 2, "engine.no_cuda"),
        (["degrade", "SCAN", "-o", "OUT.nii.gz", "--dose", "0.5"], 2, "degrade.parameter"),
        (["degrade", "SCAN", "-o", "OUT.png", "--noise", "5%"], 2, "degrade.parameter"),
        (["degrade", "SCAN", "-o", "OUT.nii.gz"], 2, "degrade.parameter"),
        (["release", "EMPTY", "--reader", "A", "--reason", "B"], 2, "release.none"),
        (["models", "show", "absent"], 2, "bundle.unknown"),
        (["train", "absent", "--data", "EMPTY", "-o", "OUT"], 2, "train.recipe"),
    ],
)
def test_a_wrong_request_is_one_error_with_a_remedy_and_writes_nothing(medsr, scan, tmp_path, arguments, code, reason):
    (tmp_path / "empty").mkdir()
    places = {"SCAN": scan, "EMPTY": tmp_path / "empty", "OUT": tmp_path / "out"}
    ran = medsr(*[places.get(item, str(tmp_path / item) if item.startswith("OUT.") else item) for item in arguments])
    lines = ran.err.strip().splitlines()
    assert (ran.code, ran.out) == (code, "")
    assert f"[{reason}]" in lines[0]
    assert lines[1].startswith("remedy: ")
    assert len(lines) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "scan.nii.gz"]


def test_an_output_folder_with_other_things_is_never_touched(medsr, noisy, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    ran = medsr("restore", noisy, "-o", tmp_path / "mine", "--overwrite")
    assert ran.code == 2
    assert "[output.not_empty]" in ran.err
    assert files(tmp_path / "mine") == ["notes.txt"]


def test_an_internal_error_is_one_line_and_code_1(medsr, scan, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("medsr.io.describe", broken)
    ran = medsr("info", scan)
    assert ran.code == 1
    assert ran.err.startswith("internal error: ZeroDivisionError")
    assert "Traceback" not in ran.err


def test_an_interrupt_is_code_130(medsr, scan, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medsr.io.describe", interrupted)
    assert medsr("info", scan).code == 130


def test_models_are_listed_shown_and_verified(medsr):
    names = {record["name"] for record in json.loads(medsr("models", "list", "--json").out)["bundles"]}
    assert {"mr-inplane", "ct-inplane"} <= names
    assert "## Training" in medsr("models", "show", "mr-inplane").out
    assert medsr("models", "verify").code == 0
