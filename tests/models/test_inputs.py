"""What a generator is fed, in training and restoration alike."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medsr.models.inputs import condition, neighbours


@given(st.integers(1, 12), st.integers(0, 4), st.data())
def test_neighbours_are_mirrored_at_the_ends(count: int, reach: int, data: st.DataObject) -> None:
    centre = data.draw(st.integers(0, count - 1))
    found = neighbours(centre, count, reach)
    assert len(found) == 2 * reach + 1
    assert found[reach] == centre
    assert all(0 <= index < count for index in found)
    assert all(abs(a - b) == 1 for a, b in pairwise(found)) or count == 1
    inside = range(max(0, centre - reach), min(count, centre + reach + 1))
    assert all(found[index - centre + reach] == index for index in inside)


@pytest.mark.parametrize("sigma", [0.03, torch.full((4, 6), 0.03)])
def test_maps_follow_the_slices(sigma: float | torch.Tensor) -> None:
    slices = torch.randn(5, 4, 6)
    made = condition(slices, sigma=sigma, scale=4.0, gap=1.0)
    assert torch.equal(made[:5], slices)
    assert made[5].unique().tolist() == pytest.approx([0.3])
    assert made[6].unique().tolist() == [2.0]
    assert made[7].unique().tolist() == [1.0]
