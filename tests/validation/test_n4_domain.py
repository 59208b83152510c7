"""N4: a scan unlike those of the training set is held; what noise moves is not held against it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.nulls import changed, parts, restoration
from support.restorations import perfect

from medsr.physics.features import FEATURES, domain_features
from medsr.validation.judge import judge
from medsr.validation.n4_domain import domain_deviations, domain_result


def inside(features):
    """Ranges that hold these features."""
    return {name: [value - 0.1 * abs(value) - 0.1, value + 0.1 * abs(value) + 0.1] for name, value in features.items()}


@pytest.fixture
def scan():
    made = perfect("MR")
    features = domain_features(made.measured)
    return replace(made, domain={"features": inside(features)}), features


def with_range(made, name, low, high):
    return replace(made, domain={"features": {**made.domain["features"], name: [low, high]}})


def test_a_scan_like_those_of_the_training_set_passes(scan):
    made, features = scan
    result = domain_result(made, features)
    assert (result.status, result.value, result.threshold, result.p) == ("passed", 0.0, 0.0, None)
    assert domain_deviations(made, features) == ()


@pytest.mark.parametrize("domain", [{}, {"features": {}}, {"features": None}, {"features": {"noise": "quiet"}}])
def test_a_bundle_without_ranges_is_not_assessed(scan, domain):
    made, features = scan
    result = domain_result(replace(made, domain=domain), features)
    assert (result.status, result.value, result.uncalibrated) == ("not_assessed", None, False)


@pytest.mark.parametrize("name", [name for name in FEATURES if name not in ("in_plane_spacing_mm",)])
def test_each_feature_beyond_its_range_holds_and_is_named(scan, name):
    made, features = scan
    value = features[name]
    odd = with_range(made, name, value + 1 + abs(value), value + 2 + abs(value))
    if name == "noise":
        odd = with_range(made, name, 0.1 * value, 0.2 * value)
    found = domain_deviations(odd, features)
    assert [item.name for item in found] == [name]
    result = domain_result(odd, features)
    assert (result.status, result.value) == ("held", 1.0)
    assert "trained on" in result.note


def test_the_p_value_is_the_bound_that_two_percentiles_allow(scan):
    """.02 m / k for k of m features: no more is known of the training set than its 1st and 99th percentiles."""
    made, features = scan
    odd = with_range(made, "spectral_edge", 3.0, 4.0)
    assert domain_result(odd, features).p == pytest.approx(0.02 * 5)
    odder = with_range(odd, "histogram_skew", 30.0, 40.0)
    assert domain_result(odder, features).p == pytest.approx(0.02 * 5 / 2)


@pytest.mark.parametrize(("fact", "stated"), [("in_plane_spacing_mm", [3.0, 4.0]), ("slice_spacing_mm", [0.5, 1.0])])
def test_a_header_fact_outside_the_card_holds_without_a_p_value(scan, fact, stated):
    made, features = scan
    result = domain_result(replace(made, domain={**made.domain, fact: stated}), features)
    assert (result.status, result.value, result.p) == ("held", 1.0, None)


def test_a_factor_outside_the_card_holds():
    made = restoration("area_average")
    features = domain_features(made.measured)
    domain = {"features": inside(features)}
    assert domain_result(replace(made, domain={**domain, "scales": [1.5, 2.0, 4.0]}), features).status == "passed"
    assert domain_result(replace(made, domain={**domain, "scales": [3.0, 4.0]}), features).status == "held"
    thick = restoration("slice_profile")
    features = domain_features(thick.measured)
    domain = {"features": inside(features)}
    assert domain_result(replace(thick, domain={**domain, "through_factors": [1.5, 6.0]}), features).status == "passed"
    assert domain_result(replace(thick, domain={**domain, "through_factors": [3.0, 6.0]}), features).status == "held"


def test_noise_that_training_added_is_no_deviation_and_more_is(scan):
    """Ranges are those of clean scans: what noise moves is compared with a quiet scan alone."""
    made, features = scan
    noisy = {**features, "noise": 9.0, "spectral_slope": 1.5, "foreground_share": 1.0, "histogram_skew": 0.9}
    quiet = with_range(made, "noise", 0.2, 3.0)
    told = replace(quiet, domain={**quiet.domain, "noise_percent": [0.8, 12.0]})
    result = domain_result(told, noisy)
    assert result.status == "passed"
    assert "not compared under this noise" in result.note
    assert domain_result(told, {**noisy, "noise": 14.0}).status == "held"
    assert domain_result(quiet, noisy).status == "held"


def test_a_lower_dose_than_any_of_the_training_holds():
    made = restoration("area_average")
    features = {**domain_features(made.measured), "noise": 100.0}
    ranges = {**inside(features), "noise": [7.0, 30.0]}
    for dose, status in ((0.05, "passed"), (0.5, "held")):
        domain = {"features": ranges, "dose_fraction": [dose, 0.7]}
        assert domain_result(replace(made, domain=domain), features).status == status


def test_a_feature_that_is_no_number_holds(scan):
    made, features = scan
    result = domain_result(made, {**features, "noise": math.nan})
    assert result.status == "held"


def test_the_judge_gives_the_code_and_the_image_does_not_matter(scan):
    """The domain is that of the scan alone."""
    made, _ = scan
    odd = replace(made, domain={**made.domain, "slice_spacing_mm": [0.5, 1.0]})
    judgement = judge(odd)
    assert "domain" in judgement.codes
    assert "domain" not in judge(made).codes
    structure = np.zeros(odd.image.shape, np.float32)
    structure[40:60, 40:60, 1] = 200
    results = [
        next(item for item in judge(one).channels if item.name == "N4")
        for one in (odd, changed(odd, parts(odd, structure)[0]))
    ]
    assert results[0] == results[1]
