"""The few-step bridge from noise to what the regressor left out, and the local scale it works in.

With r = (x - x_reg) / s, x_t = (1 - t) r + t e for white e; the network sees the regressor's own input, x_reg, x_t
and t, and predicts r. s is a map, four weights on local features of the regressor's output: with one number for
all voxels the samples differ too little where the regressor errs, and too much where it does not.

References
----------
Yue et al., ResShift, NeurIPS 2023, arXiv 2307.12348 (residual shifting); Safari et al., Res-SRDiff, arXiv
2503.01576 (four steps for MRI).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from medsr.errors import Refusal
from medsr.models.generator import Generator
from medsr.models.inputs import NOISE_GAIN

__all__ = ["STEPS", "Bridge", "BridgeSettings", "bridge_input", "residual_scale", "scale_features"]

STEPS = (1.0, 0.75, 0.5, 0.25)
"""Times at which the network is asked; the last one leads to t = 0."""
SMALLEST_SCALE = 0.002
"""Floor of the local scale, scaled units."""

_WINDOW = 7


class Bridge(Generator):
    """(B, slices + maps + 3, H, W) to the predicted r, (B, 1, H, W); `config` counts the three extra maps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict r: nothing is added to the centre slice."""
        return self.residual(x)


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """What a bridge bundle holds beside weights.

    Parameters
    ----------
    scale_weights : of 1, sigma, log2 s and the smoothed gradient in the local scale, scaled units.
    steps : times at which the network is asked, descending from 1, above 0.
    spread : multiplier of the samples' standard deviation by task and level, fitted on subjects that were kept out
        of training.
    """

    scale_weights: tuple[float, float, float, float]
    steps: tuple[float, ...] = STEPS
    spread: Mapping[str, float] | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> BridgeSettings:
        """Build from JSON values.

        Raises
        ------
        Refusal : ``bundle.broken`` for missing or odd values.
        """
        try:
            weights = [float(value) for value in record["scale_weights"]]  # type: ignore[attr-defined]  # JSON
            steps = tuple(float(value) for value in record["steps"])  # type: ignore[attr-defined]  # JSON
            spread = {str(name): float(value) for name, value in record["spread"].items()}  # type: ignore[attr-defined]  # JSON
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refusal("bundle.broken", "the bridge section is not complete") from error
        if len(weights) != 4 or not steps or steps[0] != 1 or any(a <= b for a, b in itertools.pairwise(steps)):
            raise Refusal("bundle.broken", f"bridge settings of {len(weights)} weights, steps {steps}")
        return cls((weights[0], weights[1], weights[2], weights[3]), steps, spread)

    def to_record(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "scale_weights": list(self.scale_weights),
            "steps": list(self.steps),
            "spread": dict(self.spread or {}),
        }

    def multiplier(self, level: str) -> float:
        """Spread multiplier of a level as :func:`level_name` names it; that of the task where it was not fitted."""
        table = self.spread or {}
        return table.get(level, table.get(level.split("@", 1)[0], 1.0))


def bridge_input(
    given: torch.Tensor, regressed: torch.Tensor, moved: torch.Tensor, time: float | torch.Tensor
) -> torch.Tensor:
    """Stack the regressor's input (B, C, H, W), its output, x_t (B, 1, H, W each) and t."""
    return torch.cat([given, regressed, moved, torch.ones_like(moved) * time], 1)


def scale_features(given: torch.Tensor, regressed: torch.Tensor, *, slices: int) -> torch.Tensor:
    """(B, 4, H, W): 1, sigma, log2 s, and the mean absolute gradient of x_reg in 7 x 7 pixels.

    The gradient alone predicts the regressor's error by patch at a rank correlation of 0.9.
    """
    gradient = torch.zeros_like(regressed)
    gradient[..., 1:, :] += (regressed[..., 1:, :] - regressed[..., :-1, :]).abs()
    gradient[..., :, 1:] += (regressed[..., :, 1:] - regressed[..., :, :-1]).abs()
    edge = _WINDOW // 2
    smooth = functional.avg_pool2d(functional.pad(gradient, (edge, edge, edge, edge), mode="reflect"), _WINDOW, 1)
    sigma, scale = given[:, slices : slices + 1] / NOISE_GAIN, given[:, slices + 1 : slices + 2]
    return torch.cat([torch.ones_like(regressed), sigma, scale, smooth], 1)


def residual_scale(
    given: torch.Tensor, regressed: torch.Tensor, weights: Sequence[float], *, slices: int
) -> torch.Tensor:
    """The local scale s > 0 of the residual, (B, 1, H, W), scaled units."""
    features = scale_features(given, regressed, slices=slices)
    table = torch.tensor(tuple(weights), dtype=features.dtype).view(1, -1, 1, 1)
    return (features * table).sum(1, keepdim=True).clamp_min(SMALLEST_SCALE)
