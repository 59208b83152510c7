"""The one generator family: a convolutional residual network without normalisation, attention or pooling.

Without those a tile computes exactly what the whole slice does, and one voxel's output depends only on voxels
within the receptive radius.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional

from medsr.errors import Refusal

__all__ = ["Generator", "GeneratorConfig"]


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """Shape of a generator; saved with the weights.

    Parameters
    ----------
    slices : neighbouring slices in the input, odd; the centre one is restored.
    maps : number of condition maps after the slices.
    width : channels of the body.
    blocks : residual blocks of two 3x3 convolutions.
    down : pixel-unshuffle factor; height and width of the input must be multiples of it.
    """

    slices: int = 5
    maps: int = 3
    width: int = 64
    blocks: int = 8
    down: int = 2

    def __post_init__(self) -> None:
        values = (self.slices, self.maps, self.width, self.blocks, self.down)
        if min(values) < 1 or self.slices % 2 == 0:
            raise Refusal(
                "bundle.network",
                f"network configuration {values} is not positive with odd slices",
            )

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> GeneratorConfig:
        """Build from JSON values.

        Raises
        ------
        Refusal : ``bundle.network`` for unknown names or bad values.
        """
        known = set(cls.__dataclass_fields__)
        if set(record) - known:
            raise Refusal(
                "bundle.network",
                f"unknown network settings {sorted(set(record) - known)}",
            )
        values = {name: value for name, value in record.items() if isinstance(value, int)}
        if len(values) < len(record):
            raise Refusal(
                "bundle.network", f"network settings {sorted(set(record) - set(values))} are no whole numbers"
            )
        return cls(**values)

    def to_record(self) -> dict[str, int]:
        """The configuration as JSON values."""
        return asdict(self)

    @property
    def channels(self) -> int:
        """Input channels: slices and maps."""
        return self.slices + self.maps

    @property
    def receptive_radius(self) -> int:
        """Halo, in pixels, that gives a tile all it depends on: (2 blocks + 2) down.

        2 blocks + 2 convolutions of radius 1 act on cells of `down` pixels. Counted from the edge of a cell, so it
        holds for tiles that start and end on multiples of `down`; a single pixel sees up to down - 1 pixels more.
        """
        return (2 * self.blocks + 2) * self.down

    @property
    def multiply_adds(self) -> int:
        """Multiplications with addition per output pixel, over all layers."""
        inside = self.channels * self.down**2 * self.width + self.width * self.down**2
        return 9 * (inside + 2 * self.blocks * self.width**2) // self.down**2


class Block(nn.Module):
    """x + conv(relu(conv(x))), the second convolution starting at zero so that the block starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = _zeroed(_conv(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, width, H, W) to the same shape."""
        result: torch.Tensor = x + self.second(functional.relu(self.first(x)))
        return result


class Generator(nn.Module):
    """(B, slices + maps, H, W) to (B, 1, H, W): the centre slice plus a residual.

    H and W must be multiples of `config.down` and larger than 2 `config.down`. Convolutions pad by reflection,
    so that no dark rim is learnt at the border of a field of view.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.head = _conv(config.channels * config.down**2, config.width)
        self.body = nn.Sequential(*[Block(config.width) for _ in range(config.blocks)])
        self.tail = _zeroed(_conv(config.width, config.down**2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the restored centre slice in scaled units."""
        return self.centre(x) + self.residual(x)

    def centre(self, x: torch.Tensor) -> torch.Tensor:
        """The slice of (B, slices + maps, H, W) that is restored, (B, 1, H, W)."""
        middle = self.config.slices // 2
        return x[:, middle : middle + 1]

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        """What is added to the centre slice, in the precision of the tail.

        The head may stand in another precision than the rest: it alone sees intensities, which 8 bits of a bfloat16
        would round by up to 4 HU.
        """
        features = self.head(functional.pixel_unshuffle(x, self.config.down))
        if features.dtype != self.tail.weight.dtype:
            features = features.to(self.tail.weight.dtype)
        return functional.pixel_shuffle(self.tail(self.body(features)), self.config.down)


def _conv(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1, padding_mode="reflect")


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
