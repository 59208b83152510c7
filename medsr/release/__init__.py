"""The only way out: states, the gate's word by policy, publication, held results, signed records.

Names are imported when they are asked for: publication loads torch, and the service signs a reader's decision
(`medsr.release.record`) in a process that must not.
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
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
