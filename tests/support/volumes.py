"""Small volumes made by code, for tests that need a scan but not a patient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medsr.volume import Geometry, Source, Volume

MADE = Source(name="made", sha256="0" * 64, format="memory")


def geometry(
    shape: tuple[int, int, int] = (48, 40, 6), spacing: tuple[float, float, float] = (0.8, 0.9, 2.5)
) -> Geometry:
    """An oblique grid: nothing that assumes identity or diagonal affines passes with it."""
    angle = np.deg2rad(12.0)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = (-20.0, 13.0, 7.5)
    return Geometry(shape, affine)


def head(shape: tuple[int, int, int] = (64, 56, 6), *, seed: int = 0) -> npt.NDArray[np.float32]:
    """A smooth head-like ellipse of about 1000 with folds and a dark rim; air is 0."""
    rng = np.random.default_rng(seed)
    first, second = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    radius = np.hypot(first / 0.85, second / 0.85)
    inside = 1 / (1 + np.exp((radius - 1) * 40))
    values = np.empty(shape, np.float32, order="F")
    phases = rng.uniform(0, 2 * np.pi, 4)
    for index in range(shape[2]):
        folds = np.sin(9 * first + phases[0] + 0.1 * index) * np.sin(8 * second + phases[1])
        waves = np.sin(17 * first + phases[2]) * np.sin(15 * second + phases[3] + 0.1 * index)
        values[:, :, index] = inside * (1000 + 200 * folds + 90 * waves)
    return values


def mr_volume(shape: tuple[int, int, int] = (64, 56, 6), *, sigma: float = 0.0, seed: int = 0) -> Volume:
    """MR magnitude, Rician noise of `sigma`."""
    clean = head(shape, seed=seed)
    rng = np.random.default_rng(seed + 1)
    real, imaginary = rng.normal(0, 1, (2, *shape)) * sigma
    values = np.asfortranarray(np.hypot(clean + real, imaginary).astype(np.float32)) if sigma else clean
    return Volume(values, geometry(shape), "MR", "arbitrary", MADE)


def ct_volume(shape: tuple[int, int, int] = (96, 96, 4), *, sigma: float = 0.0, seed: int = 0) -> Volume:
    """CT in HU: air, a body of water with a spine and a lung; white noise of `sigma` HU."""
    first, second = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    plane = np.full(shape[:2], -1000.0)
    plane[np.hypot(first / 0.85, second / 0.7) < 1] = 40
    plane[np.hypot((first - 0.4) / 0.2, second / 0.35) < 1] = -820
    plane[np.hypot(first + 0.4, second) < 0.12] = 600
    rng = np.random.default_rng(seed)
    values = np.repeat(plane[:, :, None], shape[2], 2) + rng.normal(0, 1, shape) * sigma
    return Volume(np.asfortranarray(values.astype(np.float32)), geometry(shape), "CT", "HU", MADE)
