"""At which setting each peer runs: tuned on training scans, kept in validation/evaluation/peers.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medsr.errors import Refusal
from medsr.evaluate.peers.peer import Peer, Setting
from medsr.evaluate.peers.problem import Problem
from medsr.resources import data_root

__all__ = ["Tuned", "default_file", "load_settings", "setting_for", "toml_text"]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The setting of a peer at a level, the mean score it was chosen for, and over how many subjects."""

    level: str
    peer: str
    setting: Setting
    score: float
    subjects: int


def default_file() -> Path:
    """The settings that travel with medsr."""
    return data_root("validation") / "evaluation" / "peers.toml"


def load_settings(path: Path) -> dict[tuple[str, str], Setting]:
    """(level, peer) to setting; empty where the file is missing.

    Raises
    ------
    Refusal : ``evaluate.settings``, if the file is no table of settings.
    """
    if not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return {
            (level, name): Setting(float(entry["strength"]), bool(entry["corrected"]), float(entry["blend"]))
            for level, peers in document.get("levels", {}).items()
            for name, entry in peers.items()
        }
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refusal("evaluate.settings", f"{path.name} is not a table of peer settings") from error


def setting_for(
    peer: Peer, level: str, settings: Mapping[tuple[str, str], Setting], *, problem: Problem
) -> tuple[Setting, bool]:
    """The tuned setting, or the usual one (corrected, or blended by the dose); True if it was tuned."""
    found = settings.get((level, peer.name))
    if found is not None:
        return found, True
    if not peer.denoises:
        return Setting(peer.usual), False
    return Setting(peer.usual, corrected=problem.magnitude, blend=problem.dose or 0.0), False


def toml_text(tuned: list[Tuned], *, provenance: str) -> str:
    """The settings file: which setting, its mean score on the training subjects, and how many they were."""
    lines = [f"# {provenance}"]
    for level in dict.fromkeys(entry.level for entry in tuned):
        for entry in (entry for entry in tuned if entry.level == level):
            lines += [
                "",
                f'[levels."{level}"."{entry.peer}"]',
                f"strength = {entry.setting.strength}",
                f"corrected = {str(entry.setting.corrected).lower()}",
                f"blend = {entry.setting.blend}",
                f"score = {entry.score:.3f}",
                f"subjects = {entry.subjects}",
            ]
    return "\n".join(lines) + "\n"
