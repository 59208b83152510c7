"""The only way out: states, the gate's word by policy, publication, held results, signed records."""

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
