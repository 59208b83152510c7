"""The laws that every registered operator keeps (docs/operators.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.operators import BY_KIND, large, normal
from support.volumes import geometry

from medsr.errors import Refusal
from medsr.physics import OPERATORS, LinearOperator, NoNoise, Operator

KINDS = sorted(OPERATORS)
SEEDS = st.integers(0, 2**31 - 1)
DTYPES = st.sampled_from((torch.float32, torch.float64))


def tolerance(dtype: torch.dtype) -> float:
    """Rounding of some hundred additions; the float32 laws allow for the condition of P, at most 20."""
    return 2e-5 if dtype == torch.float32 else 1e-10


def close(one: torch.Tensor, other: torch.Tensor, scale: torch.Tensor) -> bool:
    assert one.dtype == other.dtype
    return bool((one - other).norm() <= tolerance(one.dtype) * max(float(scale.norm()), 1e-30))


def test_every_registered_operator_has_a_strategy() -> None:
    """An operator without a strategy would escape every law below."""
    assert sorted(BY_KIND) == KINDS


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS, dtype=DTYPES)
def test_adjoint(kind: str, data: st.DataObject, seed: int, dtype: torch.dtype) -> None:
    """<Ax, y> = <x, A^T y>, relative to the norms."""
    A = data.draw(BY_KIND[kind])
    x, y = normal(A.fine_shape, seed, dtype), normal(A.coarse_shape, seed + 1, dtype)
    Ax, Aty = A.forward(x), A.adjoint(y)
    assert Ax.shape == y.shape
    assert Aty.shape == x.shape
    assert Ax.dtype == Aty.dtype == dtype
    gap = (Ax.double() * y.double()).sum() - (x.double() * Aty.double()).sum()
    assert gap.abs() <= tolerance(dtype) * x.double().norm() * y.double().norm()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS, dtype=DTYPES)
def test_pseudo_inverse(kind: str, data: st.DataObject, seed: int, dtype: torch.dtype) -> None:
    """A+ A A+ = A+, and A A+ A = A unless a singular value was cut."""
    A = data.draw(BY_KIND[kind])
    x, y = normal(A.fine_shape, seed, dtype), normal(A.coarse_shape, seed + 1, dtype)
    lifted = A.pinv(y)
    assert lifted.dtype == dtype
    assert close(A.pinv(A.forward(lifted)), lifted, lifted)
    if A.exact:
        assert close(A.forward(A.project(x)), A.forward(x), x)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_range_part_is_an_orthogonal_projector_of_the_stated_rank(kind: str, data: st.DataObject) -> None:
    """P = A+ A is symmetric and idempotent, with trace(P) = rank."""
    A = data.draw(BY_KIND[kind])
    count = int(np.prod(A.fine_shape))
    basis = torch.eye(count, dtype=torch.float64).reshape(count, *A.fine_shape)
    P = A.project(basis).reshape(count, count)
    assert torch.allclose(P, P.T, atol=1e-10)
    assert torch.allclose(P @ P, P, atol=1e-10)
    assert float(P.trace()) == pytest.approx(A.rank, abs=1e-8)
    assert A.measured_fraction() == pytest.approx(A.rank / count)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), dtype=DTYPES)
def test_constants_keep_their_value(kind: str, data: st.DataObject, dtype: torch.dtype) -> None:
    """A 1 = 1: intensities are not rescaled."""
    A = data.draw(BY_KIND[kind])
    made = A.forward(torch.ones(A.fine_shape, dtype=dtype))
    assert torch.allclose(made, torch.ones_like(made), atol=tolerance(dtype))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_leading_axes_are_a_batch(kind: str, data: st.DataObject, seed: int) -> None:
    """A batch gives what its members give alone, in every form of the operator."""
    A = data.draw(BY_KIND[kind])
    x, y = normal((2, 3, *A.fine_shape), seed), normal((2, 3, *A.coarse_shape), seed)
    assert torch.allclose(A.forward(x)[1, 2], A.forward(x[1, 2]), atol=1e-12)
    assert torch.allclose(A.adjoint(y)[1, 2], A.adjoint(y[1, 2]), atol=1e-12)
    assert torch.allclose(A.pinv(y)[1, 2], A.pinv(y[1, 2]), atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_blob_stays_where_it_is_in_mm(kind: str, axis: int) -> None:
    """The centroid in patient space is the same before and after: headers and pixels tell one place."""
    for A in large(kind, axis):
        fine = _turned(A, axis)
        centre = np.array(A.fine_shape) / 2 + (1.3, -0.8, 0.45)
        blob = _blob(A.fine_shape, centre)
        before = _centroid(blob, fine)
        after = _centroid(A.forward(torch.from_numpy(blob)).numpy(), A.coarse_geometry(fine))
        # A box that ends inside a thin slice weighs that slice as a whole: up to 0.05 thin slices of 1.1 mm.
        limit = 0.02 if float(A.parameters().get("thickness", 1)).is_integer() else 0.06
        assert np.abs(after - before).max() < limit, (kind, A.parameters())


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_fine_geometry_inverts_coarse_geometry(kind: str, axis: int) -> None:
    """The restored grid lies exactly where the degraded one came from."""
    for A in large(kind, axis):
        fine = _turned(A, axis)
        coarse = A.coarse_geometry(fine)
        assert coarse.shape == A.coarse_shape
        assert A.fine_geometry(coarse).matches(fine, 1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_a_record_builds_the_same_operator(kind: str, data: st.DataObject, seed: int) -> None:
    """from_record(to_record(A)) is A, through JSON values only."""
    import json

    A = data.draw(BY_KIND[kind])
    record = json.loads(json.dumps(Operator(A, NoNoise(), "header").to_record()))
    back = Operator.from_record(record)
    assert back.linear == A
    assert back.provenance == "header"
    x = normal(A.fine_shape, seed)
    assert torch.equal(back.linear.forward(x), A.forward(x))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_a_slab_computes_what_the_whole_does(kind: str, data: st.DataObject, seed: int) -> None:
    """Slices that are independent may be walked one by one; an operator that mixes them refuses."""
    A = data.draw(BY_KIND[kind])
    axis = A.slice_axis
    count = A.fine_shape[axis]
    start = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(start + 1, count))
    if not A.slices_are_independent:
        with pytest.raises(Refusal, match=r"\[operator\.slab\]"):
            A.slab(start, stop)
        return
    x, y = normal(A.fine_shape, seed), normal(A.coarse_shape, seed)
    part = A.slab(start, stop)
    assert torch.allclose(part.forward(_cut(x, axis, start, stop)), _cut(A.forward(x), axis, start, stop), atol=1e-12)
    assert torch.allclose(part.pinv(_cut(y, axis, start, stop)), _cut(A.pinv(y), axis, start, stop), atol=1e-12)
    for wrong in ((start, start), (-1, stop), (start, count + 1)):
        with pytest.raises(Refusal, match=r"\[operator\.slab\]"):
            A.slab(*wrong)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_wrong_shapes_are_refused(kind: str, data: st.DataObject) -> None:
    """Neither a wrong size nor a missing axis passes silently."""
    A = data.draw(BY_KIND[kind])
    fine, coarse = A.fine_shape, A.coarse_shape
    for bad in (torch.zeros(fine[:2]), torch.zeros((fine[0], fine[1], fine[2] + 1))):
        with pytest.raises(Refusal, match=r"\[operator\.shape\]"):
            A.forward(bad)
    for bad in (torch.zeros(coarse[1:]), torch.zeros((coarse[0] + 1, *coarse[1:]))):
        for form in (A.adjoint, A.pinv):
            with pytest.raises(Refusal, match=r"\[operator\.shape\]"):
                form(bad)


def _turned(A: LinearOperator, axis: int) -> object:
    from dataclasses import replace

    return replace(geometry(A.fine_shape, (0.8, 0.9, 1.1)), slice_axis=axis)


def _blob(shape: tuple[int, int, int], centre: np.ndarray) -> np.ndarray:
    grid = np.indices(shape) - centre[:, None, None, None]
    return np.exp(-(grid**2).sum(0) / (2 * 4.0**2))


def _centroid(values: np.ndarray, grid: object) -> np.ndarray:
    places = grid.world(np.moveaxis(np.indices(values.shape), 0, -1))
    return (places * values[..., None]).sum((0, 1, 2)) / values.sum()


def _cut(x: torch.Tensor, axis: int, start: int, stop: int) -> torch.Tensor:
    return x.narrow(axis, start, stop - start)
