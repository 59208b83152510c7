"""Lost slices are found by themselves, edges are refused, measured slices stand bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.methods import site
from support.volumes import ct_volume, geometry, mr_volume

from medsr.errors import Refusal, UsageError
from medsr.pipeline.degrade import DegradeRequest, degrade
from medsr.restore.lost import acquired, find_lost, lost_slices
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.volume import Volume


def _with(volume: Volume, index: int, plane: np.ndarray) -> Volume:
    values = np.array(volume.values, order="F")
    values[:, :, index] = plane
    return replace(volume, values=values)


@pytest.mark.parametrize("make", [mr_volume, ct_volume])
def test_a_sound_stack_has_lost_nothing(make: object) -> None:
    volume = make((64, 56, 9), sigma=20.0)  # type: ignore[operator]  # one of two makers
    assert find_lost(volume) == []
    with pytest.raises(UsageError) as caught:
        lost_slices(volume, None)
    assert caught.value.code == "restore.slices"


@pytest.mark.parametrize("fill", [0.0, 17.0])
def test_a_blank_slice_is_found(fill: float) -> None:
    volume = _with(mr_volume((64, 56, 9), sigma=10.0), 4, np.full((64, 56), fill))
    assert [(item.index, item.reason) for item in find_lost(volume)] == [(4, "blank")]


def test_a_doubled_slice_is_found_and_the_first_of_the_two_is_kept() -> None:
    volume = mr_volume((64, 56, 9), sigma=10.0)
    volume = _with(volume, 5, volume.values[:, :, 4])
    assert [(item.index, item.reason) for item in find_lost(volume)] == [(5, "duplicate")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plane, rng: rng.uniform(0, 1000, plane.shape),
        lambda plane, _: plane[::-1],
        lambda plane, _: np.where(np.arange(plane.shape[0])[:, None] > 30, 0, plane),
        lambda plane, _: 0.4 * plane,
    ],
    ids=["noise", "mirrored", "half", "dark"],
)
def test_a_corrupt_slice_is_found_and_its_neighbours_are_not(spoil: object) -> None:
    volume = mr_volume((64, 56, 11), sigma=10.0)
    rng = np.random.default_rng(0)
    volume = _with(volume, 6, spoil(volume.values[:, :, 6], rng))  # type: ignore[operator]  # one of four
    assert [(item.index, item.reason) for item in find_lost(volume)] == [(6, "corrupt")]


def test_real_scans_have_no_lost_slices(t1_head: Path, ct_chest: Path) -> None:
    from medsr.io import read

    assert find_lost(read(t1_head)) == []
    assert find_lost(read(ct_chest)) == []


@pytest.mark.parametrize("lost", [(0,), (8,), (0, 4)])
def test_an_end_of_the_stack_is_refused(lost: tuple[int, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        lost_slices(mr_volume((64, 56, 9)), lost)
    assert caught.value.code == "restore.edge"


def test_a_slice_outside_the_stack_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        lost_slices(mr_volume((64, 56, 9)), (9,))
    assert caught.value.code == "restore.slices"


def test_a_given_mask_overrides_what_is_found() -> None:
    volume = _with(mr_volume((64, 56, 9), sigma=10.0), 4, np.zeros((64, 56)))
    assert lost_slices(volume, (2, 6)).missing == (2, 6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_measured_slices_stand_bit_for_bit(tmp_path: Path, axis: int, modality: str) -> None:
    made = site(tmp_path, modality)  # type: ignore[arg-type]  # a literal by parameter
    shape = (40, 36, 7)
    volume = mr_volume(shape, sigma=20.0) if modality == "MR" else ct_volume(shape, sigma=20.0)
    moved = np.asfortranarray(np.moveaxis(volume.values, 2, axis))
    volume = replace(volume, values=moved, geometry=replace(geometry(moved.shape), slice_axis=axis))
    restored = restore(volume, RestoreRequest("inpaint", mask=(2, 3)), bundle=made["through"])
    for index in (0, 1, 4, 5, 6):
        np.testing.assert_array_equal(np.take(restored.image, index, axis), np.take(moved, index, axis))
    assert np.abs(np.take(restored.image, 2, axis) - np.take(moved, 2, axis)).max() > 0
    assert restored.synthetic_slices == (2, 3)
    assert restored.geometry.matches(volume.geometry)
    assert restored.measured.values.shape[axis] == 5


def test_a_degraded_stack_tells_its_lost_slices_itself(tmp_path: Path) -> None:
    made = site(tmp_path, "MR")
    scan = degrade(mr_volume((40, 36, 9), sigma=5.0), DegradeRequest("inpaint", keep=2))
    restored = restore(scan, RestoreRequest("inpaint"), bundle=made["through"])
    assert restored.synthetic_slices == (1, 3, 5, 7)
    assert restored.operator.provenance == "declared"
    undeclared = restore(replace(scan, degradation=None), RestoreRequest("inpaint"), bundle=made["through"])
    assert undeclared.synthetic_slices == restored.synthetic_slices
    np.testing.assert_array_equal(undeclared.image, restored.image)


def test_uneven_acquired_slices_are_still_a_measurement() -> None:
    volume = mr_volume((40, 36, 9))
    y = acquired(volume, lost_slices(volume, (3,)))
    assert y.values.shape == (40, 36, 8)
    np.testing.assert_array_equal(y.values[:, :, 3], volume.values[:, :, 4])
