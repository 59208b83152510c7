"""Thick slices to thin ones: the grid, the projection, and the one plan that training and restoration share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.methods import site
from support.volumes import mr_volume

from medsr.errors import UsageError
from medsr.models.bundle import Bundle
from medsr.models.through import brackets, row_norms, start_matrix, through_condition
from medsr.physics import Identity, SliceMask, SliceProfile
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.restore import through
from medsr.restore.operators import thick_operator
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return site(tmp_path_factory.mktemp("site"), "MR")["through"]


def test_thin_slices_lie_between_the_thick_ones_that_show_them() -> None:
    plan = brackets(SliceProfile((4, 4, 8), 2, 2))
    assert [item.known[1:3] for item in plan[1:-1]] == [(0, 1), (0, 1), (1, 2), (1, 2), (2, 3), (2, 3)]
    assert [item.place for item in plan] == pytest.approx([-0.25, 0.25, 0.75, 0.25, 0.75, 0.25, 0.75, 1.25])
    assert plan[0].share == 0.0
    assert plan[-1].share == 1.0


def test_a_lost_slice_lies_between_its_acquired_neighbours() -> None:
    plan = brackets(SliceMask((4, 4, 9), (0, 1, 4, 5, 8)))
    assert plan[2].known == (0, 1, 2, 3)
    assert plan[2].place == pytest.approx(1 / 3)
    assert plan[2].distance == 3
    assert plan[4].place == 0.0


def test_lost_slices_start_from_a_cubic_interpolation() -> None:
    """A parabola along evenly known slices is met exactly where all four neighbours are real."""
    parabola = torch.arange(16.0).square()
    linear = SliceMask((4, 4, 16), (0, 3, 6, 9, 12, 15))
    start = start_matrix(linear) @ parabola[list(linear.kept)]
    torch.testing.assert_close(start[3:12], parabola[3:12], atol=1e-3, rtol=0)
    torch.testing.assert_close(start[list(linear.kept)], parabola[list(linear.kept)])


def test_a_bundle_may_start_from_linear_interpolation() -> None:
    for linear in (SliceProfile((4, 4, 12), 3, 3), SliceMask((4, 4, 12), (0, 4, 8, 11))):
        y = linear.forward(torch.arange(12.0).expand(4, 4, 12))[0, 0]
        torch.testing.assert_close((start_matrix(linear, "linear") @ y)[2:10], torch.arange(2.0, 10.0))


def test_an_unknown_start_is_refused(bundle: Bundle) -> None:
    from medsr.errors import Refusal

    odd = replace(bundle, settings={"start": "nowhere"})
    with pytest.raises(Refusal) as caught:
        restore(mr_volume((24, 20, 5)), RestoreRequest("superres", through=2), bundle=odd)
    assert caught.value.code == "bundle.broken"


@pytest.mark.parametrize(("thickness", "step"), [(2.0, 2.0), (3.0, 3.0), (1.5, 1.5), (2.0, 3.0), (3.0, 2.5)])
def test_thin_slices_start_in_agreement_with_the_thick_ones(thickness: float, step: float) -> None:
    linear = SliceProfile((1, 1, 20), thickness, step)
    y = torch.rand(1, 1, linear.count, generator=torch.Generator().manual_seed(0))
    start = start_matrix(linear) @ y[0, 0]
    torch.testing.assert_close(linear.forward(start[None, None]), y, atol=1e-4, rtol=0)


def test_the_maps_tell_noise_thickness_distance_and_place() -> None:
    bracket = brackets(SliceProfile((4, 4, 16), 4, 4))[4]
    given = through_condition(torch.zeros(5, 4, 4), bracket, sigma=0.02, thickness=4.0)
    assert given[5:, 0, 0].tolist() == pytest.approx([0.2, 2.0, 2.0, bracket.place - 0.5])


def test_an_operator_in_plane_has_no_brackets() -> None:
    from medsr.errors import Refusal

    with pytest.raises(Refusal) as caught:
        brackets(Identity((4, 4, 4)))
    assert caught.value.code == "operator.parameter"


def test_a_box_of_four_halves_the_noise() -> None:
    assert row_norms(SliceProfile((4, 4, 16), 4, 4)) == pytest.approx(0.5)
    assert row_norms(SliceMask((4, 4, 3), (0, 2))) == 1.0


@pytest.mark.parametrize(("thickness_mm", "expected"), [(None, 3.0), (2.5, 3.0), (2.0, 2.4), (0.5, 1.0)])
def test_the_profile_is_as_wide_as_the_header_says(thickness_mm: float | None, expected: float) -> None:
    volume = mr_volume((24, 20, 5))
    volume = replace(volume, geometry=replace(volume.geometry, slice_thickness_mm=thickness_mm))
    linear = thick_operator(volume, 3.0)
    assert linear.thickness == pytest.approx(expected)
    assert linear.coarse_shape == volume.geometry.shape


@pytest.mark.parametrize("factor", [1.5, 2.0, 2.7, 6.0])
def test_every_factor_gives_a_grid_that_maps_back(bundle: Bundle, factor: float) -> None:
    volume = mr_volume((24, 20, 5), sigma=10.0)
    restored = restore(volume, RestoreRequest("superres", through=factor), bundle=bundle)
    assert restored.operator.linear.coarse_shape == volume.geometry.shape
    assert restored.image.shape == restored.geometry.shape
    assert restored.geometry.spacing_mm[2] == pytest.approx(volume.geometry.spacing_mm[2] / factor)
    back = restored.operator.linear.coarse_geometry(restored.geometry)
    assert back.matches(volume.geometry, tolerance_mm=1e-6)


def test_noise_free_thin_slices_average_to_the_thick_ones(bundle: Bundle) -> None:
    scan = degrade(mr_volume((24, 20, 12)), DegradeRequest("superres", through=3))
    restored = restore(scan, RestoreRequest("superres", noise=0.0), bundle=bundle)
    averaged = np.abs(restored.image.reshape(24, 20, 4, 3).mean(-1))
    np.testing.assert_allclose(averaged, scan.values, atol=2e-3 * scan.values.max())
    assert restored.estimate is not None
    assert np.abs(restored.estimate.reshape(24, 20, 4, 3).mean(-1) - scan.values).max() > 1


def test_blocks_of_columns_change_nothing(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = degrade(mr_volume((24, 20, 12), sigma=5.0), DegradeRequest("superres", through=2))
    request = RestoreRequest("superres", precision="fp32")
    whole = restore(scan, request, bundle=bundle)
    monkeypatch.setattr(through, "_BLOCK_BYTES", 4000)
    np.testing.assert_allclose(restore(scan, request, bundle=bundle).image, whole.image, atol=1e-3)


def test_the_declared_profile_decides_and_another_factor_is_refused(bundle: Bundle) -> None:
    scan = degrade(mr_volume((24, 20, 12)), DegradeRequest("superres", through=3))
    with pytest.raises(UsageError) as caught:
        restore(scan, RestoreRequest("superres", through=2), bundle=bundle)
    assert caught.value.code == "restore.scale"


def test_superresolution_without_any_factor_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError) as caught:
        restore(mr_volume((24, 20, 5)), RestoreRequest("superres"), bundle=bundle)
    assert caught.value.code == "restore.scale"


@pytest.mark.parametrize(
    "given",
    [
        {"task": "superres", "scale": 2.0, "through": 2.0},
        {"task": "superres", "through": 7.0},
        {"task": "inpaint", "through": 2.0},
        {"task": "denoise", "through": 2.0},
    ],
)
def test_factors_that_contradict_the_task_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        RestoreRequest(**given)  # type: ignore[arg-type]  # plain values
    assert caught.value.code == "restore.scale"


def test_a_bundle_in_plane_does_not_cut_thick_slices(tmp_path: Path) -> None:
    made = site(tmp_path, "MR")
    with pytest.raises(UsageError) as caught:
        restore(mr_volume((24, 20, 5)), RestoreRequest("superres", through=2), bundle=made["base"])
    assert caught.value.code == "restore.task"
