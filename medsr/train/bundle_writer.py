"""Writing a finished training as a bundle: MONAI's layout, safetensors, manifest, card, licence."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from safetensors.torch import save

from medsr import __version__
from medsr.models.bundle import MANIFEST_FILES, file_sha256
from medsr.models.generator import Generator
from medsr.models.inputs import MAPS_TEXT, MR_PERCENTILE
from medsr.resources import write_bytes
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan

__all__ = ["TrainingFacts", "write_bundle"]

_DISCLAIMER = "Research software. Not a medical device; not for diagnosis or treatment."


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the card says of a training."""

    steps: int
    hours: float
    validation_gain_db: float | None
    scans: tuple[Scan, ...]
    attribution: tuple[str, ...]
    started_from: str | None


def write_bundle(network: Generator, recipe: Recipe, facts: TrainingFacts, folder: Path, *, licence: str) -> None:
    """Write every file of a bundle; the manifest last, so that an interrupted write leaves no valid bundle."""
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    write_bytes(folder / "models" / "model.safetensors", save(weights))
    write_bytes(folder / "configs" / "metadata.json", _canonical(_metadata(recipe, facts)))
    write_bytes(folder / "configs" / "inference.json", _canonical(_inference(recipe)))
    write_bytes(folder / "docs" / "README.md", _card(recipe, facts).encode())
    write_bytes(folder / "recipe.yaml", yaml.safe_dump(_plain(recipe.to_record()), sort_keys=False).encode())
    write_bytes(folder / "LICENSE", licence.encode())
    files = {name: file_sha256(folder / name) for name in MANIFEST_FILES}
    write_bytes(folder / "manifest.json", _canonical({"schema": "medsr.manifest/1", "files": files}))


def _metadata(recipe: Recipe, facts: TrainingFacts) -> dict[str, object]:
    slices, modality = recipe.network.slices, recipe.modality
    unit = "HU / 1000" if modality == "CT" else f"divided by the {MR_PERCENTILE} percentile of positive voxels"
    channels = [f"slice {index - slices // 2:+d}" for index in range(slices)] + list(MAPS_TEXT)
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
        "description": f"{modality} restoration in plane: {' and '.join(recipe.tasks)}. {_DISCLAIMER}",
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
                    "spatial_shape": ["2*n", "2*n"],
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
                    "spatial_shape": ["2*n", "2*n"],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": f"restored slice, {unit}"},
                }
            },
        },
        "medsr": {
            "name": recipe.name,
            "modality": modality,
            "method": "regress",
            "plane": "inplane",
            "tasks": list(recipe.tasks),
            "network": recipe.network.to_record(),
            "domain": _domain(recipe, facts),
            "training": {"steps": facts.steps, "hours": round(facts.hours, 3)},
        },
    }


def _domain(recipe: Recipe, facts: TrainingFacts) -> dict[str, object]:
    # Spacing is augmented up to twofold in training, so the domain reaches twice the largest spacing.
    in_plane = sorted(min(scan.spacing_mm) for scan in facts.scans)
    low, high = in_plane[len(in_plane) // 100], in_plane[-1 - len(in_plane) // 100]
    level: dict[str, object] = (
        {"noise_percent": list(recipe.noise_percent)}
        if recipe.modality == "MR"
        else {"dose_fraction": list(recipe.dose_fraction)}
    )
    scales = sorted(set(recipe.scales))
    return {"in_plane_spacing_mm": [round(low, 3), round(2 * high, 3)], "scales": scales, **level}


def _inference(recipe: Recipe) -> dict[str, object]:
    return {
        "imports": ["$import glob", "$import os", "$import torch"],
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
        "run": ["$@evaluator.run()"],
    }


def _card(recipe: Recipe, facts: TrainingFacts) -> str:
    subjects = len({scan.subject for scan in facts.scans})
    gain = "not measured" if facts.validation_gain_db is None else f"{facts.validation_gain_db:+.2f} dB"
    start = facts.started_from or "random weights"
    attribution = "\n".join(f"- {line}" for line in facts.attribution) or "- none given"
    return f"""# {recipe.name} {recipe.version}

{recipe.modality} restoration in plane ({", ".join(recipe.tasks)}) by regression. {_DISCLAIMER}

## Training

| | |
|---|---|
| network | {recipe.network.width} channels, {recipe.network.blocks} blocks, {recipe.network.slices} slices in |
| start | {start} |
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


def _canonical(record: Mapping[str, object]) -> bytes:
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
