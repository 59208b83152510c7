"""The GAN end of a regressor: the same network, pulled towards sharpness where the measurement says nothing.

The discriminator sees the null-space part of the image beside A+ y: shown whole images it stayed at chance. The
start from the regressor makes every mixture of both weights a network of its own (Wang et al., ESRGAN, ECCV
workshops 2018, arXiv 1809.00219, section 3.4).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from medsr.models.bundle import Bundle
from medsr.train.checkpoint import Ema, Progress, load_checkpoint, save_checkpoint
from medsr.train.loop import Training, charbonnier
from medsr.train.operator_pairs import OperatorBatch, OperatorDraw, null_part
from medsr.train.pairs import PairDraw
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan
from medsr.train.through_pairs import ThroughDraw

__all__ = ["GanTraining"]

_NULL_GAIN = 20.0
_PENALTY_EVERY, _PENALTY_WEIGHT = 16, 4.0
_DISCRIMINATOR_ALONE = 150
_SSIM_WEIGHT, _GRADIENT_WEIGHT = 0.05, 0.1
_GENERATOR_RATE, _DISCRIMINATOR_RATE = 1e-4, 4e-4
_VALIDATION_BATCHES = 6


class GanTraining(Training):
    """Adversarial fine-tuning of a regressor, least-squares, with R1 on real images every 16 steps.

    References
    ----------
    Mescheder et al., ICML 2018, arXiv 1801.04406 (R1 penalty).
    """

    def __init__(self, recipe: Recipe, scans: list[Scan], folder: Path, *, regressor: Bundle) -> None:
        from monai.losses.adversarial_loss import PatchAdversarialLoss
        from monai.losses.ssim_loss import SSIMLoss
        from monai.networks.nets.patchgan_discriminator import PatchDiscriminator

        super().__init__(recipe, scans, folder, start=regressor)
        torch.manual_seed(recipe.seed)
        self.discriminator: nn.Module = PatchDiscriminator(
            spatial_dims=2, channels=32, in_channels=2, num_layers_d=2, norm="INSTANCE"
        )
        self._adversarial = PatchAdversarialLoss(criterion="least_squares")
        self._ssim = SSIMLoss(spatial_dims=2, data_range=1.0)
        self._critic = torch.optim.Adam(self.discriminator.parameters(), _DISCRIMINATOR_RATE, betas=(0.5, 0.99))
        self._load_critic()

    def save(self) -> None:
        """Write the checkpoints of both networks, the discriminator's first."""
        save_checkpoint(
            self.folder / "discriminator.pt",
            self.discriminator,
            ema=Ema(self.discriminator),
            optimiser=self._critic,
            rng=self.rng,
            progress=Progress(self.progress.step, self.progress.seconds),
            fingerprint=self.fingerprint,
        )
        super().save()

    def _optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), _GENERATOR_RATE, betas=(0.5, 0.99))

    def _draw(self) -> OperatorDraw:
        return OperatorDraw(self.recipe, self.kept, self.rng)

    def _set_rate(self, elapsed: float) -> None:
        """The rates stay: both networks must keep pace to the end."""

    def _step(self, draw: PairDraw | ThroughDraw, elapsed: float) -> float:
        if not isinstance(draw, OperatorDraw):
            raise TypeError("adversarial training needs batches that know their operator")
        self._set_rate(elapsed)
        batch = draw.operator_batch(self.recipe.batch)
        centre = self.recipe.network.slices // 2
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            output = self.network(batch.given)
        output = output.float()
        lifted = batch.given[:, centre : centre + 1].contiguous()
        self._criticise(batch, output.detach(), lifted)
        loss = charbonnier(output, batch.target) + _GRADIENT_WEIGHT * _gradient_error(output, batch.target)
        loss = loss + _SSIM_WEIGHT * self._ssim(output, batch.target)
        if self.progress.step >= _DISCRIMINATOR_ALONE:
            judged = self.discriminator(torch.cat([_NULL_GAIN * null_part(batch, output), lifted], 1))[-1]
            weight = self.recipe.adversarial_weight * min(1.0, 2.0 / batch.scale)
            loss = loss + weight * self._adversarial(judged, True, False)
        return self._descend(loss)

    def _criticise(self, batch: OperatorBatch, output: torch.Tensor, lifted: torch.Tensor) -> None:
        """One step of the discriminator."""
        penalised = self.progress.step % _PENALTY_EVERY == 0
        real = torch.cat([_NULL_GAIN * null_part(batch, batch.target), lifted], 1).requires_grad_(penalised)
        made = torch.cat([_NULL_GAIN * null_part(batch, output), lifted], 1)
        on_real, on_made = self.discriminator(real)[-1], self.discriminator(made)[-1]
        loss = 0.5 * (self._adversarial(on_made, False, True) + self._adversarial(on_real, True, True))
        if penalised:
            (slope,) = torch.autograd.grad(on_real.mean((1, 2, 3)).sum(), real, create_graph=True)
            loss = loss + _PENALTY_WEIGHT * slope.square().sum((1, 2, 3)).mean()
        self._critic.zero_grad(set_to_none=True)
        loss.backward()
        self._critic.step()

    def _validation_batch(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Patches without margin, as in training: the margin of plain pairs need not divide by every factor."""
        if not self.held_out:
            return None
        draw = OperatorDraw(self.recipe, self.held_out, np.random.default_rng(self.recipe.seed + 1))
        batches = [draw.operator_batch(8) for _ in range(_VALIDATION_BATCHES)]
        return torch.cat([batch.given for batch in batches]), torch.cat([batch.target for batch in batches])

    def _load_critic(self) -> None:
        path = self.folder / "discriminator.pt"
        if self.progress.step and path.is_file():
            load_checkpoint(
                path,
                self.discriminator,
                ema=Ema(self.discriminator),
                optimiser=self._critic,
                rng=np.random.default_rng(0),
                fingerprint=self.fingerprint,
            )


def _gradient_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    parts = [(torch.diff(output, dim=axis) - torch.diff(target, dim=axis)).abs().mean() for axis in (2, 3)]
    return parts[0] + parts[1]
