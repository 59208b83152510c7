"""Registration: a displaced reference is noticed before it is compared."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medsr.validation.registration import displacement
from tests.support.volumes import head


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.1, -0.2), (0.5, 0.3), (3.4, -6.7)])
def test_shifts_are_read_to_a_tenth_of_a_pixel(shift):
    """Under noise of a twentieth of the signal on both sides."""
    rng = np.random.default_rng(0)
    truth = head((160, 144, 1))[:, :, 0]
    moved = ndimage.shift(truth, shift, order=3, mode="nearest")
    found = displacement(
        (moved + rng.normal(0, 50, truth.shape)).astype(np.float32),
        (truth + rng.normal(0, 50, truth.shape)).astype(np.float32),
    )
    assert (found.rows, found.columns) == pytest.approx(shift, abs=0.1)
    assert found.comparable == (np.hypot(*shift) < 0.25)


def test_other_anatomy_is_not_comparable():
    """A reference of somebody else is no reference, wherever it lies."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 50, (2, 160, 144)).astype(np.float32)
    assert not displacement(noise[0], noise[1]).comparable


def test_empty_and_broken_slices_are_not_comparable():
    """Nothing is comparable with nothing, or with NaN."""
    plane = head((64, 64, 1))[:, :, 0]
    broken = plane.copy()
    broken[3, 3] = np.nan
    for image, reference in ((plane, np.zeros_like(plane)), (broken, plane)):
        assert not displacement(image, reference).comparable


def test_shapes_must_agree():
    """Nothing is cropped to fit."""
    with pytest.raises(ValueError, match="differ"):
        displacement(np.zeros((8, 8), np.float32), np.zeros((8, 9), np.float32))
