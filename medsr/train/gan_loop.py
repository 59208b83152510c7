"""The GAN end of a regressor: the same network, pulled towards sharpness where the measurement says nothing.

The discriminator sees the null-space part of the image beside A+ y: shown whole images it stayed at chance. The
start from the regressor makes every mixture of both weights a network of its own (Wang et al., ESRGAN, ECCV
workshops 2018, arXiv 1809.00219, section 3.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medsr.models.bundle import Bundle, load_network
from medsr.models.generator import Generator
from medsr.models.levels import FITTED_SCALES, level_name
from medsr.models.mixture import FIDELITIES, mixed_weights
from medsr.train.checkpoint import Ema, Progress, load_checkpoint, save_checkpoint
from medsr.train.loop import Training, charbonnier
from medsr.train.operator_pairs import OperatorBatch, OperatorDraw, null_part
from medsr.train.pairs import PairDraw
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan
from medsr.train.through_pairs import ThroughDraw

__all__ = ["FidelityFigures", "GanTraining", "chosen_fidelity"]

LARGEST_LOSS_DB = 0.3
"""What sharpness may cost on held-out subjects, against the regressor."""

LOWEST_DEFAULT = {"superres@4": 0.5}
"""Where fifteen of sixteen coefficients are supplied, texture is invented before it costs decibels."""

_NULL_GAIN = 20.0
_PENALTY_EVERY, _PENALTY_WEIGHT = 16, 4.0
_DISCRIMINATOR_ALONE = 150
_SSIM_WEIGHT, _GRADIENT_WEIGHT = 0.05, 0.1
_GENERATOR_RATE, _DISCRIMINATOR_RATE = 1e-4, 4e-4
_LEVEL_PATCHES = 32
_VALIDATION_BATCHES = 6


@dataclass(frozen=True, slots=True)
class FidelityFigures:
    """One level at one fidelity: PSNR in dB and gradient energy relative to the reference, on held-out patches."""

    level: str
    fidelity: float
    psnr_db: float
    gradient_energy: float


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
        self.origin = {name: value.clone() for name, value in load_network(regressor).state_dict().items()}
        self.optimiser = torch.optim.Adam(self.network.parameters(), _GENERATOR_RATE, betas=(0.5, 0.99))
        torch.manual_seed(recipe.seed)
        self.discriminator: nn.Module = PatchDiscriminator(
            spatial_dims=2, channels=32, in_channels=2, num_layers_d=2, norm="INSTANCE"
        )
        self._adversarial = PatchAdversarialLoss(criterion="least_squares")
        self._ssim = SSIMLoss(spatial_dims=2, data_range=1.0)
        self._critic = torch.optim.Adam(self.discriminator.parameters(), _DISCRIMINATOR_RATE, betas=(0.5, 0.99))
        self.rng = np.random.default_rng(recipe.seed)
        self.progress = load_checkpoint(
            self.checkpoint,
            self.network,
            ema=self.ema,
            optimiser=self.optimiser,
            rng=self.rng,
            fingerprint=self.fingerprint,
        )
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

    def figures(self) -> list[FidelityFigures]:
        """PSNR and gradient energy on held-out subjects at every fidelity and level; empty without any."""
        if not self.held_out:
            return []
        return [figure for scale in (1.0, *FITTED_SCALES) for figure in self._level(scale)]

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
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.ema.update(self.network, self.progress.step)
        return float(loss.detach())

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

    def _level(self, scale: float) -> list[FidelityFigures]:
        draw = OperatorDraw(self.recipe, self.held_out, np.random.default_rng(self.recipe.seed + 3))
        batches = [draw.operator_batch(8, scale=scale) for _ in range(_LEVEL_PATCHES // 8)]
        level = level_name("denoise" if scale == 1.0 else "superres", scale)
        floor = 0.05 if self.recipe.modality == "MR" else -0.5
        return [self._figures(level, fidelity, batches, floor) for fidelity in FIDELITIES]

    def _figures(self, level: str, fidelity: float, batches: list[OperatorBatch], floor: float) -> FidelityFigures:
        network = Generator(self.recipe.network)
        network.load_state_dict(mixed_weights(self.origin, self.ema.weights, fidelity))
        with torch.inference_mode():
            output = torch.cat([network(batch.given) for batch in batches])
        truth = torch.cat([batch.target for batch in batches])
        mask = truth > floor
        error = (output - truth)[mask].square().mean()
        energy = _gradient_energy(output, mask) / _gradient_energy(truth, mask)
        return FidelityFigures(level, fidelity, float(-10 * torch.log10(error)), float(energy))


def chosen_fidelity(figures: list[FidelityFigures]) -> Mapping[str, float]:
    """For each level the lowest fidelity that costs no more than 0.3 dB and comes no farther from the reference."""
    chosen: dict[str, float] = {}
    for level in dict.fromkeys(figure.level for figure in figures):
        curve = {figure.fidelity: figure for figure in figures if figure.level == level}
        best = curve[1.0]
        for fidelity in FIDELITIES:
            if fidelity < LOWEST_DEFAULT.get(level, 0.0):
                break
            item = curve[fidelity]
            if curve[1.0].psnr_db - item.psnr_db > LARGEST_LOSS_DB:
                break
            if abs(item.gradient_energy - 1) <= abs(best.gradient_energy - 1):
                best = item
        chosen[level] = best.fidelity
    return chosen


def _gradient_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    parts = [(torch.diff(output, dim=axis) - torch.diff(target, dim=axis)).abs().mean() for axis in (2, 3)]
    return parts[0] + parts[1]


def _gradient_energy(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    down = torch.diff(image, dim=2)[..., :-1].square() + torch.diff(image, dim=3)[..., :-1, :].square()
    return down[mask[..., :-1, :-1]].mean()
