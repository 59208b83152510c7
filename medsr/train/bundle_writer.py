"""Writing a finished training as a bundle: MONAI's layout, safetensors, manifest, card, licence."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from safetensors.torch import save

from medsr import __version__
from medsr.models.bundle import Bundle
from medsr.models.generator import Generator
from medsr.models.inputs import MAPS_TEXT, MR_PERCENTILE
from medsr.models.reset import canonical, write_manifest
from medsr.models.through import THROUGH_MAPS_TEXT
from medsr.resources import write_bytes
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan

__all__ = ["TrainingFacts", "write_bundle"]

_DISCLAIMER = "Research software. Not a medical device; not for diagnosis or treatment."


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the card says of a training.

    settings is what the method needs beside weights, features the range of each domain feature over the training
    scans.
    """

    steps: int
    hours: float
    validation_gain_db: float | None
    scans: tuple[Scan, ...]
    attribution: tuple[str, ...]
    started_from: str | None
    regressor: Bundle | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    features: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def write_bundle(network: Generator, recipe: Recipe, facts: TrainingFacts, folder: Path, *, licence: str) -> None:
    """Write every file of a bundle; the manifest last, so that an interrupted write leaves no valid bundle."""
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    write_bytes(folder / "models" / "model.safetensors", save(weights))
    write_bytes(folder / "configs" / "metadata.json", canonical(_metadata(recipe, facts)))
    write_bytes(folder / "configs" / "inference.json", canonical(_inference()))
    write_bytes(folder / "docs" / "README.md", _card(recipe, facts).encode())
    write_bytes(folder / "recipe.yaml", yaml.safe_dump(_plain(recipe.to_record()), sort_keys=False).encode())
    write_bytes(folder / "LICENSE", licence.encode())
    write_manifest(folder)


def _metadata(recipe: Recipe, facts: TrainingFacts) -> dict[str, object]:
    slices, modality, base = recipe.network.slices, recipe.modality, facts.regressor
    unit = "HU / 1000" if modality == "CT" else f"divided by the {MR_PERCENTILE} percentile of positive voxels"
    channels = [f"slice {index - slices // 2:+d}" for index in range(slices)] + list(_maps(recipe))
    outcome = "residual over its local scale" if recipe.method == "diffusion" else f"restored slice, {unit}"
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
        "meta_schema_20240725.json",
        "version": recipe.version,
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {"medsr": __version__, "safetensors": _version("safetensors")},
        "name": recipe.name,
        "task": ", ".join(recipe.tasks),
        "description": f"{_title(recipe)}. {_DISCLAIMER}",
        "authors": "the medsr developers",
        "copyright": "Copyright (c) the medsr developers; Apache-2.0, data attribution in docs/README.md",
        "intended_use": _DISCLAIMER,
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude" if modality == "MR" else "hounsfield",
                    "modality": modality,
                    "num_channels": recipe.network.channels,
                    "spatial_shape": [f"{recipe.network.down}*n"] * 2,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {str(i): name for i, name in enumerate(channels)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "magnitude" if modality == "MR" else "hounsfield",
                    "modality": modality,
                    "num_channels": 1,
                    "spatial_shape": [f"{recipe.network.down}*n"] * 2,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": outcome},
                }
            },
        },
        "medsr": {
            "name": recipe.name,
            "modality": modality,
            "method": recipe.method,
            "plane": recipe.plane,
            "tasks": list(recipe.tasks),
            "network": recipe.network.to_record(),
            "domain": _domain(recipe, facts),
            "training": {"steps": facts.steps, "hours": round(facts.hours, 3)},
            **({"settings": dict(facts.settings)} if facts.settings else {}),
            **({"regressor": {"name": base.name, "sha256": base.sha256}} if base else {}),
        },
    }


def _maps(recipe: Recipe) -> tuple[str, ...]:
    if recipe.plane == "through":
        return THROUGH_MAPS_TEXT
    if recipe.method == "diffusion":
        return (*MAPS_TEXT, "output of the regressor", "noisy residual", "time")
    return MAPS_TEXT


def _title(recipe: Recipe) -> str:
    plane = "in plane" if recipe.plane == "inplane" else "through plane"
    method = {"regress": "regression", "gan": "a GAN end of its regressor", "diffusion": "a few-step bridge"}
    return f"{recipe.modality} restoration {plane} ({', '.join(recipe.tasks)}) by {method[recipe.method]}"


def _domain(recipe: Recipe, facts: TrainingFacts) -> dict[str, object]:
    # Spacing is augmented up to twofold in training, so the domain reaches twice the largest spacing.
    in_plane = sorted(min(scan.spacing_mm) for scan in facts.scans)
    low, high = in_plane[len(in_plane) // 100], in_plane[-1 - len(in_plane) // 100]
    domain: dict[str, object] = {"in_plane_spacing_mm": [round(low, 3), round(2 * high, 3)]}
    if recipe.plane == "through":
        domain["through_factors"] = [1.5, 6.0]
        domain["slice_spacing_mm"] = [round(low, 3), round(max(max(scan.spacing_mm) for scan in facts.scans), 3)]
    else:
        domain["scales"] = sorted(set(recipe.scales))
    if recipe.modality == "MR":
        domain["noise_percent"] = list(recipe.noise_percent)
    elif recipe.plane == "inplane":
        domain["dose_fraction"] = list(recipe.dose_fraction)
    if facts.features:
        domain["features"] = {name: list(values) for name, values in facts.features.items()}
    return domain


def _inference() -> dict[str, object]:
    return {
        "imports": ["$import glob", "$import os", "$import torch", "$from medsr.models.monai import run_inference"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "$@bundle_root + '/data'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "data": "$[{'image': path} for path in sorted(glob.glob(@dataset_dir + '/*.npy'))]",
        "network_def": {"_target_": "medsr.models.monai.load_bundle_network", "folder": "@bundle_root"},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": "NumpyReader", "image_only": True},
                {"_target_": "EnsureTyped", "keys": "image", "device": "@device"},
            ],
        },
        "dataset": {"_target_": "Dataset", "data": "@data", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": {
                "_target_": "SaveImaged",
                "keys": "pred",
                "output_dir": "@output_dir",
                "output_ext": ".nii.gz",
                "resample": False,
            },
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "amp": False,
        },
        # MONAI's evaluator needs pytorch-ignite; the plain run does not.
        "evaluate": ["$@evaluator.run()"],
        "run": [
            ("$run_inference(@dataloader, @network, inferer=@inferer, postprocessing=@postprocessing, device=@device)")
        ],
    }


def _card(recipe: Recipe, facts: TrainingFacts) -> str:
    subjects = len({scan.subject for scan in facts.scans})
    gain = "not measured" if facts.validation_gain_db is None else f"{facts.validation_gain_db:+.2f} dB"
    start = facts.started_from or "random weights"
    attribution = "\n".join(f"- {line}" for line in facts.attribution) or "- none given"
    base = f"{facts.regressor.name} ({facts.regressor.sha256[:12]})" if facts.regressor else "none"
    return f"""# {recipe.name} {recipe.version}

{_title(recipe)}. {_DISCLAIMER}

## Training

| | |
|---|---|
| network | {recipe.network.width} channels, {recipe.network.blocks} blocks, {recipe.network.slices} slices in |
| start | {start} |
| regressor | {base} |
| steps, hours | {facts.steps}, {facts.hours:.2f} |
| seed | {recipe.seed} |
| scans, subjects | {len(facts.scans)}, {subjects} |
| held-out subjects | {", ".join(recipe.validation_subjects) or "none"} |
| PSNR gain on held-out patches, all levels mixed | {gain} |

Everything else that decided these weights stands in recipe.yaml. Figures on scans that no weight, threshold or
seed has seen are printed by `medsr evaluate`.

## Data and attribution

{attribution}

## Limits

A result can hold invented or miss real structure. It is judged by medsr's gate before release and is not to be
read without the original.
"""


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
