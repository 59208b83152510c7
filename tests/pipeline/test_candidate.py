"""A stranger's output as a restoration: its operator, its place, and what is said of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.volumes import ct_volume

from medsr.errors import UsageError
from medsr.physics import AreaAverage
from medsr.pipeline.candidate import candidate_restoration
from medsr.pipeline.walk import validate_volume

SHAPE = (192, 192, 2)


@pytest.fixture(scope="module")
def fine():
    return ct_volume(SHAPE, sigma=10.0)


@pytest.fixture(scope="module")
def measured(fine):
    linear = AreaAverage(SHAPE, (2, 2))
    blocks = fine.values.reshape(96, 2, 96, 2, 2).mean((1, 3)).astype(np.float32)
    return replace(fine, values=np.asfortranarray(blocks), geometry=linear.coarse_geometry(fine.geometry))


def moved(volume, shift_mm):
    affine = np.array(volume.geometry.world_from_voxel)
    affine[:3, 3] += shift_mm
    return replace(volume, geometry=replace(volume.geometry, world_from_voxel=affine))


def test_the_operator_follows_from_the_grids_and_is_called_estimated(measured, fine):
    made = candidate_restoration(measured, fine)
    assert (made.operator.linear.kind, made.operator.provenance, made.task) == ("area_average", "estimated", "superres")
    assert made.estimate is None
    assert made.model is None


def test_a_header_that_aligns_first_voxels_is_read_as_the_same_field_and_said(measured, fine):
    first = np.array(measured.geometry.world_from_voxel[:3, 3]) - fine.geometry.world_from_voxel[:3, 3]
    made = candidate_restoration(measured, moved(fine, first))
    assert made.geometry.matches(fine.geometry)
    assert "first voxel" in made.measured.notes[-1]
    assert candidate_restoration(measured, fine).measured.notes == measured.notes


@pytest.mark.parametrize("who", ["candidate", "reference"])
def test_any_other_place_is_refused(measured, fine, who):
    elsewhere = moved(fine, (0.7, 0.0, 0.0))
    given = {"candidate": fine, "reference": fine, who: elsewhere}
    with pytest.raises(UsageError) as caught:
        candidate_restoration(measured, given["candidate"], reference=given["reference"])
    assert caught.value.code == "validate.grid"
    assert who in str(caught.value)


def test_a_strangers_output_is_audited_although_it_has_no_estimate(measured, fine):
    shifted = replace(fine, values=np.asfortranarray(fine.values + np.float32(20)))
    result = validate_volume(measured, shifted)
    by_name = {item.name: item for item in result.judgement.channels}
    assert by_name["R3"].status == "not_assessed"
    assert by_name["R3w"].status == "held"
    assert "operator.unverified" in result.judgement.codes
    assert "20 HU brighter" in result.sentence


def test_a_reference_is_compared_and_what_it_finds_is_said(measured, fine):
    result = validate_volume(measured, fine, reference=fine)
    names = [item.name for item in result.judgement.channels if item.kind == "reference"]
    assert names[0] == "F0"
    assert len(names) == 11
    assert "no_preprojection" in result.verdict.reasons
