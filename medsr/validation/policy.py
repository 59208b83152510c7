"""Policies: what must have passed before a result may be released."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medsr.errors import Refusal, UsageError
from medsr.resources import data_root
from medsr.settings import settings
from medsr.validation.judge import CHANNELS

__all__ = ["Policy", "load_policy"]

_WORDS = ("name", "version", "description")
_SWITCHES = ("waive_uncalibrated", "release_synthetic")
_LIMITS = ("most_findings_a_slice", "reject_dprime")
_KEYS = {*_WORDS, *_SWITCHES, *_LIMITS, "required", "required_by_method", "required_with_second"}
_TASKS = ("denoise", "superres", "inpaint")
_METHODS = ("regress", "gan", "diffusion")
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
    by_method : channels that a method needs besides.
    with_second : channels that are needed besides where a second scan was given.
    release_synthetic : a volume with slices that nobody measured may be released without a reader.
    """

    name: str
    version: str
    required: dict[str, tuple[str, ...]]
    waive_uncalibrated: bool
    most_findings_a_slice: float
    reject_dprime: float
    sha256: str
    by_method: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    with_second: tuple[str, ...] = ()
    release_synthetic: bool = False

    def required_for(self, task: str, *, method: str | None = None, second: bool = False) -> tuple[str, ...]:
        """Channels that must have passed for a task and method; empty where the policy states nothing for the task.

        Parameters
        ----------
        method : that made the image; None for a candidate of unknown making.
        second : an independent second scan was given.
        """
        base = self.required.get(task, ())
        if not base:
            return ()
        more = (*self.by_method.get(method or "", ()), *(self.with_second if second else ()))
        return tuple(dict.fromkeys((*base, *more)))


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
    if any(not isinstance(record[key], str) or not record[key] for key in _WORDS):
        raise Refusal("policy.broken", f"{path.name}: name, version and description must be words")
    if any(not isinstance(record[key], bool) for key in _SWITCHES):
        raise Refusal("policy.broken", f"{path.name}: {' and '.join(_SWITCHES)} must be true or false")
    required = _lists(record["required"], _TASKS, path.name)
    if not required:
        raise Refusal("policy.broken", f"{path.name} requires no channel")
    return Policy(
        name=record["name"],
        version=record["version"],
        required=required,
        waive_uncalibrated=record["waive_uncalibrated"],
        most_findings_a_slice=_limit(record, "most_findings_a_slice", path.name),
        reject_dprime=_limit(record, "reject_dprime", path.name),
        sha256=hashlib.sha256(data).hexdigest(),
        by_method=_lists(record["required_by_method"], _METHODS, path.name),
        with_second=_channels(record["required_with_second"], "a second scan", path.name, empty=True),
        release_synthetic=record["release_synthetic"],
    )


def _lists(table: object, names: Sequence[str], file: str) -> dict[str, tuple[str, ...]]:
    """Channels by name; every name needs at least one."""
    if not isinstance(table, dict) or not set(table) <= set(names):
        raise Refusal("policy.broken", f"{file}: channels are required by {list(names)}")
    return {name: _channels(channels, name, file, empty=False) for name, channels in table.items()}


def _channels(channels: object, owner: str, file: str, *, empty: bool) -> tuple[str, ...]:
    """A list of channels, every one of which must be built."""
    known = isinstance(channels, list) and all(isinstance(name, str) and name in CHANNELS for name in channels)
    if not known or not (empty or channels):
        raise Refusal("policy.broken", f"{file}: {owner} must require some of {list(CHANNELS)}")
    return tuple(channels)  # type: ignore[arg-type]  # known says that it is a list


def _limit(record: Mapping[str, object], key: str, file: str) -> float:
    value = record[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise Refusal("policy.broken", f"{file}: {key} must be a finite number above 0")
    return float(value)
