"""R7: a residual that is noise passes; one that follows the image, or is smooth, holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from support.restorations import SHAPE, body, ct_restoration, mr_restoration, perfect, with_added

from medsr.validation.judge import judge


def r7(restoration):
    return next(item for item in judge(restoration).channels if item.name == "R7")


def textured(modality):
    """A body full of detail of 6 px."""
    inside, outside = (800, 0) if modality == "MR" else (40, -1000)
    truth = body(SHAPE, inside=inside, outside=outside)
    waves = np.sin(np.arange(SHAPE[0]) * 1.05)[:, None] * np.sin(np.arange(SHAPE[1]) * 1.05)[None]
    rim = ndimage.binary_erosion(np.abs(truth[:, :, 1] - inside) < 5, iterations=3)
    return np.asfortranarray(truth + np.where(rim, 90 * waves, 0)[:, :, None].astype(np.float32))


MAKE = {"MR": mr_restoration, "CT": ct_restoration}


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("seed", range(4))
def test_pure_noise_is_white(modality, seed):
    """Of CT the residual is whitened by its own spectrum first."""
    result = r7(perfect(modality, seed=seed))
    assert result.status == "passed"
    assert result.value < 0.8
    assert r7(MAKE[modality](textured(modality), textured(modality), seed=seed)).status == "passed"


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_an_image_that_smoothed_its_texture_leaves_it_in_the_residual(modality):
    truth = textured(modality)
    smooth = np.asfortranarray(ndimage.gaussian_filter(truth, (1.3, 1.3, 0)))
    result = r7(MAKE[modality](truth, smooth))
    assert result.status == "held"
    assert "follows the" in result.note
    assert (result.kind, result.may) == ("range", "hold")


def test_noise_that_a_restorer_left_in_is_no_structure():
    """The residual is then a share of the noise, and its own picture is the rest of it."""
    made = perfect("MR")
    left = np.asfortranarray(made.image + 0.4 * (made.measured.values - made.image))
    assert r7(replace(made, image=left, estimate=left)).status == "passed"


def test_a_residual_far_below_the_noise_may_have_any_colour():
    made = perfect("MR")
    waves = 3.0 * np.sin(np.arange(SHAPE[0]) * 0.8)[:, None, None] * np.ones(SHAPE)
    nearly = np.asfortranarray((made.measured.values + waves).astype(np.float32))
    assert r7(replace(made, image=nearly, estimate=nearly)).status == "passed"


def test_smooth_leftovers_of_the_size_of_the_noise_are_not_white():
    """Lag 1 to 3 tells a residual that is spread over neighbours."""
    made = perfect("MR")
    rng = np.random.default_rng(5)
    clouds = ndimage.gaussian_filter(rng.standard_normal(SHAPE), (2, 2, 0))
    result = r7(with_added(made, np.asfortranarray((40 * clouds / clouds.std()).astype(np.float32))))
    assert result.status == "held"


def test_without_the_estimate_or_a_voxel_nothing_is_assessed():
    assert r7(replace(perfect("MR"), estimate=None)).status == "not_assessed"
    dark = body(SHAPE, inside=20, outside=0)
    assert r7(mr_restoration(dark, dark)).status == "not_assessed"
