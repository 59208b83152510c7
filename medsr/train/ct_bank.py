"""Noise fields of the CT training scans, made once and cached: two seconds a slice are too slow for every step."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.physics.ct_noise import noise_fields
from medsr.physics.estimate import estimate_ct_noise
from medsr.train.scans import Scan, Stack
from medsr.volume import Volume

__all__ = ["CtPreparer"]

_FIELDS = 2
_VIEWS = 180
_BLOCKS = (1, 2)
_SMALLEST_SIDE = 96


class CtPreparer:
    """Makes training stacks of CT scans, with a cached bank of two noise fields a slice.

    Spacing is augmented by 2 x 2 block means of image and noise; the noise is scaled back to local sd 1 and its
    loss of strength is taken into the scan's sigma.
    """

    def __init__(self, cache: Path, seed: int) -> None:
        self.cache, self.seed = cache, seed

    def __call__(self, volume: Volume, name: str, subject: str) -> Scan | None:
        """Stacks of one CT volume; None where it is narrower than 96 pixels."""
        stack = np.ascontiguousarray(np.moveaxis(volume.values, volume.geometry.slice_axis, 0))
        if min(stack.shape[1:]) < _SMALLEST_SIDE:
            return None
        sigma = estimate_ct_noise(volume).sigma
        fields = self._bank(stack, volume)
        stacks = [_reduced(stack, fields, sigma, block) for block in _BLOCKS]
        usable = tuple(item for item in stacks if min(item.values.shape[1:]) >= _SMALLEST_SIDE)
        weight = float(np.sqrt(stack.size) * min(1.5, 12.0 / max(sigma, 6.0)))
        return Scan(name, subject, usable, weight, volume.geometry.spacing_mm)

    def _bank(self, stack: npt.NDArray[np.float32], volume: Volume) -> npt.NDArray[np.float16]:
        """(F, S, N1, N2) noise fields, from the cache if this very volume is there."""
        key = hashlib.sha256(f"{volume.source.sha256} {self.seed} {_FIELDS} {_VIEWS}".encode()).hexdigest()[:24]
        path = self.cache / f"{key}.npy"
        if path.is_file():
            cached: npt.NDArray[np.float16] = np.load(path)
            return cached
        rng = np.random.default_rng([self.seed, int(key[:8], 16)])
        axes = volume.geometry.in_plane_axes
        spacing = volume.geometry.spacing_mm[axes[0]]
        fields = np.stack(
            [noise_fields(image, spacing, rng, count=_FIELDS, views=_VIEWS).astype(np.float16) for image in stack],
            1,
        )
        self.cache.mkdir(parents=True, exist_ok=True)
        np.save(path.with_suffix(".part.npy"), fields)
        path.with_suffix(".part.npy").replace(path)
        return fields


def _reduced(
    stack: npt.NDArray[np.float32],
    fields: npt.NDArray[np.float16],
    sigma: float,
    block: int,
) -> Stack:
    if block == 1:
        return Stack(stack.astype(np.int16), True, fields, sigma)
    small = _block_mean(stack, block)
    noise = _block_mean(fields.astype(np.float32), block)
    body = small > -300
    before = fields[:, stack > -300].astype(np.float32).std()
    after = noise[:, body].std() if body.any() else noise.std()
    loss = float(after / before)
    return Stack(
        np.rint(small).astype(np.int16),
        True,
        (noise / loss).astype(np.float16),
        sigma * loss,
    )


def _block_mean(values: npt.NDArray[np.float32], block: int) -> npt.NDArray[np.float32]:
    rows, columns = (size // block * block for size in values.shape[-2:])
    cut = values[..., :rows, :columns]
    shaped = cut.reshape(*cut.shape[:-2], rows // block, block, columns // block, block)
    mean: npt.NDArray[np.float32] = shaped.mean(axis=(-3, -1), dtype=np.float32)
    return mean
