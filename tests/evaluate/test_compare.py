"""The interval rule: none below 6 subjects, paired t from 6, bootstrap from 15; visits of a subject are one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from support.evaluate_rows import row

from medsr.evaluate.compare import by_subject, compare, interval, ours

LEVEL = "MR denoise 3 %"


def test_five_subjects_have_no_interval() -> None:
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0]) == (None, None)


def test_six_subjects_have_the_paired_t_interval() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]
    low, high = interval(values)
    expected = stats.t.interval(0.95, 5, loc=np.mean(values), scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected)


def test_fifteen_subjects_have_a_bootstrap_interval_that_is_the_same_every_time() -> None:
    values = list(np.random.default_rng(3).normal(1, 0.5, 15))
    assert interval(values) == interval(values)
    low, high = interval(values)
    normal = stats.norm.interval(0.95, loc=np.mean(values), scale=np.std(values) / np.sqrt(15))
    assert (low, high) == pytest.approx(normal, abs=0.05)


def test_two_visits_of_a_subject_count_as_one() -> None:
    rows = [row("a1", "a", "input", 30), row("a2", "a", "input", 32), row("b", "b", "input", 10)]
    assert by_subject(rows, LEVEL, "input") == {"a": 31, "b": 10}


def test_a_higher_psnr_is_better_and_a_lower_error_is() -> None:
    psnr = [row("a", "a", "input", 30), row("a", "a", "net", 33)]
    error = [row("a", "a", "input", 30, level="CT x2"), row("a", "a", "net", 33, level="CT x2")]
    found, worse = compare(psnr, LEVEL, "net", "input"), compare(error, "CT x2", "net", "input")
    assert found is not None
    assert worse is not None
    assert (found.mean, worse.mean) == (3, -3)
    assert found.always_better
    assert not worse.always_better


def test_methods_that_share_no_subject_are_not_compared() -> None:
    assert compare([row("a", "a", "input", 30), row("b", "b", "net", 33)], LEVEL, "net", "input") is None


def test_bundles_are_told_from_peers_by_their_hash() -> None:
    rows = [row("a", "a", "input", 30), row("a", "a", "net", 33, bundle="abc")]
    assert ours(rows, LEVEL) == ["net"]


def test_a_scan_that_only_one_method_has_does_not_shift_the_comparison() -> None:
    rows = [row("a1", "a", "input", 30), row("a1", "a", "net", 33), row("a2", "a", "net", 90)]
    found = compare(rows, LEVEL, "net", "input")
    assert found is not None
    assert found.differences == (3,)
