"""R8: a second scan of independent noise measures the error of an image without any truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from support.restorations import CT_SIGMA, MR_SIGMA, SHAPE, body, ct_restoration, lesion, mr_restoration

from medsr.physics import Identity, MagnitudeNoise, Operator
from medsr.validation.judge import judge
from medsr.validation.r8_independent import second_result

MAKE = {"MR": mr_restoration, "CT": ct_restoration}


def anatomy(modality):
    """A body with bars in it, so that its place can be found."""
    inside, outside = (800, 0) if modality == "MR" else (40, -1000)
    truth = body(SHAPE, inside=inside, outside=outside)
    truth[40:56, 30:80] += 200
    truth[70:96, 50:60] -= 150
    return np.asfortranarray(truth)


def pair(modality, *, error=0.0, seed=0, noise=None):
    """A restoration that is wrong by `error` of the noise, and a second draw of its scan."""
    truth = anatomy(modality)
    sigma = noise or (MR_SIGMA if modality == "MR" else CT_SIGMA)
    first, second = (MAKE[modality](truth, truth, sigma=sigma, seed=seed + k) for k in (0, 1))
    wrong = ndimage.gaussian_filter(np.random.default_rng(9).standard_normal(SHAPE), (2, 2, 0))
    image = np.asfortranarray((truth + error * sigma * wrong / wrong.std()).astype(np.float32))
    other = second.measured
    if modality == "MR":
        stated = Operator(Identity(SHAPE), MagnitudeNoise(sigma), "declared").to_record()
        other = replace(other, degradation={"operator": stated})
    return replace(first, image=image, estimate=image, second=other)


@pytest.mark.parametrize("error", [0.0, 0.3, 0.8])
def test_the_mean_square_less_one_is_the_error_in_units_of_noise(error):
    """V8 on a made scan: within .02 at this number of voxels."""
    found = [second_result(pair("MR", error=error, seed=10 * k)).value for k in range(4)]
    made = pair("MR", error=error)
    inside = np.abs(made.image) > 500
    true = np.mean(((made.image - anatomy("MR"))[inside] / MR_SIGMA) ** 2)
    assert np.mean(found) == pytest.approx(true, abs=0.02)


def test_an_image_farther_from_the_truth_than_the_scan_holds():
    result = second_result(pair("MR", error=1.3))
    assert (result.status, result.kind, result.may) == ("held", "range", "verify")
    assert second_result(pair("MR", error=0.5)).status == "passed"


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_second_scan_without_a_sidecar_brings_its_own_estimate(modality):
    made = pair(modality)
    result = second_result(replace(made, second=replace(made.second, degradation=None)))
    assert result.status == "passed"
    assert "estimated" in result.note


def misfits(made):
    second = made.second
    other_place = second.geometry.world_from_voxel.copy()
    other_place[0, 3] += 2.0
    moved = np.asfortranarray(ndimage.shift(second.values, (1.5, 0, 0), order=1, mode="nearest").astype(np.float32))
    return {
        "lies elsewhere": replace(second, geometry=replace(second.geometry, world_from_voxel=other_place)),
        "not comparable": replace(second, values=moved),
        "the first one": made.measured,
        "second scan is": replace(
            second, values=np.asfortranarray(second.values[:-1]),
            geometry=replace(second.geometry, shape=(SHAPE[0] - 1, *SHAPE[1:])),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("why", ["lies elsewhere", "not comparable", "the first one", "second scan is"])
def test_what_cannot_be_compared_is_not_assessed_and_says_why(why):
    made = pair("MR")
    result = second_result(replace(made, second=misfits(made)[why]))
    assert (result.status, result.value) == ("not_assessed", None)
    assert why in result.note


def test_the_judge_passes_it_on_and_without_a_second_scan_says_so():
    made = pair("MR", error=1.5)
    assert next(item for item in judge(made).channels if item.name == "R8").status == "held"
    assert second_result(replace(made, second=None)).note == "no second scan was given"


def test_a_structure_that_the_second_scan_does_not_show_is_an_error():
    made = pair("MR")
    added = np.asfortranarray(made.image + 30 * lesion("MR", 12.0, 16.0, (64, 40)))
    assert second_result(replace(made, image=added)).value > second_result(made).value + 0.5
