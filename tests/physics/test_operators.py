"""What single operators promise beyond the common laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.operators import normal
from support.volumes import geometry

from medsr.errors import Refusal
from medsr.physics import AreaAverage, Identity, KSpaceTruncation, Operator, OverlapAverage, SliceMask, SliceProfile

MALFORMED = [
    {"kind": "identity", "parameters": {"shape": [8, 8], "slice_axis": 2}},
    {"kind": "identity", "parameters": {"shape": [8, 8, 0], "slice_axis": 2}},
    {"kind": "identity", "parameters": {"shape": [8, 8, 8], "slice_axis": 7}},
    {"kind": "identity", "parameters": {"shape": [8, 8, 8], "slice_axis": True}},
    {"kind": "identity", "parameters": {"shape": "888", "slice_axis": 2}},
    {"kind": "identity", "parameters": {"size": [8, 8, 8]}},
    {"kind": "identity", "parameters": None},
    {"kind": "area_average", "parameters": {"shape": [8, 8, 8], "factors": [2.0, 2.0]}},
    {"kind": "area_average", "parameters": {"shape": [8, 8, 8], "factors": [2]}},
    {"kind": "k_space_truncation", "parameters": {"shape": [8, 8, 8], "coarse": [1, 4]}},
    {"kind": "k_space_truncation", "parameters": {"shape": [8, 8, 8], "coarse": [9, 4]}},
    {"kind": "k_space_truncation", "parameters": {"shape": [8, 8, 8], "coarse": 4}},
    {"kind": "overlap_average", "parameters": {"shape": [8, 8, 8], "coarse": [0, 4]}},
    {"kind": "overlap_average", "parameters": {"shape": [8, 8, 8], "coarse": [4, 9]}},
    {"kind": "slice_mask", "parameters": {"shape": [8, 8, 8], "kept": []}},
    {"kind": "slice_mask", "parameters": {"shape": [8, 8, 8], "kept": [3, 1]}},
    {"kind": "slice_mask", "parameters": {"shape": [8, 8, 8], "kept": [1, 8]}},
    {"kind": "slice_mask", "parameters": {"shape": [8, 8, 8], "kept": [-1, 2]}},
    {"kind": "slice_mask", "parameters": {"shape": [8, 8, 8], "kept": [1.5]}},
    {"kind": "slice_mask", "parameters": {"shape": [8, 8, 8], "kept": [1], "slice_axis": 3}},
    {"kind": "slice_profile", "parameters": {"shape": [8, 8, 8], "thickness": 9, "step": 9}},
    {"kind": "slice_profile", "parameters": {"shape": [8, 8, 8], "thickness": 2, "step": 0}},
    {"kind": "slice_profile", "parameters": {"shape": [8, 8, 8], "thickness": 2, "step": float("inf")}},
    {"kind": "slice_profile", "parameters": {"shape": [8, 8, 8], "thickness": float("nan"), "step": 2}},
    {"kind": "slice_profile", "parameters": {"shape": [8, 8, 8], "thickness": "2", "step": 2}},
    {"kind": "slice_profile", "parameters": {"shape": [8, 8, 8], "thickness": 2, "step": 2, "profile": "sinc"}},
]


@pytest.mark.parametrize("record", MALFORMED, ids=lambda record: f"{record['kind']}-{record['parameters']}")
def test_a_malformed_record_is_refused(record: dict[str, object]) -> None:
    """Sidecars come from anywhere: whatever they hold ends in a reason code, never in a traceback."""
    with pytest.raises(Refusal, match=r"\[operator\.parameter\]"):
        Operator.from_record(record)


@pytest.mark.parametrize("kind", ["blur", "", None, 3, "x" * 500])
def test_an_unknown_kind_is_refused_briefly(kind: object) -> None:
    with pytest.raises(Refusal, match=r"\[operator\.unknown\]") as caught:
        Operator.from_record({"kind": kind, "parameters": {}})
    assert len(str(caught.value)) < 250


def test_a_factor_that_does_not_divide_is_refused_with_its_axis() -> None:
    with pytest.raises(Refusal, match=r"axis k: 9 voxels by 2 \[operator\.indivisible\]"):
        AreaAverage((5, 8, 9), (2, 2), slice_axis=0)


@pytest.mark.parametrize("provenance", ["declared", "header", "estimated"])
def test_the_caller_may_state_the_provenance(provenance: str) -> None:
    record = {"kind": "identity", "parameters": {"shape": [2, 2, 2]}, "provenance": "nonsense"}
    assert Operator.from_record(record).provenance == "declared"
    assert Operator.from_record(record, provenance=provenance).provenance == provenance


@given(st.integers(4, 20), st.integers(4, 20), st.integers(0, 2**31 - 1))
def test_truncated_k_space_of_a_real_image_is_real(rows: int, columns: int, seed: int) -> None:
    """Without the lone Nyquist line nothing imaginary is thrown away: energy in the band is kept exactly."""
    A = KSpaceTruncation((rows, columns, 1), (max(2, rows // 2), max(2, columns // 2)))
    x = normal(A.fine_shape, seed)
    seen = A.project(x)
    assert torch.allclose((A.forward(x) ** 2).sum(), (seen**2).sum() * A.gain**2, rtol=1e-10)


def test_a_plain_crop_would_shift_the_image() -> None:
    """The ramp moves voxel 0 by (s - 1) / 2 fine voxels: an edge lies where area averaging puts it."""
    shape = (64, 64, 1)
    x = torch.zeros(shape, dtype=torch.float64)
    x[:32] = 1
    cut = KSpaceTruncation(shape, (16, 64)).forward(x)[:, 0, 0]
    mean = AreaAverage(shape, (4, 1)).forward(x)[:, 0, 0]
    assert float((cut - mean).abs().mean()) < 0.06
    assert float((cut.cumsum(0) - mean.cumsum(0)).abs().max()) < 0.15


def test_by_scale_rounds_the_matrix() -> None:
    A = KSpaceTruncation.by_scale((65, 7, 47), 1.5, slice_axis=1)
    assert A.coarse == (43, 31)
    assert A.coarse_shape == (43, 7, 31)


@pytest.mark.parametrize(("fine", "factor"), [(12, 2), (12, 3), (12, 4)])
def test_overlap_average_of_a_whole_factor_is_the_block_mean(fine: int, factor: int) -> None:
    shape = (fine, fine, 2)
    x = normal(shape, 3)
    overlap = OverlapAverage(shape, (fine // factor, fine // factor))
    blocks = AreaAverage(shape, (factor, factor))
    assert torch.allclose(overlap.forward(x), blocks.forward(x), atol=1e-12)
    assert torch.allclose(overlap.project(x), blocks.project(x), atol=1e-10)


def test_overlap_weights_are_the_shares_of_area() -> None:
    """3 fine voxels on 2: each coarse one holds one and a half."""
    A = OverlapAverage((3, 1, 1), (2, 1))
    made = A.forward(torch.tensor([3.0, 6.0, 9.0]).reshape(3, 1, 1)).ravel()
    assert made.tolist() == pytest.approx([4.0, 8.0])


@pytest.mark.parametrize("thickness", [2, 3, 4])
def test_a_box_of_whole_thickness_is_inverted_by_its_transpose(thickness: int) -> None:
    """P+ = t P^T."""
    A = SliceProfile((2, 2, 12), thickness, thickness)
    y = normal(A.coarse_shape, 5)
    assert torch.allclose(A.pinv(y), thickness * A.adjoint(y), atol=1e-12)
    assert A.exact


def test_a_wide_gaussian_cuts_small_singular_values() -> None:
    """What was averaged away is not blown up: rank below the number of slices, and A+ bounded by 1 / 0.05."""
    A = SliceProfile((1, 1, 24), 6, 1, "gauss")
    assert not A.exact
    assert A.rank < A.count
    matrix = A.pinv(torch.eye(A.count, dtype=torch.float64).reshape(A.count, 1, 1, A.count)).reshape(A.count, -1)
    assert float(torch.linalg.matrix_norm(matrix, 2)) <= 1 / 0.05 + 1e-6


def test_thick_slices_know_their_thickness_and_gap() -> None:
    fine = geometry((4, 4, 20), (1.0, 1.0, 1.5))
    coarse = SliceProfile((4, 4, 20), 2, 3).coarse_geometry(fine)
    assert coarse.spacing_mm[2] == pytest.approx(4.5)
    assert coarse.slice_thickness_mm == pytest.approx(3.0)
    assert coarse.gap_mm == pytest.approx(1.5)


def test_measured_slices_come_out_bit_for_bit() -> None:
    A = SliceMask((3, 4, 6), (0, 2, 5))
    x = normal(A.fine_shape, 1, torch.float32)
    assert A.missing == (1, 3, 4)
    assert torch.equal(A.project(x)[..., list(A.kept)], x[..., list(A.kept)])
    assert not A.project(x)[..., list(A.missing)].any()


def test_unevenly_lost_slices_have_no_grid() -> None:
    A = SliceMask((3, 4, 6), (0, 2, 5))
    for place in (A.coarse_geometry, A.fine_geometry):
        with pytest.raises(Refusal, match=r"\[2, 3\] slices apart: no regular grid \[operator\.uneven\]"):
            place(geometry((3, 4, 6)))


def test_the_identity_measures_everything() -> None:
    A = Identity((3, 4, 5))
    assert A.measured_fraction() == 1.0
    assert A.coarse_geometry(geometry((3, 4, 5))).shape == (3, 4, 5)


@pytest.mark.parametrize(("scale", "share"), [(2, 0.25), (4, 0.0625)])
def test_area_average_states_the_share_it_measured(scale: int, share: float) -> None:
    A = AreaAverage((64, 64, 3), (scale, scale))
    assert A.measured_fraction() == share
    assert KSpaceTruncation.by_scale((64, 64, 3), scale).measured_fraction() == pytest.approx(share, rel=0.13)


def test_operators_keep_the_slice_thickness() -> None:
    from dataclasses import replace

    fine = replace(geometry((8, 8, 4)), slice_thickness_mm=2.0)
    assert AreaAverage((8, 8, 4), (2, 2)).coarse_geometry(fine).slice_thickness_mm == 2.0
    assert np.allclose(AreaAverage((8, 8, 4), (2, 2)).coarse_geometry(fine).spacing_mm, (1.6, 1.8, 2.5))
