"""Cases: seeds, slabs, and references without interpolated frequencies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.volumes import ct_volume, mr_volume

from medsr.errors import UsageError
from medsr.evaluate.cases import cases_of, real_pair, seed_of, stack_of, supported
from medsr.evaluate.levels import LEVELS, levels_named
from medsr.evaluate.scans import EvaluationScan, read_folder
from medsr.physics import KSpaceTruncation, ProjectionNoise
from medsr.physics.support import spectral_edges
from medsr.volume import Geometry, Volume


def _scan(volume: Volume, subject: str = "someone") -> EvaluationScan:
    return EvaluationScan("scan", subject, "domain", "unseen", volume)


def test_the_seed_depends_on_subject_and_level_alone() -> None:
    assert seed_of("a", "MR x2") == seed_of("a", "MR x2")
    assert len({seed_of(subject, level) for subject in "ab" for level in ("MR x2", "MR x4")}) == 4


def test_a_case_is_the_same_in_every_run() -> None:
    level = levels_named(("MR denoise 5",))
    first, second = (next(cases_of(_scan(mr_volume()), level, slices=2)) for _ in range(2))
    np.testing.assert_array_equal(first.degraded.values, second.degraded.values)


def test_only_levels_of_the_modality_are_made() -> None:
    cases = list(cases_of(_scan(ct_volume()), LEVELS, slices=2))
    assert cases
    assert all(case.level.modality == "CT" for case in cases)


def test_judged_slices_have_context_where_the_scan_has_it() -> None:
    level = levels_named(("MR denoise 3",))
    case = next(cases_of(_scan(mr_volume((64, 56, 12))), level, slices=4))
    assert case.reference.geometry.shape[2] == 8
    assert case.judged == (2, 3, 4, 5)
    single = next(cases_of(_scan(mr_volume((64, 56, 1))), level, slices=4))
    assert single.judged == (0,)


def test_lost_slices_that_are_judged_lie_between_known_ones() -> None:
    case = next(cases_of(_scan(mr_volume((48, 40, 20))), levels_named(("MR gaps",)), slices=3))
    kept = set(case.operator.linear.parameters()["kept"])
    assert len(case.judged) == 3
    for index in case.judged:
        assert index not in kept
        assert {index - 1, index + 1, index - 3, index + 3} <= kept


def test_thick_slices_cover_the_judged_ones_on_both_sides() -> None:
    case = next(cases_of(_scan(mr_volume((48, 40, 30))), levels_named(("MR thick x2",)), slices=4))
    assert case.reference.geometry.shape[2] == 12
    assert case.degraded.geometry.shape[2] == 6
    assert case.judged == (4, 5, 6, 7)


def test_scans_of_thick_slices_lose_none() -> None:
    far_apart = mr_volume((48, 40, 20))
    geometry = far_apart.geometry.resized((48, 40, 10))
    thick = Volume(far_apart.values[:, :, ::2].copy(order="F"), geometry, "MR", "arbitrary", far_apart.source)
    assert not list(cases_of(_scan(thick), levels_named(("MR gaps", "MR thick")), slices=2))


def test_three_of_four_slices_are_lost_only_where_the_known_ones_stay_near() -> None:
    level = levels_named(("MR gaps 3",))
    assert not list(cases_of(_scan(mr_volume((48, 40, 30))), level, slices=3))
    near = mr_volume((48, 40, 30))
    fine = Geometry((48, 40, 30), near.geometry.world_from_voxel @ np.diag([1, 1, 0.5, 1]))
    case = next(cases_of(_scan(replace(near, geometry=fine)), level, slices=3))
    assert [index % 4 for index in case.judged] == [1, 2, 3]


def test_interpolated_frequencies_leave_the_reference_of_superresolution() -> None:
    import torch

    measured = mr_volume((96, 96, 4), sigma=20)
    zero_fill = KSpaceTruncation((160, 160, 4), (96, 96), 2)
    values = zero_fill.pinv(torch.from_numpy(np.ascontiguousarray(measured.values))).abs().numpy()
    geometry = measured.geometry.resized((160, 160, 4))
    volume = Volume(np.asfortranarray(values), geometry, "MR", "arbitrary", measured.source)
    cut = supported(volume)
    assert max(cut.geometry.shape[:2]) < 115
    assert min(spectral_edges(stack_of(cut.values, cut))) > 0.85
    corner = geometry.world((-0.5, -0.5, 0))
    np.testing.assert_allclose(cut.geometry.world((-0.5, -0.5, 0)), corner, atol=1e-6)


def test_a_real_pair_tells_all_methods_the_noise_that_the_dose_added() -> None:
    full, low = (ct_volume((256, 256, 3), sigma=sigma, seed=1) for sigma in (10, 20))
    quarter = EvaluationScan("low", "someone", "low_dose", "unseen", low, partner="full", dose=0.25)
    case = real_pair(quarter, _scan(full), slices=2)
    noise = case.operator.noise
    assert isinstance(noise, ProjectionNoise)
    assert noise.sigma_hu == pytest.approx(np.sqrt(300), rel=0.1)
    assert case.reference is full


def test_an_unknown_level_is_refused_by_its_name() -> None:
    with pytest.raises(UsageError) as error:
        levels_named(("MR x3",))
    assert error.value.code == "evaluate.level"


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_folder(tmp_path)
    assert error.value.code == "evaluate.no_scans"


def test_roles_and_scanners_come_from_the_table(dev_scans: Path) -> None:
    scans, refused = read_folder(dev_scans / "mri", names=("fruit", "ljms_p20", "m4raw_t1_rep1", "prostatex_0001_dwi"))
    found = {scan.name: (scan.role, scan.seen) for scan in scans}
    assert found == {
        "fruit_t1_ood": ("outside", "unseen"),
        "ljms_p20_s2_t1w": ("domain", "seen"),
        "m4raw_t1_rep1": ("repeats", "unseen"),
    }
    assert [entry.code for entry in refused] == ["nifti.time_points"]
