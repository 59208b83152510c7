"""The gate's word by policy: fail closed in every branch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import results

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


def test_the_same_judgement_gives_the_same_verdict():
    assert decided(findings=(results.finding(),)) == decided(findings=(results.finding(),))
