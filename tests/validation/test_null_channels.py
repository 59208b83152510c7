"""N1, N2, N3, N5: what they measure, and that without a calibration they are told as uncalibrated."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.nulls import KINDS, changed, null_space, parts, restoration
from support.restorations import perfect

from medsr.physics.lesions import disc_at
from medsr.records import HiddenSlice, SecondFamily
from medsr.validation.n1_budget import budget_result
from medsr.validation.n2_spread import conformal_scale, spread_result
from medsr.validation.n3_families import families_result
from medsr.validation.n5_hidden import hidden_result
from medsr.validation.null_space import NullSpace, uncalibrated
from medsr.validation.residual import Measurement


def disc(made, size, place=(48, 40), diameter=6.0):
    structure = np.zeros(made.image.shape, np.float32)
    index = made.operator.linear.missing[0] if made.operator.linear.kind == "slice_mask" else 2
    structure[:, :, index] = np.float32(size) * disc_at(made.image.shape[:2], place, diameter)
    return structure


@pytest.mark.parametrize("kind", KINDS)
def test_the_null_part_is_what_the_operator_does_not_see(kind):
    made = restoration(kind)
    null = np.zeros(made.image.shape, np.float32)
    for index, plane in null_space(made).slices(made.image):
        null[:, :, index] = plane
    assert np.abs(made.operator.linear.forward(torch.from_numpy(null)).numpy()).max() < 1e-2
    seen, expected = parts(made, made.image)
    assert np.allclose(null, expected, atol=0.05)
    assert np.allclose(null + seen, made.image, atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_budget_rises_with_what_the_model_supplies_and_says_where(kind):
    made = restoration(kind)
    plain = budget_result(null_space(made), smallest=5.0)
    _, null = parts(made, disc(made, 500.0))
    more = budget_result(null_space(changed(made, null)), smallest=5.0)
    assert (plain.uncalibrated, more.uncalibrated) == (True, True)
    assert (plain.status, plain.threshold, plain.may) == ("not_assessed", None, "hold")
    assert more.value > plain.value + 0.5
    index = made.operator.linear.missing[0] if kind == "slice_mask" else 2
    assert f"on slice {index}" in more.note or kind == "slice_profile"


def test_a_lost_slice_that_is_interpolated_supplies_nothing():
    """Of an inpainting only what departs from linear interpolation is counted."""
    made = restoration("slice_mask")
    null = null_space(made)
    image = made.image.copy()
    for index in made.operator.linear.missing:
        image[:, :, index] = null.between(index)
    straight = budget_result(null_space(replace(made, image=image, estimate=image)), smallest=5.0)
    assert straight.value < budget_result(null, smallest=5.0).value - 0.5


def test_everything_measured_leaves_no_budget_to_judge():
    made = perfect("MR")
    assert budget_result(NullSpace(Measurement(made)), smallest=5.0).status == "not_assessed"


def test_a_value_that_is_no_number_is_not_told_as_uncalibrated():
    """It must hold as absent, not be waived."""
    broken = uncalibrated("N1", math.nan, "made")
    assert (broken.status, broken.uncalibrated) == ("not_assessed", False)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_families_that_agree_differ_by_nothing_and_an_invention_of_one_stands_out(kind):
    made = restoration(kind)
    alike = families_result(null_space(replace(made, family=SecondFamily(made.image.copy(), "regress"))), needed=True)
    assert alike.value == 0.0
    rng = np.random.default_rng(1)
    other = made.image + rng.standard_normal(made.image.shape).astype(np.float32) * 4
    usual = families_result(null_space(replace(made, family=SecondFamily(other, "regress"))), needed=True)
    # Thick slices see most of what one thin slice holds.
    _, null = parts(made, disc(made, 500.0))
    odd = families_result(null_space(replace(changed(made, null), family=SecondFamily(other, "regress"))), needed=True)
    assert (usual.uncalibrated, odd.uncalibrated) == (True, True)
    assert usual.value < 6
    assert odd.value > usual.value + 3
    assert "on slice 2" in odd.note or kind == "slice_profile"


def test_families_without_a_second_one_or_of_another_shape_are_not_assessed():
    made = restoration("area_average")
    absent = families_result(null_space(made), needed=True)
    assert (absent.status, absent.value, absent.note) == ("not_assessed", None, "the second family was not run")
    small = replace(made, family=SecondFamily(made.image[:-1], "regress"))
    assert families_result(null_space(small), needed=True).value is None
    nan = replace(made, family=SecondFamily(np.full_like(made.image, np.nan), "regress"))
    result = families_result(null_space(nan), needed=True)
    assert (result.status, result.uncalibrated) == ("not_assessed", False)


def test_of_a_scan_that_sees_everything_families_have_no_null_part_to_differ_in():
    made = perfect("MR")
    both = replace(made, family=SecondFamily(made.image, "regress"))
    result = families_result(NullSpace(Measurement(both)), needed=True)
    assert (result.status, result.value) == ("passed", 0.0)


def test_the_spread_is_told_in_per_cent_of_q_inside_the_patient():
    made = restoration("k_space_truncation")
    inside = null_space(made)
    spread = np.full(made.image.shape, 1e6, np.float32)
    for index in range(made.image.shape[2]):
        spread[:, :, index][inside.mask(index)] = 20.0
    result = spread_result(null_space(replace(made, spread=spread)), unit=10.0, needed=True)
    assert result.uncalibrated
    assert result.value == pytest.approx(2.0)


@pytest.mark.parametrize("spread", [None, "zero", "misfit"])
def test_without_a_spread_nothing_is_assessed(spread):
    made = restoration("area_average")
    values = {"zero": np.zeros(made.image.shape, np.float32), "misfit": np.ones((3, 3, 3), np.float32)}
    result = spread_result(null_space(replace(made, spread=values.get(spread))), unit=1.0, needed=True)
    assert (result.status, result.value, result.uncalibrated) == ("not_assessed", None, False)


def test_a_spread_that_is_no_number_is_not_uncalibrated():
    made = restoration("area_average")
    spread = np.full(made.image.shape, np.nan, np.float32)
    assert not spread_result(null_space(replace(made, spread=spread)), unit=1.0, needed=True).uncalibrated


def ratios(count, seed, *, size=400):
    """|error| / sd of subjects whose models are wrong by different factors."""
    rng = np.random.default_rng(seed)
    return [np.abs(rng.standard_normal(size)) * rng.uniform(0.5, 2.5) for _ in range(count)]


def test_the_conformal_scale_covers_90_per_cent_of_a_new_subjects_pixels():
    """On the average over calibrations and subjects, whatever the subjects' own factors are."""
    covered = []
    for trial in range(300):
        drawn = ratios(31, trial)
        scale = conformal_scale(drawn[:30])
        assert scale is not None
        covered.append(float((drawn[30] <= scale).mean()))
    assert 0.9 - 3 * np.std(covered) / np.sqrt(300) <= np.mean(covered) <= 0.97


def test_the_conformal_scale_is_the_smallest_and_needs_nine_subjects():
    ones = [np.full(50, 2.0)] * 20
    assert conformal_scale(ones) == pytest.approx(2.0, abs=1e-6)
    assert conformal_scale([np.ones(10)] * 8) is None
    assert conformal_scale([np.ones(10)] * 9) == pytest.approx(1.0, abs=1e-6)


def test_pixels_without_a_spread_are_never_covered():
    mixed = np.concatenate([np.ones(80), np.full(20, np.inf)])
    assert conformal_scale([mixed] * 40) is None


@pytest.mark.parametrize("bad", [np.array([1.0, np.nan]), np.array([])])
def test_what_cannot_be_counted_makes_no_scale(bad):
    with pytest.raises(ValueError, match="pixels"):
        conformal_scale([np.ones(10)] * 20 + [bad])


def hidden(*errors, noise=0.0):
    made = restoration("slice_mask")
    level = replace(made.noise, sigma=noise)
    return replace(made, noise=level, hidden=tuple(HiddenSlice(k + 1, e, 2 * e, 2) for k, e in enumerate(errors)))


def test_the_worst_hidden_slice_counts_with_its_noise_taken_off():
    result = hidden_result(null_space(hidden(30.0, 50.0, noise=40.0)), unit=10.0)
    assert result.uncalibrated
    assert result.value == pytest.approx(3.0)
    assert "is 2, wrong by 3" in result.note


def test_a_hidden_slice_that_is_no_number_is_the_worst():
    result = hidden_result(null_space(hidden(30.0, math.nan)), unit=10.0)
    assert (result.status, result.uncalibrated) == ("not_assessed", False)


def test_nobody_hid_a_slice_or_none_could_be_hidden():
    made = restoration("slice_mask")
    for found in (None, ()):
        result = hidden_result(null_space(replace(made, hidden=found)), unit=10.0)
        assert (result.status, result.value) == ("not_assessed", None)
    assert hidden_result(null_space(restoration("area_average")), unit=1.0).note == "no slice was lost"
