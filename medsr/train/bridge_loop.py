"""Training of a bridge on a frozen regressor, and the fit of its local scale."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import torch

from medsr.models.bridge import (
    Bridge,
    BridgeSettings,
    bridge_input,
    residual_scale,
    scale_features,
)
from medsr.models.bundle import Bundle, load_network
from medsr.train.loop import Training
from medsr.train.pairs import PairDraw
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan
from medsr.train.through_pairs import ThroughDraw

__all__ = ["BridgeTraining"]

_FIT_BATCHES = 30
_RESIDUAL_TO_SD = 1.4
"""A residual's standard deviation is about 1.4 times its mean absolute value for the heavy tails found here."""
_LAST_TIME_SHARE = 0.3
_FRESH_AT_FIRST, _FRESH_EVERY, _MOST_RECENT = 8, 4, 96


class BridgeTraining(Training):
    """Trains a bridge with the loss |r - r^|^2 / (t^2 + 0.05), three in ten draws at t = 1."""

    def __init__(self, recipe: Recipe, scans: list[Scan], folder: Path, *, regressor: Bundle) -> None:
        self.regressor = load_network(regressor).eval()
        self.regressor.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        super().__init__(recipe, scans, folder, base=regressor)
        self.settings = BridgeSettings(self._fit_scale())
        self._noise = torch.Generator()
        self._recent: deque[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = deque(maxlen=_MOST_RECENT)

    def averaged_bridge(self) -> Bridge:
        """The bridge with its averaged weights."""
        bridge = Bridge(self.recipe.network)
        bridge.load_state_dict(self.ema.weights)
        return bridge.eval()

    def _build(self, start: Bundle | None) -> Bridge:
        if start is not None:
            raise ValueError("a bridge starts from random weights")
        return Bridge(self.recipe.network)

    def _step(self, draw: PairDraw | ThroughDraw, elapsed: float) -> float:
        self._set_rate(elapsed)
        given, regressed, residual = self._regressed_batch(draw)
        self._noise.manual_seed(int(self.rng.integers(2**31)))
        time = torch.rand((len(given), 1, 1, 1), generator=self._noise) * 0.98 + 0.02
        time[torch.rand(len(given), generator=self._noise) < _LAST_TIME_SHARE] = 1.0
        moved = (1 - time) * residual + time * torch.randn(residual.shape, generator=self._noise)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            predicted = self.network(bridge_input(given, regressed, moved, time))
        loss = ((predicted.float() - residual).square() / (time.square() + 0.05)).mean()
        return self._descend(loss)

    def _regressed_batch(self, draw: PairDraw | ThroughDraw) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Input, x_reg and r of a batch: a fresh one every fourth step, else one of the last 96 again.

        The regressor costs twice what the bridge does, and noise and time are drawn anew each time.
        """
        if len(self._recent) < _FRESH_AT_FIRST or self.progress.step % _FRESH_EVERY == 0:
            given, target = draw.batch(self.recipe.batch)
            regressed = self._regress(given)
            scale = residual_scale(given, regressed, self.settings.scale_weights, slices=self.recipe.network.slices)
            self._recent.append((given, regressed, (target - regressed) / scale))
            return self._recent[-1]
        return self._recent[int(self.rng.integers(len(self._recent)))]

    def _regress(self, given: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            return self.regressor(given).float()  # type: ignore[no-any-return]  # nn.Module returns Any

    def _fit_scale(self) -> tuple[float, float, float, float]:
        """Least-squares fit of |x - x_reg| on the four features, over training pairs."""
        draw = PairDraw(self.recipe, self.kept, np.random.default_rng(self.recipe.seed + 2))
        features, errors = [], []
        for _ in range(_FIT_BATCHES):
            given, target = draw.batch(self.recipe.batch)
            regressed = self._regress(given)
            table = scale_features(given, regressed, slices=self.recipe.network.slices)
            features.append(table.movedim(1, -1).reshape(-1, 4)[::7])
            errors.append(_RESIDUAL_TO_SD * (target - regressed).abs().reshape(-1, 1)[::7])
        solved = torch.linalg.lstsq(torch.cat(features), torch.cat(errors), driver="gelsd").solution
        first, second, third, fourth = (float(value) for value in solved[:, 0])
        return first, second, third, fourth

    def _gain(self, batch: tuple[torch.Tensor, torch.Tensor] | None) -> float | None:
        """Mean PSNR gained over the regressor by one step from pure noise, in dB: near 0 if the bridge is unbiased."""
        if batch is None:
            return None
        bridge = self.averaged_bridge()
        noise = torch.Generator().manual_seed(self.recipe.seed)
        gains = []
        for given, target in zip(batch[0].split(8), batch[1].split(8), strict=True):
            regressed = self._regress(given)
            scale = residual_scale(given, regressed, self.settings.scale_weights, slices=self.recipe.network.slices)
            moved = torch.randn(regressed.shape, generator=noise)
            with torch.inference_mode():
                output = regressed + scale * bridge(bridge_input(given, regressed, moved, 1.0))
            before, after = ((image - target).square().mean((1, 2, 3)) for image in (regressed, output))
            gains.append(10 * torch.log10(before / after))
        return float(torch.cat(gains).mean())
