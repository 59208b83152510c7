"""Features that tell a scan outside the training domain, and name what is odd about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.volumes import ct_volume, mr_volume

from medsr.io import read
from medsr.physics.features import FEATURES, domain_features, outside


@pytest.mark.parametrize("make", [mr_volume, ct_volume])
def test_every_feature_is_there_and_finite(make: object) -> None:
    features = domain_features(make(sigma=20.0))  # type: ignore[operator]  # one of two makers
    assert tuple(features) == FEATURES
    assert all(np.isfinite(value) for value in features.values())


def test_noise_and_spacing_are_read_in_their_units() -> None:
    features = domain_features(ct_volume((256, 256, 4), sigma=25.0))
    assert features["noise"] == pytest.approx(25.0, rel=0.15)
    assert features["in_plane_spacing_mm"] == pytest.approx(np.sqrt(0.8 * 0.9), rel=1e-3)
    assert features["slice_spacing_mm"] == pytest.approx(2.5)


def test_blur_steepens_the_spectrum_and_noise_flattens_it(t1_head: Path) -> None:
    from scipy.ndimage import gaussian_filter

    scan = read(t1_head)
    rng = np.random.default_rng(0)
    blurred = gaussian_filter(scan.values, (1.5, 1.5, 0)).astype(np.float32)
    noisy = (scan.values + 30 * rng.standard_normal(scan.values.shape)).astype(np.float32)
    slopes = [
        domain_features(replace(scan, values=values))["spectral_slope"] for values in (blurred, scan.values, noisy)
    ]
    assert slopes[0] < slopes[1] < slopes[2]


def test_gain_of_an_mr_scan_is_no_feature() -> None:
    scan = mr_volume(sigma=20.0)
    louder = replace(scan, values=np.asfortranarray(scan.values * 7))
    assert domain_features(louder) == pytest.approx(domain_features(scan), rel=1e-3)


def test_what_is_outside_is_named_with_its_range() -> None:
    features = {"noise": 9.0, "spectral_slope": -3.0, "other": 5.0}
    ranges = {"noise": (1.0, 4.0), "spectral_slope": (-4.0, -2.0)}
    assert outside(features, ranges) == {"noise": (9.0, 1.0, 4.0)}


def test_the_rim_of_a_range_is_inside() -> None:
    assert outside({"noise": 4.2}, {"noise": (1.0, 4.0)}) == {}
