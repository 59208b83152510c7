"""Calibration: the promise holds in simulation, and no guard of it can be walked round."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from medsr.validation.calibration import (
    FEWEST_SUBJECTS,
    ScoredSubject,
    certify,
    drifted,
    least_subjects,
    lesion_of,
    normalise,
    null_thresholds,
    oversmooths,
)


def scored(planted, clean=None) -> list[ScoredSubject]:
    """Subjects with these scores."""
    quiet = clean if clean is not None else [0.0] * len(planted)
    return [ScoredSubject(f"s{index}", c, p) for index, (c, p) in enumerate(zip(quiet, planted, strict=True))]


@pytest.mark.parametrize(("beta", "counts"), [(0.1, (29, 46, 61)), (0.05, (59, 93, 124)), (0.02, (149, 236, 313))])
def test_least_n_for_no_one_and_two_misses(beta, counts):
    """The table of least subjects at 95 %."""
    assert tuple(least_subjects(beta, misses) for misses in range(3)) == counts


def test_the_promise_holds_in_95_per_cent_of_calibrations():
    """4,000 simulated calibrations: the true miss rate passes beta in at most 5 %, within Monte-Carlo error."""
    rng, broken, runs = np.random.default_rng(0), 0, 4000
    for _ in range(runs):
        certificate = certify(scored(rng.normal(9, 1.5, 59)), beta=0.05)
        if certificate.threshold is not None:
            broken += norm.cdf((certificate.threshold - 9) / 1.5) > 0.05
    assert broken / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def test_the_walk_stops_before_the_first_miss_that_breaks_the_promise():
    """29 subjects bear no miss at 10 %: the threshold stays below the lowest lesion."""
    planted = [7.0] + [12.0] * 28
    certificate = certify(scored(planted, [1.0] * 20 + [8.0] * 9), beta=0.1)
    assert certificate.threshold == pytest.approx(6.95)
    assert (certificate.misses, certificate.bound <= 0.1) == (0, True)
    assert certificate.held == pytest.approx(9 / 29)


def test_a_late_recovery_does_not_restart_the_walk():
    """Once broken, more lenient thresholds are not tried, whatever they would show."""
    certificate = certify(scored([0.0] * 5 + [30.0] * 60), beta=0.05)
    assert certificate.threshold is None


def test_too_few_subjects_promise_nothing():
    """28 perfect subjects are uncalibrated, and the sentence says so."""
    certificate = certify(scored([30.0] * (FEWEST_SUBJECTS - 1)), beta=0.1)
    assert certificate.threshold is None
    assert "No promise" in certificate.sentence


def test_too_few_subjects_promise_nothing_even_of_half_the_lesions():
    """The least n is a guard of its own: a lenient beta does not walk round it."""
    assert certify(scored([30.0] * (FEWEST_SUBJECTS - 1)), beta=0.5).threshold is None
    assert certify(scored([30.0] * FEWEST_SUBJECTS), beta=0.5).threshold is not None


def test_a_subject_that_the_gate_holds_anyway_is_no_miss():
    """A lesion found by a channel of its own is not released at any threshold, and a clean twin held so counts held."""
    found = [replace(item, planted=0.0, planted_held=True) for item in scored([9.0] * 30)]
    assert certify(found, beta=0.1).misses == 0
    accused = [replace(item, clean_held=True) for item in scored([9.0] * 30)]
    assert certify(accused, beta=0.1).held == 1.0


def test_a_trifle_is_not_the_worst_channel():
    """A channel that hardly varies on few slices is counted in twentieths of its threshold."""
    fold = [{"R9": value} for value in (0.100, 0.101, 0.102)]
    assert normalise(fold, ["R9"], limits={"R9": 0.5}).score({"R9": 0.126}) == pytest.approx(1.0)


def test_null_thresholds_lie_five_spreads_above_clean_scans():
    """A channel that some scan lacks gets none."""
    fold = [{"N1": value, "N2": value if value else None} for value in (0.0, 1.0, 2.0)]
    assert null_thresholds(fold, ["N1", "N2"]) == {"N1": pytest.approx(1 + 5 * 1.4826)}
    assert null_thresholds([], ["N1"]) == {}


def test_nan_is_never_released():
    """A planted score that is NaN is held, so it is no miss; a clean one counts as held."""
    certificate = certify(scored([math.nan] * 29, [math.nan] * 29), beta=0.1)
    assert certificate.misses == 0
    assert certificate.held == 1.0


def test_a_subject_counts_once():
    """Two visits of one subject are refused, as are thresholds that do not rise."""
    twice = [ScoredSubject("a", 0, 9)] * 2
    with pytest.raises(ValueError, match="once"):
        certify(twice, beta=0.1)
    with pytest.raises(ValueError, match="rise"):
        certify(scored([9.0] * 30), beta=0.1, thresholds=[1.0, 1.0])


def test_the_lesion_of_a_subject_is_fixed_by_its_id():
    """The same for the same protocol, spread over arms, signs, sizes and strengths of at least d' 8."""
    lesions = [lesion_of(f"subject-{index}", salt="protocol 1") for index in range(200)]
    assert lesions == [lesion_of(f"subject-{index}", salt="protocol 1") for index in range(200)]
    assert lesions != [lesion_of(f"subject-{index}", salt="protocol 2") for index in range(200)]
    assert min(item.dprime for item in lesions) == 8.0
    for name, least in (("arm", 2), ("sign", 2), ("dprime", 3), ("diameter", 3)):
        assert len({getattr(item, name) for item in lesions}) == least
    assert 0.4 < np.mean([item.shares[0] for item in lesions]) < 0.6


def test_one_score_is_the_worst_channel_in_its_own_spread():
    """Median and MAD of fold A; a missing or infinite channel makes the score infinite."""
    fold = [{"R1": value, "R4": 0.0} for value in (0.8, 0.9, 1.0, 1.1, 1.2)]
    normal = normalise(fold, ["R1", "R4"])
    assert normal.score({"R1": 1.0, "R4": 3.0}) == pytest.approx(3.0)
    assert normal.score({"R1": 2.0, "R4": 0.0}) == pytest.approx(1.0 / (1.4826 * 0.1))
    for broken in ({"R1": 1.0}, {"R1": 1.0, "R4": None}, {"R1": math.nan, "R4": 0.0}):
        assert normal.score(broken) == math.inf


def test_a_fold_with_a_missing_channel_is_refused():
    """No channel is normalised by those subjects that happen to have it."""
    with pytest.raises(ValueError, match="R4"):
        normalise([{"R4": 1.0}, {"R4": None}], ["R4"])
    with pytest.raises(ValueError, match="needs"):
        normalise([], ["R4"])


def test_a_model_that_smooths_everything_gets_no_record():
    """Calibrated at 10.3 spreads of a wide clean score it would find 3 % of lesions: beyond physics."""
    assert not oversmooths(5.2, 1.0)
    assert not oversmooths(9.0, 0.5)
    assert oversmooths(10.3, 1.0)
    assert oversmooths(2.0, 1.3)
    assert oversmooths(math.nan, 1.0)


def test_drift_is_noticed():
    """A hundred scores from elsewhere expire a record; a hundred of the same do not; NaN does."""
    rng = np.random.default_rng(1)
    reference = rng.normal(0, 1, 60)
    assert not drifted(reference, rng.normal(0, 1, 100))
    assert drifted(reference, rng.normal(1.5, 1, 100))
    assert drifted(reference, [math.nan] * 100)
