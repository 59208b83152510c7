"""Small bundles with random weights, complete and verified, for tests that need a model but not its skill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from medsr.models.bundle import MANIFEST_FILES, Bundle, file_sha256, load_bundle
from medsr.models.generator import Generator, GeneratorConfig

SMALL = GeneratorConfig(slices=3, maps=3, width=8, blocks=1, down=2)


def network(config: GeneratorConfig = SMALL, *, seed: int = 0, size: float = 0.05) -> Generator:
    """A generator whose zero-initialised layers are filled too, so that its residual is not zero."""
    made = Generator(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in made.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * size)
    return made.eval()


def write(
    folder: Path,
    modality: str = "MR",
    *,
    weights: Mapping[str, torch.Tensor] | None = None,
    record: Mapping[str, object] | None = None,
) -> Path:
    """Write a bundle of a small network; `weights` and `record` replace those of the network and the metadata."""
    stored = weights if weights is not None else network().state_dict()
    facts = {
        "name": folder.name, "modality": modality, "method": "regress", "plane": "inplane",
        "tasks": ["denoise", "superres"], "network": SMALL.to_record(), "domain": {},
    }  # fmt: skip
    metadata = {"version": "0.0.1", "description": "made", "medsr": dict(record) if record is not None else facts}
    for name, data in (
        ("configs/metadata.json", json.dumps(metadata).encode()),
        ("configs/inference.json", b"{}"),
        ("models/model.safetensors", save({name: value.half().contiguous() for name, value in stored.items()})),
        ("docs/README.md", b"# made"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return seal(folder)


def seal(folder: Path) -> Path:
    """Write the manifest of whatever the folder holds."""
    files = {name: file_sha256(folder / name) for name in MANIFEST_FILES}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    return folder


def bundle(folder: Path, modality: str = "MR") -> Bundle:
    """A small bundle, written and loaded."""
    return load_bundle(write(folder, modality))
