"""The challenge end to end on the slab that travels with medsr."""

from __future__ import annotations

import pytest

from medsr.evaluate.challenge import DENOISE_LEVELS, ChallengePlan, challenge_scan
from medsr.io import read
from medsr.models.bundle import find_bundle


@pytest.mark.slow
def test_lesions_in_the_demo_head_are_found_and_its_clean_twin_is_not_accused(t1_head):
    """Every disc of d' 10 at 5 % noise, inserted and omitted; no finding where nobody planted any."""
    plan = ChallengePlan(dprimes=(10.0,), slices=3)
    level = next(item for item in DENOISE_LEVELS if item.noise == "5%")
    bundle = find_bundle("MR", task="denoise")
    outcomes, twin = challenge_scan("t1_head", read(t1_head), "demo", level, 6, plan=plan, bundle=bundle)
    assert len(outcomes) == 12
    assert all(item.found for item in outcomes)
    assert twin.findings == 0
    assert twin.held == ""
