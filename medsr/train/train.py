"""`medsr train`: from a recipe and a folder of scans to a bundle, resumable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from medsr.errors import UsageError
from medsr.models.bundle import Bundle
from medsr.models.catalogue import named
from medsr.models.engine import prepare_process
from medsr.physics.features import domain_features
from medsr.resources import data_root
from medsr.train.bridge_loop import BridgeTraining
from medsr.train.bundle_writer import TrainingFacts, write_bundle
from medsr.train.ct_bank import CtPreparer
from medsr.train.gan_loop import GanTraining
from medsr.train.loop import Report, Training
from medsr.train.recipe import Recipe, load_recipe
from medsr.train.scans import Scan, mr_scan, read_scans
from medsr.train.through_scans import through_scan
from medsr.volume import Volume

__all__ = ["recipe_named", "train"]


def recipe_named(name: str) -> Recipe:
    """A recipe by path, or by the name of one that medsr ships.

    Raises
    ------
    UsageError : ``train.recipe``.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return load_recipe(path)
    return load_recipe(data_root("models") / "recipes" / f"{name}.yaml")


def train(
    recipe: Recipe,
    data: Path,
    output: Path,
    *,
    start: Bundle | None = None,
    minutes: float | None = None,
    threads: int = 1,
    report: Callable[[Report], None],
    log: Callable[[str], None],
) -> Path:
    """Train until the recipe's minutes are spent and write the bundle; returns its folder.

    Called again on the same `output` after an interruption, it goes on from the last checkpoint. `start` gives
    the weights to begin with (fine-tuning); for a GAN end or a bridge it is the regressor, by default the installed
    bundle that the recipe names.

    Raises
    ------
    UsageError : ``train.no_scans``, ``train.other_recipe``, ``train.start``.
    """
    prepare_process(threads)
    chosen = recipe if minutes is None else replace(recipe, minutes=minutes)
    base = _base(chosen, start)
    work = output / ".training"
    work.mkdir(parents=True, exist_ok=True)
    scans, features = _scans(chosen, data, work, log)
    training = _training(chosen, scans, work, base)
    training.run(report)
    regressor = base if chosen.method != "regress" else None
    facts = TrainingFacts(
        steps=training.progress.step,
        hours=training.progress.seconds / 3600,
        validation_gain_db=training.gain(),
        scans=tuple(training.kept),
        attribution=_attribution(data),
        started_from=f"{base.name} {base.version} ({base.sha256[:12]})" if base and regressor is None else None,
        regressor=regressor,
        settings=_settings(training),
        features=_percentiles(features, {scan.name for scan in training.kept}),
    )
    licence = (data_root("models") / "LICENSE").read_text(encoding="utf-8")
    write_bundle(training.averaged(), chosen, facts, output, licence=licence)
    return output


def _base(recipe: Recipe, start: Bundle | None) -> Bundle | None:
    """The bundle that the weights start from or stand on."""
    found = start if start is not None or recipe.method == "regress" else named(recipe.regressor)
    if found is None:
        return None
    same = found.network == recipe.network.to_record() or recipe.method == "diffusion"
    if not same or found.modality != recipe.modality or found.plane != recipe.plane or found.method != "regress":
        fact = f"{found.name} is no regressor with the network and modality of recipe {recipe.name}"
        raise UsageError("train.start", fact)
    return found


def _training(recipe: Recipe, scans: list[Scan], work: Path, base: Bundle | None) -> Training:
    if recipe.method == "regress" or base is None:
        return Training(recipe, scans, work, start=base)
    if recipe.method == "diffusion":
        return BridgeTraining(recipe, scans, work, regressor=base)
    return GanTraining(recipe, scans, work, regressor=base)


def _settings(training: Training) -> Mapping[str, object]:
    """What the method needs beside weights, as far as training knows it; `medsr models tune` fits the rest."""
    if isinstance(training, BridgeTraining):
        return training.settings.to_record()
    if isinstance(training, GanTraining):
        return {"fidelity": {}}
    return {"start": training.recipe.start} if training.recipe.plane == "through" else {}


def _scans(
    recipe: Recipe, data: Path, work: Path, log: Callable[[str], None]
) -> tuple[list[Scan], dict[str, dict[str, float]]]:
    """Prepared scans, and the domain features of each by its name."""
    features: dict[str, dict[str, float]] = {}
    prepare: Callable[[Volume, str, str], Scan | None]
    if recipe.plane == "through":
        prepare = through_scan
    else:
        prepare = mr_scan if recipe.modality == "MR" else CtPreparer(work / "noise-bank", recipe.seed)

    def described(volume: Volume, name: str, subject: str) -> Scan | None:
        scan = prepare(volume, name, subject)
        if scan is not None:
            features[name] = domain_features(volume)
        return scan

    return read_scans(data, described, log=log), features


def _percentiles(features: Mapping[str, Mapping[str, float]], names: Collection[str]) -> dict[str, tuple[float, float]]:
    """1st and 99th percentile of every domain feature over the scans that were trained on."""
    chosen = [item for name, item in features.items() if name in names]
    if not chosen:
        return {}
    table = {name: np.percentile([item[name] for item in chosen], (1, 99)) for name in chosen[0]}
    return {name: (round(float(low), 4), round(float(high), 4)) for name, (low, high) in table.items()}


def _attribution(data: Path) -> tuple[str, ...]:
    """Lines of the file ATTRIBUTION.txt beside the scans, for the card."""
    path = data / "ATTRIBUTION.txt"
    if not path.is_file():
        return ()
    return tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
