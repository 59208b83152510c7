"""Sources of the noise level that are apart hold a result; what they can prove depends on the source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.restorations import MR_SIGMA, SHAPE, body, mr_restoration, perfect

from medsr.physics.estimate import NoiseEstimate
from medsr.records import NoiseLevel
from medsr.validation.judge import judge
from medsr.validation.noise_check import check_noise


def check(sigma, provenance, *, air=None, tissue=None, modality="MR", interpolated=False):
    level = NoiseLevel(sigma, "rician", provenance)
    estimate = NoiseEstimate(air or tissue or 0.0, air, tissue)
    return check_noise(level, estimate, modality=modality, interpolated=interpolated)


@pytest.mark.parametrize(
    ("sigma", "provenance", "sources", "verified"),
    [
        (10, "user", {"air": 10.5, "tissue": 22}, True),
        (10, "user", {"air": 12.5}, False),
        (10, "user", {"air": 8.0}, False),
        (10, "header", {"air": 8.0}, False),
        (10, "declared", {"air": 8.0}, False),
        (10, "declared", {"air": 12.5}, True),
        (10, "declared", {"tissue": 25}, True),
        (10, "declared", {"tissue": 8.0}, False),
        (10, "estimated", {"air": 10, "tissue": 30}, True),
        (10, "estimated", {"air": 10, "tissue": 3.4}, False),
        (10, "estimated", {"tissue": 10}, True),
    ],
)
def test_sources_more_than_a_tenth_apart_are_told(sigma, provenance, sources, verified):
    """Tissue holds texture, and a sidecar states what was added alone: more than the level proves nothing there."""
    found = check(sigma, provenance, **sources)
    assert found.verified is verified
    assert bool(found.apart) is not verified


def test_an_empty_outer_spectrum_is_never_verified():
    assert not check(10, "estimated", air=10, tissue=10, interpolated=True).verified


@pytest.mark.parametrize(("user", "verified"), [(19.0, True), (24.0, False), (16.0, False)])
def test_of_ct_the_users_level_is_held_against_the_flattest_tissue(user, verified):
    assert check(user, "user", tissue=20.0, modality="CT").verified is verified


@pytest.mark.parametrize(
    ("provenance", "sources", "modality", "high"),
    [
        ("estimated", {"air": 10, "tissue": 20}, "MR", False),
        ("estimated", {"tissue": 20}, "MR", True),
        ("declared", {"tissue": 20}, "MR", False),
        ("user", {"tissue": 20}, "MR", False),
        ("estimated", {"tissue": 20}, "CT", False),
        ("estimated", {}, "CT", True),
    ],
)
def test_only_an_estimate_without_a_clean_source_may_be_too_high(provenance, sources, modality, high):
    assert check(20, provenance, modality=modality, **sources).may_be_high is high


@pytest.mark.parametrize("factor", [0.8, 1.2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_level_wrong_by_a_fifth_is_noticed(factor, seed):
    """V7: by the user's number against the scan's air, whatever the residual says."""
    made = perfect("MR", seed=seed)
    wrong = replace(made, noise=replace(made.noise, sigma=factor * MR_SIGMA, provenance="user"))
    assert "noise.unverified" in judge(wrong).codes
    right = replace(made, noise=replace(made.noise, provenance="user"))
    assert "noise.unverified" not in judge(right).codes


def test_an_interpolated_scan_is_not_verified():
    """Its outer spectrum is empty: no reading of its noise is that of the scan."""
    truth = body(SHAPE, inside=800, outside=0)
    made = mr_restoration(truth, truth)
    spectrum = np.fft.fftshift(np.fft.fft2(made.measured.values, axes=(0, 1)), axes=(0, 1))
    spectrum[:20] = spectrum[-20:] = 0
    spectrum[:, :20] = spectrum[:, -20:] = 0
    smooth = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(0, 1)), axes=(0, 1)))
    measured = replace(made.measured, values=np.asfortranarray(smooth.astype(np.float32)))
    judgement = judge(replace(made, measured=measured, noise=replace(made.noise, provenance="estimated")))
    assert "noise.unverified" in judgement.codes
    assert any("interpolated" in sentence for sentence in judgement.limits)
