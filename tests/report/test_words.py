"""Sentences: signs, sizes, reasons, and no promise beyond the gate's."""

from __future__ import annotations

import doctest
from importlib import import_module
from typing import get_args

import pytest
from support.reports import finding_of, judgement_of, restoration_of, verdict_of

from medsr.records import CalibrationUse, NoiseLevel, Word
from medsr.report.words import (
    contrast_words,
    finding_words,
    gate_sentence,
    guarantee_words,
    measured_words,
    millimetres,
    noise_words,
    reason_words,
    sizes_words,
    supplied_words,
)


@pytest.mark.parametrize("module", ["words", "display", "windows", "channels"])
def test_examples_in_docstrings_are_true(module):
    result = doctest.testmod(import_module(f"medsr.report.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


def sentence(word, *reasons, findings=(), task="denoise", label="UNVERIFIED", **changes):
    judgement = judgement_of(restoration_of(), findings, **changes)
    return gate_sentence(judgement, verdict_of(word, *reasons, label=label), task=task)


def test_a_finding_is_the_reason_that_is_said():
    said = sentence("review", "channel.held:R4", "finding.added", findings=[finding_of()])
    assert said == "Held: an added 5 mm structure contradicts the scan, d' 9"


def test_of_several_findings_the_clearest_is_said():
    findings = [finding_of(), finding_of(type="omitted", size_mm=8.0, dprime=14.2)]
    assert sentence("rejected", findings=findings) == (
        "Rejected: 2 places contradict the scan; the clearest: an 8 mm structure of the scan was omitted, d' 14"
    )


def test_the_best_sentence_is_that_no_contradiction_was_found():
    assert sentence("released", label="") == (
        "Released, unverified: no contradiction found, but no calibration record covers this scan and model"
    )
    verdict = verdict_of("released", label="")
    clean = type(verdict)("released", (), verdict.policy, verdict.policy_sha256, "")
    assert gate_sentence(judgement_of(restoration_of()), clean, task="denoise") == "Released: no contradiction found"


def test_a_blocked_result_says_that_it_was_not_judged_whatever_was_found():
    assert sentence("blocked", "judgement.error", findings=[finding_of()], error="ValueError") == (
        "Blocked: the gate could not judge this result"
    )


def test_synthetic_slices_are_said_to_be_beyond_checking():
    assert "the synthetic ones cannot be checked" in sentence("review", task="inpaint")


@pytest.mark.parametrize("word", get_args(Word))
@pytest.mark.parametrize(
    "code",
    [
        "uncalibrated", "calibration.score", "calibration.expired", "no_preprojection", "noise.unverified",
        "operator.unverified", "model.oversmooths", "findings.many", "findings.strong", "finding.added",
        "judgement.error", "judgement.no_channels", "judgement.unknown", "judgement.not_finite", "policy.task",
        "hash.differs", "synthetic", "channel.missing:R4", "channel.not_assessed:R1w", "channel.not_finite:R1",
        "channel.held:R4w", "channel.reject:R1",
    ],
)  # fmt: skip
def test_every_reason_is_said_in_words_and_not_as_a_code(word, code):
    said = sentence(word, code)
    assert code not in said or code in ("uncalibrated", "synthetic")
    assert not reason_words(code).startswith("reason ")
    assert said.endswith(tuple("abcdefghijklmnopqrstuvwxyz)"))


def test_a_channel_is_named_by_what_it_asks():
    assert reason_words("channel.reject:R1w") == (
        "the image as a whole departs from the scan (R1w: agreement with the scan as a whole, on the written pixels)"
    )


def test_a_reason_that_is_not_known_is_shown_as_it_is():
    assert reason_words("moon.phase") == "reason moon.phase"


@pytest.mark.parametrize(
    ("contrast", "modality", "reference", "words"),
    [
        (14.6, "CT", None, "+15 HU"),
        (-14.6, "CT", None, "-15 HU"),
        (60.0, "MR", 1200.0, "+5.0 %"),
        (-60.0, "MR", 1200.0, "-5.0 %"),
        (12.3456, "MR", None, "+12.3"),
        (float("nan"), "CT", None, "not known"),
        (float("inf"), "MR", 1200.0, "not known"),
    ],
)
def test_contrasts_keep_their_sign(contrast, modality, reference, words):
    assert contrast_words(contrast, modality, reference=reference) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0.94, "0.9 mm"), (1.97, "2 mm"), (5.2, "5 mm"), (7.4, "7.5 mm"), (14.7, "15 mm"), (float("nan"), "unknown size")],
)
def test_sizes_are_rounded_as_they_are_spoken(size, words):
    assert millimetres(size) == words


@pytest.mark.parametrize(
    ("size", "start"), [(8.0, "an 8 mm"), (11.0, "an 11 mm"), (18.0, "an 18 mm"), (5.0, "a 5 mm"), (12.0, "a 12 mm")]
)
def test_sizes_carry_their_article(size, start):
    assert finding_words(finding_of(type="omitted", size_mm=size)).startswith(start)


def test_a_finding_of_unknown_size_still_makes_a_sentence():
    said = sentence("review", findings=[finding_of(size_mm=float("nan"), dprime=float("nan"))])
    assert said == "Held: an added structure of unknown size contradicts the scan"


def test_shares_are_said_without_promising_more():
    assert measured_words(1.0, "denoise") == "all voxels measured, with noise"
    assert measured_words(0.25, "superres").startswith("25 % of")
    assert measured_words(float("nan"), "superres") == "how much was measured is not known"
    assert "cannot be checked" in supplied_words(0.12, 0.25)
    assert "not known" in supplied_words(float("nan"), 0.25)
    assert "can still be lost" in supplied_words(0.0, 1.0)


def test_sizes_that_were_never_measured_well_are_said():
    assert sizes_words([(2.0, 0.2), (4.0, 0.6)]) == (
        "even structures of 4 mm were measured to less than 90 %, those of 2 mm to 20 %"
    )
    assert sizes_words([(2.0, 0.95), (4.0, 0.97)]) == "structures of 2 mm and more were measured to 90 % or more"
    assert sizes_words([]) == "not known by size"


def test_the_guarantee_is_the_records_own_sentence_or_none():
    assert guarantee_words(CalibrationUse("r", 59, "The sentence.", 5.0)) == "The sentence."
    assert guarantee_words(None).startswith("UNVERIFIED: no calibration record")


@pytest.mark.parametrize(
    ("sigma", "modality", "reference", "words"),
    [
        (31.94, "CT", None, "31.9 HU"),
        (24.0, "MR", 1200.0, "2 % (24 in image units)"),
        (float("nan"), "CT", None, "not known"),
    ],
)
def test_noise_is_told_in_the_units_of_the_modality(sigma, modality, reference, words):
    assert noise_words(NoiseLevel(sigma, "x", "estimated"), modality, reference=reference) == words
