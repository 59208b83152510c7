"""Model bundles: weights, configuration and card in MONAI's folder layout, read without MONAI.

<bundle>/configs/metadata.json      what it is, what it was trained for, domain, network
<bundle>/configs/inference.json     MONAI's own way to run it
<bundle>/models/model.safetensors   weights, float16; never a pickle
<bundle>/docs/README.md             the card
<bundle>/LICENSE, recipe.yaml
<bundle>/manifest.json              sha256 of each file that decides the output
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from medsr.errors import IntegrityError, Refusal, UsageError
from medsr.records import Task
from medsr.resources import data_root
from medsr.settings import settings
from medsr.volume import Modality

if TYPE_CHECKING:
    from medsr.models.generator import Generator

__all__ = [
    "MANIFEST_FILES",
    "Bundle",
    "bundle_folders",
    "file_sha256",
    "find_bundle",
    "load_bundle",
    "load_network",
    "regressor_of",
]

_WEIGHTS = "models/model.safetensors"

MANIFEST_FILES = (
    "configs/metadata.json",
    "configs/inference.json",
    _WEIGHTS,
)
"""The files that decide what comes out, in manifest order; the bundle's sha256 is over their hashes."""

Method = Literal["regress", "gan", "diffusion"]


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A verified bundle on disk.

    sha256 is of the manifest's entries, weights_sha256 of the weights' file; network and domain are the records of
    metadata.json. A GAN end or a bridge has `settings` of its method, and names its regressor with its sha256.
    """

    folder: Path
    name: str
    version: str
    sha256: str
    weights_sha256: str
    modality: Modality
    method: Method
    plane: Literal["inplane", "through"]
    tasks: tuple[Task, ...]
    network: Mapping[str, object]
    domain: Mapping[str, object]
    description: str
    settings: Mapping[str, object] = field(default_factory=dict)
    regressor: tuple[str, str] | None = None


def bundle_folders() -> list[Path]:
    """Folders of all bundles in medsr's own data and in the site's folder (MEDSR_MODELS), sorted by name."""
    roots = [data_root("models"), *([settings().models] if settings().models else [])]
    found = [path.parent.parent for root in roots if root for path in root.glob("*/configs/metadata.json")]
    return sorted(found, key=lambda path: path.name)


def find_bundle(
    modality: Modality,
    *,
    task: Task,
    method: Method = "regress",
    through_plane: bool = False,
) -> Bundle:
    """The bundle that serves a task.

    Raises
    ------
    UsageError : ``bundle.none``, if no installed bundle serves it.
    """
    plane = "through" if through_plane else "inplane"
    for folder in bundle_folders():
        bundle = load_bundle(folder)
        if (bundle.modality, bundle.method, bundle.plane) == (
            modality,
            method,
            plane,
        ) and task in bundle.tasks:
            return bundle
    raise UsageError(
        "bundle.none",
        f"no installed bundle does {task} by {method} for {modality}, {plane}",
    )


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle's records and check every file against the manifest.

    Raises
    ------
    Refusal : ``bundle.broken`` for missing or malformed records.
    IntegrityError : ``bundle.hash``, if a file is not what the manifest says.
    """
    manifest = _json(folder / "manifest.json")
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != set(MANIFEST_FILES):
        raise Refusal(
            "bundle.broken",
            f"manifest of {folder.name} does not list exactly {list(MANIFEST_FILES)}",
        )
    digest = hashlib.sha256()
    for name in MANIFEST_FILES:
        actual = file_sha256(folder / name)
        if actual != files[name]:
            raise IntegrityError(
                "bundle.hash",
                f"{folder.name}/{name} hashes to {actual[:12]}, not as in its manifest",
            )
        digest.update(f"{name} {actual}\n".encode())
    metadata = _json(folder / "configs" / "metadata.json")
    record = metadata.get("medsr")
    if not isinstance(record, dict):
        raise Refusal("bundle.broken", f"metadata of {folder.name} has no medsr section")
    try:
        return Bundle(
            folder=folder,
            name=str(record["name"]),
            version=str(metadata["version"]),
            sha256=digest.hexdigest(),
            weights_sha256=files[_WEIGHTS],
            modality=cast("Modality", record["modality"]),
            method=cast("Method", record["method"]),
            plane=record["plane"],
            tasks=tuple(record["tasks"]),
            network=dict(record["network"]),
            domain=dict(record.get("domain", {})),
            description=str(metadata.get("description", "")),
            settings=dict(record.get("settings", {})),
            regressor=_regressor(record.get("regressor")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal("bundle.broken", f"metadata of {folder.name} lacks or misstates {error}") from error


def regressor_of(bundle: Bundle) -> Bundle:
    """The installed regressor that a GAN end or a bridge was trained on.

    Raises
    ------
    UsageError : ``bundle.regressor``, if it is not installed, or not in the version that the bundle names.
    """
    if bundle.regressor is None:
        raise UsageError("bundle.regressor", f"{bundle.name} names no regressor")
    name, sha256 = bundle.regressor
    for folder in bundle_folders():
        found = load_bundle(folder)
        if (found.name, found.sha256) == (name, sha256):
            return found
    raise UsageError("bundle.regressor", f"{bundle.name} needs {name} {sha256[:12]}, which is not installed")


def load_network(bundle: Bundle) -> Generator:
    """Build the network and load its weights as float32.

    The bytes that are hashed are the bytes that are loaded: a file swapped after :func:`load_bundle` is found.

    Raises
    ------
    Refusal : ``bundle.weights``, if names, shapes or values (NaN, infinite) are not those of the configuration.
    IntegrityError : ``bundle.hash``, if the weights are no longer those of the manifest.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from medsr.models.bridge import Bridge
    from medsr.models.generator import Generator, GeneratorConfig

    kind = Bridge if bundle.method == "diffusion" else Generator
    network = kind(GeneratorConfig.from_record(bundle.network))
    data = (bundle.folder / _WEIGHTS).read_bytes()
    actual = hashlib.sha256(data).hexdigest()
    if actual != bundle.weights_sha256:
        raise IntegrityError("bundle.hash", f"weights of {bundle.name} hash to {actual[:12]}, not as in its manifest")
    try:
        stored = load(data)
    except SafetensorError as error:
        raise Refusal("bundle.weights", f"weights of {bundle.name} are no safetensors file") from error
    wanted = network.state_dict()
    if set(stored) != set(wanted) or any(stored[name].shape != wanted[name].shape for name in wanted):
        raise Refusal("bundle.weights", f"weights of {bundle.name} are not those of its network")
    if not all(bool(torch.isfinite(value).all()) for value in stored.values()):
        raise Refusal("bundle.weights", f"weights of {bundle.name} hold NaN or infinite values")
    network.load_state_dict({name: value.float() for name, value in stored.items()})
    return network


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex.

    Raises
    ------
    Refusal : ``bundle.broken``, if the file is not there.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise Refusal("bundle.broken", f"{path.parent.name}/{path.name} is missing") from error


def _regressor(record: object) -> tuple[str, str] | None:
    if record is None:
        return None
    if not isinstance(record, dict):
        raise TypeError("'regressor'")
    return str(record["name"]), str(record["sha256"])


def _json(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal("bundle.broken", f"{path.name} of {path.parent.name} is missing or no JSON") from error
    if not isinstance(data, dict):
        raise Refusal("bundle.broken", f"{path.name} of {path.parent.name} is not a JSON object")
    return data
