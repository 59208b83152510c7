"""The gate's word by policy: fail closed in every branch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import results

from medsr.release.verdict import channels_alone

MADE = results.restoration()


def decided(rules=None, **changes):
    judged = results.judgement(MADE, **changes)
    return results.verdict(MADE, judged, rules or results.policy())


def test_without_calibration_research_releases_as_unverified():
    found = decided()
    assert (found.word, found.reasons, found.label) == ("released", ("uncalibrated",), "UNVERIFIED")


def test_m15_without_calibration_clinical_goes_to_review():
    found = decided(results.policy(waive=False))
    assert (found.word, found.reasons, found.label) == ("review", ("uncalibrated",), "UNVERIFIED")


def test_under_a_record_clinical_releases_without_a_label():
    found = decided(results.policy(waive=False), calibration=results.RECORD, score=5.9)
    assert (found.word, found.reasons, found.label) == ("released", (), "")


@pytest.mark.parametrize("score", [6.1, None])
def test_a_score_above_its_threshold_or_without_one_is_held(score):
    found = decided(calibration=results.RECORD, score=score)
    assert (found.word, found.reasons) == ("review", ("calibration.score",))


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_m14_a_score_that_is_no_number_blocks(score):
    assert decided(calibration=results.RECORD, score=score).word == "blocked"


def test_m13_a_judgement_with_an_error_blocks():
    assert decided(error="ValueError").word == "blocked"
    assert decided(error="").word == "blocked"


def test_an_empty_channel_list_blocks():
    assert decided(channels=()).word == "blocked"


@pytest.mark.parametrize("change", [{"status": "fine"}, {"kind": "guess"}])
def test_an_unknown_status_or_kind_blocks(change):
    assert decided(channels=(replace(results.channel("R1"), **change), results.channel("R4"))).word == "blocked"


def test_an_unknown_type_of_finding_blocks():
    assert decided(findings=(replace(results.finding(), type="odd"),)).word == "blocked"


@pytest.mark.parametrize("waive", [True, False])
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, "channel.missing:R4"),
        (results.channel("R4", "not_assessed", None), "channel.not_assessed:R4"),
        (results.channel("R4", "passed", float("nan")), "channel.not_finite:R4"),
        (results.channel("R4", "passed", None), "channel.not_finite:R4"),
        (results.channel("R4", "held", 6.0), "channel.held:R4"),
    ],
)
def test_a_required_channel_that_is_absent_nan_or_failing_holds(waive, broken, reason):
    channels = (results.channel("R1"), *([broken] if broken else []))
    found = decided(results.policy(waive=waive), channels=channels)
    assert found.word == "review"
    assert reason in found.reasons


def without_threshold(value=3.0, **changes):
    """A required channel that measured something but has no calibrated threshold."""
    clean = replace(results.channel("R4", "not_assessed", value), threshold=None, uncalibrated=True)
    return replace(clean, **changes)


@pytest.mark.parametrize(
    ("waive", "record", "word"),
    [
        (True, None, "released"),
        (False, None, "review"),
        (True, results.RECORD, "released"),
        (False, results.RECORD, "review"),
    ],
)
def test_a_required_channel_without_a_threshold_counts_as_uncalibrated(waive, record, word):
    channels = (results.channel("R1"), without_threshold())
    found = decided(results.policy(waive=waive), channels=channels, calibration=record, score=5.9 if record else None)
    assert (found.word, found.reasons, found.label) == (word, ("uncalibrated",), "UNVERIFIED")


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_channel_without_a_threshold_and_without_a_finite_value_is_absent(value):
    found = decided(channels=(results.channel("R1"), without_threshold(value)))
    assert (found.word, found.reasons) == ("review", ("channel.not_assessed:R4", "uncalibrated"))


@pytest.mark.parametrize("status", ["passed", "held"])
def test_a_channel_that_judges_without_a_threshold_blocks(status):
    assert decided(channels=(results.channel("R1"), without_threshold(status=status))).word == "blocked"


def test_a_channel_without_a_threshold_does_not_hide_what_else_was_found():
    found = decided(channels=(results.channel("R1"), without_threshold()), findings=(results.finding(),))
    assert (found.word, found.reasons) == ("review", ("finding.added", "uncalibrated"))


def test_a_channel_that_is_not_required_but_held_holds():
    found = decided(channels=(results.channel("R1"), results.channel("R4"), results.channel("R7", "held", 2.0)))
    assert (found.word, found.reasons) == ("review", ("channel.held:R7", "uncalibrated"))


def test_a_policy_without_the_task_releases_nothing():
    rules = replace(results.policy(), required={"superres": ("R1",)})
    assert decided(rules).word == "review"


def test_a_finding_is_never_waived():
    found = decided(findings=(results.finding(),))
    assert found.word == "review"
    assert found.reasons == ("finding.added", "uncalibrated")


def test_reason_codes_beside_the_channels_hold():
    assert decided(codes=("no_preprojection",)).word == "review"


def test_failing_as_a_whole_rejects():
    found = decided(channels=(results.channel("R1", "held", 2.0, may="reject"), results.channel("R4")))
    assert found.word == "rejected"
    assert found.reasons[0] == "channel.reject:R1"


def test_many_findings_in_one_slice_reject_and_the_same_number_over_slices_does_not():
    crowded = tuple(results.finding(at=(5, 5 + n, 2), name=f"R4-{n}") for n in range(6))
    spread = tuple(results.finding(at=(5, 5, n % 6), name=f"R4-{n}") for n in range(6))
    assert decided(findings=crowded).word == "rejected"
    assert decided(findings=spread).word == "review"


def test_a_strong_finding_rejects_only_where_projection_left_it():
    assert decided(findings=(results.finding(dprime=12.0),)).word == "rejected"
    assert decided(findings=(results.finding(dprime=12.0, remains=False),)).word == "review"


NOISY = (results.channel("R1", "held", 2.0, may="reject"), results.channel("R4", "held", 14.0))


@pytest.mark.parametrize("waive", [True, False])
def test_what_rests_on_a_noise_level_that_may_be_too_high_is_for_a_reader(waive):
    """A rejection becomes a review, never a release."""
    findings = (results.finding(dprime=14.0),)
    found = decided(results.policy(waive=waive), channels=NOISY, findings=findings, noise_may_be_high=True)
    assert found.word == "review"
    assert found.reasons[0] == "noise.unverified"
    assert {"channel.reject:R1", "findings.strong", "finding.added"} <= set(found.reasons)
    assert decided(results.policy(waive=waive), channels=NOISY, findings=findings).word == "rejected"


def test_a_rejection_for_another_cause_stands_whatever_the_noise():
    other = (*NOISY, results.channel("R6", "held", 2.0, may="reject"))
    assert decided(channels=other, noise_may_be_high=True).word == "rejected"
    edge = replace(results.finding(dprime=14.0), channel="R5")
    assert decided(findings=(edge,), noise_may_be_high=True).word == "rejected"


@pytest.mark.parametrize("waive", [True, False])
def test_a_doubtful_noise_level_releases_nothing_that_was_not_released(waive):
    """Over every kind of complaint, the word with the doubt is never nearer to release than without."""
    order = ("blocked", "rejected", "review", "released")
    complaints = [
        {},
        {"findings": (results.finding(),)},
        {"findings": (results.finding(dprime=15.0),)},
        {"channels": NOISY},
        {"channels": (results.channel("R1"),)},
        {"codes": ("domain",)},
        {"error": "ValueError"},
    ]
    for changes in complaints:
        plain = decided(results.policy(waive=waive), **changes).word
        doubtful = decided(results.policy(waive=waive), noise_may_be_high=True, **changes).word
        assert doubtful == plain or (plain, doubtful) == ("rejected", "review")
        assert order.index(doubtful) <= max(order.index(plain), order.index("review"))


def test_slices_that_nobody_measured_are_released_where_the_policy_says_so():
    rules = results.policy()
    assert decided(rules, codes=("synthetic",)).word == "review"
    assert decided(replace(rules, release_synthetic=True), codes=("synthetic",)).word == "released"
    assert decided(replace(rules, release_synthetic=True), codes=("synthetic", "domain")).word == "review"


def test_a_method_and_a_second_scan_require_more():
    rules = replace(results.policy(), by_method={"regress": ("N3",)}, with_second=("R8",))
    assert decided(rules).reasons == ("channel.missing:N3", "uncalibrated")
    assert results.verdict(replace(MADE, second=MADE.measured), results.judgement(MADE), rules).reasons == (
        "channel.missing:N3",
        "channel.missing:R8",
        "uncalibrated",
    )


def test_a_channel_that_stands_twice_blocks():
    """Otherwise the last word of the two would count."""
    twice = (results.channel("R1", "held", 2.0), results.channel("R1"), results.channel("R4"))
    assert decided(channels=twice).word == "blocked"


def test_the_same_judgement_gives_the_same_verdict():
    assert decided(findings=(results.finding(),)) == decided(findings=(results.finding(),))


def test_what_the_channels_alone_decide_is_said_where_no_record_speaks():
    """Released by the channels, held for want of a record; held by both; nothing to say under a record."""
    alone = decided(results.policy(waive=False))
    assert (alone.word, channels_alone(alone)) == ("review", "released")
    both = decided(results.policy(waive=False), codes=("no_preprojection",))
    assert (both.word, channels_alone(both)) == ("review", "review")
    assert channels_alone(decided(calibration=results.RECORD, score=1.0)) is None
