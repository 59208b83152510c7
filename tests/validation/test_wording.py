"""A failing channel says what it found in words with figures, from the reader's side."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy import ndimage
from support.volumes import head

from medsr.validation import wording
from medsr.validation.r3_audit import audit
from medsr.validation.residual import SliceResidual

SHAPE = (160, 152)


def words_of(seen: np.ndarray, predicted: np.ndarray, *, declared: bool) -> str:
    """R3 on one slice: what the scan shows, and what the operator makes of the image."""
    rng = np.random.default_rng(0)
    residual = (seen - predicted + rng.normal(0, 2, SHAPE)).astype(np.float32)
    sigma = np.full(SHAPE, 2.0, np.float32)
    mask = ndimage.binary_erosion(predicted > 300, iterations=4)
    item = SliceResidual(0, residual, predicted.astype(np.float32), sigma, residual / sigma, mask)
    fit = audit([item], identity=False)
    return fit.result("R3", largest_offset=5.0, identity=False, declared=declared, modality="MR").words


@pytest.fixture(scope="module")
def plane():
    grain = np.random.default_rng(9).normal(0, 1, SHAPE).astype(np.float32)
    texture = ndimage.gaussian_filter(grain, 1.5)
    return head((*SHAPE, 1), seed=1)[:, :, 0] + 80 * texture / texture.std()


def test_examples_in_docstrings_are_true():
    assert doctest.testmod(wording).failed == 0


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (lambda x: ndimage.shift(x, (0.3, 0), order=3, mode="nearest"), "lies 0.31 pixels beside it"),
        (lambda x: 1.02 * x, "shows 2.0 % less contrast"),
        (lambda x: 0.97 * x, "shows 3.0 % more contrast"),
        (lambda x: ndimage.gaussian_filter(x, 0.4), "too narrow (the operator's or the restorer's)"),
    ],
)
def test_a_wrong_operator_is_named_with_its_figure(plane, change, clause):
    said = words_of(change(plane), plane, declared=False)
    assert said.startswith("the scan does not behave as the assumed operator says: seen through it, the image ")
    assert clause in said


def test_a_declared_operator_is_believed_and_the_image_blamed(plane):
    assert words_of(1.02 * plane, plane, declared=True).startswith("the image does not fit its declared operator")


def test_a_right_operator_says_nothing(plane):
    assert words_of(plane, plane, declared=False) == ""


def test_brightness_is_told_from_the_images_side():
    assert wording.agreement_words(42.7, 16.0, largest_bias=1.0, modality="CT") == (
        "the restored image is on average 43 HU darker than the scan"
    )
    assert "6.0 times the power" in wording.agreement_words(None, 6.0, largest_bias=1.0, modality="CT")
    assert "40 % more than the power" in wording.agreement_words(None, 1.4, largest_bias=1.0, modality="CT")
