"""Mixtures of a regressor and its GAN end: a line in weight space between fidelity and sharpness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medsr.errors import UsageError

__all__ = ["FIDELITIES", "FidelityFigures", "checked_fidelity", "chosen_fidelity", "mixed_weights"]

FIDELITIES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Shares of the regressor that are offered; each is a model of its own to the gate's calibration."""

LARGEST_LOSS_DB = 0.3
"""What sharpness may cost by default on held-out subjects, against the regressor."""

LOWEST_DEFAULT = {"superres@4": 0.5}
"""Where fifteen of sixteen coefficients are supplied, texture is invented before it costs decibels."""


@dataclass(frozen=True, slots=True)
class FidelityFigures:
    """One degradation at one fidelity, on held-out subjects.

    level : task and factor as :func:`medsr.models.levels.level_name` has them; degradation names the noise too.
    loss_db : mean loss against the regressor over `subjects`. gradient_energy : relative to the reference's.
    """

    level: str
    degradation: str
    fidelity: float
    loss_db: float
    gradient_energy: float
    subjects: int


def checked_fidelity(fidelity: float) -> float:
    """The fidelity itself.

    Raises
    ------
    UsageError : ``restore.fidelity``, if it is none of :data:`FIDELITIES`.
    """
    if fidelity not in FIDELITIES:
        raise UsageError("restore.fidelity", f"fidelity {fidelity:g} is not one of {FIDELITIES}")
    return fidelity


def chosen_fidelity(figures: Sequence[FidelityFigures]) -> dict[str, float]:
    """For each level the lowest fidelity that costs at most 0.3 dB and comes no farther from the reference.

    The loss must be that small at every degradation of the level. Fidelity 1, the regressor itself, is chosen where
    nothing else keeps within it.
    """
    chosen: dict[str, float] = {}
    for level in dict.fromkeys(figure.level for figure in figures):
        best, nearest = 1.0, _distance(figures, level, 1.0)
        for fidelity in FIDELITIES[1:]:
            curve = [item for item in figures if (item.level, item.fidelity) == (level, fidelity)]
            cheap = curve and max(item.loss_db for item in curve) <= LARGEST_LOSS_DB
            if not cheap or fidelity < LOWEST_DEFAULT.get(level, 0.0):
                break
            distance = _distance(figures, level, fidelity)
            if distance <= nearest:
                best, nearest = fidelity, distance
        chosen[level] = best
    return chosen


def mixed_weights(
    regressor: Mapping[str, torch.Tensor], gan: Mapping[str, torch.Tensor], fidelity: float
) -> dict[str, torch.Tensor]:
    """fidelity times the regressor's weights plus (1 - fidelity) times those of its GAN end."""
    return {name: torch.lerp(gan[name].float(), value.float(), fidelity) for name, value in regressor.items()}


def _distance(figures: Sequence[FidelityFigures], level: str, fidelity: float) -> float:
    """How far the gradient energy lies from the reference's, mean over the degradations of a level."""
    chosen = [item.gradient_energy for item in figures if (item.level, item.fidelity) == (level, fidelity)]
    return float(np.mean([abs(energy - 1) for energy in chosen]))
