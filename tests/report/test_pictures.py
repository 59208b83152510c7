"""Pixels, windows, colours, marks and planes of the pictures."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.reports import finding_of, judgement_of, restoration_of

from medsr.physics import Operator, SliceMask, SliceProfile
from medsr.report.display import Display
from medsr.report.figures import slice_figure
from medsr.report.marks import marks_on
from medsr.report.planes import middle_slice, shown_slices, slice_planes
from medsr.report.png import data_uri, png
from medsr.report.windows import DIVERGING, WITH_MISSING, nice_limit, on_palette, window_for
from medsr.volume import Geometry


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 33)])
def test_a_grey_png_reads_back_pixel_for_pixel(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(png(pixels)))) == pixels).all()


def test_a_smooth_png_reads_back_through_every_filter():
    rows, columns = np.mgrid[:80, :70]
    pixels = ((rows * columns) // 9 % 256).astype(np.uint8)
    pixels[40:] = pixels[39]
    pixels[60:, ::2] = 0
    assert (np.asarray(Image.open(io.BytesIO(png(pixels)))) == pixels).all()


def test_a_palette_png_shows_the_palettes_colours():
    indices = np.array([[0, 16, 32]], np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(png(indices, DIVERGING))).convert("RGB"))
    assert (shown[0] == DIVERGING[[0, 16, 32]]).all()


def test_a_data_uri_holds_the_png():
    pixels = np.zeros((2, 2), np.uint8)
    head, _, body = data_uri(pixels).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == png(pixels)


def test_a_soft_tissue_slice_gets_the_soft_tissue_window_and_lung_the_lung_window():
    plane = np.full((80, 80), -1000, np.float32)
    plane[10:70, 10:70] = 40
    assert (window_for("CT", plane).low, window_for("CT", plane).high) == (-160, 240)
    plane[16:64, 16:64] = -850
    assert (window_for("CT", plane).low, window_for("CT", plane).high) == (-1350, 150)


def test_the_window_follows_what_surrounds_the_finding():
    plane = np.full((80, 80), -1000, np.float32)
    plane[10:70, 10:70] = 40
    plane[20:34, 20:34] = -850
    assert window_for("CT", plane, near=(slice(22, 32), slice(22, 32))).low == -1350
    assert window_for("CT", plane, near=(slice(50, 60), slice(50, 60))).low == -160


def test_the_mr_window_ends_at_a_high_percentile_and_never_at_zero():
    plane = np.linspace(0, 1000, 10_000, dtype=np.float32).reshape(100, 100)
    assert window_for("MR", plane).high == pytest.approx(995, abs=1)
    assert window_for("MR", np.zeros((10, 10), np.float32)).high == 1.0


def test_grey_values_are_clipped_at_both_ends():
    window = window_for("CT", np.full((8, 8), 40, np.float32))
    assert window.grey(np.array([[-500.0, 40.0, 900.0]], np.float32)).tolist() == [[0, 128, 255]]


def test_signed_scales_are_symmetric_and_black_at_zero():
    plane = np.array([[-10.0, -5.0, 0.0, 5.0, 10.0]], np.float32)
    indices = on_palette(plane, low=-10, high=10)[0]
    assert indices[2] == len(DIVERGING) // 2
    assert (indices + indices[::-1] == len(DIVERGING) - 1).all()
    assert DIVERGING[indices[2]].max() < 20
    blue, orange = DIVERGING[indices[1]].astype(int), DIVERGING[indices[3]].astype(int)
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]


def test_what_was_not_judged_has_a_colour_that_is_not_on_the_scale():
    index = on_palette(np.array([[np.nan]], np.float32), low=-1, high=1, missing=True)[0, 0]
    assert not (WITH_MISSING[index] == DIVERGING).all(1).any()


@pytest.mark.parametrize("value", [1e-7, 0.03, 1.0, 7.2, 99.0, 1234.0])
def test_a_scale_ends_at_or_just_above_its_values(value):
    assert value * (1 - 1e-6) <= nice_limit(value) <= 1.7 * value


def test_input_is_shown_by_nearest_neighbour_on_the_restored_grid():
    restoration = restoration_of("superres", "CT")
    planes = slice_planes(restoration, 3)
    expected = np.kron(restoration.measured.values[:, :, 3], np.ones((2, 2), np.float32))
    assert (planes.measured == expected).all()


def test_denoising_shows_restored_minus_input():
    restoration = restoration_of()
    planes = slice_planes(restoration, 1)
    assert planes.difference_words == "Restored minus input"
    assert (planes.difference == restoration.image[:, :, 1] - restoration.measured.values[:, :, 1]).all()


def test_super_resolution_shows_restored_minus_the_measured_part():
    restoration = restoration_of("superres", "CT")
    planes = slice_planes(restoration, 1)
    mean = np.kron(restoration.measured.values[:, :, 1], np.ones((2, 2), np.float32))
    assert "A⁺y" in planes.difference_words
    assert planes.difference == pytest.approx(restoration.image[:, :, 1] - mean, abs=1e-3)


def test_thick_slices_are_compared_by_nearest_neighbour_and_it_is_said():
    restoration = restoration_of("superres", "CT")
    linear = SliceProfile(restoration.geometry.shape, 2.5, 2.5, "box", 2)
    coarse = linear.coarse_geometry(restoration.geometry)
    values = np.arange(np.prod(coarse.shape), dtype=np.float32).reshape(coarse.shape)
    measured = replace(restoration.measured, values=values, geometry=coarse)
    restoration = replace(
        restoration, measured=measured, operator=Operator(linear, restoration.operator.noise, "declared")
    )
    planes = slice_planes(restoration, 0)
    assert planes.difference_words == "Restored minus input by nearest neighbour"
    assert (planes.measured == values[:, :, 0]).all()


def test_a_slice_that_was_never_measured_is_not_compared():
    restoration = restoration_of("denoise")
    linear = SliceMask(restoration.geometry.shape, (0, 2, 4), 2)
    restoration = replace(
        restoration, synthetic_slices=(1, 3), operator=Operator(linear, restoration.operator.noise, "declared")
    )
    assert slice_planes(restoration, 1).difference is None
    assert slice_planes(restoration, 1).measured is None
    assert slice_planes(restoration, 2).difference is not None


def test_the_slice_of_the_clearest_finding_comes_first_and_four_at_most():
    restoration = restoration_of()
    boxes = [((1, 1, k), (4, 4, k + 1)) for k in (3, 0, 3, 4, 1, 2)]
    findings = [finding_of(box_voxel=box) for box in boxes]
    assert shown_slices(findings, restoration) == (3, 0, 4, 1)
    assert shown_slices([], restoration) == (2,)
    assert middle_slice(finding_of(box_voxel=((0, 0, 1), (2, 2, 4))), 2) == 2


def test_labels_cover_neither_boxes_nor_each_other():
    display = Display.of(Geometry((200, 200, 3), np.diag([1.0, 1, 1, 1])))
    findings = [
        (number, finding_of(box_voxel=((60 + 9 * number, 80 + 5 * number, 1), (66 + 9 * number, 86 + 5 * number, 2))))
        for number in range(1, 7)
    ]
    marks = marks_on(display, findings)
    assert marks[0].label
    boxes = [(mark.left, mark.top, mark.width, mark.height) for mark in marks]
    labels = [
        (m.label_left, m.label_base - 0.8 * m.text_mm, 0.5 * len(m.label) * m.text_mm, m.text_mm)
        for m in marks
        if m.label
    ]
    for place, label in enumerate(labels):
        for other in [*boxes, *labels[:place]]:
            apart = (
                label[0] >= other[0] + other[2]
                or other[0] >= label[0] + label[2]
                or label[1] >= other[1] + other[3] - 1e-9
                or other[1] >= label[1] + label[3] - 1e-9
            )
            assert apart


def test_a_box_outside_the_detail_is_not_drawn_into_it():
    display = Display.of(Geometry((100, 100, 3), np.diag([1.0, 1, 1, 1])))
    finding = finding_of(box_voxel=((5, 5, 1), (9, 9, 2)))
    assert marks_on(display, [(1, finding)], view=(0.0, 0.0, 20.0, 20.0)) == ()


def test_input_and_restored_share_one_window():
    restoration = restoration_of("denoise", "CT")
    same = replace(restoration, image=np.array(restoration.measured.values))
    figure = slice_figure(same, judgement_of(same), [], 2, main=True)
    assert figure.whole[0].uri == figure.whole[1].uri


def test_an_added_structure_is_orange_in_the_map_of_contradictions():
    restoration = restoration_of()
    figure = slice_figure(restoration, judgement_of(restoration), [], 1, main=True)
    body = base64.b64decode(figure.maps[0].uri.partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(int)
    judged = (shown != WITH_MISSING[-1]).any(2)
    assert judged.sum() == 144
    assert (shown[judged][:, 0] > shown[judged][:, 2]).all()


def test_large_pictures_are_reduced_and_small_ones_are_not():
    restoration = restoration_of()
    for main, most in ((True, 640), (False, 256)):
        figure = slice_figure(restoration, judgement_of(restoration), [], 1, main=main)
        body = base64.b64decode(figure.whole[0].uri.partition(",")[2])
        assert max(Image.open(io.BytesIO(body)).size) == 32 <= most
