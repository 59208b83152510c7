"""A mixture of regressor and GAN end, and the default that is chosen from what it costs."""

from __future__ import annotations

import pytest
import torch

from medsr.models.mixture import FIDELITIES, FidelityFigures, chosen_fidelity, mixed_weights


def test_a_mixture_lies_on_the_line_between_its_ends() -> None:
    ends = [{"w": torch.tensor([value])} for value in (1.0, 3.0)]
    values = [float(mixed_weights(ends[0], ends[1], fidelity)["w"]) for fidelity in FIDELITIES]
    assert values == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0])


def _curve(
    losses: list[float], energies: list[float], *, level: str = "denoise", at: str = "a"
) -> list[FidelityFigures]:
    return [
        FidelityFigures(level, at, fidelity, loss, energy, 6)
        for fidelity, loss, energy in zip(FIDELITIES, losses, energies, strict=True)
    ]


@pytest.mark.parametrize(
    ("losses", "energies", "expected"),
    [
        ([0, 0.05, 0.1, 0.2, 0.25], [0.8, 0.85, 0.9, 0.95, 0.99], 0.0),
        ([0, 0.05, 0.1, 0.4, 0.9], [0.8, 0.85, 0.9, 0.95, 0.99], 0.5),
        ([0, 0.05, 0.1, 0.2, 0.25], [0.8, 0.95, 1.1, 1.3, 1.5], 0.75),
        ([0, 0.5, 1.0, 2.0, 3.0], [0.8, 0.85, 0.9, 0.95, 0.99], 1.0),
    ],
    ids=["cheap", "dear", "overshoots", "never"],
)
def test_the_default_fidelity_costs_at_most_a_third_of_a_decibel(
    losses: list[float], energies: list[float], expected: float
) -> None:
    """The sharpest that costs no more than 0.3 dB, and none that is farther from the reference than the regressor."""
    assert chosen_fidelity(_curve(losses, energies)) == {"denoise": expected}


def test_the_loss_must_be_small_at_every_noise_of_a_level() -> None:
    energies = [0.8, 0.85, 0.9, 0.95, 0.99]
    figures = _curve([0, 0.1, 0.2, 0.2, 0.2], energies) + _curve([0, 0.1, 0.35, 0.4, 0.4], energies, at="b")
    assert chosen_fidelity(figures) == {"denoise": 0.75}


def test_x4_is_never_sharper_than_half_way_by_default() -> None:
    figures = _curve([0, 0, 0, 0, 0], [0.2, 0.3, 0.4, 0.5, 0.6], level="superres@4")
    assert chosen_fidelity(figures) == {"superres@4": 0.5}
