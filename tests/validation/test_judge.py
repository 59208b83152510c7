"""The judge fails closed: whatever it cannot judge, it does not pass."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medsr.physics import KSpaceTruncation, MagnitudeNoise, NoNoise, Operator
from medsr.records import pixels_sha256
from medsr.validation import judge as judging
from medsr.validation.judge import CHANNELS, judge
from tests.support.restorations import (
    MR_SIGMA,
    SHAPE,
    body,
    ct_restoration,
    lesion,
    mr_restoration,
    perfect,
    with_added,
)


def statuses(judgement):
    """Status by channel."""
    return {item.name: item.status for item in judgement.channels}


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_perfect_restoration_passes_every_built_channel(modality):
    """And the judgement is bound to the very pixels."""
    restoration = perfect(modality)
    judgement = judge(restoration)
    without = dict.fromkeys(("R8", "R9", "N1", "N2", "N3", "N4", "N5"), "not_assessed")
    assert statuses(judgement) == {**dict.fromkeys(CHANNELS, "passed"), **without}
    assert judgement.codes == ()
    assert judgement.pixels_sha256 == pixels_sha256(restoration.image, restoration.geometry)
    assert judgement.error is None


def test_without_the_estimate_agreement_proves_nothing():
    """R1 and R4 are not assessed, with the reason; a contradiction is found all the same."""
    restoration = with_added(perfect("MR"), lesion("MR", 12.0, 8.0, (60, 60)))
    judgement = judge(replace(restoration, estimate=None))
    assert {name: statuses(judgement)[name] for name in ("R1", "R4")} == {"R1": "not_assessed", "R4": "not_assessed"}
    assert judgement.codes == ("no_preprojection",)
    assert [item.type for item in judgement.findings] == ["added"]


def test_a_lesion_that_projection_hid_is_found_in_the_estimate():
    """The finding says by its channel that the written pixels no longer show it."""
    clean = perfect("MR")
    hidden = replace(clean, estimate=np.asfortranarray(clean.image + lesion("MR", 14.0, 8.0, (60, 60))))
    judgement = judge(hidden)
    assert [item.channel for item in judgement.findings] == ["R4"]
    assert statuses(judgement)["R4"] == "held"
    assert statuses(judgement)["R4w"] == "passed"


def test_a_lesion_in_the_written_pixels_is_named_by_the_channel_that_reads_them():
    """Found in both images, it stands once, as what will be released shows it."""
    judgement = judge(with_added(perfect("MR"), lesion("MR", 14.0, 8.0, (60, 60))))
    assert [item.channel for item in judgement.findings] == ["R4w"]


@pytest.mark.parametrize("part", ["Scan", "GlobalAgreement", "Residuals", "supplied", "findings_of"])
def test_an_exception_anywhere_is_an_error_and_no_channel_passes(part, monkeypatch):
    """Judgement.error is what blocks a result."""

    def broken(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(judging, part, broken)
    judgement = judge(perfect("MR"))
    assert judgement.error == "ZeroDivisionError"
    assert set(statuses(judgement).values()) == {"not_assessed"}
    assert judgement.pixels_sha256 == ""


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(64, 56, 1), (0, 0, 0)])
def test_nan_anywhere_is_an_error(value, place):
    """In the body or in air, in the image or in the estimate."""
    restoration = perfect("MR")
    broken = restoration.image.copy(order="F")
    broken[place] = value
    assert judge(replace(restoration, image=broken)).error == "judge.not_finite"
    assert judge(replace(restoration, estimate=broken)).error == "judge.not_finite"


def test_an_image_of_another_shape_is_an_error():
    """Nothing is cropped to fit."""
    restoration = perfect("MR")
    assert judge(replace(restoration, image=restoration.image[:, :, :2])).error == "judge.shape"
    small = np.asfortranarray(restoration.image[:-2])
    assert judge(replace(restoration, image=small, estimate=None)).error == "judge.shape"


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("sigma", [0.0, float("nan"), float("inf")])
def test_without_a_noise_level_nothing_passes(modality, sigma):
    """A residual without a yardstick says nothing."""
    restoration = perfect(modality)
    judgement = judge(replace(restoration, noise=replace(restoration.noise, sigma=sigma)))
    assert "passed" not in statuses(judgement).values()


def test_a_dark_scan_is_not_assessed():
    """Below twice the noise no pixel is judged, and no channel passes."""
    truth = body(SHAPE, inside=1.2 * MR_SIGMA, outside=0)
    assert set(statuses(judge(mr_restoration(truth, truth))).values()) == {"not_assessed"}


def test_rician_noise_is_expected_even_where_no_model_is_declared():
    """A magnitude without a declared model is compared with its Rician mean, not with the signal."""
    truth = body(SHAPE, inside=4 * MR_SIGMA, outside=0)
    restoration = mr_restoration(truth, truth)
    undeclared = replace(restoration, operator=Operator(restoration.operator.linear, NoNoise(), "estimated"))
    assert statuses(judge(undeclared))["R1"] == "passed"


def test_a_sigma_map_of_parallel_imaging_is_used():
    """Noise twice as high in the centre makes no findings where the model says so."""
    truth = body(SHAPE, inside=900, outside=0)
    model = MagnitudeNoise(MR_SIGMA, peak=2.0)
    drawn = model.draw(torch.from_numpy(truth), torch.Generator().manual_seed(1), model.field(SHAPE, 2)).numpy()
    restoration = mr_restoration(truth, truth)
    measured = replace(restoration.measured, values=np.asfortranarray(drawn))
    told = replace(restoration, measured=measured, operator=Operator(restoration.operator.linear, model, "declared"))
    assert judge(told).findings == ()
    assert judge(replace(restoration, measured=measured)).findings != ()


def test_fill_values_leave_no_findings_along_their_edge():
    """A scanner that masks air to zero contradicts nothing."""
    truth = body(SHAPE, inside=800, outside=0)
    restoration = mr_restoration(truth, truth)
    padding = np.asfortranarray(truth < 80)
    values = np.where(padding, 0, restoration.measured.values).astype(np.float32, order="F")
    measured = replace(restoration.measured, values=values, padding=padding)
    image = np.where(padding, 0, truth).astype(np.float32, order="F")
    assert judge(replace(restoration, measured=measured, image=image, estimate=image)).findings == ()


def test_interpolated_magnitudes_with_an_estimated_level_are_whitened():
    """Noise without its outer band is correlated; a white filter would find blobs in it."""
    shape = (160, 160, 3)
    truth = body(shape, inside=900, outside=0)
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, (2, *shape)), (0, 2.0, 2.0, 0))
    real, imaginary = smooth / smooth.std() * MR_SIGMA
    restoration = mr_restoration(truth, truth)
    measured = replace(restoration.measured, values=np.hypot(truth + real, imaginary).astype(np.float32, order="F"))
    declared = replace(restoration, measured=measured)
    estimated = replace(declared, noise=replace(restoration.noise, provenance="estimated"))
    assert len(judge(estimated).findings) <= 1 < len(judge(declared).findings)


def test_a_single_ct_slice_is_judged():
    """The spectrum comes from its own residual; noise passes and a lesion is found."""
    shape = (160, 160, 1)
    truth = body(shape, inside=40, outside=-1000)
    clean = ct_restoration(truth, truth, seed=4)
    assert judge(clean).findings == ()
    planted = with_added(clean, lesion("CT", 12.0, 8.0, (80, 70), shape=shape))
    assert [item.type for item in judge(planted).findings] == ["added"]


def test_super_resolved_findings_stand_on_the_fine_grid():
    """A lesion added at x2 is boxed in fine voxels and sized in mm of the measurement."""
    fine = body((160, 160, 2), inside=800, outside=0)
    linear = KSpaceTruncation(fine.shape, (80, 80), 2)
    coarse = linear.forward(torch.from_numpy(fine)).numpy()
    base = mr_restoration(np.asfortranarray(coarse), np.asfortranarray(coarse), sigma=20)
    geometry = linear.fine_geometry(base.measured.geometry)
    added = np.asfortranarray(fine + lesion("MR", 24.0, 16.0, (90, 70), shape=fine.shape))
    restoration = replace(
        base, image=added, estimate=added, geometry=geometry, operator=Operator(linear, base.operator.noise, "declared")
    )
    judgement = judge(restoration)
    (finding,) = judgement.findings
    low, high = finding.box_voxel
    assert np.hypot((low[0] + high[0] - 1) / 2 - 90, (low[1] + high[1] - 1) / 2 - 70) <= 6
    assert judgement.measured_fraction == pytest.approx(0.25, abs=0.01)
    assert judgement.maps["contradicted"][1].shape == (160, 160)


def test_boxes_in_mm_hold_all_corners_of_an_oblique_box():
    """box_mm is in RAS+ and contains each corner of box_voxel."""
    restoration = with_added(perfect("MR"), lesion("MR", 14.0, 8.0, (60, 60)))
    (finding,) = judge(restoration).findings
    low, high = np.array(finding.box_voxel, float) - 0.5
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    world = restoration.geometry.world(corners)
    assert np.allclose([world.min(0), world.max(0)], finding.box_mm)


def test_one_structure_in_neighbouring_slices_is_one_finding():
    """Slices are stacked into structures, so that a lesion of 3 slices is told once."""
    structure = lesion("MR", 12.0, 8.0, (60, 60))
    structure[:] = structure[:, :, 1:2]
    (finding,) = judge(with_added(perfect("MR"), structure)).findings
    assert (finding.box_voxel[0][2], finding.box_voxel[1][2]) == (0, 3)


def test_memory_does_not_grow_with_the_number_of_slices():
    """No copy of a volume is made: 160 slices take what 40 take, beside the input."""

    def peak(slices: int) -> int:
        truth = body((64, 64, slices), inside=800, outside=0)
        restoration = mr_restoration(truth, truth)
        tracemalloc.start()
        judge(restoration)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)
    assert peak(160) <= 1.3 * peak(40)


def test_structure_in_air_is_found():
    """A magnitude image that shows tissue where the scan shows air is judged there too."""
    shape = (128, 128, 3)
    truth = body(shape, inside=800, outside=0)
    blob = np.zeros(shape, np.float32, order="F")
    blob[8:22, 8:22, 1] = 10 * MR_SIGMA
    strongest = judge(with_added(mr_restoration(truth, truth), blob)).findings[0]
    assert strongest.type == "added"
    assert strongest.box_voxel[0][:2] <= (15, 15) < strongest.box_voxel[1][:2]


def test_a_lesion_as_dark_as_air_is_judged():
    """The scan shows a void where the image shows tissue: the void itself must not be masked away."""
    truth = body(SHAPE, inside=5 * MR_SIGMA, outside=0)
    voided = truth.copy(order="F")
    voided[56:68, 50:62, 1] = 0
    strongest = judge(mr_restoration(voided, truth)).findings[0]
    assert strongest.type == "added"
    assert strongest.box_voxel[0][:2] <= (62, 56) < strongest.box_voxel[1][:2]
