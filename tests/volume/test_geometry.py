"""Where voxels lie: invariants that every reader, operator and report builds on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.volumes import geometry

from medsr.errors import Refusal
from medsr.volume import Geometry

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Rotated, flipped, shifted grids of any spacing and slice axis."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    turn, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(rng.uniform(0.1, 9.0, 3))
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    return Geometry(draw(SHAPES), affine, draw(st.sampled_from((0, 1, 2))), draw(st.sampled_from((None, 2.5))))


@given(geometries(), st.integers(0, 2**31))
def test_world_is_the_affine_and_can_be_undone(grid: Geometry, seed: int) -> None:
    index = np.random.default_rng(seed).uniform(-5, 50, (7, 2, 3))
    world = grid.world(index)
    assert world.shape == index.shape
    back = (np.linalg.inv(grid.world_from_voxel) @ np.concatenate([world, np.ones((7, 2, 1))], -1)[..., None])[..., 0]
    assert np.allclose(back[..., :3], index, atol=1e-8)


@given(geometries(), SHAPES)
def test_resizing_keeps_the_outer_edges(grid: Geometry, shape: tuple[int, int, int]) -> None:
    """The corner of the first voxel and the far corner of the last one stay, in mm."""
    extent = np.array(grid.shape) * grid.spacing_mm
    assume(bool((extent / shape < 50).all() and (extent / shape > 0.01).all()))
    made = grid.resized(shape)
    assert made.shape == shape
    assert np.allclose(made.world([-0.5] * 3), grid.world([-0.5] * 3), atol=1e-8)
    assert np.allclose(made.world(np.array(shape) - 0.5), grid.world(np.array(grid.shape) - 0.5), atol=1e-8)
    assert np.allclose(np.array(shape) * made.spacing_mm, extent)
    assert made.resized(grid.shape).matches(grid, 1e-6)


def test_an_axis_that_keeps_its_length_is_left_exactly_alone() -> None:
    grid = geometry((48, 40, 6))
    made = grid.resized((96, 40, 6))
    assert np.array_equal(made.world_from_voxel[:, 1:3], grid.world_from_voxel[:, 1:3])
    assert grid.resized(grid.shape).world_from_voxel.tolist() == grid.world_from_voxel.tolist()


@given(geometries(), st.data())
def test_slices_lie_where_they_lay(grid: Geometry, data: st.DataObject) -> None:
    count = grid.shape[grid.slice_axis]
    start = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(start + 1, count))
    part = grid.slices(start, stop)
    assert part.shape[grid.slice_axis] == stop - start
    index = np.zeros(3)
    shifted = index.copy()
    shifted[grid.slice_axis] = start
    assert np.allclose(part.world(index), grid.world(shifted))
    assert part.spacing_mm == pytest.approx(grid.spacing_mm)
    for wrong in ((start, start), (-1, stop), (start, count + 1)):
        with pytest.raises(Refusal, match=r"\[geometry\.shape\]"):
            grid.slices(*wrong)


def test_grids_match_within_a_thousandth_of_a_millimetre() -> None:
    """Float32 headers match; a shift or a turn that moves one corner does not."""
    grid = geometry((400, 400, 40))
    stored = Geometry(grid.shape, grid.world_from_voxel.astype(np.float32))
    assert grid.matches(stored)
    moved = np.array(grid.world_from_voxel)
    moved[0, 3] += 0.002
    assert not grid.matches(Geometry(grid.shape, moved))
    assert grid.matches(Geometry(grid.shape, moved), tolerance_mm=0.01)
    turned = np.array(grid.world_from_voxel)
    turned[:3, :2] *= 1 + 1e-5
    assert not grid.matches(Geometry(grid.shape, turned))
    assert not grid.matches(geometry((400, 400, 41)))


def test_the_gap_is_spacing_minus_thickness() -> None:
    grid = geometry((8, 8, 4), (1.0, 1.0, 5.0))
    assert grid.gap_mm is None
    assert Geometry(grid.shape, grid.world_from_voxel, 2, 4.0).gap_mm == pytest.approx(1.0)
    assert Geometry(grid.shape, grid.world_from_voxel, 2, 6.0).gap_mm == pytest.approx(-1.0)


def test_resizing_the_stack_forgets_the_slice_thickness() -> None:
    grid = Geometry((8, 8, 4), geometry((8, 8, 4)).world_from_voxel, 2, 2.0)
    assert grid.resized((16, 16, 4)).slice_thickness_mm == 2.0
    assert grid.resized((8, 8, 8)).slice_thickness_mm is None


@pytest.mark.parametrize(("axis", "plane"), [(0, (1, 2)), (1, (0, 2)), (2, (0, 1))])
def test_the_plane_is_what_is_not_the_slice_axis(axis: int, plane: tuple[int, int]) -> None:
    assert Geometry((3, 4, 5), np.eye(4), axis).in_plane_axes == plane


def test_the_affine_cannot_be_changed_from_outside() -> None:
    affine = np.eye(4)
    grid = Geometry((3, 4, 5), affine)
    affine[0, 3] = 7
    assert grid.world_from_voxel[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.world_from_voxel[0, 3] = 1


def _affine(**changes: float) -> np.ndarray:
    affine = np.eye(4)
    for name, value in changes.items():
        affine[int(name[1]), int(name[2])] = value
    return affine


@pytest.mark.parametrize(
    ("shape", "affine", "axis", "code"),
    [
        ((3, 4), np.eye(4), 2, "geometry.shape"),
        ((3, 4, 0), np.eye(4), 2, "geometry.shape"),
        ((3, 4, 5), np.eye(4), 3, "geometry.shape"),
        ((3, 4, 5), np.eye(3), 2, "geometry.affine"),
        ((3, 4, 5), _affine(a00=np.nan), 2, "geometry.affine"),
        ((3, 4, 5), _affine(a03=np.inf), 2, "geometry.affine"),
        ((3, 4, 5), _affine(a30=1.0), 2, "geometry.affine"),
        ((3, 4, 5), _affine(a33=2.0), 2, "geometry.affine"),
        ((3, 4, 5), _affine(a00=0.0), 2, "geometry.spacing"),
        ((3, 4, 5), _affine(a11=0.001), 2, "geometry.spacing"),
        ((3, 4, 5), _affine(a22=1000.0), 2, "geometry.spacing"),
        ((3, 4, 5), _affine(a01=0.01), 2, "geometry.shear"),
        ((3, 4, 5), _affine(a02=1.0), 2, "geometry.shear"),
    ],
)
def test_a_grid_that_is_none_is_refused(shape: tuple[int, ...], affine: np.ndarray, axis: int, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        Geometry(shape, affine, axis)
    assert caught.value.code == code


def test_a_spacing_is_refused_with_its_axis_and_figure() -> None:
    with pytest.raises(Refusal, match=r"axis k has a spacing of 1000 mm, outside 0\.01 to 50 mm"):
        Geometry((3, 4, 5), _affine(a22=1000.0))
