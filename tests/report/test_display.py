"""The turn of a slice for reading, against world coordinates: no convention of arrays is trusted."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from medsr.report.display import Display, place_words
from medsr.volume import Geometry

SHAPE = (5, 7, 6)
PERMUTATIONS = list(permutations(range(3)))
SIGNS = list(product((1, -1), repeat=3))


def grid(order, signs, slice_axis, *, turn=None):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * (0.7, 1.1, 2.0)[axis]
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = (4.0, -9.0, 13.0)
    return Geometry(SHAPE, affine, slice_axis)


def world_pictures(geometry):
    """x, y and z of every pixel of slice 1, as the display turns it."""
    points = geometry.world(np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), -1))
    place = [slice(None)] * 3
    place[geometry.slice_axis] = 1
    display = Display.of(geometry)
    return [display.picture(points[tuple(place)][..., world].astype(np.float32)) for world in range(3)]


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("order", PERMUTATIONS)
@pytest.mark.parametrize("signs", SIGNS)
def test_right_lies_left_and_anterior_and_superior_lie_on_top(order, signs, slice_axis):
    geometry = grid(order, signs, slice_axis)
    display, world = Display.of(geometry), world_pictures(geometry)
    across, down = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[display.title]
    assert order[slice_axis] not in (across, down)
    assert (np.diff(world[across], axis=1) < 0).all()
    assert (np.diff(world[down], axis=0) < 0).all()
    letters = ("RL", "AP", "SI")
    assert "".join(display.letters) == letters[across] + letters[down]


@pytest.mark.parametrize("signs", SIGNS)
def test_a_marker_at_the_patients_right_is_on_the_left_of_the_picture(signs):
    geometry = grid((0, 1, 2), signs, 2)
    plane = np.zeros(SHAPE[:2], np.float32)
    corners = [(i, j) for i in (0, SHAPE[0] - 1) for j in (0, SHAPE[1] - 1)]
    right_front = max(corners, key=lambda place: geometry.world((*place, 0))[:2].sum())
    plane[right_front] = 1
    picture = Display.of(geometry).picture(plane)
    assert picture[0, 0] == 1
    assert picture.sum() == 1


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("order", PERMUTATIONS)
def test_a_box_frames_its_own_pixels(order, slice_axis):
    geometry = grid(order, (1, -1, 1), slice_axis)
    display = Display.of(geometry)
    box = ((1, 2, 1), (3, 5, 4))
    volume = np.zeros(SHAPE, np.float32)
    volume[1:3, 2:5, 1:4] = 1
    picture = display.picture(volume.take(2, axis=slice_axis))
    rows, columns = np.nonzero(picture)
    left, top, width, height = display.rectangle(box)
    high, wide = display.pixel_mm
    assert (left, top) == pytest.approx((columns.min() * wide, rows.min() * high))
    assert (width, height) == pytest.approx(((np.ptp(columns) + 1) * wide, (np.ptp(rows) + 1) * high))


def test_the_picture_keeps_the_aspect_of_the_patient():
    geometry = grid((0, 1, 2), (1, 1, 1), 0)
    display = Display.of(geometry)
    assert display.size_mm == pytest.approx((7 * 1.1, 6 * 2.0))
    assert display.pixel_mm == pytest.approx((2.0, 1.1))


def test_an_oblique_slice_is_shown_as_the_nearest_plane_and_says_so():
    angle = np.deg2rad(20.0)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    display = Display.of(grid((0, 1, 2), (1, 1, 1), 2, turn=turn))
    assert display.title == "axial, 20° oblique"
    assert display.letters == ("R", "L", "A", "P")


@pytest.mark.parametrize(
    ("point", "words"), [((34.2, -12, 0), "R 34, P 12, S 0 mm"), ((-3.6, 5, -7.4), "L 4, A 5, I 7 mm")]
)
def test_places_are_told_with_the_side_of_the_patient(point, words):
    assert place_words(point) == words
