"""Policies: what must have passed before a result may be released."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from medsr.errors import Refusal, UsageError
from medsr.resources import data_root
from medsr.settings import settings
from medsr.validation.judge import CHANNELS

__all__ = ["Policy", "load_policy"]

_KEYS = {"name", "version", "description", "waive_uncalibrated", "required", "most_findings_a_slice", "reject_dprime"}
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
    required = record["required"]
    if not isinstance(required, dict) or not required:
        raise Refusal("policy.broken", f"{path.name} requires no channel")
    for task, channels in required.items():
        known = isinstance(channels, list) and channels and set(channels) <= set(CHANNELS)
        if task not in ("denoise", "superres", "inpaint") or not known:
            raise Refusal("policy.broken", f"{path.name}: {task} must require some of {list(CHANNELS)}")
    waived = record["waive_uncalibrated"]
    limits = (record["most_findings_a_slice"], record["reject_dprime"])
    if not isinstance(waived, bool) or not all(isinstance(item, (int, float)) and item > 0 for item in limits):
        raise Refusal("policy.broken", f"{path.name}: a limit or waiver is of the wrong kind")
    return Policy(
        name=str(record["name"]),
        version=str(record["version"]),
        required={task: tuple(channels) for task, channels in required.items()},
        waive_uncalibrated=waived,
        most_findings_a_slice=float(limits[0]),
        reject_dprime=float(limits[1]),
        sha256=hashlib.sha256(data).hexdigest(),
    )
