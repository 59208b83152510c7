"""Discs that stand for lesions: their area, their place, and the contrast that makes them detectable."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import fft

from medsr.physics.lesions import contrast_for, disc, disc_at


@pytest.mark.parametrize("diameter", [3.0, 4.0, 6.5, 8.0, 16.0, 32.0])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.3, -0.45)])
def test_a_disc_has_its_area_and_centre(diameter: float, offset: tuple[float, float]) -> None:
    made = disc(diameter, offset=offset)
    assert float(made.sum()) == pytest.approx(math.pi * diameter**2 / 4, rel=0.03)
    assert made.shape[0] == made.shape[1]
    assert made.shape[0] % 2 == 1
    grid = np.indices(made.shape) - made.shape[0] // 2
    assert (grid * made).sum((1, 2)) / made.sum() == pytest.approx(offset, abs=0.05)
    assert 0 <= made.min() <= made.max() <= 1
    assert not made[0].any()


@pytest.mark.parametrize("place", [(10, 20), (0, 0), (39, 29)])
def test_a_disc_lies_where_it_is_put(place: tuple[int, int]) -> None:
    image = disc_at((40, 30), place, 6)
    assert image.shape == (40, 30)
    assert image[place] == 1
    if place == (10, 20):
        assert np.argwhere(image).mean(0) == pytest.approx(place)


@pytest.mark.parametrize("diameter", [4.0, 8.0, 16.0])
def test_contrast_in_white_noise_is_that_of_the_matched_filter(diameter: float) -> None:
    """d' = contrast |disc| / sigma."""
    contrast = contrast_for(8.0, diameter, sigma=5.0)
    energy = float((disc(diameter).astype(np.float64) ** 2).sum())
    assert contrast * math.sqrt(energy) / 5.0 == pytest.approx(8.0, rel=1e-4)


def test_contrast_in_coloured_noise_gives_the_ideal_observer_its_dprime() -> None:
    """The prewhitening observer's statistic, on drawn noise of that spectrum, differs by d' standard deviations."""
    side, rng = 64, np.random.default_rng(0)
    radius = np.hypot(fft.fftfreq(side)[:, None], fft.rfftfreq(side)[None])
    nps = 0.1 + radius * np.exp(-((radius / 0.2) ** 2))
    weights = np.full(nps.shape, 2.0)
    weights[:, 0] = weights[:, -1] = 1.0
    nps /= (nps * weights).sum() / side**2
    contrast = contrast_for(3.0, 8.0, sigma=2.0, nps=nps, side=side)
    lesion = contrast * disc_at((side, side), (32, 32), 8.0)
    template = fft.irfft2(fft.rfft2(lesion.astype(np.float64)) / nps, (side, side))
    noise = fft.irfft2(fft.rfft2(rng.normal(0, 2.0, (4000, side, side))) * np.sqrt(nps), (side, side))
    absent = (noise * template).sum((1, 2))
    dprime = (lesion * template).sum() / absent.std()
    assert dprime == pytest.approx(3.0, rel=0.05)


def test_power_near_zero_is_not_trusted() -> None:
    """A spectrum that vanishes would make every lesion visible: at least 5 % of its largest value counts."""
    nps = np.ones((64, 33))
    nps[:8] = nps[-8:] = 1e-12
    assert contrast_for(5.0, 8.0, sigma=1.0, nps=nps, side=64) > 0.2 * contrast_for(5.0, 8.0, sigma=1.0, side=64)
