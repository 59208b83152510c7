"""Repeated scans: the error is estimated without knowing the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.volumes import head, mr_volume

from medsr.evaluate.repeats import repeat_rows, sigma_of_pair, squared_error
from medsr.evaluate.scans import EvaluationScan
from medsr.volume import Volume

CLEAN = np.moveaxis(head((96, 88, 4)), 2, 0)


def _repetition(seed: int, sigma: float = 30.0) -> np.ndarray:
    return (CLEAN + np.random.default_rng(seed).standard_normal(CLEAN.shape) * sigma).astype(np.float32)


def test_noise_comes_out_of_two_repetitions_whatever_their_scales() -> None:
    assert sigma_of_pair(_repetition(1), _repetition(2)) == pytest.approx(30, rel=0.05)
    assert sigma_of_pair(_repetition(1), 1.04 * _repetition(2)) == pytest.approx(30, rel=0.05)


@pytest.mark.parametrize("error", [0.0, 5.0, 15.0])
def test_the_estimated_error_is_the_true_one(error: float) -> None:
    """An image of known error, judged by a repetition whose noise it has never seen."""
    image = (CLEAN + np.random.default_rng(5).standard_normal(CLEAN.shape) * error).astype(np.float32)
    found = squared_error(image, _repetition(1), 30.0)
    assert found == pytest.approx(error**2, abs=40)


def test_three_repetitions_make_a_table_and_two_do_not() -> None:
    scans = [EvaluationScan(f"made_rep{k}", "someone", "repeats", "unseen", _noisy(k)) for k in (1, 2, 3)]
    rows = repeat_rows(scans, slices=1, log=[].append)
    assert [row.method for row in rows] == ["input", "NLM 3-D", "restored"]
    assert rows[0].gain == pytest.approx(0)
    assert rows[0].error == pytest.approx(5, rel=0.25)
    assert rows[0].pairs == 6
    assert all(row.gain > 0 for row in rows[1:])
    assert not repeat_rows(scans[:2], slices=1, log=[].append)


def _noisy(seed: int) -> Volume:
    volume = mr_volume((48, 44, 4))
    rng = np.random.default_rng(10 + seed)
    real, imaginary = rng.standard_normal((2, *volume.values.shape)) * 60
    return replace(volume, values=np.asfortranarray(np.hypot(volume.values + real, imaginary).astype(np.float32)))
