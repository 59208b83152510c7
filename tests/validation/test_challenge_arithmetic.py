"""Planting, hits and intervals: what a figure of the challenge rests on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from medsr.physics import MagnitudeNoise
from medsr.validation.challenge import Lesion, choose_places, found, magnitude_noise, plant, true_noise
from medsr.validation.intervals import clopper_pearson, cluster_bootstrap, poisson_interval, upper_bound
from medsr.validation.judge import judge
from tests.support.restorations import CT_SIGMA, body, ct_noise, lesion, perfect, with_added


@pytest.mark.parametrize(
    ("misses", "count", "percent"), [(0, 29, 10), (1, 46, 10), (2, 61, 10), (0, 59, 5), (1, 93, 5), (0, 149, 2)]
)
def test_least_n_of_the_one_sided_bound(misses, count, percent):
    """Where validation's table of least n says so, the bound passes, and with one subject fewer it does not."""
    assert upper_bound(misses, count) <= percent / 100 < upper_bound(misses, count - 1)


def test_clopper_pearson_against_scipy():
    """Both ends as scipy's exact binomial test gives them."""
    for hits, count in ((0, 10), (7, 50), (50, 50)):
        exact = stats.binomtest(hits, count).proportion_ci(0.95, "exact")
        assert clopper_pearson(hits, count) == pytest.approx((exact.low, exact.high))


def test_poisson_interval_of_nothing_is_not_zero():
    """No event in 20 slices leaves up to .18 a slice."""
    assert poisson_interval(0, 20) == pytest.approx((0.0, 0.184), abs=1e-3)


def test_clusters_widen_the_interval():
    """Ten places of one subject are one subject."""
    spread = {str(index): [(float(index % 2), 1.0)] * 10 for index in range(10)}
    low, high = cluster_bootstrap(spread)
    exact = clopper_pearson(50, 100)
    assert low < exact[0]
    assert high > exact[1]


def test_places_keep_off_the_rim_and_from_each_other():
    """Across slices too, since neighbouring slices are joined."""
    mask = np.zeros((120, 120), bool)
    mask[10:110, 10:110] = True
    places = choose_places([mask] * 3, 30, 8.0, np.random.default_rng(0))
    assert len(places) >= 6
    for number, (_, (row, column)) in enumerate(places):
        assert min(row, column) >= 10 + 4
        assert max(row, column) <= 109 - 4
        assert all(np.hypot(row - r, column - c) > 32 for _, (r, c) in places[:number])


def test_planting_leaves_the_original_alone():
    """The disc stands at its place on its slice along any slice axis."""
    image = np.zeros((40, 41, 42), np.float32)
    for axis in range(3):
        planted = plant(image, [Lesion(5, (20, 22), 8.0, 3.0)], axis)
        where = np.argwhere(planted == 3.0).mean(0)
        assert np.allclose(np.insert([20.0, 22.0], axis, 5.0), where)
        assert planted.sum() == pytest.approx(3 * np.pi * 16, rel=0.03)
    assert not image.any()


def test_a_hit_needs_place_slice_and_sign():
    """A finding elsewhere, on another slice or of the other sign is no hit."""
    restoration = with_added(perfect("MR"), lesion("MR", 14.0, 8.0, (60, 60)))
    findings = judge(restoration).findings
    assert found(Lesion(1, (60, 60), 8.0, 1.0), findings, restoration)
    assert not found(Lesion(1, (60, 60), 8.0, -1.0), findings, restoration)
    assert not found(Lesion(1, (68, 60), 8.0, 1.0), findings, restoration)
    assert not found(Lesion(0, (60, 60), 8.0, 1.0), findings, restoration)


def test_true_noise_is_what_was_added():
    """Local sd within a tenth in the body, with the reference's own share on top; contrast follows d'."""
    shape = (128, 128, 3)
    clean = np.ascontiguousarray(np.moveaxis(body(shape, inside=40, outside=-1000), 2, 0))
    noise = np.moveaxis(CT_SIGMA * ct_noise(shape, np.random.default_rng(0)), 2, 0)
    known = true_noise(clean, np.ascontiguousarray(clean + noise), share=0.75)
    middle = known.sigma[:, 40:88, 40:88]
    assert np.median(middle) == pytest.approx(CT_SIGMA / np.sqrt(0.75), rel=0.1)
    expected = lesion("CT", 10.0, 8.0, (60, 60)).max() / np.sqrt(0.75)
    assert known.change(10.0, 8.0, 1, (64, 64), sign=1) == pytest.approx(expected, rel=0.25)


def test_magnitudes_near_the_floor_need_more_contrast():
    """Where the signal drowns, the same d' takes a stronger lesion; far above the floor the noise is sigma."""
    noise = magnitude_noise(np.array([[[50.0, 4000.0]]], np.float32), MagnitudeNoise(20.0))
    low, high = (noise.change(8.0, 8.0, 0, (0, place), sign=-1) for place in (0, 1))
    assert noise.sigma[0, 0, 1] == pytest.approx(20.0, rel=0.02)
    assert low < high < 0


def test_no_lesion_is_darker_than_nothing():
    """A signal of 1.5 sigma cannot fall by d' 20 above zero; it can rise."""
    noise = magnitude_noise(np.full((1, 1, 1), 30.0, np.float32), MagnitudeNoise(20.0))
    assert noise.change(20.0, 8.0, 0, (0, 0), sign=-1) is None
    assert noise.change(20.0, 8.0, 0, (0, 0), sign=1) > 0
