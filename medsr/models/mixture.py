"""Mixtures of a regressor and its GAN end: a line in weight space between fidelity and sharpness."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from medsr.errors import UsageError

__all__ = ["FIDELITIES", "checked_fidelity", "mixed_weights"]

FIDELITIES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Shares of the regressor that are offered; each is a model of its own to the gate's calibration."""


def checked_fidelity(fidelity: float) -> float:
    """The fidelity itself.

    Raises
    ------
    UsageError : ``restore.fidelity``, if it is none of :data:`FIDELITIES`.
    """
    if fidelity not in FIDELITIES:
        raise UsageError("restore.fidelity", f"fidelity {fidelity:g} is not one of {FIDELITIES}")
    return fidelity


def mixed_weights(
    regressor: Mapping[str, torch.Tensor], gan: Mapping[str, torch.Tensor], fidelity: float
) -> dict[str, torch.Tensor]:
    """fidelity times the regressor's weights plus (1 - fidelity) times those of its GAN end."""
    return {name: torch.lerp(gan[name].float(), value.float(), fidelity) for name, value in regressor.items()}
