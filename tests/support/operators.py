"""Hypothesis strategies for every registered operator: registering one without a strategy fails a test."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import strategies as st

from medsr.physics import (
    AreaAverage,
    Identity,
    KSpaceTruncation,
    LinearOperator,
    OverlapAverage,
    SliceMask,
    SliceProfile,
)

Draw = Callable[[st.SearchStrategy[object]], object]

AXES = st.sampled_from((0, 1, 2))
SCALES = st.sampled_from((1.0, 1.2, 1.5, 2.0, 3.0, 4.0))


def placed(plane: tuple[int, int], count: int, axis: int) -> tuple[int, int, int]:
    """(I, J, K) with `count` slices along `axis` and `plane` along the others."""
    sizes = list(plane)
    sizes.insert(axis, count)
    return (sizes[0], sizes[1], sizes[2])


@st.composite
def identities(draw: Draw, largest: int = 9) -> LinearOperator:
    size = st.integers(1, largest)
    return Identity((draw(size), draw(size), draw(size)), draw(AXES))


@st.composite
def k_space_truncations(draw: Draw, largest: int = 13) -> LinearOperator:
    axis, plane = draw(AXES), (draw(st.integers(4, largest)), draw(st.integers(4, largest)))
    coarse = tuple(max(2, round(size / draw(SCALES))) for size in plane)
    return KSpaceTruncation(placed(plane, draw(st.integers(1, 3)), axis), coarse, axis)


@st.composite
def area_averages(draw: Draw, largest: int = 4) -> LinearOperator:
    axis, factors = draw(AXES), (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    plane = (factors[0] * draw(st.integers(1, largest)), factors[1] * draw(st.integers(1, largest)))
    return AreaAverage(placed(plane, draw(st.integers(1, 3)), axis), factors, axis)


@st.composite
def overlap_averages(draw: Draw, largest: int = 13) -> LinearOperator:
    axis, plane = draw(AXES), (draw(st.integers(1, largest)), draw(st.integers(1, largest)))
    coarse = tuple(max(1, round(size / draw(SCALES))) for size in plane)
    return OverlapAverage(placed(plane, draw(st.integers(1, 3)), axis), coarse, axis)


@st.composite
def slice_profiles(draw: Draw, largest: int = 16) -> LinearOperator:
    axis, count = draw(AXES), draw(st.integers(4, largest))
    thickness = draw(st.sampled_from((1.0, 1.5, 2.0, 3.0, 3.7, 4.0)))
    step = thickness + draw(st.sampled_from((0.0, 0.5, 1.0, 2.25)))
    profile = draw(st.sampled_from(("box", "gauss")))
    plane = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return SliceProfile(placed(plane, count, axis), thickness, step, profile, axis)


@st.composite
def slice_masks(draw: Draw, largest: int = 12) -> LinearOperator:
    axis, count = draw(AXES), draw(st.integers(1, largest))
    kept = tuple(sorted(draw(st.sets(st.integers(0, count - 1), min_size=1))))
    plane = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return SliceMask(placed(plane, count, axis), kept, axis)


BY_KIND: dict[str, st.SearchStrategy[LinearOperator]] = {
    "identity": identities(),
    "k_space_truncation": k_space_truncations(),
    "area_average": area_averages(),
    "overlap_average": overlap_averages(),
    "slice_profile": slice_profiles(),
    "slice_mask": slice_masks(),
}


def large(kind: str, axis: int) -> list[LinearOperator]:
    """Operators of one kind on grids that hold a smooth blob well inside: even, odd and non-integer factors."""
    plane, count = (48, 45), 42
    shape = placed(plane, count, axis)
    made: dict[str, list[LinearOperator]] = {
        "identity": [Identity(shape, axis)],
        "k_space_truncation": [KSpaceTruncation.by_scale(shape, scale, slice_axis=axis) for scale in (1.5, 2, 3, 4)],
        "area_average": [AreaAverage(shape, factors, axis) for factors in ((2, 3), (3, 1), (4, 5))],
        "overlap_average": [OverlapAverage(shape, coarse, axis) for coarse in ((32, 30), (19, 23), (48, 17))],
        "slice_profile": [
            SliceProfile(shape, thickness, step, profile, axis)
            for thickness, step, profile in ((2, 2, "box"), (2.5, 3, "box"), (3, 4.5, "gauss"), (4, 4, "box"))
        ],
        "slice_mask": [SliceMask(shape, tuple(range(first, count, step)), axis) for first, step in ((0, 2), (1, 3))],
    }
    return made[kind]


def normal(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Standard normal values that depend on the seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
