"""Promises are kept or broken by the figures alone."""

from __future__ import annotations

from dataclasses import replace

from support.evaluate_rows import row

from medsr.evaluate.bars import bars
from medsr.evaluate.methods import BEST_NLM


def _kept(rows: list, promise: str) -> list[bool]:
    return [bar.met for bar in bars(rows) if promise in bar.promise]


def test_seen_scanners_need_half_a_decibel_over_bm4d_and_unseen_ones_none() -> None:
    rows = [row("a", "a", "BM4D", 30), row("a", "a", "net", 30.4, bundle="x")]
    assert _kept(rows, "seen scanners") == [False]
    unseen = [replace(entry, scanner="unseen") for entry in rows]
    assert _kept(unseen, "unseen scanners") == [True]


def test_the_best_peer_is_the_one_that_counts() -> None:
    level = "MR gaps 1 of 2"
    rows = [
        row("a", "a", "linear", 25, level=level),
        row("a", "a", "cubic", 26.5, level=level),
        row("a", "a", "TVL1 flow", 26, level=level),
        row("a", "a", "net", 27, level=level, bundle="x"),
    ]
    assert _kept(rows, "linear, cubic and flow") == [False]
    assert next(bar.figure for bar in bars(rows) if "flow" in bar.promise) == "+0.50 dB to cubic"


def test_a_ct_margin_is_counted_in_decibels_of_the_error() -> None:
    level = "CT thick x2"
    rows = [row("a", "a", "cubic", 30, level=level), row("a", "a", "net", 28.2, level=level, bundle="x")]
    assert _kept(rows, "cubic + 0.5") == [True]
    rows[1] = replace(rows[1], score=28.5)
    assert _kept(rows, "cubic + 0.5") == [False]


def test_every_scan_must_gain_on_its_input() -> None:
    rows = [row(case, "a", "input", 30) for case in "ab"] + [row("a", "a", "net", 31, bundle="x")]
    rows.append(row("b", "a", "net", 29.9, bundle="x"))
    assert _kept(rows, "better than the input") == [False]
    rows[-1] = replace(rows[-1], score=30.1)
    assert _kept(rows, "better than the input") == [True]


def test_levels_that_the_first_version_does_not_name_are_aims() -> None:
    rows = []
    for level in ("MR x2", "MR x4"):
        rows += [row("a", "a", "cubic", 25, level=level), row("a", "a", "net", 26, level=level, bundle="x")]
    assert [(bar.level, bar.first) for bar in bars(rows)] == [("MR x2", True), ("MR x4", False)]


def test_ct_needs_a_fifth_less_excess_error() -> None:
    level = "CT quarter dose"
    rows = [row("a", "a", "TV", 10, level=level), row("a", "a", "net", 7.9, level=level, bundle="x")]
    assert _kept(rows, "excess error") == [True]
    rows[1] = replace(rows[1], score=8.1)
    assert _kept(rows, "excess error") == [False]


def test_errors_are_compared_on_the_subjects_that_both_methods_have() -> None:
    level = "CT quarter dose"
    rows = [row("a", "a", "TV", 10, level=level), row("a", "a", "net", 9, level=level, bundle="x")]
    rows += [row("b", "b", "net", 1, level=level, bundle="x")]
    assert _kept(rows, "excess error") == [False]


def test_nlm_at_its_best_must_be_beaten() -> None:
    rows = [row("a", "a", BEST_NLM, 31), row("a", "a", "net", 30.9, bundle="x")]
    assert _kept(rows, "NLM at the best setting") == [False]


def test_a_gan_must_be_sharper_and_not_much_worse() -> None:
    level = "MR x2"
    net = replace(row("a", "a", "net", 30, level=level, bundle="x"), gradient=0.7)
    for score, gradient, kept in ((29.8, 0.85, True), (29.6, 0.85, False), (29.8, 0.75, False), (29.8, 1.4, False)):
        gan = replace(row("a", "a", "net-gan", score, level=level, bundle="y"), gradient=gradient)
        assert _kept([net, gan], "sharpness gap") == [kept]


def test_a_gan_end_of_a_regressor_without_a_gap_must_not_make_one() -> None:
    level = "MR denoise 3 %"
    net = replace(row("a", "a", "net", 30, level=level, bundle="x"), gradient=1.01)
    for gradient, kept in ((0.97, True), (1.08, False)):
        gan = replace(row("a", "a", "net-gan", 29.9, level=level, bundle="y"), gradient=gradient)
        assert _kept([net, gan], "sharpness gap") == [kept]


def test_samples_must_stay_near_the_regressor_and_rank_its_errors() -> None:
    net = row("a", "a", "net", 30, bundle="x")
    samples = replace(row("a", "a", "net-diffusion", 29.8, bundle="y"), spread_rank=0.65)
    assert _kept([net, samples], "mean of samples") == [True]
    assert _kept([net, samples], "Spearman") == [False]


def test_what_did_not_run_decides_nothing() -> None:
    rows = [row("a", "a", "input", 30), row("a", "a", "net", 33, bundle="x")]
    assert [bar.promise for bar in bars(rows)] == ["better than the input"]
