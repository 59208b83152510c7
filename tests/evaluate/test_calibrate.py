"""`medsr calibrate` on pieces of the demo head: guards, resuming, and the record that comes out."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from medsr.errors import UsageError
from medsr.evaluate import calibrate as walker
from medsr.evaluate.calibrate import CalibrationRequest, calibrate
from medsr.evaluate.calibration_plan import (
    CALIBRATION_LEVELS,
    levels_of,
    members_of,
    one_of_each,
    request_for,
    sites_of,
)
from medsr.evaluate.calibration_subject import entries_of
from medsr.models.bundle import find_bundle
from medsr.restore.request import RestoreRequest
from medsr.validation.calibration_record import read_record
from medsr.validation.policy import load_policy
from medsr.validation.strata import NOISE_CLASSES

LEVEL = "MR denoise mid"


def silent(line: str) -> None:
    """A log that nobody reads."""


@pytest.fixture
def folds(tmp_path, t1_head):
    """Fold A of two and fold B of two subjects: slabs of the demo head at 1.5 mm."""
    whole = nib.load(t1_head)
    values = np.asarray(whole.dataobj)
    affine = whole.affine @ np.diag([1.5, 1.5, 1.5, 1.0])
    pieces = {"a/one": (0, 5), "a/two": (5, 10), "b/three": (3, 8), "b/four": (6, 11)}
    for name, (first, last) in pieces.items():
        path = tmp_path / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(values[:, :, first : min(last, values.shape[2])], affine), path)
    return tmp_path / "a", tmp_path / "b"


def request(folds, output, **changes) -> CalibrationRequest:
    """Calibrate one level, fp32."""
    fold_a, fold_b = folds
    options = {"levels": (LEVEL,), "precision": "fp32", **changes}
    return CalibrationRequest((fold_b,), (fold_a,), output, **options)


@pytest.mark.slow
def test_two_subjects_make_a_record_that_promises_nothing_and_is_used_once(folds, tmp_path):
    """A record with its binding, folds and n; no certificate; and fold B is spent."""
    output = tmp_path / "records"
    lines: list[str] = []
    (found,) = calibrate(request(folds, output), log=lines.append)
    assert found.record is not None
    assert found.record.refusal == "calibration.few"
    record = read_record(output / found.name)
    assert record.binding.precision == "fp32"
    assert record.binding.stratum.noise == "mid"
    assert set(record.folds["B"]) == {"three.nii.gz", "four.nii.gz"}
    assert set(record.policies) == {"clinical", "research"}
    assert len(record.subjects) == 2
    assert not list(output.rglob("unfinished"))
    with pytest.raises(UsageError) as error:
        calibrate(request(folds, output), log=lines.append)
    assert error.value.code == "calibration.used"


@pytest.mark.slow
def test_an_interrupted_calibration_goes_on_where_it_stopped(folds, tmp_path, monkeypatch):
    """What was judged is not restored again, and the record holds everyone."""
    output = tmp_path / "records"
    seen: list[str] = []

    def stopping(fold, member, *args, **options):
        seen.append(member.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return entries_of(fold, member, *args, **options)

    monkeypatch.setattr(walker, "entries_of", stopping)
    with pytest.raises(KeyboardInterrupt):
        calibrate(request(folds, output), log=silent)
    again: list[str] = []

    def counting(fold, member, *args, **options):
        again.append(member.name)
        return entries_of(fold, member, *args, **options)

    monkeypatch.setattr(walker, "entries_of", counting)
    (found,) = calibrate(request(folds, output), log=silent)
    assert len(again) == 2
    assert again[0] == seen[2]
    assert found.record is not None
    assert len(found.record.subjects) == 2


def test_folds_that_share_a_subject_are_refused(folds, tmp_path):
    """Fold A as fold B: nobody vouches for whom he was fitted on."""
    with pytest.raises(UsageError) as error:
        calibrate(request((folds[0], folds[0]), tmp_path / "records"), log=silent)
    assert error.value.code == "calibration.folds"


def test_a_subject_held_out_by_the_recipe_belongs_to_no_fold_b(folds, tmp_path):
    """The training knew it: it chose the weights."""
    place = folds[1] / "three.nii.gz"
    (folds[1] / "files.csv").write_text("file,subject\nthree.nii.gz,ds0011_14\n")
    assert place.is_file()
    with pytest.raises(UsageError) as error:
        calibrate(request(folds, tmp_path / "records"), log=silent)
    assert error.value.code == "calibration.folds"


def test_a_level_that_is_none_is_refused():
    """With the names of those that are."""
    with pytest.raises(UsageError, match="MR denoise low"):
        levels_of(("MR denoise 5",))
    assert {level.task for level in levels_of((), task="superres")} == {"superres"}


def test_the_noise_of_a_subject_lies_within_its_class():
    """Whatever the id: the stratum that it is counted in is the one it was degraded for."""
    for level in CALIBRATION_LEVELS:
        for number in range(50):
            made = request_for(level, f"s{number}")
            assert made == request_for(level, f"s{number}")
            if level.noise and level.modality == "MR":
                assert level.noise.low < float(str(made.noise).removesuffix("%")) / 100 < level.noise.high
            elif level.noise:
                assert level.noise.low < made.dose < level.noise.high
    assert len({request_for(CALIBRATION_LEVELS[0], f"s{number}").noise for number in range(50)}) == 50
    assert all(item.low < item.high for classes in NOISE_CLASSES.values() for item in classes)


def test_one_file_a_subject_counts(folds):
    """Two visits are one subject, and the scanners are counted by subject."""
    (folds[1] / "files.csv").write_text(
        "file,subject,scanner\nthree.nii.gz,same,Swoop\nfour.nii.gz,same,Swoop\n", encoding="utf-8"
    )
    members = members_of(folds[1])
    assert len(members) == 2
    chosen = one_of_each(members)
    assert len(chosen) == 1
    assert sites_of(chosen) == "1 Swoop"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MR denoise low", "MR x2"])
def test_a_planted_lesion_scores_higher_than_its_clean_twin(folds, name):
    """One subject: its lesion is held by a channel, its clean twin is not, and both lie in one stratum."""
    level = next(item for item in CALIBRATION_LEVELS if item.name == name)
    member = members_of(folds[1])[0]
    ((entry, binding),) = entries_of(
        "B", member, level, options=RestoreRequest(level.task, scale=level.scale, precision="fp32", threads=1),
        bundle=find_bundle("MR", task=level.task), policies=[load_policy("research")], stated=True,
    )  # fmt: skip
    assert binding is not None
    assert binding.name == entry.record
    assert entry.lesion["dprime"] >= 8
    assert entry.planted.values["R4"] > entry.clean.values["R4"] + 1
