"""The residual bounds a noise level that the pixels of a coarse CT scan overstate, and no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.volumes import ct_volume, mr_volume

from medsr.physics import AreaAverage, Identity, NoNoise, Operator
from medsr.records import NoiseLevel, Restoration
from medsr.validation.noise_bound import bounded_noise, residual_spread

SHAPE = (192, 192, 2)


def restoration_of(*, level: float = 36.0, provenance: str = "estimated", blur: float = 3.0) -> Restoration:
    """A x2 candidate whose block means differ from the scan by noise of `blur` HU."""
    fine = ct_volume(SHAPE)
    linear = AreaAverage(SHAPE, (2, 2))
    blocks = fine.values.reshape(96, 2, 96, 2, 2).mean((1, 3))
    noise = np.random.default_rng(1).normal(0, blur, blocks.shape)
    measured = replace(
        fine,
        values=np.asfortranarray((blocks + noise).astype(np.float32)),
        geometry=linear.coarse_geometry(fine.geometry),
    )
    return Restoration(
        measured=measured, image=np.array(fine.values), estimate=None, geometry=fine.geometry,
        operator=Operator(linear, NoNoise(), "estimated"), task="superres", model=None,
        noise=NoiseLevel(level, "gaussian", provenance),  # type: ignore[arg-type]  # a str from a test's parameter
    )  # fmt: skip


def test_a_level_beyond_what_the_residual_holds_is_lowered_to_it():
    assert bounded_noise(restoration_of()).sigma == pytest.approx(3, rel=0.15)


def test_a_level_below_the_residual_stands():
    assert bounded_noise(restoration_of(level=2.0)).sigma == 2.0


@pytest.mark.parametrize("provenance", ["user", "declared", "header"])
def test_a_level_that_somebody_states_stands(provenance):
    assert bounded_noise(restoration_of(provenance=provenance)).sigma == 36.0


def test_denoising_and_mr_are_left_alone():
    plain = restoration_of()
    identity = replace(plain, operator=Operator(Identity(plain.measured.values.shape), NoNoise(), "estimated"))
    assert bounded_noise(identity).sigma == 36.0
    assert bounded_noise(replace(plain, measured=replace(mr_volume(plain.measured.values.shape)))).sigma == 36.0


def test_a_scan_of_whole_numbers_leaves_room_for_its_rounding():
    exact = restoration_of(blur=0.0)
    rounded = replace(exact, measured=replace(exact.measured, source=replace(exact.measured.source, integer=True)))
    assert residual_spread(rounded) == pytest.approx(12**-0.5)
