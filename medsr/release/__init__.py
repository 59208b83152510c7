"""The only way out: states, the gate's word by policy, publication, held results, signed records.

Names are loaded on first use: the api signs decisions, and loads no torch for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medsr.release.placement import place_released
    from medsr.release.publication import Release, advance
    from medsr.release.quarantine import Decision, decide_held, state_of
    from medsr.release.record import verify_file
    from medsr.release.rendered import Rendered
    from medsr.release.verdict import decide

__all__ = [
    "Decision",
    "Release",
    "Rendered",
    "advance",
    "decide",
    "decide_held",
    "place_released",
    "state_of",
    "verify_file",
]

_HOMES = {
    "Decision": "quarantine",
    "Release": "publication",
    "Rendered": "rendered",
    "advance": "publication",
    "decide": "verdict",
    "decide_held": "quarantine",
    "place_released": "placement",
    "state_of": "quarantine",
    "verify_file": "record",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"medsr.release.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'medsr.release' has no attribute {name!r}")
