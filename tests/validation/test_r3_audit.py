"""R3: a wrong operator is read off the residual and named; a right one passes, and lesions outlive the audit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medsr.physics import AreaAverage, GaussianNoise, Operator
from medsr.records import NoiseLevel, Restoration
from medsr.validation.judge import judge
from medsr.validation.r3_audit import audit
from medsr.validation.residual import Measurement, Residuals
from medsr.volume import Volume
from tests.support.restorations import perfect
from tests.support.volumes import MADE, geometry

SHAPE = (192, 176, 3)
SIGMA = 6.0


def textured() -> np.ndarray:
    """Tissue of -100 to 200 HU with structure of all sizes, in air."""
    rng = np.random.default_rng(0)
    first, second = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    inside = 1 / (1 + np.exp((np.hypot(first / 0.85, second / 0.85) - 1) * 60))
    planes = []
    for _ in range(SHAPE[2]):
        tissue = sum(
            size * 60 * ndimage.gaussian_filter(rng.standard_normal(SHAPE[:2]), size) for size in (1.5, 3.0, 8.0)
        )
        planes.append(-1000 + inside * (1050 + tissue))
    return np.asfortranarray(np.stack(planes, 2).astype(np.float32))


def superresolved(*, gain: float = 1.0, shift: float = 0.0, blur: float = 0.0, offset: float = 0.0, seed: int = 1):
    """A true fine image beside a scan whose operator differs from the declared area average."""
    truth = textured()
    linear = AreaAverage(SHAPE, (2, 2), 2)
    actual = ndimage.shift(truth, (shift, 0, 0), order=3, mode="nearest") if shift else truth
    actual = ndimage.gaussian_filter(actual, (blur, blur, 0)) if blur else actual
    seen = linear.forward(torch.from_numpy(np.ascontiguousarray(actual))).numpy()
    noise = np.random.default_rng(seed).normal(0, SIGMA, seen.shape)
    values = np.asfortranarray((gain * (seen + 1000) - 1000 + offset + noise).astype(np.float32))
    fine = geometry(SHAPE)
    measured = Volume(values, linear.coarse_geometry(fine), "CT", "HU", MADE)
    operator = Operator(linear, GaussianNoise(SIGMA), "declared")
    level = NoiseLevel(SIGMA, "gaussian", "declared")
    return Restoration(measured, truth, truth, fine, operator, "superres", None, level)


def reading(restoration):
    """The audit of the estimate."""
    return audit(list(Residuals(Measurement(restoration), restoration.estimate).slices()), identity=False)


def channel(restoration, name="R3"):
    return {item.name: item for item in judge(restoration).channels}[name]


@pytest.mark.parametrize("seed", range(3))
def test_the_right_operator_passes(seed):
    """Nothing is read where nothing is wrong."""
    assert channel(superresolved(seed=seed)).status == "passed"


def test_shift_is_read_to_a_tenth_of_a_pixel():
    """Half a fine pixel is a quarter of a measured one."""
    wrong = superresolved(shift=0.5)
    assert reading(wrong).shift_px[0] == pytest.approx(0.25, abs=0.1)
    assert channel(wrong).status == "held"
    assert "shift" in channel(wrong).note.split(";")[1]


def test_gain_is_read_to_half_a_per_cent():
    """A scan that is 2 % stronger than the operator says."""
    wrong = superresolved(gain=1.02)
    assert 100 * reading(wrong).gain == pytest.approx(2.0, abs=0.5)
    assert channel(wrong).status == "held"


def test_a_wider_point_spread_is_held_and_both_causes_are_said():
    """A blur of operator and of restorer look alike."""
    wrong = superresolved(blur=0.8)
    assert reading(wrong).blur > 0.1
    assert channel(wrong).status == "held"
    assert "look alike" in channel(wrong).note


def test_an_undeclared_operator_that_does_not_fit_is_unverified():
    """The code holds the result under every policy; a declared operator is the restorer's own affair."""
    wrong = superresolved(offset=3.0)
    assert judge(wrong).codes == ()
    estimated = replace(wrong, operator=replace(wrong.operator, provenance="estimated"))
    assert judge(estimated).codes == ("operator.unverified",)


def test_what_the_audit_explains_neither_rejects_nor_floods():
    """2 % gain alone: R1 holds and does not reject, R4 sees noise once the fit is subtracted."""
    judgement = judge(superresolved(gain=1.02))
    by_name = {item.name: item for item in judgement.channels}
    assert (by_name["R1"].status, by_name["R1"].may) == ("held", "hold")
    assert len(judgement.findings) <= 1


def test_a_lesion_outlives_the_audit():
    """A wrong gain does not explain an added disc away."""
    wrong = superresolved(gain=1.02)
    added = wrong.image.copy(order="F")
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    added[:, :, 1] += 16.0 * ((rows - 100) ** 2 + (columns - 90) ** 2 <= 8**2)
    findings = judge(replace(wrong, image=added, estimate=added)).findings
    assert any(
        item.type == "added" and item.box_voxel[0][0] <= 100 < item.box_voxel[1][0] and item.box_voxel[0][2] <= 1
        for item in findings
    )


def test_a_flat_image_is_fitted_by_what_it_can_tell():
    """No gain is read off a body of one value; offset and status stay finite."""
    restoration = perfect("CT", seed=16)
    fit = audit(list(Residuals(Measurement(restoration), restoration.image).slices()), identity=False)
    assert abs(fit.offset) < 1.5
    assert abs(fit.gain) < 0.05 or not fit.significant(1)


def test_nan_is_never_passed():
    """A residual with NaN holds the channel."""
    restoration = superresolved()
    items = list(Residuals(Measurement(restoration), restoration.image).slices())
    items[1].residual[40, 40] = np.nan
    result = audit(items, identity=False).result("R3", largest_offset=1.0, identity=False, declared=True)
    assert result.status == "held"
