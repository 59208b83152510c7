"""Publication: all of a result or nothing, and only what was judged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from support import results

from medsr.errors import IntegrityError, UsageError
from medsr.release import Release, advance, publication

MADE = results.restoration()
SAME = object()


@pytest.fixture(autouse=True)
def _own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def published(output, *, rules=None, made=MADE, stored=SAME, verdict=None, overwrite=False, **changes):
    rules = rules or results.policy()
    judged = results.judgement(made, **changes)
    return advance(
        made, judged, verdict or results.verdict(made, judged, rules), policy=rules,
        stored=results.stored_of(made) if stored is SAME else stored, rendered=results.RENDERED, output=output,
        overwrite=overwrite,
    )  # fmt: skip


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_released_result_lies_open_with_its_record(tmp_path):
    made = published(tmp_path / "out")
    wanted = ["made_restored.json", "made_restored.medsr.json", "made_restored.nii.gz", "report.html", "report.json"]
    assert names(tmp_path / "out") == wanted
    assert (made.word, [name for name, _ in made.files]) == ("released", wanted)
    image = nibabel.load(tmp_path / "out" / "made_restored.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), MADE.image)
    assert np.allclose(image.affine, MADE.geometry.world_from_voxel, atol=1e-5)


def test_a_result_for_review_lies_in_held(tmp_path):
    made = published(tmp_path / "out", rules=results.policy(waive=False))
    assert made.word == "review"
    assert [name for name in names(tmp_path / "out") if not name.startswith("held/")] == ["report.html", "report.json"]
    assert "held/made_restored.nii.gz" in names(tmp_path / "out")


@pytest.mark.parametrize("changes", [{"findings": (results.finding(dprime=20.0),)}, {"error": "KeyError"}])
def test_rejected_and_blocked_results_keep_the_report_only(tmp_path, changes):
    assert published(tmp_path / "out", **changes).word in ("rejected", "blocked")
    assert names(tmp_path / "out") == ["report.html", "report.json"]


def test_of_a_strangers_candidate_only_reports_are_written(tmp_path):
    published(tmp_path / "out", stored=None)
    assert names(tmp_path / "out") == ["report.html", "report.json"]


def test_m16_a_verdict_that_the_policy_does_not_give_is_not_published(tmp_path):
    rules = results.policy(waive=False)
    judged = results.judgement(MADE)
    better = replace(results.verdict(MADE, judged, rules), word="released")
    with pytest.raises(IntegrityError) as caught:
        published(tmp_path / "out", rules=rules, verdict=better)
    assert caught.value.code == "release.verdict"
    assert not (tmp_path / "out").exists()


def test_m16_a_policy_edited_after_judging_is_noticed(tmp_path):
    judged = results.judgement(MADE, findings=(results.finding(dprime=20.0),))
    strict, lenient = results.policy(), replace(results.policy(strong=99), sha256="c" * 64)
    with pytest.raises(IntegrityError):
        advance(
            MADE, judged, results.verdict(MADE, judged, strict), policy=lenient, stored=results.stored_of(MADE),
            rendered=results.RENDERED, output=tmp_path / "out",
        )  # fmt: skip


def test_swapped_pixels_are_not_published(tmp_path):
    other = MADE.image.copy(order="F")
    other[30, 30, 3] += 1
    for stored in (replace(results.stored_of(MADE), values=other), SAME):
        made = MADE if stored is not SAME else replace(MADE, image=other)
        judged = results.judgement(MADE)
        rules = results.policy()
        with pytest.raises(IntegrityError) as caught:
            advance(
                made, judged, results.verdict(MADE, judged, rules), policy=rules,
                stored=results.stored_of(made) if stored is SAME else stored, rendered=results.RENDERED,
                output=tmp_path / "out",
            )  # fmt: skip
        assert caught.value.code == "release.hash"
        assert not (tmp_path / "out").exists()


def test_a_release_cannot_be_made_elsewhere(tmp_path):
    with pytest.raises(IntegrityError) as caught:
        Release("released", (), tmp_path, (), "0" * 64, "0" * 64)
    assert caught.value.code == "release.forged"


def test_a_failing_write_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publication, "write_nifti", broken)
    with pytest.raises(OSError, match="No space"):
        published(tmp_path / "out")
    assert [path for path in tmp_path.iterdir() if path.name != "config"] == []


def test_a_kill_while_writing_leaves_no_output(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        import medsr.release.publication as module
        from support import results
        made = results.restoration()
        judged, rules = results.judgement(made), results.policy()
        module._publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        module.advance(made, judged, results.verdict(made, judged, rules), policy=rules,
                       stored=results.stored_of(made), rendered=results.RENDERED, output=Path(sys.argv[1]))
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "out"], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()


def test_what_medsr_did_not_write_is_never_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(UsageError) as caught:
            published(tmp_path / "out", overwrite=overwrite)
        assert caught.value.code == "output.not_empty"
    assert (tmp_path / "out" / "thesis.docx").read_text() == "years of work"


def test_an_earlier_result_is_replaced_only_when_asked(tmp_path):
    published(tmp_path / "out", findings=(results.finding(dprime=20.0),))
    with pytest.raises(UsageError) as caught:
        published(tmp_path / "out")
    assert caught.value.code == "output.exists"
    assert published(tmp_path / "out", overwrite=True).word == "released"
    assert "made_restored.nii.gz" in names(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_file_is_no_output_folder(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError) as caught:
        published(tmp_path / "out")
    assert caught.value.code == "output.not_folder"


def test_the_record_names_what_was_judged(tmp_path):
    published(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "made_restored.medsr.json").read_bytes())
    assert record["gate"]["label"] == "UNVERIFIED"
    assert set(record["files"]) == {"made_restored.nii.gz", "made_restored.json"}
    assert set(record["reports"]) == {"report.json", "report.html"}
