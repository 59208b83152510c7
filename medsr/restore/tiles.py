"""Running a network on a slice: whole where memory allows, else in tiles that give the very same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from medsr.models.generator import GeneratorConfig

__all__ = ["bytes_of_slice", "run_slice", "tile_origins"]

_SMALLEST_SIDE = 128
"""Pixels of a tile without its halo: for images of a few cells oneDNN sums in another order, and the last bit goes."""

_LIVE_COPIES = 5
"""Body-wide activations alive at once in inference: block input, padded copy, two convolutions, sum."""


def bytes_of_slice(config: GeneratorConfig, rows: int, columns: int) -> int:
    """Estimated peak of activations of one slice, in bytes."""
    return _LIVE_COPIES * 4 * config.width * (rows // config.down + 2) * (columns // config.down + 2)


def run_slice(
    network: Callable[[torch.Tensor], torch.Tensor],
    given: torch.Tensor,
    *,
    config: GeneratorConfig,
    memory_bytes: int,
) -> torch.Tensor:
    """Restore one slice: (C, H, W) of any size to (H, W).

    The slice is mirrored up to a multiple of the unshuffle factor and the result cut back. Above `memory_bytes`
    it is tiled with a halo of the receptive radius and origins on that multiple: each output pixel then sees
    exactly the input it would see in the whole slice, and comes out the same to the last bit in fp32.
    """
    rows, columns = int(given.shape[-2]), int(given.shape[-1])
    padded = _mirrored(given[None], config.down)
    if bytes_of_slice(config, int(padded.shape[-2]), int(padded.shape[-1])) <= memory_bytes:
        return network(padded)[0, 0, :rows, :columns]
    halo = -(-config.receptive_radius // config.down) * config.down
    side = _tile_side(config, halo, memory_bytes)
    result = torch.empty(padded.shape[-2:], dtype=padded.dtype)
    for row, row_end in tile_origins(int(padded.shape[-2]), side, multiple=config.down):
        for column, column_end in tile_origins(int(padded.shape[-1]), side, multiple=config.down):
            top, left = max(0, row - halo), max(0, column - halo)
            part = padded[..., top : row_end + halo, left : column_end + halo]
            out = network(part)[0, 0]
            inner = out[row - top : row_end - top, column - left : column_end - left]
            result[row:row_end, column:column_end] = inner
    return result[:rows, :columns]


def tile_origins(size: int, side: int, *, multiple: int) -> Iterator[tuple[int, int]]:
    """Half-open spans of at most `side` that cover `size` evenly, starting at multiples of `multiple`.

    >>> list(tile_origins(300, 128, multiple=2))
    [(0, 100), (100, 200), (200, 300)]
    """
    count = -(-size // side)
    step = -(-size // (count * multiple)) * multiple
    for start in range(0, size, step):
        yield start, min(size, start + step)


def _tile_side(config: GeneratorConfig, halo: int, memory_bytes: int) -> int:
    """Largest tile of 128 px times a power of 2 that fits the memory with its halo; never below 128 px."""
    side = _SMALLEST_SIDE
    while bytes_of_slice(config, side * 2 + 2 * halo, side * 2 + 2 * halo) <= memory_bytes:
        side *= 2
    return -(-side // config.down) * config.down


def _mirrored(given: torch.Tensor, multiple: int) -> torch.Tensor:
    """Fill up to a multiple and to two cells of the unshuffled grid, which its convolutions mirror at."""
    rows, columns = int(given.shape[-2]), int(given.shape[-1])
    extra = [max(size + -size % multiple, 2 * multiple) - size for size in (rows, columns)]
    if extra == [0, 0]:
        return given
    mirrors = extra[0] < rows and extra[1] < columns
    return functional.pad(given, (0, extra[1], 0, extra[0]), mode="reflect" if mirrors else "replicate")
