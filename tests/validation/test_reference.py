"""Channels with a reference: what equals it passes, what departs is told in figures, and nothing is released by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from support.volumes import ct_volume, head, mr_volume

from medsr.physics import AreaAverage, Identity, NoNoise, Operator
from medsr.physics.lesions import disc_at
from medsr.records import NoiseLevel, Restoration
from medsr.release import decide
from medsr.validation.judge import judge
from medsr.validation.policy import load_policy
from medsr.validation.reference import REFERENCE_CHANNELS, compare
from medsr.volume import Volume

SHAPE = (128, 120, 3)
SIGMA = 40.0


def scan_of(values: np.ndarray, sigma: float = 0.0, seed: int = 0) -> Volume:
    noise = np.random.default_rng(seed).normal(0, 1, values.shape) * sigma
    plain = mr_volume(values.shape)
    return replace(plain, values=np.asfortranarray((values + noise).astype(np.float32)))


def restoration_of(image: np.ndarray, truth: np.ndarray, *, factor: int = 1) -> Restoration:
    """An image on the grid of `truth`, which counts as true; the scan is the truth or its block means, with noise."""
    reference = scan_of(truth, 4.0, seed=3)
    if factor == 1:
        measured, linear = scan_of(truth, SIGMA, seed=4), Identity(truth.shape)
    else:
        linear = AreaAverage(truth.shape, (factor, factor))
        blocks = truth.reshape(truth.shape[0] // factor, factor, truth.shape[1] // factor, factor, -1).mean((1, 3))
        coarse = scan_of(blocks, SIGMA, seed=4)
        measured = replace(coarse, geometry=linear.coarse_geometry(reference.geometry))
    return Restoration(
        measured=measured, image=np.asfortranarray(image.astype(np.float32)), estimate=None,
        geometry=reference.geometry, operator=Operator(linear, NoNoise(), "declared"),
        task="denoise" if factor == 1 else "superres", model=None, noise=NoiseLevel(SIGMA, "rician", "declared"),
        reference=reference,
    )  # fmt: skip


@pytest.fixture(scope="module")
def truth():
    """A head with texture down to two pixels: a phantom without detail correlates with nothing once it is noisy."""
    plain = head(SHAPE, seed=2)
    grain = np.random.default_rng(9).normal(0, 1, SHAPE).astype(np.float32)
    texture = ndimage.gaussian_filter(grain, (0.8, 0.8, 0))
    return plain + np.where(plain > 300, 60 * texture / texture.std(), 0).astype(np.float32)


def channels_of(restoration: Restoration) -> dict:
    found = compare(restoration, largest_bias=5.0, shown=(1,))
    return {item.name: item for item in found.channels}


def test_nothing_is_said_without_a_reference(truth):
    bare = replace(restoration_of(truth, truth), reference=None)
    assert compare(bare, largest_bias=5.0, shown=(1,)).channels == ()


@pytest.mark.parametrize("factor", [1, 2])
def test_an_image_that_equals_its_reference_is_held_by_no_channel(truth, factor):
    found = channels_of(restoration_of(truth, truth, factor=factor))
    assert tuple(found) == REFERENCE_CHANNELS
    assert [item.name for item in found.values() if item.status == "held"] == []
    assert found["F4"].value == pytest.approx(1, abs=0.05)
    assert abs(found["F10"].value) < 1


def test_a_displaced_image_is_not_comparable_and_holds_nothing(truth):
    moved = ndimage.shift(truth, (0.6, 0, 0), order=3, mode="nearest")
    found = channels_of(restoration_of(moved, truth))
    assert found["F0"].value == pytest.approx(0.6, abs=0.1)
    assert {item.status for item in found.values()} == {"not_assessed"}
    assert "not comparable" in found["F5"].note


def test_a_false_structure_is_an_error_in_what_was_measured(truth):
    image = np.array(truth)
    image[:, :, 1] += 3 * SIGMA * disc_at(SHAPE[:2], (60, 60), 8)
    found = channels_of(restoration_of(image, truth))
    assert found["F5"].status == "held"
    assert "1 place" in found["F5"].note
    assert "brighter" in found["F5"].note
    assert "slice 2" in found["F5"].note


def test_a_structure_that_the_operator_never_sees_is_an_error_in_what_was_supplied(truth):
    """Columns that alternate have block means of zero: the measured part is blind to them."""
    image = np.array(truth)
    image[40:80, 40:80, 1] += 3 * SIGMA * (-1.0) ** np.arange(40)
    found = channels_of(restoration_of(image, truth, factor=2))
    assert found["F5"].status == "passed"
    assert found["F6"].uncalibrated
    assert found["F6"].note.startswith("100 %") or found["F6"].note.startswith("99 %")


def test_brightness_is_compared_in_flat_tissue(truth):
    found = channels_of(restoration_of(truth * 1.03, truth))
    assert found["F10"].status == "held"
    assert found["F10"].value == pytest.approx(30, abs=8)
    assert "brighter than in the reference" in found["F10"].words


def test_contrast_that_was_smoothed_away_holds(truth):
    found = channels_of(restoration_of(ndimage.gaussian_filter(truth, (6, 6, 0)), truth))
    assert found["F7"].status == "held"
    assert found["F7"].value < 0.5
    kept = channels_of(restoration_of(truth, truth))["F7"]
    assert kept.value == pytest.approx(1, abs=0.1)


def test_similarity_and_detail_fall_with_blur(truth):
    sharp = channels_of(restoration_of(truth, truth))
    blurred = channels_of(restoration_of(ndimage.gaussian_filter(truth, (2, 2, 0)), truth))
    for name in ("F2", "F4", "F9"):
        assert blurred[name].value < sharp[name].value, name


def test_noise_left_in_the_image_is_told_against_the_references():
    flat = ct_volume((320, 320, 1)).values + np.float32(1000)
    noisy = flat + np.random.default_rng(5).normal(0, 12, flat.shape)
    assert channels_of(restoration_of(noisy, flat))["F8"].value == pytest.approx(3, rel=0.3)


def test_error_maps_of_the_shown_slices_are_kept_and_add_up_to_the_error(truth):
    image = ndimage.gaussian_filter(truth, (1, 1, 0))
    restoration = restoration_of(image, truth, factor=2)
    maps = compare(restoration, largest_bias=5.0, shown=(1,)).maps
    total = maps["range_error"][1] + maps["null_error"][1]
    assert np.allclose(total, restoration.image[:, :, 1] - restoration.reference.values[:, :, 1], atol=1e-2)
    assert list(maps["range_error"]) == [1]


def test_a_reference_can_hold_and_never_reject_or_release(truth):
    policy = load_policy("research")
    image = np.array(truth)
    image[:, :, 1] += 200 * disc_at(SHAPE[:2], (60, 60), 12)
    for image_of in (truth, image):
        restoration = restoration_of(image_of, truth)
        with_reference = judge(restoration)
        without = judge(replace(restoration, reference=None))
        words = [decide(item, policy, task="denoise", slice_axis=2) for item in (with_reference, without)]
        assert words[0].word == words[1].word or (words[0].word, words[1].word) == ("review", "released")
        assert set(words[1].reasons) <= set(words[0].reasons)
        assert with_reference.findings == without.findings


def test_a_ct_reference_is_judged_by_the_authors_levels():
    scan = ct_volume((128, 128, 1), sigma=5)
    truth = replace(scan, values=np.asfortranarray(ct_volume((128, 128, 1)).values))
    restoration = Restoration(
        measured=scan, image=np.array(truth.values), estimate=None, geometry=scan.geometry,
        operator=Operator(Identity((128, 128, 1)), NoNoise(), "declared"), task="denoise", model=None,
        noise=NoiseLevel(5.0, "gaussian", "declared"), reference=truth,
    )  # fmt: skip
    found = channels_of(restoration)
    assert found["F1"].value == 0
    assert "as published" in found["F1"].note
