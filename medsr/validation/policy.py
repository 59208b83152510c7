"""Policies: what must have passed before a result may be released."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medsr.errors import Refusal, UsageError
from medsr.resources import data_root
from medsr.settings import settings
from medsr.validation.judge import CHANNELS

__all__ = ["Policy", "load_policy"]

_KEYS = {"name", "version", "description", "waive_uncalibrated", "required", "most_findings_a_slice", "reject_dprime"}
_TASKS = ("denoise", "superres", "inpaint")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file, checked and hashed.

    Parameters
    ----------
    required : channels that must have passed, by task; never empty.
    waive_uncalibrated : release a result whose only reason is the lack of a calibration record.
    most_findings_a_slice : more than this and the result is rejected.
    reject_dprime : a finding of at least this detectability on the written pixels rejects.
    sha256 : of the file's bytes.
    """

    name: str
    version: str
    required: dict[str, tuple[str, ...]]
    waive_uncalibrated: bool
    most_findings_a_slice: float
    reject_dprime: float
    sha256: str


def load_policy(name: str) -> Policy:
    """Read a policy by name, from medsr's own folder or the site's (MEDSR_POLICIES).

    Raises
    ------
    UsageError : ``policy.unknown``.
    Refusal : ``policy.broken``, for anything in the file that is not understood.
    """
    roots = [data_root("validation") / "policies", *([settings().policies] if settings().policies else [])]
    paths = [root / f"{name}.toml" for root in roots if root is not None]
    found = [path for path in paths if _NAME.fullmatch(name) and path.is_file()]
    if not found:
        raise UsageError("policy.unknown", f"there is no policy {name[:40]!r}")
    return _parsed(found[-1])


def _parsed(path: Path) -> Policy:
    data = path.read_bytes()
    try:
        record = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refusal("policy.broken", f"{path.name} is not TOML") from error
    if set(record) != _KEYS:
        raise Refusal("policy.broken", f"{path.name} must have exactly the keys {sorted(_KEYS)}")
    if any(not isinstance(record[key], str) or not record[key] for key in ("name", "version", "description")):
        raise Refusal("policy.broken", f"{path.name}: name, version and description must be words")
    if not isinstance(record["waive_uncalibrated"], bool):
        raise Refusal("policy.broken", f"{path.name}: waive_uncalibrated must be true or false")
    return Policy(
        name=record["name"],
        version=record["version"],
        required=_required(record["required"], path.name),
        waive_uncalibrated=record["waive_uncalibrated"],
        most_findings_a_slice=_limit(record, "most_findings_a_slice", path.name),
        reject_dprime=_limit(record, "reject_dprime", path.name),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _required(required: object, file: str) -> dict[str, tuple[str, ...]]:
    """Channels by task; every task named needs at least one, and every one must be built."""
    if not isinstance(required, dict) or not required:
        raise Refusal("policy.broken", f"{file} requires no channel")
    for task, channels in required.items():
        known = isinstance(channels, list) and channels and all(name in CHANNELS for name in channels)
        if task not in _TASKS or not known:
            raise Refusal("policy.broken", f"{file}: {task} must require some of {list(CHANNELS)}")
    return {task: tuple(channels) for task, channels in required.items()}


def _limit(record: Mapping[str, object], key: str, file: str) -> float:
    value = record[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise Refusal("policy.broken", f"{file}: {key} must be a finite number above 0")
    return float(value)
