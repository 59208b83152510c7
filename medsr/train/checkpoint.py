"""Checkpoints of a training: all that is needed to go on as if nothing had happened."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medsr.errors import UsageError
from medsr.resources import write_bytes

__all__ = ["Ema", "Progress", "load_checkpoint", "save_checkpoint"]


class Ema:
    """Exponential moving average of a network's weights, decay 0.999 after a warm-up of 1,000 steps."""

    def __init__(self, network: nn.Module) -> None:
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards the network's weights."""
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                self.weights[name].lerp_(value, 1 - decay)


@dataclass(slots=True)
class Progress:
    """Where a training stands: steps taken and seconds spent in them."""

    step: int = 0
    seconds: float = 0.0


def save_checkpoint(
    path: Path,
    network: nn.Module,
    *,
    ema: Ema,
    optimiser: torch.optim.Optimizer,
    rng: np.random.Generator,
    progress: Progress,
    fingerprint: str,
) -> None:
    """Write a checkpoint atomically."""
    stream = io.BytesIO()
    state = {
        "network": network.state_dict(),
        "ema": ema.weights,
        "optimiser": optimiser.state_dict(),
        "rng": rng.bit_generator.state,
        "step": progress.step,
        "seconds": progress.seconds,
        "fingerprint": fingerprint,
    }
    torch.save(state, stream)
    write_bytes(path, stream.getvalue())


def load_checkpoint(
    path: Path,
    network: nn.Module,
    *,
    ema: Ema,
    optimiser: torch.optim.Optimizer,
    rng: np.random.Generator,
    fingerprint: str,
) -> Progress:
    """Restore a training in place; a fresh Progress if there is no checkpoint.

    Raises
    ------
    UsageError : ``train.other_recipe``, if the checkpoint belongs to another recipe or other data.
    """
    if not path.is_file():
        return Progress()
    state = torch.load(path, weights_only=True)
    if state["fingerprint"] != fingerprint:
        raise UsageError(
            "train.other_recipe",
            f"{path.name} is of a training with another recipe or other scans",
        )
    network.load_state_dict(state["network"])
    ema.weights = state["ema"]
    optimiser.load_state_dict(state["optimiser"])
    rng.bit_generator.state = state["rng"]
    return Progress(int(state["step"]), float(state["seconds"]))
