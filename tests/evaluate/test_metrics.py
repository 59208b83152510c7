"""Metrics against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.volumes import ct_volume, head

from medsr.evaluate.metrics import (
    body_mask_ct,
    excess_rmse,
    flat_bias,
    flat_part,
    foreground_mr,
    gradient_energy,
    gradient_ratio,
    patch_means,
    psnr,
    rank_correlation,
    rmse,
    spread_ratio,
    ssim,
)

SHAPE = (2, 64, 72)
EVERYWHERE = np.ones(SHAPE, bool)


def _noise(sigma: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(SHAPE) * sigma).astype(np.float32)


def test_rmse_of_a_constant_offset_is_the_offset() -> None:
    assert rmse(np.full(SHAPE, 5.0, np.float32), np.full(SHAPE, 2.0, np.float32), EVERYWHERE) == pytest.approx(3)


def test_errors_outside_the_mask_do_not_count() -> None:
    mask = EVERYWHERE.copy()
    mask[:, :10] = False
    image = np.zeros(SHAPE, np.float32)
    image[:, :10] = 1e6
    assert rmse(image, np.zeros(SHAPE, np.float32), mask) == 0


def test_psnr_is_twenty_log_of_peak_over_rmse() -> None:
    assert psnr(np.full(SHAPE, 10.0, np.float32), np.zeros(SHAPE, np.float32), EVERYWHERE, peak=1000) == pytest.approx(
        40
    )


def test_psnr_of_equal_images_is_finite() -> None:
    same = _noise(1)
    assert math.isfinite(psnr(same, same, EVERYWHERE, peak=1))


def test_ssim_of_equal_images_is_one_and_falls_with_noise() -> None:
    image = _noise(100)
    assert ssim(image, image, EVERYWHERE, peak=500) == pytest.approx(1)
    assert ssim(image + _noise(100, 1), image, EVERYWHERE, peak=500) < 0.9


def test_excess_error_takes_the_floor_away_in_squares() -> None:
    assert excess_rmse(5, 3) == pytest.approx(4)
    assert excess_rmse(2, 3) == 0


def test_the_best_blend_of_a_noisy_reference_has_no_excess_error() -> None:
    """With x = c + n and y = x + m, (1 - d) c + d y has the error sigma sqrt(1 - d) against x."""
    dose, sigma = 0.25, 10.0
    own, added = _noise(sigma), _noise(sigma * math.sqrt(1 / dose - 1), 1)
    best = dose * (own + added)
    error = rmse(best, own, EVERYWHERE)
    floor = math.sqrt(dose) * rmse(own + added, own, EVERYWHERE)
    assert error == pytest.approx(sigma * math.sqrt(1 - dose), rel=0.02)
    assert excess_rmse(error, floor) < 0.12 * error


def test_gradient_energy_of_white_noise_is_two_variances_an_axis() -> None:
    assert gradient_energy(_noise(3), EVERYWHERE) == pytest.approx(4 * 9, rel=0.05)


def test_gradient_energy_of_a_ramp_is_its_slope_squared() -> None:
    ramp = np.broadcast_to(np.arange(SHAPE[1], dtype=np.float32)[None, :, None] * 2, SHAPE)
    assert gradient_energy(np.ascontiguousarray(ramp), EVERYWHERE) == pytest.approx(4)


def test_a_clean_image_is_as_sharp_as_a_noisy_reference_of_the_same_scene() -> None:
    scene = np.moveaxis(head((64, 72, 2)), 2, 0)
    noisy = scene + _noise(20)
    ratio = gradient_ratio(scene, noisy, EVERYWHERE, sigma=20, correlation=0)
    assert ratio == pytest.approx(1, abs=0.05)
    assert gradient_energy(scene, EVERYWHERE) / gradient_energy(noisy, EVERYWHERE) < 0.95


def test_correlated_noise_adds_less_gradient_energy() -> None:
    scene = np.moveaxis(head((64, 72, 2)), 2, 0)
    tight = gradient_ratio(scene, scene, EVERYWHERE, sigma=20, correlation=0.62)
    loose = gradient_ratio(scene, scene, EVERYWHERE, sigma=20, correlation=0.0)
    assert 1 < tight < loose


def test_gradient_ratio_is_nan_where_the_reference_is_all_noise() -> None:
    assert math.isnan(gradient_ratio(_noise(1), _noise(1), EVERYWHERE, sigma=1, correlation=0))


def test_flat_bias_ignores_errors_at_edges() -> None:
    reference = np.zeros(SHAPE, np.float32)
    reference[:, 32:] = 100
    flat = flat_part(reference + _noise(0.1), EVERYWHERE)
    image = reference + 2
    image[:, 30:34] += 50
    assert not flat[:, 31:33].any()
    assert flat_bias(image, reference, flat) == pytest.approx(2)


def test_body_of_ct_leaves_the_table_out_and_keeps_the_lung() -> None:
    values = np.moveaxis(ct_volume().values, 2, 0).copy()
    values[:, 94:, :] = 200
    mask = body_mask_ct(values)
    assert not mask[:, 95].any()
    assert mask[0, 67, 48]


def test_foreground_of_mr_leaves_air_out() -> None:
    stack = np.moveaxis(head(), 2, 0)
    mask = foreground_mr(stack)
    assert not mask[0, 0, 0]
    assert mask[0, 32, 28]


def test_spread_ratio_is_one_for_samples_that_spread_as_they_err() -> None:
    """Samples and truth from one law: the mean of K errs by sigma sqrt(1 + 1/K)."""
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((9, *SHAPE)).astype(np.float32)
    samples, truth = draws[:8], draws[8]
    deviation = samples.std(0, ddof=1)
    ratio = spread_ratio(deviation, samples.mean(0) - truth, EVERYWHERE, samples=8)
    assert ratio == pytest.approx(1, abs=0.03)


def test_rank_correlation_finds_the_patches_that_err() -> None:
    scale = np.repeat(np.repeat(np.arange(1, 73, dtype=np.float32).reshape(8, 9), 8, 0), 8, 1)
    deviation = np.broadcast_to(scale, SHAPE)
    assert rank_correlation(np.ascontiguousarray(deviation), deviation * _noise(1), EVERYWHERE) > 0.9
    assert abs(rank_correlation(np.ascontiguousarray(deviation), _noise(1), EVERYWHERE)) < 0.3


def test_patch_means_leave_a_rim_out() -> None:
    assert patch_means(np.ones((2, 20, 25), np.float32)).shape == (2, 2, 3)
