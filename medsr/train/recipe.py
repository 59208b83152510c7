"""A training recipe: everything that decides what a network becomes, as a YAML file kept with its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from medsr.errors import UsageError
from medsr.models.generator import GeneratorConfig

__all__ = ["Recipe", "load_recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of one training.

    Parameters
    ----------
    name, version : of the bundle that is written.
    modality : ``CT`` or ``MR``.
    tasks : tasks the bundle will serve.
    network : shape of the generator.
    minutes : length of the training, wall clock; the learning rate follows elapsed time.
    batch, patch : patches a step, and their side in pixels.
    learning_rate : peak of the cosine, after 100 steps of warm-up.
    seed : of everything random.
    superres_share : share of patches that are super-resolved; the others are denoised.
    scales : in-plane factors drawn from, each as often as it is listed.
    noise_percent : (low, high) of MR noise in % of the 99.9th percentile, log-uniform.
    dose_fraction : (low, high) of CT dose, log-uniform.
    validation_subjects : subjects kept out of training, by the start of their name.
    plane : ``inplane``, or ``through`` for thick and lost slices.
    inpaint_share : through plane, share of patches with lost slices; the others have thick ones.
    strip_share : through plane, share of batches cut from slabs seen from the side.
    start : through plane, what the network starts from; see :func:`medsr.models.through.start_matrix`.
    method : ``regress``, or ``gan`` or ``diffusion`` on top of the installed bundle named by `regressor`.
    adversarial_weight : of the discriminator in the loss of a GAN end, at x1 and x2; falls with the factor beyond.
    """

    name: str
    version: str
    modality: Literal["CT", "MR"]
    tasks: tuple[Literal["denoise", "superres", "inpaint"], ...]
    network: GeneratorConfig
    minutes: float
    batch: int = 8
    patch: int = 64
    learning_rate: float = 1e-3
    seed: int = 0
    superres_share: float = 0.4
    scales: tuple[float, ...] = (2.0, 2.0, 3.0, 4.0, 1.5)
    noise_percent: tuple[float, float] = (0.8, 12.0)
    dose_fraction: tuple[float, float] = (0.05, 0.7)
    validation_subjects: tuple[str, ...] = ()
    plane: Literal["inplane", "through"] = "inplane"
    inpaint_share: float = 0.45
    strip_share: float = 0.35
    start: Literal["linear", "consistent"] = "consistent"
    method: Literal["regress", "gan", "diffusion"] = "regress"
    regressor: str = ""
    adversarial_weight: float = 0.03

    def to_record(self) -> dict[str, object]:
        """The recipe as plain values."""
        return asdict(self)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises
    ------
    UsageError : ``train.recipe`` for a file that is no recipe, with the setting that is wrong.
    """
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError("train.recipe", f"{path.name} cannot be read as YAML") from error
    if not isinstance(record, dict):
        raise UsageError("train.recipe", f"{path.name} is not a table of settings")
    unknown = sorted(set(record) - set(Recipe.__dataclass_fields__))
    if unknown:
        raise UsageError("train.recipe", f"{path.name} has unknown settings {unknown}")
    try:
        network = GeneratorConfig.from_record(record.pop("network", {}))
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
        }
        return Recipe(network=network, **values)
    except TypeError as error:
        raise UsageError("train.recipe", f"{path.name} lacks a setting: {error}") from error
