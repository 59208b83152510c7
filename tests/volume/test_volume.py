"""A volume that exists is valid; a judgement is bound to its pixels by hash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.volumes import MADE, geometry, mr_volume

from medsr.errors import Refusal
from medsr.records import pixels_sha256
from medsr.volume import Volume

SHAPE = (6, 5, 4)


def made(values: np.ndarray, **changes: object) -> Volume:
    return Volume(values, geometry(SHAPE), "MR", "arbitrary", MADE, **changes)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3), (5, 6, 4), (6, 5, 4, 1)])
def test_values_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Refusal, match=r"\[volume\.shape\]"):
        made(np.zeros(shape, np.float32))


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.float16])
def test_values_of_another_type_are_refused(dtype: type) -> None:
    with pytest.raises(Refusal, match=r"not float32 \[volume\.shape\]"):
        made(np.zeros(SHAPE, dtype))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("order", ["C", "F"])
def test_voxels_that_are_no_numbers_are_refused_with_their_slice(bad: float, order: str) -> None:
    values = np.zeros(SHAPE, np.float32, order=order)
    values[1, 2, 3] = values[0, 0, 3] = bad
    with pytest.raises(Refusal, match=r"2 voxels of slice 3 along k are NaN or infinite \[volume\.not_finite\]"):
        made(values)


@pytest.mark.parametrize("padding", [np.zeros(SHAPE, np.uint8), np.zeros((6, 5, 3), bool)])
def test_padding_of_another_grid_or_type_is_refused(padding: np.ndarray) -> None:
    with pytest.raises(Refusal, match=r"padding is .* \[volume\.shape\]"):
        made(np.zeros(SHAPE, np.float32), padding=padding)


def test_values_are_read_only_without_a_copy() -> None:
    values = np.zeros(SHAPE, np.float32)
    volume = made(values)
    assert np.shares_memory(volume.values, values)
    with pytest.raises(ValueError, match="read-only"):
        volume.values[0, 0, 0] = 1


def test_the_hash_covers_values_shape_and_place() -> None:
    """Any change of a pixel, the shape or the affine changes it; memory order does not."""
    volume = mr_volume(SHAPE)
    grid, values = volume.geometry, np.array(volume.values)
    known = pixels_sha256(values, grid)
    assert len(known) == 64
    assert pixels_sha256(np.asfortranarray(values), grid) == pixels_sha256(np.ascontiguousarray(values), grid) == known
    changed = values.copy()
    changed[2, 2, 2] = np.nextafter(changed[2, 2, 2], np.float32(np.inf))
    assert pixels_sha256(changed, grid) != known
    assert pixels_sha256(values.reshape(5, 6, 4), grid) != known
    affine = np.array(grid.world_from_voxel)
    affine[0, 3] += 1e-9
    assert pixels_sha256(values, replace(grid, world_from_voxel=affine)) != known
