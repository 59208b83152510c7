"""`medsr train`: from a recipe and a folder of scans to a bundle, resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from medsr.errors import UsageError
from medsr.models.bundle import Bundle
from medsr.models.engine import prepare_process
from medsr.resources import data_root
from medsr.train.bundle_writer import TrainingFacts, write_bundle
from medsr.train.ct_bank import CtPreparer
from medsr.train.loop import Report, Training
from medsr.train.recipe import Recipe, load_recipe
from medsr.train.scans import Scan, mr_scan, read_scans
from medsr.train.through_scans import through_scan

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
    the weights to begin with (fine-tuning).

    Raises
    ------
    UsageError : ``train.no_scans``, ``train.other_recipe``, ``train.start``.
    """
    prepare_process(threads)
    chosen = recipe if minutes is None else replace(recipe, minutes=minutes)
    if start is not None and (start.network != chosen.network.to_record() or start.modality != chosen.modality):
        raise UsageError("train.start", f"{start.name} has another network or modality than recipe {chosen.name}")
    work = output / ".training"
    work.mkdir(parents=True, exist_ok=True)
    scans = _scans(chosen, data, work, log)
    training = Training(chosen, scans, work, start=start)
    reports: list[Report] = []

    def remember(item: Report) -> None:
        reports.append(item)
        report(item)

    training.run(remember)
    facts = TrainingFacts(
        steps=training.progress.step,
        hours=training.progress.seconds / 3600,
        validation_gain_db=training.gain(),
        scans=tuple(training.kept),
        attribution=_attribution(data),
        started_from=f"{start.name} {start.version} ({start.sha256[:12]})" if start else None,
    )
    licence = (data_root("models") / "LICENSE").read_text(encoding="utf-8")
    write_bundle(training.averaged(), chosen, facts, output, licence=licence)
    return output


def _scans(recipe: Recipe, data: Path, work: Path, log: Callable[[str], None]) -> list[Scan]:
    if recipe.plane == "through":
        return read_scans(data, through_scan, log=log)
    if recipe.modality == "MR":
        return read_scans(data, mr_scan, log=log)
    return read_scans(data, CtPreparer(work / "noise-bank", recipe.seed), log=log)


def _attribution(data: Path) -> tuple[str, ...]:
    """Lines of the file ATTRIBUTION.txt beside the scans, for the card."""
    path = data / "ATTRIBUTION.txt"
    if not path.is_file():
        return ()
    return tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
