"""Whole slices and tiles give the same numbers, to the last bit in fp32."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import bundles

from medsr.models.engine import TorchEngine, prepare_process
from medsr.models.generator import GeneratorConfig
from medsr.restore.tiles import bytes_of_slice, run_slice, tile_origins

EVERYTHING = 1 << 40


def run(config: GeneratorConfig, shape: tuple[int, int], memory: int, calls: list[tuple[int, ...]]) -> torch.Tensor:
    prepare_process(1)
    engine = TorchEngine.of(bundles.network(config), device="cpu", precision="fp32")

    def counted(x: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(x.shape))
        return engine(x)

    given = torch.randn(config.channels, *shape, generator=torch.Generator().manual_seed(0))
    return run_slice(counted, given, config=config, memory_bytes=memory)


@pytest.mark.parametrize("shape", [(256, 256), (301, 200), (150, 333), (129, 258)])
@pytest.mark.parametrize(
    "config",
    [
        GeneratorConfig(slices=3, width=16, blocks=2, down=2),
        GeneratorConfig(slices=3, width=16, blocks=1, down=4),
        GeneratorConfig(slices=5, width=64, blocks=1, down=2),
    ],
    ids=str,
)
def test_tiles_equal_the_whole_slice(config: GeneratorConfig, shape: tuple[int, int]) -> None:
    """Odd sizes included; every output voxel is written once, by a tile that sees all it depends on."""
    whole_calls: list[tuple[int, ...]] = []
    tile_calls: list[tuple[int, ...]] = []
    whole = run(config, shape, EVERYTHING, whole_calls)
    tiled = run(config, shape, 1, tile_calls)
    assert whole.shape == shape
    assert len(whole_calls) == 1
    assert len(tile_calls) > 1
    assert torch.equal(whole, tiled)


def test_a_halo_below_the_receptive_radius_would_show() -> None:
    """The test above can fail: with a network that sees farther than it says, tiles differ."""
    wide, said = GeneratorConfig(slices=3, width=8, blocks=4, down=2), GeneratorConfig(3, 3, 8, 1, 2)
    engine = TorchEngine.of(bundles.network(wide, size=0.3), device="cpu", precision="fp32")
    given = torch.randn(6, 256, 256, generator=torch.Generator().manual_seed(0))
    whole = run_slice(engine, given, config=said, memory_bytes=EVERYTHING)
    assert not torch.equal(whole, run_slice(engine, given, config=said, memory_bytes=1))


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 3), (5, 16), (7, 33)])
@pytest.mark.parametrize("down", [2, 4])
def test_slices_of_a_few_pixels_are_restored(shape: tuple[int, int], down: int) -> None:
    """Padded to the two cells that reflection needs, and cut back."""
    calls: list[tuple[int, ...]] = []
    made = run(GeneratorConfig(slices=3, width=8, blocks=1, down=down), shape, EVERYTHING, calls)
    assert made.shape == shape
    assert bool(torch.isfinite(made).all())
    assert all(size % down == 0 and size >= 2 * down for size in calls[0][-2:])


@given(st.integers(1, 3000), st.sampled_from((128, 256, 512)), st.sampled_from((2, 4)))
def test_spans_cover_each_pixel_once(size: int, side: int, multiple: int) -> None:
    spans = list(tile_origins(size, side, multiple=multiple))
    assert spans[0][0] == 0
    assert spans[-1][1] == size
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert all(start % multiple == 0 and 0 < stop - start <= side for start, stop in spans)


def test_tiles_stay_within_the_memory_they_were_given() -> None:
    config = GeneratorConfig(slices=3, width=64, blocks=1, down=2)
    memory = bytes_of_slice(config, 300, 300)
    calls: list[tuple[int, ...]] = []
    run(config, (600, 500), memory, calls)
    assert len(calls) > 1
    assert all(bytes_of_slice(config, shape[-2], shape[-1]) <= memory for shape in calls)
