"""The blind noise estimate: what it reads on noise that is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from support.volumes import MADE, ct_volume, geometry, head, mr_volume

from medsr.io import read
from medsr.physics import MagnitudeNoise, estimate
from medsr.physics.ct_noise import noise_fields
from medsr.physics.estimate import NoiseEstimate, estimate_noise
from medsr.volume import Volume


def noisy(volume: Volume, sigma: float) -> Volume:
    clean = torch.from_numpy(np.array(volume.values))
    values = MagnitudeNoise(sigma).draw(clean, torch.Generator().manual_seed(1), sigma).numpy()
    return replace(volume, values=np.asfortranarray(values), padding=None)


@pytest.mark.parametrize("sigma", [10.0, 30.0, 90.0, 200.0])
def test_noise_of_a_made_head_is_read_to_a_few_percent(sigma: float) -> None:
    """Rician noise of 1 to 20 % on a head with air round it."""
    found = estimate_noise(mr_volume((128, 112, 8), sigma=sigma))
    assert found.sigma == pytest.approx(sigma, rel=0.03)
    assert found.air == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_estimate_follows_the_slice_axis(axis: int) -> None:
    volume = mr_volume((128, 112, 8), sigma=40.0)
    turned = np.asfortranarray(np.moveaxis(volume.values, 2, axis))
    grid = replace(geometry(turned.shape), slice_axis=axis)
    found = estimate_noise(replace(volume, values=turned, geometry=grid))
    assert found.sigma == pytest.approx(40.0, rel=0.03)


def test_masked_air_leaves_the_estimate_to_tissue() -> None:
    """Skull-stripped: the rim of the mask is dark and uneven, but it is no noise."""
    clean = head((128, 112, 8))
    volume = mr_volume((128, 112, 8), sigma=40.0)
    values = np.asfortranarray(np.where(clean > 400, volume.values, 0).astype(np.float32))
    found = estimate_noise(replace(volume, values=values))
    assert found.air is None
    assert found.sigma == pytest.approx(40.0, rel=0.06)


def test_the_rim_of_a_mask_is_not_taken_for_air() -> None:
    """A ramp from nothing to twice its mean has the deviation of Rayleigh noise, until its plane is taken out."""
    rng = np.random.default_rng(0)
    plane = 1000 + 5 * rng.normal(0, 1, (128, 128))
    plane[:, :8] = np.linspace(10, 190, 8)[None] + 5 * rng.normal(0, 1, (128, 8))
    plane[:8] = np.linspace(10, 190, 8)[:, None] + 5 * rng.normal(0, 1, (8, 128))
    values = np.asfortranarray(np.repeat(plane[:, :, None], 4, 2).astype(np.float32))
    found = estimate_noise(Volume(values, geometry(values.shape), "MR", "arbitrary", MADE))
    assert estimate._air_sigma(values[:, :, 0], None) is None
    assert found.air is None
    assert found.sigma == pytest.approx(5.0, rel=0.06)


def test_dark_tissue_is_not_taken_for_air() -> None:
    """A masked scan with a dark, textured half: its Rayleigh-like blocks would read ten times the noise."""
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.normal(0, 1, (128, 128, 8)), (2, 2, 0))
    values = 1000 + 5 * rng.normal(0, 1, (128, 128, 8))
    values[:64] = 150 + 78 * (texture / texture.std())[:64] + 5 * rng.normal(0, 1, (64, 128, 8))
    volume = Volume(
        np.asfortranarray(np.abs(values).astype(np.float32)), geometry((128, 128, 8)), "MR", "arbitrary", MADE
    )
    assert estimate_noise(volume).sigma < 10


def test_interpolation_does_not_hide_noise_where_there_is_air() -> None:
    """Zero-filled twofold: differences of neighbours read a fraction, air reads it all."""
    small = mr_volume((96, 80, 6), sigma=50.0)
    values = np.abs(np.stack([_zero_filled(small.values[:, :, k]) for k in range(6)], 2)).astype(np.float32)
    volume = replace(small, values=np.asfortranarray(values), geometry=geometry(values.shape))
    found = estimate_noise(volume)
    assert found.tissue < 0.5 * 50
    assert found.sigma == pytest.approx(50.0, rel=0.1)


@pytest.mark.parametrize("percent", [5, 9])
def test_noise_added_to_a_real_head_is_read(t1_head: Path, percent: int) -> None:
    """The slab's air is blank, so air reads the added noise alone; tissue reads what the scan had before as well."""
    volume = read(t1_head)
    sigma = percent / 100 * float(np.percentile(volume.values[volume.values > 0], 99.9))
    before, after = estimate_noise(volume), estimate_noise(noisy(volume, sigma))
    assert after.air == pytest.approx(sigma, rel=0.02)
    assert after.tissue == pytest.approx(float(np.hypot(before.sigma, sigma)), rel=0.08)


@pytest.mark.parametrize("sigma", [2.0, 10.0, 40.0])
def test_ct_noise_of_a_made_body_is_read(sigma: float) -> None:
    """The flattest windows are chosen by their own noise, hence a few percent low."""
    assert estimate_noise(ct_volume((256, 256, 4), sigma=sigma)).sigma == pytest.approx(sigma, rel=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("added", [10.0, 40.0])
def test_dose_noise_added_to_a_real_chest_is_read(ct_chest: Path, added: float) -> None:
    """Correlated noise, on top of what the scan holds."""
    volume = read(ct_chest)
    before = estimate_noise(volume).sigma
    spacing = volume.geometry.spacing_mm[0]
    fields = [
        noise_fields(volume.values[:, :, k], spacing, np.random.default_rng(k), views=90)[0]
        for k in range(volume.geometry.shape[2])
    ]
    values = np.asfortranarray(volume.values + added * np.stack(fields, 2)).astype(np.float32)
    assert estimate_noise(replace(volume, values=values)).sigma == pytest.approx(np.hypot(before, added), rel=0.05)


def test_a_scan_without_soft_tissue_falls_back() -> None:
    volume = ct_volume((96, 96, 2))
    air = replace(volume, values=np.full_like(volume.values, -1000))
    assert estimate_noise(air).sigma == 12.0


def test_estimates_agree_within_a_tenth() -> None:
    assert NoiseEstimate(10, 10.0, 9.5).consistent
    assert not NoiseEstimate(10, 10.0, 8.0).consistent
    assert not NoiseEstimate(10, None, 10.0).consistent


def _zero_filled(plane: np.ndarray) -> np.ndarray:
    spectrum = np.fft.fftshift(np.fft.fft2(plane))
    padded = np.pad(spectrum, [(size // 2, size // 2) for size in plane.shape])
    return np.fft.ifft2(np.fft.ifftshift(padded)) * 4


def test_texture_does_not_raise_the_noise_where_there_is_air() -> None:
    """Folds finer than the windows raise the reading of tissue; the air beside them is taken."""
    scan = mr_volume((128, 128, 6), sigma=12.0)
    first, second = np.meshgrid(np.arange(128), np.arange(128), indexing="ij")
    folds = 60 * np.sin(1.9 * first) * np.sin(2.1 * second)
    values = scan.values + np.where(scan.values > 400, folds[:, :, None], 0).astype(np.float32)
    found = estimate_noise(replace(scan, values=np.asfortranarray(values)))
    assert found.tissue is not None
    assert found.tissue > 2 * 12.0
    assert found.sigma == found.air == pytest.approx(12.0, rel=0.1)
