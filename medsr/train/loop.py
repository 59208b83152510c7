"""The training loop of the regressors: Charbonnier loss, AdamW, a cosine over elapsed time, resumable."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medsr.models.bundle import Bundle, load_network
from medsr.models.engine import choose_precision
from medsr.models.generator import Generator
from medsr.train.checkpoint import Ema, Progress, load_checkpoint, save_checkpoint
from medsr.train.pairs import PairDraw
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan
from medsr.train.through_pairs import ThroughDraw

__all__ = ["Report", "Training", "charbonnier", "pair_draw", "split_by_subject"]

CHECKPOINT_SECONDS = 120.0
REPORT_STEPS = 250
_WARM_UP_STEPS = 100
_LAST_RATE = 0.01
_VALIDATION_PATCHES = 48


@dataclass(frozen=True, slots=True)
class Report:
    """What a running training says of itself: loss on training patches, PSNR gain in dB on held-out subjects."""

    step: int
    seconds: float
    remaining_s: float
    loss: float
    gain_db: float | None


def split_by_subject(scans: list[Scan], held_out: tuple[str, ...]) -> tuple[list[Scan], list[Scan]]:
    """Training scans, and validation scans: those whose subject starts with one of `held_out`."""
    validation = [scan for scan in scans if scan.subject.startswith(held_out)] if held_out else []
    kept = [scan for scan in scans if scan not in validation]
    return kept, validation


def pair_draw(recipe: Recipe, scans: list[Scan], rng: np.random.Generator) -> PairDraw | ThroughDraw:
    """The source of training pairs that a recipe asks for."""
    return ThroughDraw(recipe, scans, rng) if recipe.plane == "through" else PairDraw(recipe, scans, rng)


def charbonnier(output: torch.Tensor, target: torch.Tensor, epsilon: float = 1e-3) -> torch.Tensor:
    """Mean of sqrt(d^2 + eps^2): near the absolute error, smooth at zero."""
    return (output - target).square().add(epsilon**2).sqrt().mean()


class Training:
    """One training of one network; `run` returns when its minutes are spent.

    Two runs of the same recipe on the same scans differ only where the machine was faster: the learning rate
    follows time, so that the end is annealed on any machine.
    """

    def __init__(
        self,
        recipe: Recipe,
        scans: list[Scan],
        folder: Path,
        *,
        start: Bundle | None = None,
        base: Bundle | None = None,
    ) -> None:
        self.recipe, self.folder = recipe, folder
        self.kept, self.held_out = split_by_subject(scans, recipe.validation_subjects)
        torch.manual_seed(recipe.seed)
        self.network = self._build(start)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = self._optimiser()
        # Weights, their update and the loss stay float32; only the convolutions round.
        self._half = choose_precision("auto", "cpu") == "bf16"
        self.ema = Ema(self.network)
        self.rng = np.random.default_rng(recipe.seed)
        self.fingerprint = _fingerprint(recipe, self.kept, start or base)
        self.progress = load_checkpoint(
            self.checkpoint,
            self.network,
            ema=self.ema,
            optimiser=self.optimiser,
            rng=self.rng,
            fingerprint=self.fingerprint,
        )

    @property
    def checkpoint(self) -> Path:
        """The file that holds everything needed to go on."""
        return self.folder / "checkpoint.pt"

    def run(self, report: Callable[[Report], None]) -> None:
        """Train until the recipe's minutes are spent, saving every two minutes; `report` every 250 steps."""
        draw = self._draw()
        validation = self._validation_batch()
        total = 60 * self.recipe.minutes
        last, saved, losses = time.monotonic(), time.monotonic(), [0.0, 0]
        while self.progress.seconds < total:
            losses[0] += self._step(draw, self.progress.seconds / total)
            losses[1] += 1
            now = time.monotonic()
            self.progress.seconds += now - last
            self.progress.step += 1
            last = now
            if now - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = now
            if self.progress.step % REPORT_STEPS == 0:
                gain = self._gain(validation)
                remaining = max(0.0, total - self.progress.seconds)
                report(
                    Report(
                        self.progress.step,
                        self.progress.seconds,
                        remaining,
                        losses[0] / losses[1],
                        gain,
                    )
                )
                losses = [0.0, 0]
        self.save()

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(
            self.checkpoint,
            self.network,
            ema=self.ema,
            optimiser=self.optimiser,
            rng=self.rng,
            progress=Progress(self.progress.step, self.progress.seconds),
            fingerprint=self.fingerprint,
        )

    def gain(self) -> float | None:
        """PSNR gain in dB on held-out patches with the averaged weights; None without held-out subjects."""
        return self._gain(self._validation_batch())

    def averaged(self) -> Generator:
        """The network with its averaged weights."""
        network = Generator(self.recipe.network)
        network.load_state_dict(self.ema.weights)
        return network.eval()

    def _draw(self) -> PairDraw | ThroughDraw:
        return pair_draw(self.recipe, self.kept, self.rng)

    def _build(self, start: Bundle | None) -> nn.Module:
        """The network to be trained, random or from a bundle."""
        return load_network(start) if start else Generator(self.recipe.network)

    def _optimiser(self) -> torch.optim.Optimizer:
        rate, parameters = self.recipe.learning_rate, self.network.parameters()
        return torch.optim.AdamW(parameters, rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)

    def _step(self, draw: PairDraw | ThroughDraw, elapsed: float) -> float:
        """One step on fresh pairs; returns the loss."""
        self._set_rate(elapsed)
        given, target = draw.batch(self.recipe.batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            output = self.network(given)
        return self._descend(charbonnier(output.float(), target))

    def _set_rate(self, elapsed: float) -> None:
        warm = min(1.0, (self.progress.step + 1) / _WARM_UP_STEPS)
        cosine = 0.5 * (1 + math.cos(math.pi * min(elapsed, 1.0)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * warm * (cosine * (1 - _LAST_RATE) + _LAST_RATE)

    def _descend(self, loss: torch.Tensor) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.ema.update(self.network, self.progress.step)
        return float(loss.detach())

    def _validation_batch(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        if not self.held_out:
            return None
        draw = pair_draw(self.recipe, self.held_out, np.random.default_rng(self.recipe.seed + 1))
        return draw.batch(_VALIDATION_PATCHES)

    def _gain(self, batch: tuple[torch.Tensor, torch.Tensor] | None) -> float | None:
        """Mean over held-out patches of the PSNR gained over the degraded input, in dB."""
        if batch is None:
            return None
        given, target = batch
        network, centre = self.averaged(), self.recipe.network.slices // 2
        with torch.inference_mode():
            output = torch.cat([network(part) for part in given.split(8)])
        before = (given[:, centre : centre + 1] - target).square().mean((1, 2, 3))
        after = (output - target).square().mean((1, 2, 3))
        return float((10 * torch.log10(before / after)).mean())


def _fingerprint(recipe: Recipe, scans: list[Scan], start: Bundle | None) -> str:
    facts = [
        json.dumps(recipe.to_record(), sort_keys=True),
        start.sha256 if start else "",
    ]
    facts += sorted(f"{scan.name} {scan.stacks[0].values.shape}" for scan in scans)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
