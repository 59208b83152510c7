"""The functions of ``import medsr`` and the walk behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.volumes import ct_volume, mr_volume

import medsr
from medsr.errors import UsageError
from medsr.physics.lesions import contrast_for, disc_at
from medsr.pipeline import walk
from medsr.pipeline.walk import judge_restoration, restore_volume, validate_volume
from medsr.restore.request import RestoreRequest


@pytest.fixture(autouse=True)
def _own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def noisy():
    return medsr.degrade(mr_volume((96, 88, 5), seed=1), "denoise", noise="5%", seed=7)


@pytest.fixture(scope="module")
def restored(noisy):
    return medsr.restore(noisy, "denoise")


def test_read_degrade_restore_save(t1_head, tmp_path):
    scan = medsr.read(t1_head)
    part = replace(
        scan, values=scan.values[:, :, :3], geometry=scan.geometry.slices(0, 3),
        padding=None if scan.padding is None else scan.padding[:, :, :3],
    )  # fmt: skip
    low = medsr.degrade(part, "superres", scale=2, noise="2%", seed=7)
    result = medsr.restore(low, "superres", scale=2)
    assert result.image.geometry.matches(part.geometry, tolerance_mm=1e-3)
    assert result.save(tmp_path / "out").word == result.verdict.word
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_restored_image_says_that_it_is_not_the_scan(restored):
    assert restored.image.source.format == "memory"
    assert restored.image.notes[0] == f"gate: {restored.verdict.word}"


def test_a_planted_lesion_is_a_finding_at_its_place_and_a_clean_twin_has_none_there(restored):
    sigma = restored.restoration.noise.sigma
    lesion = contrast_for(12, 8, sigma=sigma) * disc_at((96, 88), (48, 44), 8)
    image = restored.restoration.image.copy(order="F")
    image[:, :, 2] += lesion
    changed = judge_restoration(replace(restored.restoration, image=image, estimate=image))

    def at_place(result):
        return [
            item for item in result.judgement.findings
            if item.type == "added" and all(
                low - 6 <= at <= high + 6
                for at, low, high in zip((48, 44, 2), item.box_voxel[0], item.box_voxel[1], strict=True)
            )
        ]  # fmt: skip

    assert at_place(changed)
    assert not at_place(restored)
    assert changed.verdict.word in ("review", "rejected")


def test_a_strangers_candidate_without_its_estimate_is_never_released(noisy, restored):
    judged = validate_volume(noisy, restored.image)
    assert judged.verdict.word in ("review", "rejected")
    assert judged.stored is None
    assert medsr.validate(noisy, restored.image).pixels_sha256 == judged.judgement.pixels_sha256


@pytest.mark.parametrize("shape", [(48, 44, 5), (96, 88, 4), (97, 88, 5)])
def test_a_candidate_on_a_grid_that_no_operator_reaches_is_said(noisy, shape):
    with pytest.raises(UsageError) as caught:
        validate_volume(noisy, mr_volume(shape))
    assert caught.value.code == "validate.grid"


def test_a_candidate_that_lies_elsewhere_is_said(noisy, restored):
    affine = noisy.geometry.world_from_voxel.copy()
    affine[0, 3] += 1.0
    moved = replace(restored.image, geometry=replace(noisy.geometry, world_from_voxel=affine))
    with pytest.raises(UsageError) as caught:
        validate_volume(noisy, moved)
    assert caught.value.code == "validate.grid"


def test_m13_an_exception_in_a_channel_blocks_and_writes_no_image(noisy, tmp_path, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise FloatingPointError("made")

    monkeypatch.setattr("medsr.validation.judge._judge", broken)
    result = restore_volume(noisy, RestoreRequest("denoise"))
    assert result.verdict.word == "blocked"
    result.save(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "report.json"]


def test_what_is_judged_is_what_is_written(monkeypatch):
    """Rounding to int16 comes before judging, so that the hash binds the values in the file."""
    seen = []
    judge = walk.judge
    monkeypatch.setattr(walk, "judge", lambda made, **options: seen.append(made.image) or judge(made, **options))
    scan = ct_volume((96, 96, 2), sigma=20)
    whole = replace(scan, values=np.rint(scan.values), source=replace(scan.source, integer=True))
    result = medsr.restore(whole, "denoise", noise=20.0)
    assert result.stored is not None
    assert np.array_equal(seen[0], np.rint(seen[0]))
    assert np.array_equal(result.stored.values, seen[0])


def test_ct_dose_and_mr_noise_are_not_mixed_up():
    with pytest.raises(UsageError):
        medsr.degrade(mr_volume(), "denoise", dose=0.5)
    with pytest.raises(UsageError):
        medsr.degrade(ct_volume(), "denoise", noise="5%")
