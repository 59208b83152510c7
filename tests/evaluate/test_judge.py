"""Rows: units, floors, and the figures of samples."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import ct_volume, mr_volume

from medsr.evaluate.cases import Case, cases_of
from medsr.evaluate.judge import Judge, Spread
from medsr.evaluate.levels import levels_named
from medsr.evaluate.peers.problem import Problem
from medsr.evaluate.resources import Used, measured
from medsr.evaluate.scans import EvaluationScan


def _case(level: str) -> Case:
    volume = ct_volume((96, 96, 3), sigma=5) if level.startswith("CT") else mr_volume(sigma=5)
    scan = EvaluationScan("scan", "someone", "domain", "seen", volume)
    return next(cases_of(scan, levels_named((level,)), slices=2))


def test_mr_errors_are_percent_of_q() -> None:
    case = _case("MR denoise 5")
    row = Judge(case).row("input", Problem.of(case).values, Used(4.0, 100.0))
    assert row.error == pytest.approx(5, rel=0.1)
    assert row.score == pytest.approx(26, abs=0.6)
    assert row.cpu_s_per_slice == pytest.approx(4.0 / case.reference.geometry.shape[2])


def test_the_excess_error_of_a_noisy_ct_is_its_error_times_sqrt_of_one_minus_dose() -> None:
    case = _case("CT quarter")
    judge, values = Judge(case), Problem.of(case).values
    assert judge.score(values) == pytest.approx(judge.error(values) * np.sqrt(0.75))


def test_the_reference_itself_has_no_error() -> None:
    case = _case("CT x2")
    judge = Judge(case)
    row = judge.row("oracle", np.moveaxis(case.reference.values, 2, 0), Used(0.0, None))
    assert (row.score, row.bias) == (0, 0)
    assert row.ssim == pytest.approx(1)
    assert row.haarpsi == pytest.approx(1)


def test_the_worst_slice_is_the_lowest_psnr_and_the_largest_error() -> None:
    for level, worse in (("MR denoise 5", "lower"), ("CT x2", "higher")):
        case = _case(level)
        image = np.moveaxis(case.reference.values, 2, 0).copy()
        image += 10
        image[case.judged[0]] += 100
        row = Judge(case).row("shifted", image, Used(0.0, None))
        assert (row.worst_slice < row.score) == (worse == "lower")


def test_samples_are_judged_by_their_spread() -> None:
    case = _case("MR x2")
    image = np.moveaxis(case.reference.values, 2, 0).copy()
    error = np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    scale = np.linspace(1, 60, image.shape[2], dtype=np.float32)
    row = Judge(case).row(
        "samples", image + error * scale, Used(0.0, None), spread=Spread(np.broadcast_to(scale, image.shape), 8)
    )
    assert row.spread_ratio == pytest.approx(1.06, abs=0.1)
    assert row.spread_rank is not None
    assert row.spread_rank > 0.6


def test_peak_memory_sees_what_a_method_held_for_a_moment() -> None:
    def hold() -> int:
        return int(np.ones(40_000_000, np.float64).sum())

    _, idle = measured(lambda: 0)
    total, used = measured(hold)
    assert total == 40_000_000
    if used.peak_mb is None or idle.peak_mb is None:
        pytest.skip("this kernel does not let a process reset its high-water mark")
    assert used.peak_mb - idle.peak_mb > 250
