"""HaarPSI: bounds and order that its authors state."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from support.volumes import head

from medsr.validation.haarpsi import haarpsi

IMAGE = np.moveaxis(head((96, 88, 2)), 2, 0)
MASK = np.ones(IMAGE.shape, bool)
WINDOW = (0.0, 1400.0)


def test_equal_images_score_one() -> None:
    assert haarpsi(IMAGE, IMAGE, MASK, window=WINDOW) == pytest.approx(1)


def test_more_noise_and_more_blur_score_less() -> None:
    noise = np.random.default_rng(0).standard_normal(IMAGE.shape).astype(np.float32)
    noisy = [haarpsi(IMAGE + level * noise, IMAGE, MASK, window=WINDOW) for level in (20, 60, 180)]
    blurred = [haarpsi(ndimage.gaussian_filter(IMAGE, (0, s, s)), IMAGE, MASK, window=WINDOW) for s in (1, 2, 4)]
    assert sorted(noisy, reverse=True) == noisy
    assert sorted(blurred, reverse=True) == blurred
    assert max(noisy[0], blurred[0]) < 1


def test_it_is_symmetric() -> None:
    other = ndimage.gaussian_filter(IMAGE, (0, 2, 2))
    assert haarpsi(other, IMAGE, MASK, window=WINDOW) == pytest.approx(haarpsi(IMAGE, other, MASK, window=WINDOW))


def test_what_lies_outside_the_window_does_not_count() -> None:
    bright = IMAGE.copy()
    bright[IMAGE > 1000] += 500
    assert haarpsi(bright, IMAGE, MASK, window=(0.0, 1000.0)) == pytest.approx(1)


def test_an_empty_window_of_constant_images_scores_one() -> None:
    flat = np.full((1, 32, 32), 5.0, np.float32)
    assert haarpsi(flat, flat, np.ones(flat.shape, bool), window=(10.0, 20.0)) == 1.0
