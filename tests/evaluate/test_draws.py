"""Repeated draws: noise, texture and contrast of methods whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from support.volumes import ct_volume, mr_volume

from medsr.evaluate.cases import cases_of
from medsr.evaluate.draws import DIAMETERS_PX, Experiment, contrast_kept, mean_frequency, places_for
from medsr.evaluate.levels import levels_named
from medsr.evaluate.scans import EvaluationScan
from medsr.volume import Volume


def _experiment(level: str) -> Experiment:
    volume = ct_volume((96, 88, 1), sigma=3) if level.startswith("CT") else mr_volume((96, 88, 3), sigma=3)
    scan = EvaluationScan("scan", "someone", "domain", "seen", volume)
    return Experiment(next(cases_of(scan, levels_named((level,)), slices=1)), 6)


def _same(volume: Volume) -> np.ndarray:
    return np.moveaxis(volume.values, 2, 0)


def _half(volume: Volume) -> np.ndarray:
    return _same(volume) / 2


def _blurred(volume: Volume) -> np.ndarray:
    return ndimage.gaussian_filter(_same(volume), (0, 1.5, 1.5))


@pytest.mark.parametrize("level", ["MR denoise 3", "CT quarter"])
def test_a_method_that_does_nothing_keeps_all_noise_and_all_contrast(level: str) -> None:
    row = _experiment(level).row("same", _same)
    assert row.noise_left == pytest.approx(1, abs=1e-3)
    assert row.frequency == pytest.approx(1, abs=1e-3)
    assert set(row.kept) == {f"{size:g} px" for size in DIAMETERS_PX}
    for share in row.kept.values():
        assert share == pytest.approx(1, abs=0.03)


def test_halving_halves_noise_and_contrast_and_shows_as_bias() -> None:
    row = _experiment("MR denoise 3").row("half", _half)
    assert row.noise_left == pytest.approx(0.5, abs=1e-3)
    assert row.kept["8 px"] == pytest.approx(0.5, abs=0.02)
    assert row.bias < -20


def test_blur_leaves_blotches_and_takes_more_of_small_discs() -> None:
    row = _experiment("CT quarter").row("blur", _blurred)
    assert row.frequency < 0.8
    assert row.noise_left < 0.8
    assert row.kept["4 px"] < row.kept["8 px"] < 1


def test_contrast_of_noise_that_has_nothing_to_do_with_the_disc_is_none() -> None:
    disc = np.zeros((64, 64), np.float32)
    disc[20:30, 20:30] = 5
    noise = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    assert abs(contrast_kept(noise, disc)) < 0.1


def test_white_noise_has_the_mean_frequency_of_the_square() -> None:
    noise = np.random.default_rng(0).standard_normal((20, 64, 64)).astype(np.float32)
    assert mean_frequency(noise, np.ones((64, 64), bool)) == pytest.approx(0.3826, abs=0.01)


def test_places_lie_inside_and_apart() -> None:
    mask = np.zeros((200, 220), bool)
    mask[20:180, 20:200] = True
    places = places_for(mask)
    assert len(places) == 6
    for index, one in enumerate(places):
        assert mask[one[0] - 8 : one[0] + 9, one[1] - 8 : one[1] + 9].all()
        assert all(np.hypot(one[0] - other[0], one[1] - other[1]) >= 39 for other in places[:index])
