"""Small bundles of every method with random weights, written as a training writes them, in a site's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch

from medsr.models.bridge import BridgeSettings
from medsr.models.bundle import Bundle, load_bundle
from medsr.models.generator import Generator, GeneratorConfig
from medsr.train.bundle_writer import TrainingFacts, write_bundle
from medsr.train.recipe import Recipe
from medsr.train.scans import Scan

Modality = Literal["CT", "MR"]

BASE = GeneratorConfig(slices=3, maps=3, width=8, blocks=1, down=2)
BRIDGE = GeneratorConfig(slices=3, maps=6, width=8, blocks=1, down=4)
THROUGH = GeneratorConfig(slices=5, maps=4, width=8, blocks=1, down=2)
SCAN = Scan("made", "nobody", (), 1.0, (1.0, 1.0, 2.0))
SETTINGS = BridgeSettings((0.01, 0.1, 0.0, 0.2), spread={"denoise": 2.0, "superres@2": 3.0})


def generator(config: GeneratorConfig, *, seed: int = 0, size: float = 0.02) -> Generator:
    """A generator whose zero-initialised layers are filled too."""
    made = Generator(config)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in made.parameters():
            value.copy_(torch.randn(value.shape, generator=draw) * size)
    return made.eval()


def recipe(name: str, modality: Modality, config: GeneratorConfig, **changes: object) -> Recipe:
    """A recipe of a bundle that nobody trained."""
    tasks = ("superres", "inpaint") if changes.get("plane") == "through" else ("denoise", "superres")
    values = {"minutes": 0.02, "batch": 2, "patch": 24, **changes}
    return Recipe(name, "0.1", modality, tasks, config, **values)  # type: ignore[arg-type]  # plain values


def site(folder: Path, modality: Modality) -> Mapping[str, Bundle]:
    """Bundles ``base``, ``gan``, ``diffusion`` and ``through`` below `folder`, by those names."""
    prefix = modality.lower()
    plain = TrainingFacts(1, 0.1, None, (SCAN,), (), None)
    write_bundle(generator(BASE), recipe(f"{prefix}-a", modality, BASE), plain, folder / f"{prefix}-a", licence="none")
    base = load_bundle(folder / f"{prefix}-a")
    write_bundle(
        generator(BASE, seed=1),
        recipe(f"{prefix}-b-gan", modality, BASE, method="gan"),
        TrainingFacts(
            1,
            0.1,
            None,
            (SCAN,),
            (),
            None,
            regressor=base,
            settings={"fidelity": {"denoise": 0.75, "superres@2": 0.25}},
        ),
        folder / f"{prefix}-b-gan",
        licence="none",
    )
    write_bundle(
        generator(BRIDGE, seed=2),
        recipe(f"{prefix}-c-diffusion", modality, BRIDGE, method="diffusion"),
        TrainingFacts(1, 0.1, None, (SCAN,), (), None, regressor=base, settings=SETTINGS.to_record()),
        folder / f"{prefix}-c-diffusion",
        licence="none",
    )
    write_bundle(
        generator(THROUGH, seed=3),
        recipe(f"{prefix}-d-through", modality, THROUGH, plane="through"),
        plain,
        folder / f"{prefix}-d-through",
        licence="none",
    )
    names = {"gan": "b-gan", "diffusion": "c-diffusion", "through": "d-through"}
    return {"base": base, **{key: load_bundle(folder / f"{prefix}-{name}") for key, name in names.items()}}
