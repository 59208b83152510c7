"""What is fitted on held-out subjects when a training ends, as it stands in the bundle and in its card."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from medsr.models.bridge import BridgeSettings
from medsr.train.bridge_loop import LevelFigures
from medsr.train.gan_loop import FidelityFigures, chosen_fidelity

__all__ = ["bridge_settings", "gan_settings", "percentiles"]

_DEFAULT_FIDELITY = 0.5


def bridge_settings(settings: BridgeSettings, figures: list[LevelFigures]) -> tuple[dict[str, object], str]:
    """Scale weights, steps and spread multipliers; a table by level."""
    fitted = replace(settings, spread={figure.level: round(figure.multiplier, 3) for figure in figures})
    rows = [
        "| level | regressor | single sample | mean of 4 | spread multiplier | rank correlation, 8 x 8 patches |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {item.level} | {item.regressor_db:.2f} dB | {item.single_db:.2f} | {item.mean_db:.2f} | "
        f"{item.multiplier:.2f} | {item.rank_correlation:.2f} |"
        for item in figures
    ]
    return fitted.to_record(), "\n".join(rows) if figures else ""


def gan_settings(figures: list[FidelityFigures]) -> tuple[dict[str, object], str]:
    """The default fidelity of each level with the curve it was read from; the curve as a table."""
    chosen = chosen_fidelity(figures)
    curve = [
        {
            "level": item.level,
            "fidelity": item.fidelity,
            "psnr_db": round(item.psnr_db, 3),
            "gradient_energy": round(item.gradient_energy, 4),
        }
        for item in figures
    ]
    rows = ["| level | fidelity | PSNR | gradient energy / reference | default |", "|---|---|---|---|---|"]
    rows += [
        f"| {item.level} | {item.fidelity:g} | {item.psnr_db:.2f} dB | {item.gradient_energy:.3f} | "
        f"{'yes' if chosen[item.level] == item.fidelity else ''} |"
        for item in figures
    ]
    record: dict[str, object] = {"fidelity": dict(chosen) or {"denoise": _DEFAULT_FIDELITY}, "curve": curve}
    return record, "\n".join(rows) if figures else ""


def percentiles(features: Mapping[str, Mapping[str, float]], names: Collection[str]) -> dict[str, tuple[float, float]]:
    """1st and 99th percentile of every domain feature over the scans that were trained on."""
    chosen = [item for name, item in features.items() if name in names]
    if not chosen:
        return {}
    table = {name: np.percentile([item[name] for item in chosen], (1, 99)) for name in chosen[0]}
    return {name: (round(float(low), 4), round(float(high), 4)) for name, (low, high) in table.items()}
