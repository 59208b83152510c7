"""What a job is fixed to when it is made: bundle, policy, configuration and calibration, each by hash.

Made by the api before anybody has read the scan, so the modality may be unknown: then the pin covers every bundle
that could serve. A worker makes the pins again and blocks a job whose pins differ, instead of running it otherwise.
No framework is loaded here.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medsr import __version__
from medsr.errors import Refusal, UsageError
from medsr.jobs.nouns import JobRequest, Pins
from medsr.models.bundle import Bundle, bundle_folders, load_bundle
from medsr.resources import data_root
from medsr.settings import settings

__all__ = ["PolicyFile", "bundles", "calibration_files", "pins_of", "policy_file", "policy_files"]

_PLACES = {"models", "policies", "signing_key", "calibration", "calibration_scores"}
"""Settings that say where things lie: what lies there is hashed by itself."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy by name, as far as lists need it; the gate reads and checks it by itself."""

    name: str
    version: str
    description: str
    sha256: str
    waive_uncalibrated: bool
    required: Mapping[str, Sequence[str]]


def pins_of(request: JobRequest, *, policy: str) -> Pins:
    """The pins of a request under what is installed now.

    Raises
    ------
    UsageError : ``policy.unknown``, ``bundle.none``.
    """
    rules = policy_file(policy)
    if request.kind == "validate":
        return Pins(
            rules.name, rules.sha256, _configuration(request), calibration_sha256=_files_sha256(calibration_files(()))
        )
    serving = _serving(request.parameters)
    if not serving:
        raise UsageError("bundle.none", "no installed bundle serves the request")
    names = "+".join(f"{bundle.name}@{bundle.version}" for bundle in serving)
    return Pins(
        policy=rules.name,
        policy_sha256=rules.sha256,
        configuration_sha256=_configuration(request),
        bundle=names if len(names) <= 128 else f"{len(serving)} bundles",
        bundle_sha256=serving[0].sha256 if len(serving) == 1 else _joined([bundle.sha256 for bundle in serving]),
        calibration_sha256=_files_sha256(calibration_files(serving)),
    )


def bundles() -> tuple[Bundle, ...]:
    """Every installed bundle, its files hashed again if one of them was touched."""
    return tuple(_bundle(folder, _stamp(folder)) for folder in bundle_folders())


def policy_files() -> tuple[PolicyFile, ...]:
    """Every policy, medsr's own and the site's (MEDSR_POLICIES), which wins."""
    roots = [data_root("validation") / "policies", *([settings().policies] if settings().policies else [])]
    paths = {path.stem: path for root in roots if root is not None for path in sorted(root.glob("*.toml"))}
    return tuple(_policy(path) for _, path in sorted(paths.items()))


def policy_file(name: str) -> PolicyFile:
    """A policy by name.

    Raises
    ------
    UsageError : ``policy.unknown``.
    """
    found = [policy for policy in policy_files() if policy.name == name]
    if not found:
        raise UsageError("policy.unknown", f"there is no policy {name[:40]!r}")
    return found[-1]


def calibration_files(serving: Sequence[Bundle]) -> tuple[Path, ...]:
    """Calibration records of these bundles; of all where none is named."""
    root = data_root("validation") / "calibration"
    site = getattr(settings(), "calibration", None)
    wanted = [bundle.sha256[:12] for bundle in serving] or ["*"]
    roots = [root, *([site] if isinstance(site, Path) else [])]
    return tuple(sorted(path for place in roots for short in wanted for path in place.glob(f"{short}/*.json")))


def _serving(parameters: Mapping[str, object]) -> list[Bundle]:
    """Bundles that could be the one: of the method, the task and the plane, and of the modality where it is stated."""
    task, method, modality = (parameters.get(name) for name in ("task", "method", "modality"))
    through = parameters.get("through") is not None or task == "inpaint"
    found = [
        bundle
        for bundle in bundles()
        if task in bundle.tasks
        and bundle.method == (method or "regress")
        and (modality in (None, "auto") or bundle.modality.lower() == modality)
    ]
    plane = "through" if through else "inplane"
    return sorted((one for one in found if one.plane == plane or _either(parameters)), key=lambda one: one.name)


def _either(parameters: Mapping[str, object]) -> bool:
    """Super-resolution without a factor takes the plane from the scan's declared operator."""
    return parameters.get("task") == "superres" and parameters.get("scale") is None


@lru_cache(maxsize=64)
def _bundle(folder: Path, stamp: tuple[tuple[int, int], ...]) -> Bundle:
    del stamp
    return load_bundle(folder)


def _stamp(folder: Path) -> tuple[tuple[int, int], ...]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in files)


def _policy(path: Path) -> PolicyFile:
    data = path.read_bytes()
    try:
        record = tomllib.loads(data.decode())
        return PolicyFile(
            name=path.stem,
            version=str(record["version"]),
            description=str(record["description"]),
            sha256=hashlib.sha256(data).hexdigest(),
            waive_uncalibrated=bool(record["waive_uncalibrated"]),
            required={str(task): tuple(map(str, channels)) for task, channels in record["required"].items()},
        )
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise Refusal("policy.broken", f"{path.name} is no policy") from error


def _configuration(request: JobRequest) -> str:
    """Hash of what alters pixels or verdicts beside bundle and policy: the request, medsr's version and its limits."""
    record = {
        "medsr": __version__,
        "kind": request.kind,
        "candidate": request.candidate_sha256,
        "parameters": dict(request.parameters),
        "settings": settings().model_dump(mode="json", exclude=_PLACES),
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _files_sha256(paths: Sequence[Path]) -> str | None:
    return _joined([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]) if paths else None


def _joined(hashes: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
