"""R9: contrast that planted discs lose is told, and holds where it is more than half."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from medsr.records import ProbeDisc
from medsr.validation.judge import judge
from medsr.validation.r9_probe import probe_result, smallest_kept_mm
from tests.support.restorations import perfect


def discs(kept_by_size: dict[float, float], *, dprime: float = 8.0) -> tuple[ProbeDisc, ...]:
    """Eight discs of each size."""
    return tuple(
        ProbeDisc((10, 10 + number, 1), size, dprime, 1 if number % 2 else -1, kept)
        for size, kept in kept_by_size.items()
        for number in range(8)
    )


def test_kept_discs_pass_with_their_size():
    """The smallest size from which on all are kept is said in mm."""
    result = probe_result(discs({3.0: 0.3, 5.0: 0.7, 10.0: 0.9}))
    assert result.status == "passed"
    assert result.value == pytest.approx(1 - (0.3 + 0.7 + 0.9) / 3)
    assert "from 5.0 mm on" in result.note


def test_lost_discs_hold():
    """A restorer that wipes out d' 8 is held, whatever its residual says."""
    assert probe_result(discs({3.0: 0.2, 5.0: 0.4})).status == "held"


def test_a_small_size_is_not_kept_where_a_larger_one_is_lost():
    """No size is promised over a gap."""
    assert smallest_kept_mm(discs({3.0: 0.9, 5.0: 0.3, 10.0: 0.9})) == 10.0
    assert smallest_kept_mm(discs({3.0: 0.9, 10.0: 0.3})) is None


def test_weak_discs_decide_nothing():
    """d' 4 is the scan's own limit; too few discs are not assessed."""
    assert probe_result(discs({5.0: 0.0}, dprime=4.0)).status == "not_assessed"
    assert probe_result(None).status == "not_assessed"


def test_nan_is_never_passed():
    """A probe that did not compute holds."""
    assert probe_result(discs({5.0: math.nan})).status == "held"


def test_the_judge_passes_the_probe_on():
    """R9 stands among the channels of a judgement."""
    restoration = replace(perfect("MR"), probe=discs({5.0: 0.2}))
    assert {item.name: item.status for item in judge(restoration).channels}["R9"] == "held"
    assert {item.name: item.status for item in judge(perfect("MR")).channels}["R9"] == "not_assessed"
