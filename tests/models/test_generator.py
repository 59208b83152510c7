"""The generator family: what lets tiles equal the whole, and training start from the identity."""

from __future__ import annotations

import pytest
import torch
from support import bundles

from medsr.errors import Refusal
from medsr.models.generator import Generator, GeneratorConfig


@pytest.mark.parametrize("blocks", [0 + 1, 3])
@pytest.mark.parametrize("down", [2, 4])
def test_nothing_beyond_the_receptive_radius_changes(blocks: int, down: int) -> None:
    """A perturbed cell changes exactly the cells within 2 blocks + 2 of it, and no other."""
    config = GeneratorConfig(slices=3, width=6, blocks=blocks, down=down)
    network = bundles.network(config, size=0.3)
    radius = config.receptive_radius
    side = 2 * (radius + 3 * down) + down
    middle = side // down // 2 * down
    x = torch.randn(1, config.channels, side, side, generator=torch.Generator().manual_seed(0))
    moved = x.clone()
    moved[:, :, middle : middle + down, middle : middle + down] += 1
    with torch.inference_mode():
        changed = (network.residual(moved) - network.residual(x)).abs()[0, 0] > 0
    rows, columns = (torch.nonzero(changed.any(axis)).ravel() for axis in (1, 0))
    for line in (rows, columns):
        assert int(line.min()) >= middle - radius
        assert int(line.max()) < middle + down + radius
    assert int(rows.min()) < middle - radius + down
    assert radius == (2 * blocks + 2) * down


@pytest.mark.parametrize("down", [2, 4])
def test_shifts_by_the_unshuffle_factor_commute(down: int) -> None:
    """Away from the rim a shifted input gives the shifted output, so tile origins on that grid are exact."""
    config = GeneratorConfig(slices=3, width=6, blocks=1, down=down)
    network, radius = bundles.network(config, size=0.3).double(), config.receptive_radius
    x = torch.randn(1, config.channels, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, other = network(x[..., : 64 - down, :]), network(x[..., down:, :])
    assert torch.allclose(one[..., radius + down : -radius, :], other[..., radius : -radius - down, :], atol=1e-12)


def test_training_starts_from_the_centre_slice() -> None:
    """Zero-initialised, a new network changes nothing."""
    network = Generator(GeneratorConfig(slices=5, width=8, blocks=2))
    x = torch.randn(2, 8, 16, 16)
    assert torch.equal(network(x), x[:, 2:3])


def test_the_shipped_size_costs_what_the_budget_says() -> None:
    """S: 302 kFLOP a voxel with five slices and no maps, halo 36 px."""
    config = GeneratorConfig(slices=5, maps=1, width=64, blocks=8, down=2)
    without_maps = 2 * (config.multiply_adds - 9 * 64)
    assert without_maps == pytest.approx(302_000, rel=0.01)
    assert config.receptive_radius == 36


def test_a_record_builds_the_same_configuration() -> None:
    config = GeneratorConfig(slices=7, maps=2, width=12, blocks=3, down=4)
    assert GeneratorConfig.from_record(config.to_record()) == config


@pytest.mark.parametrize("record", [{"slices": 4}, {"width": 0}, {"down": -2}, {"width": 6.5}, {"layers": 3}])
def test_a_configuration_that_is_none_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(Refusal, match=r"\[bundle\.network\]"):
        GeneratorConfig.from_record(record)
